package leafcert

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

// Leaf is the certificate of a service with its private key. It is never changed.
type Leaf struct {
	caapi.Signed
	// PrivateKeyPEM is a secret.
	PrivateKeyPEM string
	Service       string

	made    time.Time
	renewAt time.Time
}

// holds reports whether the leaf has not ended.
func (l *Leaf) holds(now time.Time) bool { return l != nil && now.Before(l.ValidBefore) }

// key is what a leaf is kept under. Leaves are not shared between tokens: the
// servers judge a token whenever they sign.
type key struct{ token, service string }

// entry is a leaf that is kept, and who asks for it. The fields below state are
// guarded by Store.mu.
type entry struct {
	key   key
	state signal.Value[leafState]

	asked   time.Time // when somebody last began to ask
	waiting int
	cancel  context.CancelFunc
}

// leafState is what is known of a leaf.
type leafState struct {
	leaf *Leaf // nil before the first
	err  error // why the last attempt failed
	gone bool  // the entry was dropped: look for another
}

// Leaf returns the certificate of a service. An index other than zero waits
// until its ModifyIndex is above it, for at most wait. It fails when there is
// none that holds and the servers give none: with PermissionDenied where the
// token may not, RateLimited where too many are asked for.
func (s *Store) Leaf(ctx context.Context, token, service string, index uint64, wait time.Duration) (*Leaf, Freshness, error) {
	id := spiffe.ID{Kind: spiffe.Service, TrustDomain: "x", Datacenter: s.cfg.Datacenter, Name: service}
	if err := id.Check(); err != nil {
		return nil, Freshness{}, failure.Wrap(failure.BadRequest, err)
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	fresh := Freshness{Hit: true}
	for {
		e, err := s.enter(key{token, service})
		if err != nil {
			return nil, Freshness{}, err
		}
		leaf, err := s.await(ctx, e, index, over.C, &fresh)
		s.leave(e)
		if leaf != nil || err != nil {
			return leaf, fresh, err
		}
		// The entry was dropped just then.
	}
}

// await waits for the news of e. It returns neither leaf nor error when e was
// dropped.
func (s *Store) await(ctx context.Context, e *entry, index uint64, over <-chan time.Time, fresh *Freshness) (*Leaf, error) {
	for {
		now, changed := e.state.Watch()
		holds := now.leaf.holds(time.Now())
		switch {
		case now.gone:
			return nil, nil
		case holds && now.leaf.ModifyIndex > index:
			return now.leaf, nil
		case !holds && now.err != nil:
			return nil, now.err
		}
		var timeout <-chan time.Time
		if holds {
			timeout = over
		} else {
			fresh.Hit = false
		}
		select {
		case <-changed:
		case <-timeout:
			if now.leaf.holds(time.Now()) {
				return now.leaf, nil
			}
			index = 0 // it ended in the meantime: wait for another, or for why there is none
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// enter returns the entry of k, new if there is none, with one more who waits.
func (s *Store) enter(k key) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.followedLocked()
	if err != nil {
		return nil, err
	}
	e := s.leaves[k]
	if e == nil {
		if len(s.leaves) >= s.cfg.MaxLeaves && !s.evict() {
			return nil, failure.Newf(failure.RateLimited, "this agent keeps %d certificates already, all of them in use", len(s.leaves))
		}
		ctx, cancel := context.WithCancel(s.running)
		e = &entry{key: k, cancel: cancel}
		s.leaves[k] = e
		s.wg.Go(func() {
			defer cancel()
			s.keep(ctx, e, r)
		})
	}
	e.waiting++
	e.asked = time.Now()
	return e, nil
}

func (s *Store) leave(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.waiting--
}

// evict drops the entry that nobody has asked for the longest, and reports
// whether there was one. The lock is held.
func (s *Store) evict() bool {
	var oldest *entry
	for _, e := range s.leaves {
		if e.waiting == 0 && (oldest == nil || e.asked.Before(oldest.asked)) {
			oldest = e
		}
	}
	if oldest != nil {
		s.dropLocked(oldest)
	}
	return oldest != nil
}

func (s *Store) dropLocked(e *entry) {
	if s.leaves[e.key] == e {
		delete(s.leaves, e.key)
	}
	e.cancel()
	e.state.Update(func(l leafState) leafState { l.gone = true; return l })
}

// dropUnless drops e unless somebody waits for it or asked since then.
func (s *Store) dropUnless(e *entry, since time.Time) (dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.waiting > 0 || e.asked.After(since) {
		return false
	}
	s.dropLocked(e)
	return true
}

// keep makes the leaf of e, and makes it anew, until nobody needs it.
func (s *Store) keep(ctx context.Context, e *entry, r *roots) {
	pause := backoff.New(minPause, maxPause)
	began := time.Now()
	for {
		leaf, err := s.make(ctx, e.key, r)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if s.failed(e, err, began) || pause.Wait(ctx) != nil {
				return
			}
			continue
		}
		pause.Reset()
		e.state.Set(leafState{leaf: leaf})
		s.cfg.Logger.Debug("certificate made", logging.KeyService, e.key.service, "serial", leaf.SerialNumber, "until", leaf.ValidBefore)
		if !s.outlast(ctx, e, leaf, r) {
			return
		}
		began = time.Now()
	}
}

// patience is how long an attempt that may soon succeed is repeated before who
// asks for the first time is told.
const patience = 10 * time.Second

// passing reports whether err may soon be over: too many requests at the
// servers, or a leader that went away while it signed. A certificate that was
// signed and got lost is nobody's.
func passing(err error) bool {
	return failure.Is(err, failure.RateLimited) || failure.Is(err, failure.OutcomeUnknown)
}

// failed publishes why a leaf was not made, and reports whether the entry is
// done: one that has no leaf, and nobody to wait for it.
func (s *Store) failed(e *entry, err error, began time.Time) (done bool) {
	old := e.state.Get().leaf
	now := time.Now()
	if !old.holds(now) && passing(err) && now.Sub(began) < patience {
		return false
	}
	if old != nil {
		level := s.cfg.Logger.Warn
		if !old.holds(now) {
			level = s.cfg.Logger.Error
		}
		level("a certificate is not made anew", logging.KeyService, e.key.service, "until", old.ValidBefore, logging.KeyError, err)
		e.state.Set(leafState{leaf: old, err: err})
		return !old.holds(now) && s.dropUnless(e, now.Add(-s.cfg.IdleAfter))
	}
	// Who waits gets the error; who asks next begins anew.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaves[e.key] == e {
		delete(s.leaves, e.key)
	}
	e.state.Set(leafState{err: err})
	return true
}

// rootWait is how long a leaf waits for a cluster's first root.
const rootWait = 10 * time.Second

// active waits until there is a root that signs.
func (s *Store) active(ctx context.Context, r *roots) (*Roots, error) {
	over := time.NewTimer(rootWait)
	defer over.Stop()
	for {
		now, changed := r.state.Watch()
		switch {
		case now.Roots != nil && now.ActiveID != "":
			return now.Roots, nil
		case now.Roots == nil && now.err != nil:
			return nil, now.err
		}
		select {
		case <-changed:
		case <-over.C:
			return nil, failure.New(failure.Unavailable, "the cluster's certificate authority has no root yet")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// make makes a key and has a certificate signed for it.
func (s *Store) make(ctx context.Context, k key, r *roots) (*Leaf, error) {
	roots, err := s.active(ctx, r)
	if err != nil {
		return nil, err
	}
	private, text, err := issue.NewKey(ca.KeyEC, 256)
	if err != nil {
		return nil, err
	}
	id := spiffe.ID{Kind: spiffe.Service, TrustDomain: roots.TrustDomain, Datacenter: s.cfg.Datacenter, Name: k.service}
	csr, err := issue.NewRequest(issue.Request{Identity: id}, private)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(caapi.SignRequest{CSR: csr})
	if err != nil {
		return nil, err
	}
	q := url.Values{}
	if k.token != "" {
		q.Set("token", k.token)
	}
	status, header, answer, err := s.cfg.Requester.Do(ctx, http.MethodPut, caapi.SignPath, q, body)
	if err != nil {
		return nil, err
	}
	if header.Get("X-Ctl-Outcome") == "unknown" {
		return nil, failure.New(failure.OutcomeUnknown, string(answer))
	}
	if status != http.StatusOK {
		return nil, answerError(status, answer)
	}
	now := time.Now()
	leaf := &Leaf{PrivateKeyPEM: text, Service: k.service, made: now}
	if err := json.Unmarshal(answer, &leaf.Signed); err != nil {
		return nil, failure.Newf(failure.Internal, "read a signed certificate: %w", err)
	}
	if !leaf.holds(now) {
		return nil, failure.Newf(failure.Unavailable, "the servers signed a certificate that ended at %s: compare the clocks of this node and of the servers", leaf.ValidBefore.Format(time.RFC3339))
	}
	leaf.renewAt = now.Add(renewAfter(leaf.ValidBefore.Sub(now)))
	return leaf, nil
}

// renewAfter returns when in its life a leaf is made anew: at about two thirds,
// spread so that leaves made together are not made anew together.
func renewAfter(life time.Duration) time.Duration {
	const from, spread = 0.6, 0.4 / 3
	return time.Duration((from + spread*rand.Float64()) * float64(life))
}

// outlast waits until the leaf is to be made anew: because of its age, or
// because another root signs now. It reports false when nobody needs it any
// more.
func (s *Store) outlast(ctx context.Context, e *entry, leaf *Leaf, r *roots) bool {
	age := time.NewTimer(time.Until(leaf.renewAt))
	defer age.Stop()
	for {
		now, changed := r.state.Watch()
		if now.replaces(leaf) {
			if s.dropUnless(e, leaf.made) {
				return false
			}
			return s.spread(ctx, leaf)
		}
		select {
		case <-changed:
		case <-age.C:
			return !s.dropUnless(e, leaf.made)
		case <-ctx.Done():
			return false
		}
	}
}

// lag is how long after a leaf was made the roots here may be older than it.
const lag = 10 * time.Second

// replaces reports whether another root signs now than the one that signed leaf.
// Roots that are older than the leaf do not count.
func (r rootState) replaces(leaf *Leaf) bool {
	return r.Roots != nil && r.ActiveID != "" && r.ActiveID != leaf.RootID &&
		(r.Index > leaf.ModifyIndex || r.at.Sub(leaf.made) > lag)
}

// Of all agents together about signRate leaves a second are made anew after a
// rotation: half of what servers sign by default.
const (
	signRate  = 25
	maxSpread = 10 * time.Minute
)

// spread waits for this leaf's turn after a rotation, or for its own end.
func (s *Store) spread(ctx context.Context, leaf *Leaf) bool {
	within := min(max(time.Second, time.Duration(s.cfg.Nodes())*time.Second/signRate), maxSpread)
	t := time.NewTimer(min(rand.N(within), max(0, time.Until(leaf.renewAt))))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Leaves returns the number of leaves kept, and how long the first of them still
// holds.
func (s *Store) Leaves() (n int, first time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, e := range s.leaves {
		leaf := e.state.Get().leaf
		if leaf == nil {
			continue
		}
		if left := leaf.ValidBefore.Sub(now); n == 0 || left < first {
			first = left
		}
		n++
	}
	return n, first
}
