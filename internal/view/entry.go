package view

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
)

// entry is one view.
type entry struct {
	loaded chan struct{} // closed after the first load; data or err is set then
	err    error         // of the first load

	data    atomic.Value // of boxed
	failing atomic.Int64 // unix nanoseconds of the first failure since it was current, or 0
	used    atomic.Bool  // since the last sweep
	idle    int          // sweeps without use; the sweeper's
	stop    context.CancelFunc
}

// boxed lets an atomic.Value hold different types, and nil.
type boxed struct{ data any }

func (e *entry) set(data any) {
	e.data.Store(boxed{data})
	e.failing.Store(0)
}

func (e *entry) fails(now time.Time) { e.failing.CompareAndSwap(0, now.UnixNano()) }

// tooOld reports whether the view could not be kept current for longer than
// limit.
func (e *entry) tooOld(limit time.Duration) bool {
	since := e.failing.Load()
	return since != 0 && limit > 0 && time.Since(time.Unix(0, since)) > limit
}

// lookup answers from the view of k; the first use makes it.
func lookup[T any](ctx context.Context, s *Store, k key, o Options) (*T, error) {
	if !o.Fresh {
		s.mu.RLock()
		e := s.views[k]
		s.mu.RUnlock()
		if e == nil && o.Wait {
			e = s.begin(k)
		}
		if e != nil {
			if data, ok, err := e.read(ctx, o); ok || err != nil {
				out, _ := data.(*T)
				return out, err
			}
		}
	}
	if !o.Wait {
		return nil, ErrNotHere
	}
	return direct[T](ctx, s, k, !o.Fresh && o.MaxStale == 0)
}

// read returns what the view holds, waiting for its first load where that is
// allowed. It reports false for a view that cannot answer.
func (e *entry) read(ctx context.Context, o Options) (data any, ok bool, err error) {
	select {
	case <-e.loaded:
	default:
		if !o.Wait {
			return nil, false, nil
		}
		select {
		case <-e.loaded:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
	if e.err != nil {
		return nil, false, e.err
	}
	if e.tooOld(o.MaxStale) {
		return nil, false, nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	b, _ := e.data.Load().(boxed)
	return b.data, true, nil
}

// direct asks once, without keeping the answer.
func direct[T any](ctx context.Context, s *Store, k key, stale bool) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.LoadTimeout)
	defer cancel()
	got, err := s.load(ctx, k, stale)
	out, _ := got.data.(*T)
	return out, err
}

// load asks once, among a bounded number of loads.
func (s *Store) load(ctx context.Context, k key, stale bool) (answer, error) {
	select {
	case s.loads <- struct{}{}:
		defer func() { <-s.loads }()
		return s.request(ctx, k, 0, stale)
	case <-ctx.Done():
		return answer{}, failure.Wrap(failure.Timeout, context.Cause(ctx))
	}
}

// begin makes the view of k and starts its first load, unless there is one
// already. It returns nil if there is no room for it.
func (s *Store) begin(k key) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.views[k]; e != nil {
		return e
	}
	if s.running == nil || len(s.views) >= s.cfg.MaxViews {
		return nil
	}
	ctx, cancel := context.WithCancel(s.running)
	e := &entry{loaded: make(chan struct{}), stop: cancel}
	s.views[k] = e
	s.wg.Go(func() {
		defer cancel()
		s.live(ctx, k, e)
	})
	return e
}

// live is the life of one view.
func (s *Store) live(ctx context.Context, k key, e *entry) {
	loading, cancel := context.WithTimeout(ctx, s.cfg.LoadTimeout)
	got, err := s.load(loading, k, true)
	cancel()
	// What does not exist, and what failed, is told those who wait and
	// forgotten: the next lookup asks anew.
	if e.err = err; err != nil || got.data == nil {
		s.forget(k, e)
	}
	e.set(got.data)
	close(e.loaded)
	if err != nil || got.data == nil {
		return
	}
	s.follow(ctx, k, e, got.index)
	s.forget(k, e)
}

func (s *Store) forget(k key, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views[k] == e {
		delete(s.views, k)
	}
}

// idleSweeps is how many sweeps a view survives without use.
const idleSweeps = 5

func (s *Store) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.views {
		if e.idle++; e.used.Swap(false) {
			e.idle = 0
		}
		if e.idle >= idleSweeps {
			e.stop()
			delete(s.views, k)
		}
	}
}
