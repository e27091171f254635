package source

import (
	"context"
	"net/http"
	"time"
)

// Feed is a Source as pages need it. All methods but Do, Probe and Keys return at
// once, and all may be called by any number of goroutines.
type Feed interface {
	// Current returns the newest state. It is cheap when nothing changed.
	Current() *State
	// Past returns the state as of a moment, or as of the earliest that is
	// remembered: its AsOf says which. It has the lists, Raft, and the events
	// until then; of what nobody looked at then it has what was seen last, and
	// its phase is Idle. Keys, sessions, the log and datacenters have no past
	// and are left out. It takes milliseconds where there were thousands of
	// changes since.
	Past(at time.Time) *State
	// Step returns the moment to go to from another, one step back to what was
	// before a change, or one forward: that of the last change that was seen
	// then. The zero time stands for now. Changes that came together are one
	// step. ok is false where there is nothing before, or nothing after: then
	// now is what to go to.
	Step(from time.Time, back bool) (to time.Time, ok bool)
	// Changed is signalled when there is a newer state than the last one
	// that Current returned: at once after a pause, else a pause later. The
	// channel holds one signal at most and is never closed.
	Changed() <-chan struct{}
	// Interest replaces what is watched.
	Interest(Interest)
	// Retry ends the wait for the next try to connect, and reads again what
	// is polled and what failed.
	Retry()
	// Seen forgets the summary of what changed while the connection was
	// lost.
	Seen()
	// SetReadOnly refuses all actions from now on, with a reason, or, where
	// that is "", does not.
	SetReadOnly(reason string)
	// Do does what the operator asked for and returns when it is done. A
	// failure is a *Problem; Conflicted carries the key as it is now, see
	// [Conflict].
	Do(ctx context.Context, a Action) (Outcome, error)
	// Probe asks DNS.
	Probe(ctx context.Context, q Question) (Answer, error)
	// Keys reads keys, by name in order. One that is not there is no error:
	// it is not among them.
	Keys(ctx context.Context, r Range) ([]Key, error)
}

// Conflict is the error of a check-and-set that found something else. It wraps
// a Problem of kind Conflicted.
type Conflict struct {
	// Key is what is there now; Found is false where the key has gone.
	Key Key
	// Problem says so in words.
	Problem *Problem
}

// Error implements error.
func (c *Conflict) Error() string { return c.Problem.Error() }

// Unwrap returns the Problem.
func (c *Conflict) Unwrap() error { return c.Problem }

// Endpoint is one address of an agent.
type Endpoint struct {
	// Name is what is shown: the address as the operator gave it.
	Name string
	// URL is its root without a path, such as http://127.0.0.1:8500.
	URL string
	// HTTP makes the requests and puts the token on them. It must have no
	// timeout of its own. Nil is a plain client.
	HTTP *http.Client
}

// Config is what a Source is made of. Only Endpoints is required.
type Config struct {
	// Endpoints are the addresses of one cluster, the preferred one first.
	Endpoints []Endpoint
	// Context is the name of the operator's context, for show.
	Context string
	// Datacenter is asked of; "" is the agent's own.
	Datacenter string
	// TokenSource says where the token came from, for show; "" for none.
	TokenSource string
	// NoStream keeps to blocking queries.
	NoStream bool
	// ReadOnly refuses every action, with this reason; "" does not.
	ReadOnly string
	// Fault takes a panic of the source, which ends the part of it that had
	// it: what was recovered and the stack then. Nil lets the process crash.
	Fault func(value any, stack []byte)
	// Pause is the least time between two signals of Changed; zero is 16 ms.
	Pause time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Section names a section of State in an Interest.
type Section uint32

// The sections that are watched only while somebody looks. Cluster, Members,
// Recent and Traffic are always watched; what autopilot says of the peers is read
// seldom while nobody looks, and Traffic wakes nobody then.
const (
	SectionServices Section = 1 << iota
	SectionNodes
	SectionProblems
	SectionSessions
	SectionDatacenters
	SectionPeers
	SectionTraffic
)

// Interest is what is visible. The zero Interest is the header alone.
type Interest struct {
	// Sections are the lists in sight.
	Sections Section
	// Service and Node are the objects whose details are in sight, or "".
	Service, Node string
	// Prefixes are the opened levels of the key tree; "" is the root. Nil is
	// none.
	Prefixes []string
	// Key is the key whose value is in sight, or "".
	Key string
	// LogLevel is the least level of the log in sight, such as "info"; "" is
	// no log.
	LogLevel string
}
