// Package checks runs health checks and tells how they went.
//
// A Runner holds any number of checks and one goroutine that sleeps until the
// next is due. It runs what needs no waiting itself; only a check that waits has a
// goroutine of its own, and some goroutines wait for the next, so thousands cost
// little. The first run of each
// comes at a random moment of its interval, so that those registered together do
// not run together. Those that run seldom begin at tenths of a second, so that an
// agent sleeps in between.
//
// Rules: what a check found is told to its Notifier, one result at a time for
// each check, and never after Stop returned the check's schedule; thresholds are
// applied here, so the Notifier is told states, not attempts; output is cut
// here. It keeps nothing on disk and knows no catalog: package local does.
// Aliases of services of the same agent are package local's, too, because they
// follow from its state.
//
// Source: the public documentation of health checks.
package checks

import (
	"container/heap"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Notifier is told results. It may be called by many goroutines at once and
// must not block for long; it may call the Runner.
type Notifier interface {
	// Update says that the check has the state and the output.
	Update(checkID, status, output string)
}

// Requester sends a request to the agent's own HTTP API.
type Requester interface {
	Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error)
}

// Config is what a Runner is made of.
type Config struct {
	// OutputMaxSize is the longest kept output in bytes; 0 means 4096.
	OutputMaxSize int
	// DiscardOutput keeps no output; SetDiscardOutput changes it.
	DiscardOutput bool
	// Requester reaches the catalog, for aliases of other nodes; nil makes
	// those critical.
	Requester Requester
	// AgentTLS returns what checks over TLS begin with: the agent's certificate
	// and authorities, as they are now, in a configuration that is the
	// caller's. nil is no certificate and the system's authorities.
	AgentTLS func() *tls.Config
	// DockerHost is where the Docker daemon listens: unix:// or tcp://; ""
	// is its usual socket.
	DockerHost string
	// Logger; nil discards.
	Logger *slog.Logger
}

// defaultOutput is the longest kept output where nothing else is said.
const defaultOutput = 4096

// maxRunning bounds how many checks run at the same moment. More only wait for
// one of them to end.
const maxRunning = 2048

// maxSpare bounds how many goroutines wait for the next check. Taking one of them
// is cheaper than a new one, whose stack has to grow first.
const maxSpare = 16

// Checks that run seldom begin at multiples of a beat.
const (
	beat   = 100 * time.Millisecond
	seldom = 10 * time.Second
)

// Runner runs checks. Make it with New, let it live in Run. Its methods may be
// called by any number of goroutines, before Run, too.
type Runner struct {
	cfg     Config
	log     *slog.Logger
	discard atomic.Bool
	shared  *http.Transport
	began   time.Time       // what beats are counted from
	wake    chan struct{}   // holds one: the schedule changed
	work    chan *scheduled // holds a check for each spare goroutine that was taken

	mu      sync.Mutex
	checks  map[string]*scheduled
	queue   schedule
	running int
	spare   int // goroutines that wait for work and have none yet
}

// New returns a Runner without checks.
func New(cfg Config) *Runner {
	if cfg.OutputMaxSize <= 0 {
		cfg.OutputMaxSize = defaultOutput
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{
		cfg: cfg, log: cfg.Logger, shared: newTransport(nil), began: time.Now(), checks: map[string]*scheduled{},
		wake: make(chan struct{}, 1), work: make(chan *scheduled, maxSpare),
	}
	r.discard.Store(cfg.DiscardOutput)
	return r
}

// SetDiscardOutput says whether output is kept, from the next result on.
func (r *Runner) SetDiscardOutput(discard bool) { r.discard.Store(discard) }

// Start begins to run a valid definition under the id, in place of one that has
// the id already. A TTL check has its whole time from now. It does not block.
func (r *Runner) Start(id string, d *Definition, to Notifier) {
	s := &scheduled{id: id, def: d, to: to, at: -1, successes: d.SuccessBeforePassing, failures: d.FailuresBeforeCritical}
	delay := time.Duration(d.TTL)
	if d.Kind() != TTL {
		if s.probe = r.probe(d); s.probe == nil {
			r.Stop(id) // nothing to run: an alias that follows from local state
			return
		}
		s.quick = r.quick(d, s.probe)
		delay = rand.N(d.every())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(id)
	r.checks[id] = s
	r.push(s, r.onBeat(s, time.Now().Add(delay)))
}

// onBeat returns when a check that is due begins: then, or on the next beat. A
// beat is the same for all, so those that begin together have come together by
// chance, and do so no more often as time passes.
func (r *Runner) onBeat(s *scheduled, due time.Time) time.Time {
	if s.probe == nil || s.def.every() < seldom {
		return due
	}
	if late := due.Sub(r.began) % beat; late > 0 {
		return due.Add(beat - late)
	}
	return due
}

// Stop ends the check: its run is cancelled and its result dropped. An unknown
// id is fine.
func (r *Runner) Stop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(id)
}

// Report takes the result of a TTL check and restarts its time. It fails with
// Invalid where the check is not there or has no TTL.
func (r *Runner) Report(id, status, output string) error {
	r.mu.Lock()
	s := r.checks[id]
	if s == nil || s.probe != nil {
		r.mu.Unlock()
		return failure.Newf(failure.Invalid, "CheckID %q does not have associated TTL", id)
	}
	s.output = r.head(output, s.def)
	output = s.output
	r.push(s, time.Now().Add(time.Duration(s.def.TTL)))
	r.mu.Unlock()
	s.to.Update(id, status, output)
	return nil
}

// Counts returns how many checks have a TTL and how many run by themselves.
func (r *Runner) Counts() (ttls, monitors int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.checks {
		if s.probe == nil {
			ttls++
		} else {
			monitors++
		}
	}
	return ttls, monitors
}

// Run runs the checks until ctx ends; then those that run are cancelled and
// waited for.
func (r *Runner) Run(ctx context.Context, ready func()) error {
	ready()
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
		timer.Reset(r.launch(ctx, &running))
	}
}

// idle is how long the runner sleeps when nothing is scheduled.
const idle = time.Hour

// maxInline bounds how many checks that do not wait run one after the other
// before others are looked after.
const maxInline = 64

// launch starts what is due and returns the time until the next is. What can be
// found out without waiting is found out on the way: to wake somebody else for it
// costs more.
func (r *Runner) launch(ctx context.Context, running *sync.WaitGroup) time.Duration {
	now := time.Now()
	var expired, inline []*scheduled
	r.mu.Lock()
	for len(r.queue) > 0 && r.running < maxRunning && len(inline) < maxInline && !r.queue[0].due.After(now) {
		s := heap.Pop(&r.queue).(*scheduled)
		switch {
		case s.probe == nil:
			expired = append(expired, s)
		case s.quick != nil:
			inline = append(inline, s)
		default:
			r.handOver(ctx, running, s, s.probe)
		}
	}
	r.mu.Unlock()
	for _, s := range expired {
		s.to.Update(s.id, Critical, r.kept(expiredText(s.output)))
	}
	for _, s := range inline {
		r.inline(ctx, running, s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) > 0 && r.running < maxRunning {
		return time.Until(r.queue[0].due)
	}
	return idle
}

// inline runs a check as far as that takes no waiting.
func (r *Runner) inline(ctx context.Context, running *sync.WaitGroup, s *scheduled) {
	status, output, rest := s.quick()
	r.mu.Lock()
	if rest != nil {
		r.handOver(ctx, running, s, rest)
		if r.checks[s.id] != s { // stopped meanwhile
			s.cancel()
		}
		r.mu.Unlock()
		return
	}
	publish := r.settle(ctx, s, status)
	r.mu.Unlock()
	r.tell(s, publish, output)
}

// handOver has a goroutine run a probe of s. The mutex is held.
func (r *Runner) handOver(ctx context.Context, running *sync.WaitGroup, s *scheduled, p probe) {
	s.ctx, s.cancel = context.WithTimeout(ctx, s.def.limit())
	s.run = p
	r.running++
	if r.spare > 0 {
		r.spare--
		r.work <- s
	} else {
		running.Go(func() { r.runAll(ctx, s) })
	}
}

func expiredText(last string) string {
	if last == "" {
		return "TTL expired"
	}
	return "TTL expired (last output before timeout follows): " + last
}

// runAll runs a check once, and then others as long as it is kept to spare.
func (r *Runner) runAll(ctx context.Context, s *scheduled) {
	for {
		r.run(ctx, s)
		r.mu.Lock()
		kept := r.spare < maxSpare
		if kept {
			r.spare++
		}
		r.mu.Unlock()
		if !kept {
			return
		}
		select {
		case s = <-r.work:
		case <-ctx.Done():
			return
		}
	}
}

// run runs one check once. ctx is what all end with.
func (r *Runner) run(ctx context.Context, s *scheduled) {
	status, output := s.run(s.ctx)
	s.cancel()
	r.mu.Lock()
	if r.running--; r.running == maxRunning-1 {
		r.nudge()
	}
	publish := r.settle(ctx, s, status)
	r.mu.Unlock()
	r.tell(s, publish, output)
}

// settle takes the result of a run, schedules the next, and returns the state to
// publish, "" for none. The mutex is held.
func (r *Runner) settle(ctx context.Context, s *scheduled, status string) string {
	if r.checks[s.id] != s || ctx.Err() != nil {
		return ""
	}
	r.push(s, r.onBeat(s, time.Now().Add(s.def.every())))
	return s.judge(status)
}

func (r *Runner) tell(s *scheduled, status, output string) {
	if status == "" {
		return
	}
	if status != Passing {
		r.log.Debug("check", logging.KeyCheck, s.id, logging.KeyStatus, status)
	}
	s.to.Update(s.id, status, r.kept(output))
}

// judge counts a result and returns the state to publish, "" for none.
func (s *scheduled) judge(status string) string {
	d := s.def
	if status != Critical {
		s.failures = 0
		s.successes = min(s.successes+1, max(d.SuccessBeforePassing, 1))
		if s.successes >= d.SuccessBeforePassing {
			return status
		}
		return ""
	}
	s.successes = 0
	s.failures = min(s.failures+1, max(d.FailuresBeforeCritical, 1))
	warnAt := d.FailuresBeforeWarning
	if warnAt == 0 {
		warnAt = d.FailuresBeforeCritical
	}
	switch {
	case s.failures >= d.FailuresBeforeCritical:
		return Critical
	case s.failures >= warnAt:
		return Warning
	}
	return ""
}

// kept is the output as it is kept.
func (r *Runner) kept(output string) string {
	if r.discard.Load() {
		return ""
	}
	return output
}

// size returns the longest kept output of a check.
func (r *Runner) size(d *Definition) int {
	if d.OutputMaxSize > 0 {
		return min(d.OutputMaxSize, r.cfg.OutputMaxSize)
	}
	return r.cfg.OutputMaxSize
}

// head keeps the beginning of a TTL check's output.
func (r *Runner) head(output string, d *Definition) string {
	limit := r.size(d)
	if len(output) > limit {
		return r.kept(fmt.Sprintf("%s ... (captured %d of %d bytes)", output[:limit], limit, len(output)))
	}
	return r.kept(output)
}

// scheduled is a check with its place in the schedule. Its fields belong to the
// Runner's mutex, but for those that never change.
type scheduled struct {
	id    string
	def   *Definition
	to    Notifier
	probe probe // nil for TTL
	quick quick // nil where to look takes waiting

	due                 time.Time
	at                  int             // in the queue; -1 outside
	run                 probe           // that is on its way
	ctx                 context.Context // of the run that is on its way
	cancel              context.CancelFunc
	output              string // what a TTL check reported last
	successes, failures int
}

// push puts s into the queue. The mutex is held.
func (r *Runner) push(s *scheduled, due time.Time) {
	s.due = due
	if s.at >= 0 {
		heap.Fix(&r.queue, s.at)
	} else {
		heap.Push(&r.queue, s)
	}
	if s.at == 0 {
		r.nudge()
	}
}

func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// remove forgets a check. The mutex is held.
func (r *Runner) remove(id string) {
	s := r.checks[id]
	if s == nil {
		return
	}
	delete(r.checks, id)
	if s.at >= 0 {
		heap.Remove(&r.queue, s.at)
	}
	if s.cancel != nil {
		s.cancel()
	}
}

// schedule is a heap of checks, the next first.
type schedule []*scheduled

func (q schedule) Len() int           { return len(q) }
func (q schedule) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q schedule) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push implements heap.Interface.
func (q *schedule) Push(x any) {
	s := x.(*scheduled)
	s.at = len(*q)
	*q = append(*q, s)
}

// Pop implements heap.Interface.
func (q *schedule) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	s.at = -1
	return s
}
