package consensus

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Leadership is who leads, as this server knows.
type Leadership struct {
	LeaderID   string // empty while no leader is known
	LeaderAddr string
	IsLeader   bool // this server leads
	// Ready says that this server leads, has committed an entry of its own
	// term, and has applied everything before it.
	Ready bool
	Term  uint64    // this server's current term
	Since time.Time // when the leader or the term became what it is
}

func (l Leadership) same(o Leadership) bool {
	return l.LeaderID == o.LeaderID && l.LeaderAddr == o.LeaderAddr && l.IsLeader == o.IsLeader && l.Term == o.Term
}

// Leadership returns the value that always holds who leads.
func (n *Node) Leadership() *signal.Value[Leadership] { return &n.leadership }

// watchLeadership publishes every change until ctx ends. raft calls the filter
// on its own goroutine for every observation: it only wakes this one, which then
// looks, so raft never waits and nothing is missed.
func (n *Node) watchLeadership(ctx context.Context, r *running) {
	o := raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		switch d := o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			poke(r.changed)
		case raft.FailedHeartbeatObservation:
			r.silent.Store(d.PeerID, struct{}{})
		case raft.ResumedHeartbeatObservation:
			r.silent.Delete(d.PeerID)
		}
		return false
	})
	r.raft.RegisterObserver(o)
	defer r.raft.DeregisterObserver(o)
	for {
		n.publish(ctx, r)
		select {
		case <-r.changed:
		case <-r.raft.LeaderCh():
		case <-ctx.Done():
			n.leadership.Set(Leadership{Term: r.raft.CurrentTerm(), Since: time.Now()})
			return
		}
	}
}

func (n *Node) publish(ctx context.Context, r *running) {
	now := observe(r.raft)
	if r.stalled() && now.IsLeader {
		now.IsLeader, now.LeaderID, now.LeaderAddr = false, "", ""
	}
	was := n.leadership.Get()
	if was.same(now) {
		return
	}
	now.Since = time.Now()
	n.leadership.Set(now)
	switch {
	case now.IsLeader:
		r.silent.Clear() // what was known as leader of an earlier term
		n.log.Info("this server leads", logging.KeyTerm, now.Term)
		n.wg.Go(func() { n.claim(ctx, r, now.Term) })
	case was.IsLeader:
		n.log.Info("this server no longer leads", logging.KeyTerm, now.Term, logging.KeyLeader, now.LeaderID)
	case now.LeaderID != "" && now.LeaderID != was.LeaderID:
		n.log.Info("new leader", logging.KeyLeader, now.LeaderID, logging.KeyAddress, now.LeaderAddr, logging.KeyTerm, now.Term)
	}
}

// observe reads raft's state as of one moment: its parts change one by one.
func observe(r *raft.Raft) Leadership {
	for {
		term := r.CurrentTerm()
		addr, id := r.LeaderWithID()
		leads := r.State() == raft.Leader
		if addr2, id2 := r.LeaderWithID(); r.CurrentTerm() == term && addr2 == addr && id2 == id {
			// A leader that has not named itself yet is about to.
			return Leadership{LeaderID: string(id), LeaderAddr: string(addr), IsLeader: leads && id != "", Term: term}
		}
	}
}

// claim commits an entry of this server's own term, which commits all before it,
// and then says so. It ends when that is done, or when the term has passed.
func (n *Node) claim(ctx context.Context, r *running, term uint64) {
	for ctx.Err() == nil {
		if l := n.leadership.Get(); !l.IsLeader || l.Term != term {
			return
		}
		f := r.raft.Apply(n.cfg.NoOp, n.cfg.EnqueueTimeout)
		if err := await(ctx, f); err != nil {
			n.log.Debug("could not commit the first entry of the term", logging.KeyTerm, term, logging.KeyError, err)
			backoff.Pause(ctx, 10*time.Millisecond)
			continue
		}
		n.leadership.Update(func(l Leadership) Leadership {
			l.Ready = l.IsLeader && l.Term == term
			return l
		})
		return
	}
}
