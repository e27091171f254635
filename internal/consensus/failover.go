package consensus

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/logging"
)

// The pauses before a follower stands for election in a dead leader's place. The
// voters take turns, in the order of their ids, because two that stand at once
// take the votes from each other and then wait out an election timeout.
const (
	campaignTurn   = 150 * time.Millisecond // between one voter's turn and the next
	campaignJitter = 20 * time.Millisecond
	campaignGrace  = 150 * time.Millisecond // for another one that stands already
)

// A process that is killed lets go of its connections one after the other, and
// its listener may be the last: a dial that still works proves nothing until the
// leader is heard again.
const (
	dialAgain    = 20 * time.Millisecond
	dialAttempts = 10
)

// watchConnections stands for election as soon as the leader is known to be dead
// rather than silent: a connection from some server ended, and the leader's
// machine answers that nobody listens on its port. That cuts an election after a
// crash from over a second to about a tenth. A leader that is only unreachable
// is left to raft's timers.
func (n *Node) watchConnections(ctx context.Context, r *running) {
	for {
		select {
		case <-r.stream.ended:
			n.leaderMayBeDead(ctx, r)
		case <-ctx.Done():
			return
		}
	}
}

// connectionLost says that a connection was made and then ended by the other
// side, as one to a process that is being killed is, which TLS notices while it
// is made.
func connectionLost(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

func (n *Node) leaderMayBeDead(ctx context.Context, r *running) {
	addr, id := r.raft.LeaderWithID()
	if r.raft.State() != raft.Follower || id == "" || !n.mayLead(r) {
		return
	}
	asked := time.Now()
	if !n.refuses(ctx, r, addr, asked) || !backoff.Pause(ctx, n.turn(r, id)+rand.N(campaignJitter)) {
		return
	}
	if _, now := r.raft.LeaderWithID(); now == "" {
		// Another one stands already. If this server's log is longer it did not
		// get our vote, and will not win.
		if !backoff.Pause(ctx, campaignGrace) {
			return
		}
		if _, now := r.raft.LeaderWithID(); now != "" {
			return
		}
	} else if now != id || r.raft.LastContact().After(asked) {
		return
	}
	if r.raft.State() != raft.Follower {
		return
	}
	n.log.Info("leader's process is gone; standing for election", logging.KeyLeader, id, logging.KeyAddress, addr)
	r.gate.campaign(n.cfg.ID, ctx.Done())
}

// refuses reports whether nobody listens at the leader's address any more. It
// gives up when the leader is heard again, or answers for long enough.
func (n *Node) refuses(ctx context.Context, r *running, addr raft.ServerAddress, asked time.Time) bool {
	for range dialAttempts {
		c, err := r.stream.Dial(addr, n.cfg.Reloadable.HeartbeatTimeout)
		switch {
		case err == nil:
			_ = c.Close() // nothing was sent
		case !connectionLost(err):
			return connectionRefused(err)
		}
		if !backoff.Pause(ctx, dialAgain) || r.raft.LastContact().After(asked) {
			return false
		}
	}
	return false
}

// turn returns how long this server lets voters with lower ids try first.
func (n *Node) turn(r *running, dead raft.ServerID) time.Duration {
	before := 0
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter && s.ID != dead && string(s.ID) < n.cfg.ID {
			before++
		}
	}
	return time.Duration(before) * campaignTurn
}

// mayLead says whether this server could win an election.
func (n *Node) mayLead(r *running) bool {
	if r.gate.probation.Load() != nil {
		return false
	}
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) == n.cfg.ID {
			return s.Suffrage == raft.Voter
		}
	}
	return false
}

// soleVoter says whether this server needs nobody's vote but its own.
func (n *Node) soleVoter(r *running) bool {
	voters := 0
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	return voters == 1 && n.mayLead(r)
}
