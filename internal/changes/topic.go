package changes

import (
	"encoding/json"
	"time"

	"github.com/ctl-sh/ctl/internal/store"
)

// Topic says what rows there are of something, and which of them a change in the
// state may have changed. Its functions must be deterministic and quick; the hub
// calls them from one goroutine at a time.
type Topic struct {
	// Name tells topics apart, for instance "services" or "kv:app/".
	Name string
	// Touch calls add with the keys of the rows that a change may have
	// changed, made or removed, in the state before or after it. Too many
	// cost time, too few lose changes. tx is the state after.
	Touch func(tx *store.Txn, c store.Change, add func(key string)) error
	// Row returns the row of a key, and false where there is none.
	Row func(tx *store.Txn, key string) (Row, bool, error)
	// Each calls visit with every row, until that fails.
	Each func(tx *store.Txn, visit func(Row) error) error
}

// Row is a row of a topic.
type Row struct {
	Key string
	// Value is encoded as JSON: by its AppendJSON where it is an Appender.
	Value any
	// Guard says who may see the row, for the reader's filter. The hub does
	// not look at it.
	Guard any
	// Same, where it is not nil, is compared to that of the row before: equal
	// ones mean that the row has not changed. Otherwise the JSON is compared.
	Same any
}

// Frame is one line of a stream, in JSON. Its field Type says which others
// mean something.
type Frame struct {
	// Type is one of the constants below.
	Type string `json:"type"`
	// Topic is what reset, put, del, ready, error and line are about.
	Topic string `json:"topic,omitempty"`
	// Key names the row of put and del.
	Key string `json:"key,omitempty"`
	// Index is that of the log at which the row was as it is.
	Index uint64 `json:"index,omitempty"`
	// Row is the row of put.
	Row json.RawMessage `json:"row,omitempty"`
	// Reason says why of reset and end.
	Reason string `json:"reason,omitempty"`
	// Position is where to go on from: of at.
	Position string `json:"position,omitempty"`
	// Kind and Text are those of error.
	Kind string `json:"kind,omitempty"`
	Text string `json:"text,omitempty"`
	// Version and Node are the stream's and the agent's: of hello.
	Version int    `json:"version,omitempty"`
	Node    string `json:"node,omitempty"`
	// Time is that of the agent: of hello and beat.
	Time *time.Time `json:"time,omitempty"`
}

// The types of frames.
const (
	FrameHello = "hello" // the first of a stream
	FrameReset = "reset" // forget the topic; all its rows follow, then ready
	FramePut   = "put"   // a row is new or has changed
	FrameDel   = "del"   // a row is gone
	FrameReady = "ready" // the topic is whole
	FrameAt    = "at"    // everything up to here was sent
	FrameBeat  = "beat"  // nothing happened
	FrameError = "error" // the topic cannot be followed
	FrameLine  = "line"  // a line of the log
	FrameEnd   = "end"   // the agent ends the stream
)

// The reasons of a reset.
const (
	ReasonStart    = "start"    // the reader has nothing yet
	ReasonPosition = "position" // the position is too old, or another server's
	ReasonSlow     = "slow"     // the reader fell behind
	ReasonRestore  = "restore"  // the whole state was replaced
)

// Version is that of the frames.
const Version = 1
