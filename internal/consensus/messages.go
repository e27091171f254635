package consensus

//go:generate go tool -modfile=../../tools/go.mod msgp -file messages.go -o messages_gen.go -tests=false -io=false

// ReadIndexRequest asks the leader up to which index a server must have applied
// the log to answer reads that are already waiting there.
type ReadIndexRequest struct {
	// ID is the asking server.
	ID string `msg:"i"`
	// Term is the asker's current term, observed after the last of the waiting
	// reads arrived.
	Term uint64 `msg:"t"`
	// NoEvidence says that Term must not be counted: the asker lost its state
	// and does not know which term it had reached.
	NoEvidence bool `msg:"n"`
}

// ReadIndexResponse is the leader's answer: every write acknowledged before the
// request was made lies at or below Index.
type ReadIndexResponse struct {
	Index uint64 `msg:"x"`
	Term  uint64 `msg:"t"` // the leader's term
}

// TermRequest asks a server for its current term.
type TermRequest struct{}

// TermReply is the current term of the server ID, observed after the request
// arrived.
type TermReply struct {
	ID   string `msg:"i"`
	Term uint64 `msg:"t"`
}
