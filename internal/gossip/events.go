package gossip

import (
	"context"
	"sync"

	"github.com/hashicorp/serf/serf"
)

// EventKind says what happened to a member.
type EventKind uint8

const (
	// MemberJoined is a member that is alive: new, back, or at a new address.
	MemberJoined EventKind = iota
	// MemberLeft is a member that left by itself or was forced to.
	MemberLeft
	// MemberFailed is a member that stopped answering.
	MemberFailed
	// MemberUpdated is a member whose tags changed.
	MemberUpdated
	// MemberReaped is a member that is forgotten: it failed or left long
	// ago, or was pruned.
	MemberReaped
)

// String returns a word for the kind.
func (k EventKind) String() string {
	return [...]string{"joined", "left", "failed", "updated", "reaped"}[k]
}

// Event is the last thing that happened to a member.
type Event struct {
	Kind   EventKind
	Member Member
}

// UserEvent is a message spread to all members by [Pool.FireUserEvent].
type UserEvent struct {
	LTime    uint64
	Name     string
	Payload  []byte
	Coalesce bool
}

// Subscription collects the events of a pool for one reader. It keeps the last
// event of every member, so it is bounded by the number of members and never
// holds gossip up however late its reader is.
type Subscription struct {
	pool *Pool
	wake chan struct{} // size 1: something is pending

	mu      sync.Mutex
	pending map[string]Event
	order   []string
}

// Subscribe returns the events from now on. Read the members with
// [Pool.Members] after subscribing to have both without a gap. Close it when
// done.
func (p *Pool) Subscribe() *Subscription {
	s := &Subscription{pool: p, wake: make(chan struct{}, 1), pending: make(map[string]Event)}
	p.subsMu.Lock()
	defer p.subsMu.Unlock()
	p.subs[s] = struct{}{}
	return s
}

// Next waits for events and returns all that are pending: at most one for each
// member, the one waiting longest first. Its error is that of ctx.
func (s *Subscription) Next(ctx context.Context) ([]Event, error) {
	for {
		if events := s.take(); len(events) > 0 {
			return events, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close ends the subscription; a waiting Next still waits for its ctx.
func (s *Subscription) Close() {
	s.pool.subsMu.Lock()
	defer s.pool.subsMu.Unlock()
	delete(s.pool.subs, s)
}

func (s *Subscription) take() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return nil
	}
	events := make([]Event, len(s.order))
	for i, name := range s.order {
		events[i] = s.pending[name]
	}
	clear(s.pending)
	s.order = s.order[:0]
	return events
}

func (s *Subscription) put(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pending[e.Member.Name]; !ok {
		s.order = append(s.order, e.Member.Name)
	}
	s.pending[e.Member.Name] = e
	select {
	case s.wake <- struct{}{}:
	default: // it is already told
	}
}

// drain takes serf's events as fast as they come until done is closed.
func (p *Pool) drain(done <-chan struct{}) {
	for {
		select {
		case e := <-p.events:
			p.handle(e)
		case <-done:
			return
		}
	}
}

func (p *Pool) handle(e serf.Event) {
	switch e := e.(type) {
	case serf.MemberEvent:
		kind, ok := eventKind(e.Type)
		if !ok {
			return
		}
		for i := range e.Members {
			p.admission.observe(kind, &e.Members[i])
			p.publish(Event{Kind: kind, Member: memberOf(e.Members[i])})
		}
		p.changes.Update(func(n uint64) uint64 { return n + 1 })
	case serf.UserEvent:
		if p.cfg.OnUserEvent != nil {
			p.cfg.OnUserEvent(UserEvent{
				LTime: uint64(e.LTime), Name: e.Name, Payload: e.Payload, Coalesce: e.Coalesce,
			})
		}
	}
}

func (p *Pool) publish(e Event) {
	p.subsMu.Lock()
	defer p.subsMu.Unlock()
	for s := range p.subs {
		s.put(e)
	}
}

func eventKind(t serf.EventType) (EventKind, bool) {
	switch t {
	case serf.EventMemberJoin:
		return MemberJoined, true
	case serf.EventMemberLeave:
		return MemberLeft, true
	case serf.EventMemberFailed:
		return MemberFailed, true
	case serf.EventMemberUpdate:
		return MemberUpdated, true
	case serf.EventMemberReap:
		return MemberReaped, true
	default:
		return 0, false
	}
}
