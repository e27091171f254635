package server

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftautopilot "github.com/hashicorp/raft-autopilot"

	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/operatorapi"
	"github.com/ctl-sh/ctl/internal/store"
)

// supervisor watches the servers while this one leads: it gives votes to new
// servers once they are stable and removes dead ones. The decisions are
// raft-autopilot's; this is what it asks its host for.
type supervisor struct {
	id       string
	dc       string
	initial  autopilot.Config
	db       *store.DB
	log      *slog.Logger
	servers  func() []gossip.Server
	progress func(ctx context.Context, s gossip.Server) (*progress, error)
	apply    func(ctx context.Context, typ uint8, body codec.Message) (any, error)
	// forceLeave turns a failed member into one that left.
	forceLeave func(name string)
	// pilot makes the supervision itself when it is first needed: it wants a
	// Raft that runs.
	pilot func() *raftautopilot.Autopilot
}

// promoter is a Raft that gives a vote only to a server it has. What autopilot
// decides may be older than the removal of a server, which must not bring the
// server back; the configuration's index makes look and change one step.
type promoter struct{ *raft.Raft }

// AddVoter implements raftautopilot.Raft.
func (p promoter) AddVoter(id raft.ServerID, address raft.ServerAddress, _ uint64, timeout time.Duration) raft.IndexFuture {
	now := p.GetConfiguration()
	if err := now.Error(); err != nil {
		return refusal{err}
	}
	for _, s := range now.Configuration().Servers {
		if s.ID == id {
			return p.Raft.AddVoter(id, address, now.Index(), timeout)
		}
	}
	return refusal{fmt.Errorf("server %s was removed meanwhile and gets no vote", id)}
}

// refusal is a change that was not made.
type refusal struct{ err error }

// Error implements raft.Future.
func (r refusal) Error() error { return r.err }

// Index implements raft.IndexFuture.
func (refusal) Index() uint64 { return 0 }

// run supervises until ctx ends.
func (s *supervisor) run(ctx context.Context) error {
	if _, err := s.apply(ctx, autopilot.TypeChange, &autopilot.Change{Config: s.initial, IfAbsent: true}); err != nil {
		return err
	}
	s.pilot().Start(ctx)
	<-ctx.Done()
	<-s.pilot().Stop()
	return nil
}

// settings returns the settings in force.
func (s *supervisor) settings() autopilot.Config {
	tx, _ := s.db.Read()
	c, _, err := autopilot.Get(nil, tx)
	if err != nil {
		s.log.Error("autopilot settings cannot be read; the defaults stand in", "error", err)
		return autopilot.Default()
	}
	return c
}

// AutopilotConfig implements raftautopilot.ApplicationIntegration.
func (s *supervisor) AutopilotConfig() *raftautopilot.Config {
	c := s.settings()
	return &raftautopilot.Config{
		CleanupDeadServers:      c.CleanupDeadServers,
		LastContactThreshold:    c.LastContactThreshold,
		MaxTrailingLogs:         c.MaxTrailingLogs,
		MinQuorum:               c.MinQuorum,
		ServerStabilizationTime: c.ServerStabilizationTime,
	}
}

// NotifyState implements raftautopilot.ApplicationIntegration.
func (s *supervisor) NotifyState(*raftautopilot.State) {}

// FetchServerStats implements raftautopilot.ApplicationIntegration.
func (s *supervisor) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*raftautopilot.Server) map[raft.ServerID]*raftautopilot.ServerStats {
	var (
		mu     sync.Mutex
		asking sync.WaitGroup
		stats  = map[raft.ServerID]*raftautopilot.ServerStats{}
	)
	for _, server := range s.servers() {
		id := raft.ServerID(server.ID)
		if servers[id] == nil {
			continue
		}
		asking.Go(func() {
			p, err := s.progress(ctx, server)
			if err != nil {
				s.log.Debug("a server does not say how far it is", "server", server.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			stats[id] = &raftautopilot.ServerStats{LastContact: p.LastContact, LastTerm: p.LastTerm, LastIndex: p.LastIndex}
		})
	}
	asking.Wait()
	return stats
}

// KnownServers implements raftautopilot.ApplicationIntegration.
func (s *supervisor) KnownServers() map[raft.ServerID]*raftautopilot.Server {
	known := map[raft.ServerID]*raftautopilot.Server{}
	for _, server := range s.servers() {
		if p := s.peer(server); p != nil {
			known[p.ID] = p
		}
	}
	return known
}

// peer returns the server as autopilot knows it, nil for one of elsewhere.
func (s *supervisor) peer(server gossip.Server) *raftautopilot.Server {
	if server.Datacenter != s.dc {
		return nil
	}
	version, _, _ := strings.Cut(server.Build, ":")
	p := &raftautopilot.Server{
		ID: raft.ServerID(server.ID), Name: server.Name, Address: raft.ServerAddress(server.Addr),
		NodeStatus: nodeStatus(server.Status), Version: version, RaftVersion: server.RaftVersion,
		NodeType: raftautopilot.NodeVoter, IsLeader: server.ID == s.id,
		Meta: map[string]string{"consul-version": version},
	}
	return p
}

func nodeStatus(s gossip.Status) raftautopilot.NodeStatus {
	switch s {
	case gossip.StatusAlive, gossip.StatusLeaving:
		return raftautopilot.NodeAlive
	case gossip.StatusLeft:
		return raftautopilot.NodeLeft
	case gossip.StatusFailed:
		return raftautopilot.NodeFailed
	default:
		return raftautopilot.NodeUnknown
	}
}

// RemoveFailedServer implements raftautopilot.ApplicationIntegration. It must
// not block, so the leaving runs on; the reconciler then removes the peer.
func (s *supervisor) RemoveFailedServer(server *raftautopilot.Server) { s.forceLeave(server.Name) }

// addPeer adds a server to Raft, without a vote at first, or corrects its
// address.
func (s *supervisor) addPeer(_ context.Context, server gossip.Server) error {
	p := s.peer(server)
	if p == nil {
		return nil
	}
	return s.pilot().AddServer(p)
}

func (s *supervisor) removePeer(_ context.Context, server gossip.Server) error {
	return s.pilot().RemoveServer(raft.ServerID(server.ID))
}

// health returns what autopilot last saw.
func (s *supervisor) health() operatorapi.Health {
	state := s.pilot().GetState()
	if state == nil {
		return operatorapi.Health{}
	}
	h := operatorapi.Health{Healthy: state.Healthy, FailureTolerance: state.FailureTolerance, Leader: string(state.Leader)}
	for _, v := range state.Voters {
		h.Voters = append(h.Voters, string(v))
	}
	ids := make([]raft.ServerID, 0, len(state.Servers))
	for id := range maps.Keys(state.Servers) {
		ids = append(ids, id)
	}
	raftautopilot.SortServers(ids, state)
	for _, id := range ids {
		x := state.Servers[id]
		h.Servers = append(h.Servers, operatorapi.ServerHealth{
			ID: string(id), Name: x.Server.Name, Address: string(x.Server.Address), Version: x.Server.Version,
			NodeStatus: string(x.Server.NodeStatus), Status: string(x.State),
			LastContact: x.Stats.LastContact, LastTerm: x.Stats.LastTerm, LastIndex: x.Stats.LastIndex,
			Healthy: x.Health.Healthy, StableSince: x.Health.StableSince, Meta: x.Server.Meta,
			Voter: x.HasVotingRights(), Leader: x.State == raftautopilot.RaftLeader,
		})
	}
	return h
}
