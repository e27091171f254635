package view

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/logging"
)

// content is what an answer said. It never changes.
type content struct {
	body   *httpapi.Shared
	exists bool
	found  *catalogapi.Found // of services and connects
	node   *Node             // of nodes

	once    sync.Once
	service *Service // found as DNS uses it
}

// instances returns what was found in the form of DNS; nil for nothing.
func (c *content) instances() *Service {
	if c == nil || !c.exists {
		return nil
	}
	c.once.Do(func() { c.service = newService(c.found.Rows()) })
	return c.service
}

// version is what a view holds from one moment to the next. It never changes.
type version struct {
	reply
	at        time.Time // when it came
	epoch     uint64    // rises when the index goes back
	confirmed bool      // it came by a linearizable read
	// next is closed when there is another version, or the view has ended.
	next chan struct{}
}

// entry is one view.
type entry struct {
	loaded chan struct{} // closed after the first load; current or err is set then
	err    error         // of the first load

	current atomic.Pointer[version]
	failing atomic.Int64 // unix nanoseconds of the first failure since it was current, or 0
	used    atomic.Bool  // since the last sweep
	waiting atomic.Int64 // blocking reads that wait for the next version
	wanted  atomic.Bool  // kept though it does not exist
	stop    context.CancelFunc

	idle  int // sweeps without use; the store's mu guards it
	bytes int // of the answer, as counted; so does it

	mu        sync.Mutex
	ended     bool
	confirm   bool               // rounds are linearizable reads
	interrupt context.CancelFunc // ends a round that is none; nil while none runs
}

// publish makes v the current version and wakes who waits for one.
func (e *entry) publish(v *version) {
	v.next = make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		close(v.next)
	}
	if old := e.current.Swap(v); old != nil && !e.ended {
		close(old.next)
	}
}

// end tells who waits that no version follows.
func (e *entry) end() {
	e.stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	if v := e.current.Load(); v != nil && !e.ended {
		close(v.next)
	}
	e.ended = true
}

func (e *entry) isLoaded() bool {
	select {
	case <-e.loaded:
		return true
	default:
		return false
	}
}

func (e *entry) hasEnded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended
}

// confirmed has the view confirmed from now on, and at once if it is not.
func (e *entry) confirmed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.confirm {
		return
	}
	e.confirm = true
	if e.interrupt != nil {
		e.interrupt()
	}
}

// round returns the context of one request and whether it may be stale.
func (e *entry) round(ctx context.Context) (round context.Context, stale bool, done context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.confirm {
		return ctx, false, func() {}
	}
	round, cancel := context.WithCancel(ctx)
	e.interrupt = cancel
	return round, true, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.interrupt = nil
		cancel()
	}
}

// fails notes that the view cannot be kept current, and wakes who waits.
func (e *entry) fails(now time.Time) {
	if e.failing.CompareAndSwap(0, now.UnixNano()) {
		v := *e.current.Load()
		e.publish(&v)
	}
}

// failingFor returns for how long the view could not be kept current.
func (e *entry) failingFor() time.Duration {
	since := e.failing.Load()
	if since == 0 {
		return 0
	}
	return max(time.Since(time.Unix(0, since)), 1)
}

// tooOld reports whether the view could not be kept current for longer than
// limit.
func (e *entry) tooOld(limit time.Duration) bool { return limit > 0 && e.failingFor() > limit }

// age returns how long ago v was certainly current.
func (e *entry) age(v *version) time.Duration {
	if v.index == 0 { // nothing tells of changes
		return time.Since(v.at)
	}
	return e.failingFor()
}

func (e *entry) use() {
	if !e.used.Load() {
		e.used.Store(true)
	}
}

// lookup answers from the view of k; the first use makes it. What does not exist
// is nil or says so.
func (s *Store) lookup(ctx context.Context, k key, o Options) (*content, error) {
	if !o.Fresh {
		s.mu.RLock()
		e := s.views[k]
		s.mu.RUnlock()
		if e == nil && o.Wait {
			e, _ = s.begin(k, false, false)
		}
		if e != nil {
			if c, ok, err := e.read(ctx, o); ok || err != nil {
				return c, err
			}
		}
	}
	if !o.Wait {
		return nil, ErrNotHere
	}
	return s.direct(ctx, k, !o.Fresh && o.MaxStale == 0)
}

// read returns what the view holds, waiting for its first load where that is
// allowed. It reports false for a view that cannot answer.
func (e *entry) read(ctx context.Context, o Options) (c *content, ok bool, err error) {
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
	e.use()
	return e.current.Load().content, true, nil
}

// direct asks once, without keeping the answer.
func (s *Store) direct(ctx context.Context, k key, stale bool) (*content, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.LoadTimeout)
	defer cancel()
	got, err := s.load(ctx, k, stale)
	return got.content, err
}

// load asks once, among a bounded number of loads.
func (s *Store) load(ctx context.Context, k key, stale bool) (reply, error) {
	select {
	case s.loads <- struct{}{}:
		defer func() { <-s.loads }()
		return s.request(ctx, k, 0, stale, nil)
	case <-ctx.Done():
		return reply{}, failure.Wrap(failure.Timeout, context.Cause(ctx))
	}
}

// begin makes the view of k and starts its first load, unless there is one
// already; here says that it was loaded before. wanted keeps it though it may
// not exist, and confirm has a new one confirmed from its first round on. It
// returns nil if there is no room for it.
func (s *Store) begin(k key, wanted, confirm bool) (e *entry, here bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.views[k]; e != nil {
		if wanted {
			e.wanted.Store(true)
		}
		return e, e.isLoaded()
	}
	if s.running == nil || len(s.views) >= s.cfg.MaxViews {
		return nil, false
	}
	ctx, cancel := context.WithCancel(s.running)
	e = &entry{loaded: make(chan struct{}), stop: cancel, confirm: confirm}
	e.wanted.Store(wanted)
	s.views[k] = e
	s.wg.Go(func() {
		defer s.forget(k, e)
		s.live(ctx, k, e)
	})
	return e, false
}

// live is the life of one view.
func (s *Store) live(ctx context.Context, k key, e *entry) {
	loading, cancel := context.WithTimeout(ctx, s.cfg.LoadTimeout)
	got, err := s.load(loading, k, true)
	cancel()
	e.err = err
	stays := err == nil && s.take(e, got, false)
	// What does not exist, and what failed, is told those who wait and
	// forgotten: the next lookup asks anew.
	if stays = stays && (got.exists || e.wanted.Load()); !stays {
		s.forget(k, e)
	}
	close(e.loaded)
	if stays {
		s.follow(ctx, k, e)
	}
}

// take makes what was replied the view's current version. It reports false when
// there is no room for it any more.
func (s *Store) take(e *entry, got reply, confirmed bool) bool {
	v := &version{reply: got, at: time.Now(), confirmed: confirmed}
	if old := e.current.Load(); old != nil {
		v.epoch = old.epoch
		// An index that goes back belongs to another history of the state.
		if got.index < old.index {
			v.epoch++
		}
	}
	e.publish(v)
	size := 0
	if got.body != nil {
		size = len(got.body.Bytes())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.hasEnded() {
		return false
	}
	s.bytes += size - e.bytes
	e.bytes = size
	return s.bytes <= s.cfg.MaxBytes
}

// follow keeps e current until ctx ends or it has no right or room to be.
func (s *Store) follow(ctx context.Context, k key, e *entry) {
	pause := backoff.New(time.Second, 30*time.Second)
	index := e.current.Load().index
	for ctx.Err() == nil {
		old := e.current.Load()
		round, stale, done := e.round(ctx)
		if !stale && !old.confirmed {
			index = 0 // the next answer must not wait
		}
		got, err := s.request(round, k, index, stale, old.content)
		interrupted := round.Err() != nil
		done()
		switch {
		case ctx.Err() != nil, failure.Is(err, failure.PermissionDenied):
			return
		case interrupted:
			continue
		case err != nil:
			e.fails(time.Now())
			s.cfg.Logger.Debug("a view cannot be kept current", "name", k.name, logging.KeyError, err)
			if !stale && !s.refresh(ctx, k, e) || pause.Wait(ctx) != nil {
				return
			}
			index = 0
			continue
		}
		e.failing.Store(0)
		if !s.take(e, got, !stale) {
			return
		}
		// What went back, or has no index, cannot be waited for.
		if got.index < index {
			got.index = 0
		}
		if index = got.index; index > 0 {
			pause.Reset()
		} else if pause.Wait(ctx) != nil {
			return
		}
	}
}

// refresh takes what any server says while nobody can confirm it, for those who
// allow that. It reports false when there is no room for it.
func (s *Store) refresh(ctx context.Context, k key, e *entry) bool {
	got, err := s.request(ctx, k, 0, true, e.current.Load().content)
	return err != nil || s.take(e, got, false)
}

// forget drops e, if it is still there, and tells who waits for it.
func (s *Store) forget(k key, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(k, e)
}

// drop ends e. mu is held.
func (s *Store) drop(k key, e *entry) {
	if s.views[k] == e {
		delete(s.views, k)
	}
	s.bytes -= e.bytes
	e.bytes = 0
	e.end()
}

// idleSweeps is how many sweeps a view survives without use. One of what does
// not exist survives none.
const idleSweeps = 5

func (s *Store) dropIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.views {
		e.idle++
		if e.used.Swap(false) || e.waiting.Load() > 0 {
			e.idle = 0
		}
		limit := idleSweeps
		if v := e.current.Load(); v != nil && !v.exists {
			limit = 1
		}
		if e.idle >= limit {
			s.drop(k, e)
		}
	}
}
