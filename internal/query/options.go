package query

import "time"

// Mode says how fresh a read must be.
type Mode uint8

const (
	// Default reads are linearizable: what they return includes every write
	// acknowledged before the read began.
	Default Mode = iota
	// Stale reads answer from this server at once, however old its data is.
	Stale
	// Consistent means what Default means; clients of Consul ask for it by name.
	Consistent
)

// String returns the word used in the X-Consul-Effective-Consistency header.
func (m Mode) String() string {
	switch m {
	case Stale:
		return "stale"
	case Consistent:
		return "consistent"
	default:
		return "leader"
	}
}

// Options are the parts of a read request that mean the same for every noun.
// The zero value is a default read that does not block.
type Options struct {
	Datacenter string // "" is the asked agent's own
	Token      string // the caller's secret; "" is anonymous
	Mode       Mode
	// MaxStale bounds how long ago a Stale answer's server may have heard
	// from the leader; zero is no bound. An older server asks the leader.
	MaxStale time.Duration
	// MinIndex makes the read block until its index is above it; zero does
	// not block.
	MinIndex uint64
	// MaxWait bounds the blocking; zero means the engine's default. The
	// engine adds its own cap and jitter.
	MaxWait time.Duration
	// Cached allows an answer from an agent's cache.
	Cached bool
	// MustRevalidate and MaxAge come from Cache-Control and bound a cached
	// answer; MaxAge zero is no bound.
	MustRevalidate bool
	MaxAge         time.Duration
	// StaleIfError is how old a cached answer may be where those bounds or the
	// lack of one call for a fresh answer and there is none to be had.
	StaleIfError time.Duration
}

// Meta says how fresh an answer is. It becomes the X-Consul-* headers.
type Meta struct {
	// Index is what a client passes as MinIndex to wait for a change. It is
	// never zero in an answer.
	Index uint64
	// KnownLeader reports whether the answering server knew a leader.
	KnownLeader bool
	// LastContact is how long ago the answering server heard from the
	// leader; zero on the leader itself.
	LastContact time.Duration
	// Mode is the mode that was really used.
	Mode Mode
}
