// Package coordinatesync keeps the servers told where this node is in the
// network.
//
// Gossip moves a node's coordinate a little with every probe, for ever; writing
// that down would grow the log of an idle cluster for ever, too. So the agent
// looks now and then, all agents of a cluster together at most
// Config.RateTarget times a second, what the servers have, and tells them only
// what matters:
//
//   - what they do not have at all, as after the node was deregistered, or when
//     a leader lost what it was told;
//   - a place further away than the threshold from the one they have. It is low
//     while a new agent finds its place. Later it doubles with every telling and
//     halves with every hour without one, so that a node whose measurements are
//     noisy falls silent soon, and one that really moved is still told about.
//
// A coordinate that no measurement has gone into replaces nothing.
//
// It measures nothing itself and changes nothing but through the HTTP API of its
// own agent. The decision for this rule is docs/decisions/0014.
package coordinatesync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Requester sends a request to the agent's own HTTP API.
type Requester interface {
	Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error)
}

// Config is what a Syncer is made of. Everything but Logger is required.
type Config struct {
	// Node is the name of this node.
	Node string
	// Here returns where this node is now. It must not block.
	Here func() coordinate.Coordinate
	// Nodes returns how many nodes the cluster has. It must not block.
	Nodes func() int
	// RateTarget is how often in a second all agents of the cluster together
	// look; MinInterval is the shortest time between two looks of one agent.
	RateTarget  float64
	MinInterval time.Duration
	// Logger; nil discards.
	Logger *slog.Logger
}

// Syncer tells the servers. Make it with New, let it live in Run.
type Syncer struct {
	cfg     Config
	request Requester
	log     *slog.Logger
}

// New returns a Syncer.
func New(cfg Config, request Requester) *Syncer {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Syncer{cfg: cfg, request: request, log: cfg.Logger}
}

// errDisabled is the answer of servers that take no coordinates.
var errDisabled = errors.New("the servers take no coordinates: disable_coordinates is set there; set it here, too")

// Run looks and tells until ctx ends.
func (s *Syncer) Run(ctx context.Context, ready func()) error {
	ready()
	gate := newGate(time.Now())
	// The first probes need a moment; all agents of a cluster may start at once.
	first := s.interval() / 5
	timer := time.NewTimer(first + jitter(first))
	defer timer.Stop()
	saidDisabled := false
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		err := s.sync(ctx, gate)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errDisabled):
			if !saidDisabled {
				s.log.Info(err.Error())
			}
			saidDisabled = true
		case err != nil:
			s.log.Debug("the servers could not be told where this node is; trying again", logging.KeyError, err)
		}
		interval := s.interval()
		timer.Reset(interval + jitter(interval))
	}
}

// interval is the time between two looks, before jitter.
func (s *Syncer) interval() time.Duration {
	scaled := time.Duration(float64(s.cfg.Nodes()) / s.cfg.RateTarget * float64(time.Second))
	return max(s.cfg.MinInterval, scaled)
}

func jitter(d time.Duration) time.Duration { return rand.N(max(d, 1)) }

// sync looks once and tells what matters.
func (s *Syncer) sync(ctx context.Context, g *gate) error {
	known, err := s.known(ctx)
	if err != nil {
		return err
	}
	here := s.cfg.Here()
	if known != nil && !g.tell(time.Now(), known, &here) {
		return nil
	}
	body, err := json.Marshal(struct {
		Node  string
		Coord coordinate.Coordinate
	}{s.cfg.Node, here})
	if err != nil {
		return fmt.Errorf("encode the coordinate of this node: %w", err)
	}
	status, _, answer, err := s.request.Do(ctx, http.MethodPut, "/v1/coordinate/update", nil, body)
	if err == nil {
		err = refusal(status, answer)
	}
	if err != nil {
		return fmt.Errorf("tell the coordinate of this node: %w", err)
	}
	g.told(time.Now())
	return nil
}

// known returns what the servers have, nil for nothing. Any server may answer.
func (s *Syncer) known(ctx context.Context) (*coordinate.Coordinate, error) {
	status, _, answer, err := s.request.Do(ctx, http.MethodGet, "/v1/coordinate/node/"+url.PathEscape(s.cfg.Node), url.Values{"stale": {""}}, nil)
	if err == nil && status == http.StatusNotFound {
		return nil, nil
	}
	if err == nil {
		err = refusal(status, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the coordinate of this node: %w", err)
	}
	var entries []struct{ Coord *coordinate.Coordinate }
	if err := json.Unmarshal(answer, &entries); err != nil {
		return nil, fmt.Errorf("read the coordinate of this node: %w", err)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return entries[0].Coord, nil
}

func refusal(status int, answer []byte) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return errDisabled
	default:
		return fmt.Errorf("status %d: %s", status, answer)
	}
}
