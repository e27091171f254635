package chaos

import (
	"fmt"
	"sync"
	"time"
)

// Kind says what an operation did.
type Kind uint8

// The operations. List reads all keys of a round in one request.
const (
	Get Kind = iota
	Put
	CAS
	Delete
	List
)

func (k Kind) String() string { return [...]string{"get", "put", "cas", "delete", "list"}[k] }

// Mode is a read's consistency mode, as the HTTP API names it.
type Mode string

// The read modes.
const (
	Default    Mode = "default"
	Consistent Mode = "consistent"
	Stale      Mode = "stale"
)

// Outcome says what a client knows about an operation after it.
type Outcome uint8

const (
	// Done is an operation with an answer.
	Done Outcome = iota
	// Refused is a write that was certainly not applied, by the server's
	// own word or because it was never sent. It must never be seen.
	Refused
	// Unknown is a write that may have been applied, or may be later.
	Unknown
)

// Entry is one key as a read returned it. The zero value is an absent key:
// values written by the harness are never empty.
type Entry struct {
	Value  string `json:"value,omitempty"`
	Modify uint64 `json:"modify,omitempty"`
}

// Op is one operation of one client.
type Op struct {
	Kind    Kind    `json:"kind"`
	Mode    Mode    `json:"mode,omitempty"` // reads only
	Client  int     `json:"client"`
	Server  int     `json:"server"`
	Run     int     `json:"run"` // which run of the server's process was asked
	Key     string  `json:"key"`
	Value   string  `json:"value,omitempty"`  // Put, CAS: what to write
	Expect  string  `json:"expect,omitempty"` // CAS: the value compared with; "" is absent
	Outcome Outcome `json:"outcome"`
	Swapped bool    `json:"swapped,omitempty"` // CAS, Delete: answered true
	// Got is what a Get returned, Listed what a List returned.
	Got    Entry            `json:"got,omitzero"`
	Listed map[string]Entry `json:"listed,omitempty"`
	Index  uint64           `json:"index,omitempty"` // X-Consul-Index of a read
	// Call and Return are times since the run began. They enclose the whole
	// request.
	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
}

func (o Op) String() string {
	s := fmt.Sprintf("%s %s client %d at server %d run %d [%v, %v]", o.Kind, o.Key, o.Client, o.Server, o.Run, o.Call, o.Return)
	switch o.Kind {
	case Get:
		return fmt.Sprintf("%s %s -> %q modify %d index %d", s, o.Mode, o.Got.Value, o.Got.Modify, o.Index)
	case List:
		return fmt.Sprintf("%s %s -> %d keys index %d", s, o.Mode, len(o.Listed), o.Index)
	case Put:
		return fmt.Sprintf("%s %q outcome %d", s, o.Value, o.Outcome)
	default:
		return fmt.Sprintf("%s %q expecting %q outcome %d swapped %t", s, o.Value, o.Expect, o.Outcome, o.Swapped)
	}
}

// History collects the operations of one round. The zero value is ready. Safe
// for concurrent use.
type History struct {
	mu  sync.Mutex
	ops []Op
}

// Add records a finished operation. A read that failed says nothing and is not
// to be added.
func (h *History) Add(op Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// Ops returns what was recorded. The caller must not change it while operations
// are still added.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ops
}

// Violation is a broken promise.
type Violation struct {
	Promise string // which promise, in a few words; the same words every time
	Detail  string
}

// Error makes a violation usable as an error.
func (v Violation) Error() string { return v.Promise + ": " + v.Detail }
