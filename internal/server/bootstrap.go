package server

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/gossip"
)

// Times of bootstrapping.
const (
	// promiseTime is how long a promise binds: longer than asking every
	// server takes, short enough that a proposer that died is soon forgotten.
	promiseTime = 5 * time.Second
	askTimeout  = 2 * time.Second
	// bootstrapPause is about how long a proposer waits after a refusal.
	bootstrapPause = 500 * time.Millisecond
)

// bootstrapper makes the first configuration of a cluster, once.
//
// Of the servers that gossip shows, the one with the lowest id proposes all of
// them as the configuration and asks each for a promise. A server promises to
// one proposer at a time, itself included, and never once it has state. Only
// with every promise does the proposer bootstrap, and it alone does; the others
// learn the configuration from its log. Two proposals that share a server can
// therefore never both succeed, whatever each proposer sees of the others.
type bootstrapper struct {
	id     string
	dc     string
	expect int
	log    *slog.Logger
	// seams to the rest of the server
	running   func() bool // hasState means something
	hasState  func() bool
	bootstrap func([]consensus.Server) error
	servers   func() ([]gossip.Server, <-chan struct{})
	ask       func(ctx context.Context, addr string, req *bootstrapAsk) (*bootstrapAnswer, error)

	mu       sync.Mutex
	promised string    // whose proposal this server is bound to
	until    time.Time // and until when
}

// run bootstraps, or waits until this server has state from elsewhere.
func (b *bootstrapper) run(ctx context.Context) error {
	for said := ""; ; {
		servers, changed := b.servers()
		if b.hasState() {
			return nil
		}
		candidates, waiting := b.candidates(servers)
		if waiting == "" {
			var err error
			if waiting, err = b.propose(ctx, candidates); err != nil {
				return err
			}
		}
		if waiting != said {
			b.log.Info("waiting to bootstrap", "reason", waiting, "expect", b.expect, "servers", len(candidates))
			said = waiting
		}
		backoff.PauseUntil(ctx, changed, bootstrapPause+rand.N(bootstrapPause))
		if ctx.Err() != nil {
			return nil
		}
	}
}

// candidates returns the servers of the first configuration, lowest id first,
// or why there is none yet.
func (b *bootstrapper) candidates(servers []gossip.Server) (found []gossip.Server, waiting string) {
	for _, s := range servers {
		switch {
		case s.Datacenter != b.dc || s.Status != gossip.StatusAlive || s.NonVoter:
		case s.Bootstrap:
			return nil, fmt.Sprintf("server %s was started with bootstrap and makes the cluster", s.Name)
		case s.Expect == 0:
			// Not part of any bootstrapping; it is added by the leader.
		case s.Expect != b.expect:
			return nil, fmt.Sprintf("server %s has bootstrap_expect %d, this server %d: set the same number everywhere", s.Name, s.Expect, b.expect)
		default:
			found = append(found, s)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].ID < found[j].ID })
	if len(found) < b.expect {
		return found, "not enough servers yet"
	}
	return found, ""
}

// propose asks every candidate and bootstraps when all promise. It returns what
// it waits for otherwise.
func (b *bootstrapper) propose(ctx context.Context, candidates []gossip.Server) (waiting string, err error) {
	if candidates[0].ID != b.id {
		return fmt.Sprintf("server %s has the lowest id and proposes", candidates[0].Name), nil
	}
	req := &bootstrapAsk{Proposer: b.id}
	var first []consensus.Server
	for _, s := range candidates {
		req.Servers = append(req.Servers, s.ID)
		first = append(first, consensus.Server{ID: s.ID, Address: s.Addr, Voter: true})
	}
	if own := b.promise(req); !own.Promised {
		return own.Reason, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	refusals := make([]string, len(candidates))
	var asking sync.WaitGroup
	for i, s := range candidates[1:] {
		asking.Go(func() {
			answer, err := b.ask(ctx, s.Addr, req)
			switch {
			case err != nil:
				refusals[i] = fmt.Sprintf("server %s does not answer: %v", s.Name, err)
			case answer.HasState:
				refusals[i] = fmt.Sprintf("server %s already belongs to a cluster, whose leader will add this one", s.Name)
			case !answer.Promised:
				refusals[i] = fmt.Sprintf("server %s: %s", s.Name, answer.Reason)
			}
		})
	}
	asking.Wait()
	for _, r := range refusals {
		if r != "" {
			return r, nil
		}
	}
	if err := b.bootstrap(first); err != nil {
		return "", fmt.Errorf("bootstrap the cluster: %w", err)
	}
	b.log.Info("bootstrapped the cluster", "servers", strings.Join(req.Servers, ","))
	return "this server to lead", nil
}

// promise answers a proposal.
func (b *bootstrapper) promise(req *bootstrapAsk) *bootstrapAnswer {
	if !b.running() {
		return &bootstrapAnswer{Reason: "it is still starting"}
	}
	if b.hasState() {
		return &bootstrapAnswer{HasState: true}
	}
	if !slices.Contains(req.Servers, b.id) {
		return &bootstrapAnswer{Reason: "the proposal does not name this server"}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.promised != "" && b.promised != req.Proposer && now.Before(b.until) {
		return &bootstrapAnswer{Reason: "bound to the proposal of server " + b.promised}
	}
	b.promised, b.until = req.Proposer, now.Add(promiseTime)
	return &bootstrapAnswer{Promised: true}
}
