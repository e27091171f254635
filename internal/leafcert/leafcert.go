// Package leafcert keeps the certificates of the services on this agent, and
// the roots by which to know those of others, for programs that speak mutual
// TLS by themselves.
//
// The private key is made here and goes nowhere but to the program that asks;
// the servers sign. A leaf is kept in memory, made anew at about two thirds of
// its life and, spread over a little time, when the root is rotated; who waits
// for a change gets it then. One that nobody has asked for since it was made is
// dropped instead. The servers may be away: what was learnt counts until it
// ends.
//
// Rules that keep it right: an answer never holds a leaf that has ended; every
// leaf and the roots have one goroutine that asks for news, whatever the number
// of readers; the number of leaves is bounded; no key is logged or written to
// disk.
//
// Source: the public documentation of the agent's CA routes, and of how agents
// cache leaf certificates.
package leafcert

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Requester asks this agent's own API, as agents may: internal routes included.
// A request that could not be asked is an error; an answer of any status is
// none.
type Requester interface {
	Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error)
}

// Config is what a Store is made of. Requester and Datacenter are needed, zero
// elsewhere is the default.
type Config struct {
	Requester Requester
	// Datacenter is this agent's own.
	Datacenter string
	Logger     *slog.Logger
	// Nodes returns the size of the cluster: the more there are, the longer
	// new leaves are spread over when the root is rotated.
	Nodes func() int
	// Wait is how long a blocking query for the roots may wait. Default 5m.
	Wait time.Duration
	// IdleAfter is how long the roots are followed after their last use.
	// Default 10m.
	IdleAfter time.Duration
	// MaxLeaves bounds the leaves kept. Default 1024.
	MaxLeaves int
}

// Store keeps the roots and the leaves. Its methods may be called by any number
// of goroutines while Run runs; before and after, they fail with Unavailable.
type Store struct {
	cfg Config

	mu      sync.Mutex
	running context.Context //nolint:containedctx // the life of what is kept, which outlives the request that began it
	roots   *roots          // nil while nobody needs them
	leaves  map[key]*entry
	wg      sync.WaitGroup
}

// New returns a Store that keeps nothing yet.
func New(c Config) *Store {
	if c.Wait <= 0 {
		c.Wait = 5 * time.Minute
	}
	if c.IdleAfter <= 0 {
		c.IdleAfter = 10 * time.Minute
	}
	if c.MaxLeaves <= 0 {
		c.MaxLeaves = 1024
	}
	if c.Nodes == nil {
		c.Nodes = func() int { return 1 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{cfg: c, leaves: map[key]*entry{}}
}

// Run keeps what is asked for current until ctx ends; then all of it is dropped.
func (s *Store) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer cancel()
	s.mu.Lock()
	s.running = ctx
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running, s.roots = nil, nil
		clear(s.leaves)
	}()
	ready()
	<-ctx.Done()
	return nil
}

var errStopped = failure.New(failure.Unavailable, "the agent is starting or stopping")

// Roots are the roots as the servers tell them.
type Roots struct {
	// JSON is the body of /v1/connect/ca/roots. It must not be changed.
	JSON []byte
	// ActiveID is the root that signs, "" before there is one; TrustDomain is
	// that of the cluster.
	ActiveID    string
	TrustDomain string
	// Index rises with every change.
	Index uint64
}

// Freshness says where an answer came from.
type Freshness struct {
	// Hit is true for what was here already.
	Hit bool
	// Age is how long ago the servers could last be asked, zero while they
	// can be.
	Age time.Duration
}

// rootState is what is known of the roots. They are nil before the first answer.
type rootState struct {
	*Roots
	// err is why the last attempt failed, nil after one that did not; lost is
	// when the attempts began to fail.
	err  error
	lost time.Time
	// at is when the roots came.
	at time.Time
}

// roots follows the roots for as long as somebody needs them.
type roots struct {
	state signal.Value[rootState]

	// Guarded by Store.mu.
	used    time.Time // when they were last asked for
	waiting int       // who waits for them
}

// followed returns the roots, which are followed from then on, at least until
// done is called.
func (s *Store) followed() (*roots, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.followedLocked()
	if err == nil {
		r.waiting++
	}
	return r, err
}

func (s *Store) done(r *roots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.waiting--
	r.used = time.Now()
}

func (s *Store) followedLocked() (*roots, error) {
	if s.running == nil || s.running.Err() != nil {
		return nil, errStopped
	}
	if s.roots == nil {
		r := &roots{}
		s.roots = r
		ctx := s.running
		s.wg.Go(func() { s.follow(ctx, r) })
	}
	s.roots.used = time.Now()
	return s.roots, nil
}

// Roots returns the roots. An index other than zero waits until theirs is above
// it, for at most wait. What is here counts for as long as the servers are away;
// it fails when there is nothing yet and nobody can be asked.
func (s *Store) Roots(ctx context.Context, index uint64, wait time.Duration) (*Roots, Freshness, error) {
	r, err := s.followed()
	if err != nil {
		return nil, Freshness{}, err
	}
	defer s.done(r)
	over := time.NewTimer(wait)
	defer over.Stop()
	var fresh Freshness
	for first := true; ; first = false {
		now, changed := r.state.Watch()
		if first {
			fresh.Hit = now.Roots != nil
		}
		if !now.lost.IsZero() {
			fresh.Age = time.Since(now.lost)
		}
		switch {
		case now.Roots == nil && now.err != nil:
			return nil, fresh, now.err
		case now.Roots != nil && now.Index > index:
			return now.Roots, fresh, nil
		}
		var timeout <-chan time.Time
		if now.Roots != nil { // the first answer ends in any case
			timeout = over.C
		}
		select {
		case <-changed:
		case <-timeout:
			return now.Roots, fresh, nil
		case <-ctx.Done():
			return nil, fresh, ctx.Err()
		}
	}
}

// Pauses between attempts to reach the servers.
const (
	minPause = 200 * time.Millisecond
	maxPause = 30 * time.Second
)

// follow keeps r current until nobody needs it.
func (s *Store) follow(ctx context.Context, r *roots) {
	pause := backoff.New(minPause, maxPause)
	for {
		now := r.state.Get()
		var index uint64
		if now.Roots != nil {
			index = now.Index
		}
		fresh, err := s.askRoots(ctx, index)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if now.err == nil {
				s.cfg.Logger.Warn("the roots of the certificate authority cannot be asked for", logging.KeyError, err)
				now.lost = time.Now()
			}
			now.err = err
			r.state.Set(now)
			if s.dropRoots(r) || pause.Wait(ctx) != nil {
				return
			}
			continue
		}
		pause.Reset()
		r.state.Set(rootState{Roots: fresh, at: time.Now()})
		if s.dropRoots(r) {
			return
		}
	}
}

// dropRoots forgets r when nobody needs it any more.
func (s *Store) dropRoots(r *roots) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.leaves) > 0 || r.waiting > 0 || time.Since(r.used) < s.cfg.IdleAfter {
		return false
	}
	s.roots = nil
	return true
}

// askRoots asks a server once. An index other than zero blocks until it passed.
func (s *Store) askRoots(ctx context.Context, index uint64) (*Roots, error) {
	q := url.Values{}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
		q.Set("wait", s.cfg.Wait.String())
	}
	const path = "/v1/connect/ca/roots"
	status, header, body, err := s.cfg.Requester.Do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, answerError(status, body)
	}
	var list struct{ ActiveRootID, TrustDomain string }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, failure.Newf(failure.Internal, "read the roots: %w", err)
	}
	at, _ := strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64)
	return &Roots{JSON: body, ActiveID: list.ActiveRootID, TrustDomain: list.TrustDomain, Index: max(at, 1)}, nil
}

// answerError is the error that an answer stands for, with its text.
func answerError(status int, body []byte) error {
	text := strings.TrimSpace(string(body[:min(len(body), 500)]))
	kind := failure.Unavailable
	switch {
	case strings.Contains(text, failure.TextNoLeader):
		kind = failure.NoLeader
	case status == http.StatusTooManyRequests:
		kind = failure.RateLimited
	case status == http.StatusForbidden:
		kind = failure.PermissionDenied
	case status == http.StatusBadRequest:
		kind = failure.BadRequest
	case status == http.StatusInternalServerError:
		kind = failure.Invalid
	}
	return failure.New(kind, text)
}
