// Package antientropy keeps the catalog true about this node: it compares what
// package local knows with what the catalog has, and tells the difference.
//
// What changed here is told at once (a partial sync). Everything is compared
// (a full sync) at the start, when a server appears, and about once a minute; in
// a larger cluster less often, each agent at a random moment, so that they do
// not come together. What fails is tried again, ever later.
//
// Rules: where nothing differs nothing is written; the first sync is a full one,
// because the catalog decides some things about services of this node; what the
// catalog refuses, for want of rights or otherwise, is logged and left until the
// next full sync, and keeps nothing else from being told.
//
// Source: the public documentation of anti-entropy.
package antientropy

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/local"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Requester sends a request to the agent's own HTTP API.
type Requester interface {
	Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error)
}

// Config is what a Syncer is made of.
type Config struct {
	// Interval is the shortest time between full syncs; 0 is a minute.
	Interval time.Duration
	// Nodes returns how many nodes the cluster has, which spreads out full
	// syncs; nil is a small cluster. It must not block.
	Nodes func() int
	// Blocked is told of each write that was refused for want of rights:
	// service, check or node, registration or deregistration. It may be nil.
	Blocked func(what string)
	// Logger; nil discards.
	Logger *slog.Logger
}

// Syncer tells the catalog. Make it with New, let it live in Run.
type Syncer struct {
	cfg     Config
	state   *local.State
	request Requester
	log     *slog.Logger
	turn    chan struct{} // holds one: somebody syncs
	full    chan struct{} // holds one: a full sync is wanted soon
	fresh   chan struct{} // holds one: a full sync is wanted now, with the newest
	back    chan struct{} // holds one: a push reached the catalog before Run did
	known   atomic.Bool   // a full sync succeeded once
	failing atomic.Bool   // the last sync failed; Run tries again
	// Of who has the turn: changes up to told were told, and what differed in
	// nothing when all was compared last.
	told     uint64
	compared comparison
}

// New returns a Syncer of what state knows.
func New(cfg Config, state *local.State, request Requester) *Syncer {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Minute
	}
	if cfg.Nodes == nil {
		cfg.Nodes = func() int { return 1 }
	}
	if cfg.Blocked == nil {
		cfg.Blocked = func(string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Syncer{cfg: cfg, state: state, request: request, log: cfg.Logger, turn: make(chan struct{}, 1), full: make(chan struct{}, 1), fresh: make(chan struct{}, 1), back: make(chan struct{}, 1)}
}

// Times between syncs.
const (
	firstRetry  = time.Second
	retryLimit  = 15 * time.Second
	serverDelay = 3 * time.Second
	// glance is how long a push looks whether the catalog can be reached again.
	glance = 250 * time.Millisecond
	// gather is how long Run lets changes come together before it tells them.
	// What somebody waits for is pushed meanwhile, and told with all others.
	gather = 10 * time.Millisecond
	// calm is the number of nodes up to which nothing is spread out.
	calm = 128
)

// Scale is what random waits are multiplied by in a cluster of so many nodes: 1
// up to 128, and one more each time that number doubles.
func Scale(nodes int) int {
	if nodes <= calm {
		return 1
	}
	return int(math.Ceil(math.Log2(float64(nodes))-math.Log2(calm))) + 1
}

func (s *Syncer) jitter(d time.Duration) time.Duration {
	return rand.N(d * time.Duration(Scale(s.cfg.Nodes())))
}

// Trigger has everything compared soon, as when a server appeared. It does not
// block.
func (s *Syncer) Trigger() {
	select {
	case s.full <- struct{}{}:
	default:
	}
}

// Recheck has everything compared now, with the newest state of the catalog, as
// when something of this node was removed there. It does not block.
func (s *Syncer) Recheck() {
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

// Push tells what changed here and returns when it is told, or why not. While
// the catalog cannot be reached and no leader is known it fails at once, so that
// registrations do not queue up behind each other's time limits; Run tells later.
// It may be called by any number of goroutines.
func (s *Syncer) Push(ctx context.Context) error {
	failing := s.failing.Load()
	if failing && !s.led(ctx) {
		return errFailing
	}
	want := s.state.Changed().Get()
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	if s.told >= want && s.state.Renewed() == nil {
		return nil // with what somebody else pushed
	}
	err := s.sync(ctx, tellChanges)
	if failing && err == nil {
		select {
		case s.back <- struct{}{}:
		default:
		}
	}
	return err
}

// led reports whether a leader is known: it is asked for what the catalog could
// not be told just before there was one, as when a cluster starts.
func (s *Syncer) led(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	answer, err := s.get(ctx, "/v1/status/leader", false)
	return err == nil && len(bytes.Trim(answer, "\"\n")) > 0
}

var errFailing = failure.New(failure.Unavailable, "the catalog could not be told a moment ago; it is tried again")

func (s *Syncer) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Syncer) give() { <-s.turn }

// compare is a full sync. The turn is the caller's.
func (s *Syncer) compare(ctx context.Context, stale bool) error {
	a, err := s.ask(ctx, stale)
	if err != nil {
		return err
	}
	if s.known.Load() && s.comparison(a) == s.compared {
		return s.write(ctx) // nothing differed, and nothing has changed since
	}
	s.compared = comparison{}
	remote, err := s.read(ctx, a)
	if err != nil {
		return err
	}
	before := s.comparison(a)
	s.state.Compare(remote)
	s.known.Store(true)
	if err := s.write(ctx); err != nil {
		return err
	}
	if s.comparison(a) == before { // every difference is a change
		s.compared = before
	}
	return nil
}

// Run syncs until ctx ends.
func (s *Syncer) Run(ctx context.Context, ready func()) error {
	ready()
	retry := backoff.New(firstRetry, retryLimit)
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := compareAll
	for ctx.Err() == nil {
		_, changed := s.state.Changed().Watch()
		err := s.inTurn(ctx, due)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait := retry.Next() * time.Duration(Scale(s.cfg.Nodes()))
			s.log.Warn("the catalog could not be told about this node; trying again", logging.KeyDuration, wait, logging.KeyError, err)
			timer.Reset(wait)
			changed = nil // a change now would fail the same way
			due = max(due, compareAll)
		case due != tellChanges:
			retry.Reset()
			timer.Reset(s.cfg.Interval + s.jitter(s.cfg.Interval))
			due = tellChanges
		}
		select {
		case <-changed:
			backoff.Pause(ctx, gather)
		case <-timer.C:
			due = max(due, compareAll)
		case <-s.full:
			due = max(due, compareAll)
			backoff.Pause(ctx, s.jitter(serverDelay))
		case <-s.fresh:
			due = compareNewest
		case <-s.back:
			due = max(due, compareAll)
		case <-ctx.Done():
		}
	}
	return nil
}

// extent is how much a sync looks at.
type extent uint8

const (
	tellChanges extent = iota
	compareAll
	compareNewest // linearizable reads
)

func (s *Syncer) inTurn(ctx context.Context, e extent) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	return s.sync(ctx, e)
}

// sync runs one sync: a full one where that is asked for or the catalog was never
// read. The turn is the caller's.
func (s *Syncer) sync(ctx context.Context, e extent) (err error) {
	now := s.state.Changed().Get()
	if e != tellChanges || !s.known.Load() {
		err = s.compare(ctx, e != compareNewest)
	} else {
		err = s.write(ctx)
	}
	if ctx.Err() == nil {
		s.failing.Store(err != nil)
	}
	if err != nil {
		return err
	}
	s.told = max(s.told, now)
	if err := s.state.KeepTold(); err != nil {
		s.log.Warn("the files of registrations cannot be written", logging.KeyError, err)
	}
	return nil
}
