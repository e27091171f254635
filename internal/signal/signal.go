// Package signal broadcasts the newest value of something to any number of
// readers.
//
// It is for state (who leads, which members are alive), not for events: a
// reader that was away sees the newest value, never a backlog, so nobody can
// lag behind and a publisher never waits. Use a channel where every value
// counts.
package signal

import "sync"

// Value holds the newest value of a T and wakes those who wait for a change.
// The zero Value holds the zero T and is ready to use. All methods may be
// called by any number of goroutines at once. T is shared between readers:
// treat what it points to as read-only.
type Value[T any] struct {
	mu      sync.Mutex
	current T
	changed chan struct{} // closed at the next Set; nil until somebody asks
}

// Set publishes v. It never blocks.
func (s *Value[T]) Set(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = v
	s.wake()
}

// Update replaces the value by what f makes of it, as one step. f runs under
// the lock: it must be short and must not call the Value.
func (s *Value[T]) Update(f func(T) T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = f(s.current)
	s.wake()
}

func (s *Value[T]) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Get returns the newest value.
func (s *Value[T]) Get() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Watch returns the newest value and a channel that is closed when a newer one
// was published. Both belong together: no change between them is missed.
func (s *Value[T]) Watch() (T, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.current, s.changed
}
