package coordinate

//go:generate go tool -modfile=../../tools/go.mod msgp -file rows.go -o rows_gen.go -io=false -tests=false

// Coordinate is a place in the network. All values are seconds, but for Error,
// which has no unit: how far the estimate can be trusted, 1.5 being not at all.
// The members are the public JSON.
type Coordinate struct {
	Vec        []float64 `msg:"v"`
	Error      float64   `msg:"e"`
	Adjustment float64   `msg:"a"`
	Height     float64   `msg:"h"`
}

// Entry is the coordinate of a node in a network segment, "" being the only one
// there is. It is never changed after it was stored.
type Entry struct {
	Node        string     `msg:"n"`
	Segment     string     `msg:"s,omitempty"`
	Coord       Coordinate `msg:"c"`
	ModifyIndex uint64     `msg:"m"`
}

// Update is the body of the log entry that stores coordinates, several at once
// so that a large cluster needs few. ModifyIndex is ignored.
type Update struct {
	Entries []*Entry `msg:"e"`
}
