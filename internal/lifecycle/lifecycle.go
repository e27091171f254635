// Package lifecycle starts a list of named parts in order and stops them in
// reverse.
//
// It is not for restarting what failed, for dependency injection, or for work
// that belongs to one part: a part owns its own goroutines. Rules that keep it
// right: the next part starts only after the one before it is ready; a part is
// told to stop only after every part started later has ended, so a part may use
// the earlier ones until it returns; every stop is bounded; the first failure
// decides the result and names its part.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// DefaultStopTimeout bounds the stop of a Part that names no bound of its own.
const DefaultStopTimeout = 10 * time.Second

// A Part is one long-running piece of a process.
type Part struct {
	// Name stands in errors and events, in the operator's words.
	Name string

	// Run does the part's work until ctx ends, and calls ready, once or
	// more, as soon as later parts may rely on it. Every goroutine it starts
	// has ended when it returns. A nil return before it was told to stop
	// means the part's work is done (and counts as ready); an error then is a
	// failure that stops the group. After ctx ended an error that is
	// context.Canceled is not a failure.
	//
	// ctx carries the values of the group's context but not its end: it ends
	// only when it is this part's turn to stop.
	Run func(ctx context.Context, ready func()) error

	// StopTimeout is how long Run may take to return after ctx ended. Zero
	// means DefaultStopTimeout.
	StopTimeout time.Duration
}

// A Step is a moment in the life of a part.
type Step uint8

// The steps, in the order a part goes through them.
const (
	Starting  Step = iota // Run was called
	Ready                 // Run called ready
	Stopping              // Run was told to stop
	Stopped               // Run returned
	Abandoned             // Run did not return within its StopTimeout
)

// String returns the step's name as it stands in logs.
func (s Step) String() string {
	switch s {
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Stopping:
		return "stopping"
	case Stopped:
		return "stopped"
	case Abandoned:
		return "abandoned"
	default:
		return "unknown"
	}
}

// An Event tells an observer what a part did.
type Event struct {
	Part string
	Step Step
	Err  error         // why it stopped; only with Stopped, and nil after an orderly end
	Took time.Duration // with Ready since Starting; with Stopped and Abandoned since Stopping
}

// A Group runs parts. It is made by New and run once.
type Group struct {
	parts   []Part
	observe func(Event)
}

// New returns a group of the parts, which start in this order.
func New(parts ...Part) *Group {
	return &Group{parts: parts, observe: func(Event) {}}
}

// Observe makes fn hear of every step, in order, from the goroutine that called
// Run; fn must not block. Call it before Run. It returns g.
func (g *Group) Observe(fn func(Event)) *Group {
	g.observe = fn
	return g
}

// Run starts the parts and blocks until all have ended. They end because ctx
// ended (a graceful stop: Run returns nil if every part stopped cleanly),
// because one failed, or because each returned on its own.
//
// The error is that of the part which failed first, as "<part>: <cause>". Parts
// that outlived their StopTimeout are named in an *AbandonedError joined to it;
// their goroutines are the only ones that may still run when Run returns.
func (g *Group) Run(ctx context.Context) error {
	r := &run{
		values:  context.WithoutCancel(ctx),
		observe: g.observe,
		ended:   make(chan *running, len(g.parts)),
	}
	if r.startAll(ctx, g.parts) {
		r.wait(ctx)
	}
	return r.stopAll()
}

// An AbandonedError names the parts that did not return within their
// StopTimeout.
type AbandonedError struct{ Parts []string }

// Error implements error.
func (e *AbandonedError) Error() string {
	return fmt.Sprintf("still running after the time given to stop: %q", e.Parts)
}

// running is a started part. Its fields err and failed are written before it is
// sent on run.ended and read after.
type running struct {
	Part
	ctx    context.Context
	cancel context.CancelFunc
	ready  chan struct{}
	done   chan struct{} // closed as the goroutine's last act
	err    error
	failed bool
	seen   bool // taken from run.ended; used by Run's goroutine only
}

// run is one call of Group.Run.
type run struct {
	values  context.Context //nolint:containedctx // lives as long as the call
	observe func(Event)
	started []*running
	ended   chan *running // never blocks: room for every part
	first   error
}

// startAll starts parts until one is not to be started any more, and reports
// whether all are up.
func (r *run) startAll(ctx context.Context, parts []Part) bool {
	for _, p := range parts {
		if ctx.Err() != nil || !r.start(ctx, p) {
			return false
		}
	}
	return true
}

// start starts p and waits until it is ready or has ended. It reports false
// when the group is to stop instead.
func (r *run) start(ctx context.Context, p Part) bool {
	if p.StopTimeout <= 0 {
		p.StopTimeout = DefaultStopTimeout
	}
	began := time.Now()
	s := &running{Part: p, ready: make(chan struct{}, 1), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(r.values)
	r.started = append(r.started, s)
	r.observe(Event{Part: p.Name, Step: Starting})
	go func() {
		defer close(s.done)
		s.err = p.Run(s.ctx, func() {
			select {
			case s.ready <- struct{}{}:
			default:
			}
		})
		stopping := s.ctx.Err() != nil
		s.failed = s.err != nil && (!stopping || !errors.Is(s.err, context.Canceled))
		r.ended <- s
	}()
	for {
		select {
		case <-s.ready:
			r.observe(Event{Part: p.Name, Step: Ready, Took: time.Since(began)})
			return true
		case e := <-r.ended:
			if r.see(e); e.failed {
				return false
			}
			if e == s {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// wait blocks until ctx ends, a part fails or all have ended.
func (r *run) wait(ctx context.Context) {
	for live := r.live(); live > 0; live = r.live() {
		select {
		case <-ctx.Done():
			return
		case e := <-r.ended:
			if r.see(e); e.failed {
				return
			}
		}
	}
}

func (r *run) live() int {
	n := 0
	for _, s := range r.started {
		if !s.seen {
			n++
		}
	}
	return n
}

// see notes that a part has ended, and its failure if it is the first.
func (r *run) see(s *running) {
	s.seen = true
	if s.failed && r.first == nil {
		r.first = fmt.Errorf("%s: %w", s.Name, s.err)
	}
	if s.ctx.Err() == nil { // not told to stop: nobody waits to report it
		ev := Event{Part: s.Name, Step: Stopped}
		if s.failed {
			ev.Err = s.err
		}
		r.observe(ev)
	}
}

// stopAll stops what was started, last first, and returns the group's result.
func (r *run) stopAll() error {
	var abandoned []string
	for i := range slices.Backward(r.started) {
		s := r.started[i]
		r.drain()
		if !r.stop(s) {
			abandoned = append(abandoned, s.Name)
		}
	}
	r.drain()
	if abandoned == nil {
		return r.first
	}
	return errors.Join(r.first, &AbandonedError{Parts: abandoned})
}

// stop tells s to stop and reports whether it returned in time.
func (r *run) stop(s *running) bool {
	if s.seen {
		s.cancel()
		<-s.done
		return true
	}
	r.observe(Event{Part: s.Name, Step: Stopping})
	began := time.Now()
	s.cancel()
	timer := time.NewTimer(s.StopTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		select {
		case <-s.done: // both at once: it did return
		default:
			r.observe(Event{Part: s.Name, Step: Abandoned, Took: time.Since(began)})
			return false
		}
	}
	ev := Event{Part: s.Name, Step: Stopped, Took: time.Since(began)}
	if s.failed {
		ev.Err = s.err
	}
	r.observe(ev)
	return true
}

// drain takes note of parts that ended meanwhile, in the order they did.
func (r *run) drain() {
	for {
		select {
		case e := <-r.ended:
			r.see(e)
		default:
			return
		}
	}
}
