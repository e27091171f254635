package consensus

import (
	"context"
	"sync"

	"github.com/ctl-sh/ctl/internal/failure"
)

// A share answers many askers with one question. At most one question is under
// way; whoever comes meanwhile shares the next, so every answer is from a
// question that was put after its asker came.
type share[T any] struct {
	wake chan struct{} // size one

	mu   sync.Mutex
	next *round[T] // open to join; nil when nobody waits
}

type round[T any] struct {
	done  chan struct{} // closed when answered
	value T
	err   error
}

func newShare[T any]() *share[T] { return &share[T]{wake: make(chan struct{}, 1)} }

// join waits for the answer to a question that has not been put yet.
func (s *share[T]) join(ctx context.Context, stopped <-chan struct{}) (T, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &round[T]{done: make(chan struct{})}
		poke(s.wake)
	}
	r := s.next
	s.mu.Unlock()
	var none T
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-stopped:
		return none, failure.New(failure.Unavailable, "server is shutting down")
	}
}

// run puts the questions, one after the other, until ctx ends.
func (s *share[T]) run(ctx context.Context, ask func(context.Context) (T, error)) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		r := s.next
		s.next = nil
		s.mu.Unlock()
		r.value, r.err = ask(ctx)
		close(r.done)
	}
}
