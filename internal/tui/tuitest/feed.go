// Package tuitest is a cluster made up for tests of the dashboard: a feed whose
// state a test sets, and states worth looking at.
//
// It is not for the program. A Feed records what is asked of it and answers as
// it was told to.
package tuitest

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

// Feed is a source.Feed whose state is set by the test. It may be used by any
// number of goroutines.
type Feed struct {
	mu        sync.Mutex
	state     *source.State
	changed   chan struct{}
	interests []source.Interest
	acts      []source.Action
	seen      int

	// Earlier are the states of the past, the oldest first; AsOf says when each
	// began. It is set before the feed is used.
	Earlier []*source.State
	// OnDo answers an act; nil does it and says so.
	OnDo func(source.Action) (source.Outcome, error)
	// OnProbe answers a question for DNS; nil answers without records.
	OnProbe func(source.Question) (source.Answer, error)
	// OnKeys reads keys; nil reads those of the state.
	OnKeys func(source.Range) ([]source.Key, error)
}

var _ source.Feed = (*Feed)(nil)

// NewFeed returns a feed with that state.
func NewFeed(s *source.State) *Feed {
	f := &Feed{state: s, changed: make(chan struct{}, 1)}
	f.changed <- struct{}{}
	return f
}

// Set replaces the state and signals that.
func (f *Feed) Set(s *source.State) {
	f.mu.Lock()
	f.state = s
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Current implements source.Feed.
func (f *Feed) Current() *source.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Past implements source.Feed: it is the state of Earlier that was then.
func (f *Feed) Past(at time.Time) *source.State {
	if len(f.Earlier) == 0 {
		s := *f.Current()
		s.AsOf = at
		return &s
	}
	s := *f.Earlier[max(0, f.earlier(at)-1)]
	if at.After(s.AsOf) {
		s.AsOf = at
	}
	s.Connection = f.Current().Connection
	return &s
}

// earlier counts the states of Earlier that began until then.
func (f *Feed) earlier(at time.Time) int {
	return sort.Search(len(f.Earlier), func(i int) bool { return f.Earlier[i].AsOf.After(at) })
}

// Step implements source.Feed: every state of Earlier is a step.
func (f *Feed) Step(from time.Time, back bool) (time.Time, bool) {
	n := len(f.Earlier)
	if !from.IsZero() {
		n = f.earlier(from)
		if back {
			n--
		}
	}
	if back {
		n--
	}
	if n < 0 || n >= len(f.Earlier) {
		return time.Time{}, false
	}
	return f.Earlier[n].AsOf, true
}

// Changed implements source.Feed.
func (f *Feed) Changed() <-chan struct{} { return f.changed }

// Interest implements source.Feed.
func (f *Feed) Interest(i source.Interest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interests = append(f.interests, i)
}

// Wanted returns the newest interest.
func (f *Feed) Wanted() source.Interest {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.interests) == 0 {
		return source.Interest{}
	}
	return f.interests[len(f.interests)-1]
}

// Retry implements source.Feed. There is nothing to try again.
func (*Feed) Retry() {}

// Seen implements source.Feed.
func (f *Feed) Seen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
}

// SetReadOnly implements source.Feed.
func (f *Feed) SetReadOnly(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := *f.state
	s.Connection.ReadOnly, s.Connection.ReadOnlyReason = reason != "", reason
	s.Connection.Version++
	f.state = &s
}

// Do implements source.Feed.
func (f *Feed) Do(_ context.Context, a source.Action) (source.Outcome, error) {
	f.mu.Lock()
	f.acts = append(f.acts, a)
	on := f.OnDo
	f.mu.Unlock()
	if on != nil {
		return on(a)
	}
	return source.Outcome{Action: a, Text: "done: " + a.Describe()}, nil
}

// Acts returns what was done.
func (f *Feed) Acts() []source.Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]source.Action(nil), f.acts...)
}

// Probe implements source.Feed.
func (f *Feed) Probe(_ context.Context, q source.Question) (source.Answer, error) {
	f.mu.Lock()
	on := f.OnProbe
	f.mu.Unlock()
	if on != nil {
		return on(q)
	}
	return source.Answer{Question: q, Server: "127.0.0.1:8600", Code: "NOERROR"}, nil
}

// Keys implements source.Feed: it answers with the keys of the tree that the state
// has, and with the value of the one that is in sight.
func (f *Feed) Keys(_ context.Context, r source.Range) ([]source.Key, error) {
	f.mu.Lock()
	s, on := f.state, f.OnKeys
	f.mu.Unlock()
	if on != nil {
		return on(r)
	}
	var out []source.Key
	for _, l := range s.KV.Levels {
		for _, c := range l.Children {
			if c.Dir || c.Key != r.Key && !(r.Below && strings.HasPrefix(c.Key, r.Key)) {
				continue
			}
			k := source.Key{Key: c.Key, Found: true, Value: []byte("value"), ModifyIndex: 70, CreateIndex: 17}
			if s.Key.Key == c.Key {
				k = s.Key
			}
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b source.Key) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}
