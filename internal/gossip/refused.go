package gossip

import (
	"cmp"
	"net"
	"sort"
	"sync"
	"time"
)

// Why gossip was refused, as the agent sees it that says so.
const (
	RefusedOtherKey   = "other-key"    // encrypted with a key this agent does not have
	RefusedNoKeyHere  = "no-key-here"  // encrypted, and this agent has no key
	RefusedNoKeyThere = "no-key-there" // not encrypted, and this agent has a key
	RefusedUnreadable = "unreadable"   // no message this agent knows; encrypted, perhaps
)

// maxRefusals bounds the sources remembered: anybody may send.
const maxRefusals = 256

// Refusal is gossip of one host that this agent refused because it could not
// read it, since the agent started. Anybody who reaches the port can cause one.
type Refusal struct {
	Host   string // IP address it came from
	Reason string // RefusedOtherKey and the like
	Count  uint64 // messages and connections
	Last   time.Time
}

// refusals counts what was refused. The source refused longest ago makes room.
type refusals struct {
	mu  sync.Mutex
	all map[refusalKey]*Refusal
}

type refusalKey struct{ host, reason string }

func newRefusals() *refusals { return &refusals{all: make(map[refusalKey]*Refusal)} }

// count counts one; from is host:port.
func (r *refusals) count(from, reason string, at time.Time) {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	key := refusalKey{host, reason}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.all[key]
	if one == nil {
		r.makeRoomLocked()
		one = &Refusal{Host: host, Reason: reason}
		r.all[key] = one
	}
	one.Count++
	one.Last = at
}

func (r *refusals) makeRoomLocked() {
	if len(r.all) < maxRefusals {
		return
	}
	var oldest refusalKey
	var since time.Time
	for key, one := range r.all {
		if since.IsZero() || one.Last.Before(since) {
			oldest, since = key, one.Last
		}
	}
	delete(r.all, oldest)
}

// Refusals returns whose gossip was refused, the latest first, at most 256. The
// slice is the caller's.
func (p *Pool) Refusals() []Refusal {
	r := p.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Refusal, 0, len(r.all))
	for _, one := range r.all {
		list = append(list, *one)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Reason, b.Reason)) < 0
	})
	return list
}
