package store

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"

	"github.com/ctl-sh/ctl/internal/failure"
)

// DB is the state of one server. Any number of goroutines may read it; Apply
// and Load are for one goroutine at a time, the one that applies the log.
type DB struct {
	schema *schema
	now    atomic.Pointer[generation]

	// following is held while a commit is made and told, so that whoever
	// begins to follow misses none and sees none twice.
	following sync.Mutex
	follower  func(Commit) // nil for nobody
}

// generation is the state between two restores.
type generation struct {
	mem       *memdb.MemDB
	abandoned chan struct{} // closed when a restore replaces the state
}

// Open makes an empty state of the modules. It fails when two modules claim
// the same table or command type, or a trigger names a table nobody has.
func Open(modules ...Module) (*DB, error) {
	s, err := compile(modules)
	if err != nil {
		return nil, err
	}
	d := &DB{schema: s}
	g, err := d.empty()
	if err != nil {
		return nil, err
	}
	d.now.Store(g)
	return d, nil
}

func (d *DB) empty() (*generation, error) {
	mem, err := memdb.NewMemDB(d.schema.memdb)
	if err != nil {
		return nil, fmt.Errorf("open memdb: %w", err)
	}
	return &generation{mem: mem, abandoned: make(chan struct{})}, nil
}

// Read returns the newest state and a channel that is closed when a restore
// replaces it; a reader that waits must watch that channel too. It never
// blocks.
func (d *DB) Read() (tx *Txn, abandoned <-chan struct{}) {
	g := d.now.Load()
	return g.mem.Txn(false), g.abandoned
}

// Entry is one committed log entry.
type Entry struct {
	Index Index
	Type  uint8
	Body  []byte
}

// Result is what applying an entry gave: the command's value or its refusal.
type Result struct {
	Value any
	Err   error
}

// Apply applies entries in order and returns a result for each. All of them
// become visible at once, so a batch costs one transaction; each is still
// applied whole or not at all at its own index. It never blocks on anything
// but the CPU. An unknown command type is refused with failure.Unsupported.
func (d *DB) Apply(entries []Entry) []Result {
	results := make([]Result, len(entries))
	if d.applyTogether(entries, results) {
		return results
	}
	// Some entry failed after it had begun to write. memdb cannot undo half a
	// transaction, so each gets its own.
	for i := range entries {
		d.applyTogether(entries[i:i+1], results[i:i+1])
	}
	return results
}

// applyTogether applies entries in one transaction. It reports false, with
// nothing changed, when one of several failed after its first write.
func (d *DB) applyTogether(entries []Entry, results []Result) bool {
	d.following.Lock()
	defer d.following.Unlock()
	tx := &WriteTxn{Txn: d.now.Load().mem.Txn(true), schema: d.schema}
	defer tx.Abort()
	if d.follower != nil {
		tx.TrackChanges()
	}
	for i, e := range entries {
		tx.Index, tx.dirty = e.Index, false
		results[i] = d.applyOne(tx, e)
		if results[i].Err != nil && tx.dirty {
			return len(entries) == 1
		}
	}
	for _, t := range tx.touched {
		if err := tx.Insert(tableIndexes, &IndexRow{Name: t.table, Value: t.index}); err != nil {
			panic(fmt.Sprintf("store: move index of %q: %v", t.table, err)) // the schema is ours: cannot happen
		}
	}
	if d.follower == nil {
		tx.Commit()
		return true
	}
	changes := tx.Changes()
	tx.Commit()
	d.follower(Commit{Index: tx.Index, Changes: changes, Tx: d.now.Load().mem.Txn(false)})
	return true
}

func (d *DB) applyOne(tx *WriteTxn, e Entry) Result {
	c := d.schema.commands[e.Type]
	if c == nil {
		return Result{Err: failure.Newf(failure.Unsupported, "log entry %d has the unknown command type %d: a newer server wrote it", e.Index, e.Type)}
	}
	v, err := c.Apply(tx, e.Body)
	if err != nil {
		return Result{Err: err}
	}
	return Result{Value: v}
}

// WriteTxn is the state as an entry being applied sees and changes it. It is
// only valid during Command.Apply or Trigger.OnDelete.
type WriteTxn struct {
	*Txn
	// Index is the entry's: what becomes CreateIndex and ModifyIndex.
	Index Index

	schema  *schema
	dirty   bool // the current entry has written
	depth   int
	touched []touch
}

type touch struct {
	table string
	index Index
}

// maxTriggerDepth ends cascades that feed themselves, a mistake in the
// modules: no chain of nouns is this long.
const maxTriggerDepth = 8

// Put inserts row or replaces the row of the same id. The row belongs to the
// store from here on and must not be changed.
func (tx *WriteTxn) Put(table string, row any) error {
	tx.Touch(table)
	if err := tx.Insert(table, row); err != nil {
		return fmt.Errorf("put into %s: %w", table, err)
	}
	return nil
}

// Remove deletes row and runs the triggers of its table. Removing a row that
// is not there is an error.
func (tx *WriteTxn) Remove(table string, row any) error {
	if tx.depth >= maxTriggerDepth {
		return failure.Newf(failure.Internal, "triggers of %s nest deeper than %d", table, maxTriggerDepth)
	}
	tx.Touch(table)
	if err := tx.Delete(table, row); err != nil {
		return fmt.Errorf("remove from %s: %w", table, err)
	}
	tx.depth++
	defer func() { tx.depth-- }()
	for _, t := range tx.schema.triggers[table] {
		if err := t.OnDelete(tx, row); err != nil {
			return fmt.Errorf("trigger %s: %w", t.Name, err)
		}
	}
	return nil
}

// Touch moves the index of a table, or of a part of one that the noun names,
// to the entry's. Put and Remove do so for their table.
func (tx *WriteTxn) Touch(name string) { tx.TouchAt(name, tx.Index) }

// TouchAt moves the named index to an earlier index than the entry's. An index
// never goes back: a lower value than it has is ignored.
func (tx *WriteTxn) TouchAt(name string, index Index) {
	tx.dirty = true
	for i := range tx.touched {
		if t := &tx.touched[i]; t.table == name {
			t.index = max(t.index, index)
			return
		}
	}
	tx.touched = append(tx.touched, touch{name, max(index, MaxIndex(tx.Txn, name))})
}

// Collect returns all rows of an iterator: needed before changing the table
// that it walks.
func Collect[Row any](it Iterator) []*Row {
	var rows []*Row
	for r := it.Next(); r != nil; r = it.Next() {
		rows = append(rows, r.(*Row))
	}
	return rows
}
