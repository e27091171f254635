package kv

//go:generate go tool -modfile=../../tools/go.mod msgp -file entry.go -o entry_gen.go -io=false -tests=false

// Entry is a key and its value: one row of the key/value table. Entries are
// never changed; who holds one may keep it.
//
// The JSON members, their names and their order are those of the public API.
type Entry struct {
	// LockIndex counts how often the key was locked.
	LockIndex uint64 `msg:"l,omitempty"`
	Key       string `msg:"k"`
	// Flags belong to the client.
	Flags uint64 `msg:"f,omitempty"`
	// Value is nil where an empty value was written.
	Value []byte `msg:"v,omitempty"`
	// Session is the id of the session that holds the lock, or "".
	Session string `json:",omitempty" msg:"s,omitempty"`
	// CreateIndex and ModifyIndex are the indexes of the log entries that
	// made the key and last changed it.
	CreateIndex uint64 `msg:"c"`
	ModifyIndex uint64 `msg:"m"`
}

// Tombstone remembers at which index a key, or all keys below a prefix, were
// deleted, so that the index of a prefix never goes back and who waits on it
// wakes.
type Tombstone struct {
	Key   string `msg:"k"`
	Index uint64 `msg:"i"`
}

// Op says what a Change does.
type Op uint8

// The operations. The numbers stand in the log and are never reused.
const (
	// Set writes Value and Flags.
	Set Op = iota + 1
	// SetCAS writes only if the key's ModifyIndex is Index; Index 0 means
	// only if the key does not exist.
	SetCAS
	// Delete removes the key.
	Delete
	// DeleteCAS removes the key only if its ModifyIndex is Index.
	DeleteCAS
	// DeleteTree removes every key that begins with Key; "" is all of them.
	DeleteTree
)

// Change is the body of the log entry that changes the table.
type Change struct {
	Op    Op     `msg:"o"`
	Key   string `msg:"k"`
	Value []byte `msg:"v,omitempty"`
	Flags uint64 `msg:"f,omitempty"`
	Index uint64 `msg:"i,omitempty"`
}

// Reap is the body of the log entry that forgets old tombstones.
type Reap struct {
	// Index is the newest index whose tombstones go.
	Index uint64 `msg:"i"`
}
