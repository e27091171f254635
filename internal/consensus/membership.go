package consensus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Server is a member of the raft configuration.
type Server struct {
	ID      string
	Address string
	Voter   bool
}

// HasState reports whether this server has anything of a cluster's log, or had
// it and lost it: such a server must not bootstrap one.
func (n *Node) HasState() bool {
	r := n.run.Load()
	return r != nil && (r.raft.LastIndex() > 0 || r.gate.probation.Load() != nil)
}

// Bootstrap starts a cluster with these voters, among them this server. Every
// one of them may be told so, with the same list; the one with the lowest ID
// stands for election at once, so that they do not compete. It fails as Conflict
// on a server that has state.
func (n *Node) Bootstrap(servers []Server) error {
	r, err := n.started()
	if err != nil {
		return err
	}
	if r.gate.probation.Load() != nil {
		return failure.Newf(failure.Conflict, "bootstrap: %w", errProbation)
	}
	var c raft.Configuration
	for _, s := range servers {
		suffrage := raft.Nonvoter
		if s.Voter {
			suffrage = raft.Voter
		}
		c.Servers = append(c.Servers, raft.Server{Suffrage: suffrage, ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
	}
	if err := r.raft.BootstrapCluster(c).Error(); err != nil {
		kind := failure.Invalid
		if errors.Is(err, raft.ErrCantBootstrap) {
			kind = failure.Conflict
		}
		return failure.Newf(kind, "bootstrap: %w", err)
	}
	if n.cfg.ID == lowestVoter(servers) {
		r.gate.campaign(n.cfg.ID, n.stopped)
	}
	return nil
}

func lowestVoter(servers []Server) string {
	lowest := ""
	for _, s := range servers {
		if s.Voter && (lowest == "" || s.ID < lowest) {
			lowest = s.ID
		}
	}
	return lowest
}

// Configuration returns the newest configuration this server knows, in raft's
// order, and the index of the newest configuration it has applied: the same one,
// unless a change is under way.
func (n *Node) Configuration() ([]Server, uint64, error) {
	r, err := n.started()
	if err != nil {
		return nil, 0, err
	}
	f := r.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, 0, err
	}
	var servers []Server
	for _, s := range f.Configuration().Servers {
		servers = append(servers, Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return servers, r.machine.configurationIndex.Load(), nil
}

// AddVoter makes a server a voter, or changes its address. Leader only; it
// returns when the change is committed.
func (n *Node) AddVoter(ctx context.Context, id, address string) error {
	return n.change(ctx, "add voter "+id, func(r *raft.Raft, limit time.Duration) raft.Future {
		return r.AddVoter(raft.ServerID(id), raft.ServerAddress(address), 0, limit)
	})
}

// AddNonvoter makes a server one that gets the log without a vote, or changes
// its address. Leader only; it returns when the change is committed.
func (n *Node) AddNonvoter(ctx context.Context, id, address string) error {
	return n.change(ctx, "add non-voter "+id, func(r *raft.Raft, limit time.Duration) raft.Future {
		return r.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, limit)
	})
}

// DemoteVoter takes a server's vote. Leader only; it returns when the change is
// committed.
func (n *Node) DemoteVoter(ctx context.Context, id string) error {
	return n.change(ctx, "demote voter "+id, func(r *raft.Raft, limit time.Duration) raft.Future {
		return r.DemoteVoter(raft.ServerID(id), 0, limit)
	})
}

// RemoveServer removes a server; a leader that removes itself steps down. Leader
// only; it returns when the change is committed.
func (n *Node) RemoveServer(ctx context.Context, id string) error {
	return n.change(ctx, "remove server "+id, func(r *raft.Raft, limit time.Duration) raft.Future {
		return r.RemoveServer(raft.ServerID(id), 0, limit)
	})
}

func (n *Node) change(ctx context.Context, what string, do func(*raft.Raft, time.Duration) raft.Future) error {
	r, err := n.started()
	if err != nil {
		return err
	}
	return changeError(what, awaitThen(ctx, r.abandoned, do(r.raft, n.enqueueTimeout(ctx)), func() {}))
}

// TransferLeadership hands leadership to the server id, or, when id is empty, to
// whichever voter takes it. Voters that do not answer are not tried: raft would
// block its writes and wait for them. It returns when this server has stopped
// leading, and fails as NoLeader where it did not lead, as Invalid when nobody
// took it.
func (n *Node) TransferLeadership(ctx context.Context, id string) error {
	r, err := n.started()
	if err != nil {
		return err
	}
	if r.raft.State() != raft.Leader {
		return errNoLeader()
	}
	err = failure.Newf(failure.Invalid, "transfer leadership: no voter %q answers", id)
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		_, silent := r.silent.Load(s.ID)
		if s.Suffrage != raft.Voter || string(s.ID) == n.cfg.ID || silent || id != "" && id != string(s.ID) {
			continue
		}
		err = awaitThen(ctx, r.abandoned, r.raft.LeadershipTransferToServer(s.ID, s.Address), func() {})
		if err == nil || r.raft.State() != raft.Leader {
			return nil
		}
		err = changeError("transfer leadership", err)
		n.log.Debug("leadership was not taken", logging.KeyServer, s.ID, logging.KeyError, err)
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// Snapshot takes a snapshot now. There may be nothing to take: that is no error.
func (n *Node) Snapshot(ctx context.Context) error {
	r, err := n.started()
	if err != nil {
		return err
	}
	err = awaitThen(ctx, r.abandoned, r.raft.Snapshot(), func() {})
	if err == nil || errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return fmt.Errorf("take snapshot: %w", err)
}

// Reload changes what may change at run time. It fails as Invalid, and changes
// nothing, when the values do not fit each other or the leader lease, which only
// a restart changes.
func (n *Node) Reload(c Reloadable) error {
	r, err := n.started()
	if err != nil {
		return err
	}
	if n.cfg.Dir == "" {
		c.TrailingLogs = min(c.TrailingLogs, memoryTrailing)
	}
	err = r.raft.ReloadConfig(raft.ReloadableConfig{
		TrailingLogs:      c.TrailingLogs,
		SnapshotInterval:  c.SnapshotInterval,
		SnapshotThreshold: c.SnapshotThreshold,
		HeartbeatTimeout:  c.HeartbeatTimeout,
		ElectionTimeout:   c.ElectionTimeout,
	})
	if err != nil {
		return failure.Newf(failure.Invalid, "reload raft settings: %w", err)
	}
	return nil
}

// LastContact returns how long ago this server heard from the leader: 0 on the
// leader, the largest Duration when it never did.
func (n *Node) LastContact() time.Duration {
	r := n.run.Load()
	if r == nil {
		return math.MaxInt64
	}
	if n.leadership.Get().IsLeader {
		return 0
	}
	last := r.raft.LastContact()
	if last.IsZero() {
		return math.MaxInt64
	}
	return time.Since(last)
}

// Stats returns raft's state as text, under the names operators of Consul know.
// applied_index is what the state machine has really applied. It is empty
// before Run is ready.
func (n *Node) Stats() map[string]string {
	r := n.run.Load()
	if r == nil {
		return map[string]string{}
	}
	s := maps.Clone(r.raft.Stats())
	s["applied_index"] = strconv.FormatUint(n.cfg.Machine.Applied(), 10)
	return s
}
