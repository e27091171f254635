package consensus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

// ReadIndex returns an index such that a server which has applied the log up to
// it sees every write that was acknowledged, by any server, before the call.
//
// It may be asked on any server; all who wait at the same moment share one
// question to the leader. While there is no leader it keeps trying until ctx
// ends or the hold time has passed, and then fails as NoLeader. The argument why
// the answer holds is in DESIGN.md. Safe for any number of goroutines.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	if _, err := n.started(); err != nil {
		return 0, err
	}
	began := time.Now()
	for {
		index, err := n.reads.join(ctx, n.stopped)
		if err == nil {
			return index, nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("read index: %w", ctx.Err())
		}
		left := n.cfg.HoldTimeout - time.Since(began)
		if left <= 0 {
			n.log.Debug("no leader confirmed a read", logging.KeyError, err)
			return 0, errNoLeader()
		}
		if err := n.waitForLeader(ctx, min(left, 20*time.Millisecond+rand.N(30*time.Millisecond))); err != nil {
			return 0, err
		}
	}
}

// waitForLeader returns when leadership changes, and after d at the latest.
func (n *Node) waitForLeader(ctx context.Context, d time.Duration) error {
	_, changed := n.leadership.Watch()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
		return fmt.Errorf("read index: %w", ctx.Err())
	case <-n.stopped:
		return failure.New(failure.Unavailable, "server is shutting down")
	}
	return nil
}

// ReadBarrier blocks until this server may answer a linearizable read from its
// own state, and returns the index it waited for. It fails as ReadIndex does, or
// with ctx's error.
func (n *Node) ReadBarrier(ctx context.Context) (uint64, error) {
	index, err := n.ReadIndex(ctx)
	if err != nil {
		return 0, err
	}
	if err := n.cfg.Machine.WaitApplied(ctx, index); err != nil {
		return 0, fmt.Errorf("wait for index %d: %w", index, err)
	}
	return index, nil
}

// askIndex puts the question for the reads that wait on this server. It runs
// after the last of them came.
func (n *Node) askIndex(ctx context.Context) (uint64, error) {
	r, err := n.started()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.confirmTimeout())
	defer cancel()
	l := n.leadership.Get()
	switch {
	case l.IsLeader:
		resp, err := n.confirms.join(ctx, n.stopped)
		return resp.Index, err
	case l.LeaderID == "":
		return 0, errNoLeader()
	case n.cfg.Peers == nil:
		return 0, failure.New(failure.Internal, "consensus: no way to ask the leader")
	}
	resp, err := n.cfg.Peers.ReadIndex(ctx, l.LeaderAddr, ReadIndexRequest{
		ID:         n.cfg.ID,
		Term:       r.raft.CurrentTerm(),
		NoEvidence: r.gate.probation.Load() != nil,
	})
	return resp.Index, err
}

func errNoLeader() error { return failure.New(failure.NoLeader, failure.TextNoLeader) }

// confirmTimeout bounds one question: long enough for a busy server, short
// enough that a dead one costs an election's time.
func (n *Node) confirmTimeout() time.Duration { return n.cfg.Reloadable.ElectionTimeout }

// HandleReadIndex answers another server's ReadIndex on the leader. It fails as
// NoLeader on a server that does not lead, or cannot prove that it does.
func (n *Node) HandleReadIndex(ctx context.Context, req ReadIndexRequest) (ReadIndexResponse, error) {
	r, err := n.started()
	if err != nil {
		return ReadIndexResponse{}, err
	}
	resp, voters, err := n.propose(r)
	if err != nil {
		return ReadIndexResponse{}, err
	}
	if req.Term > resp.Term {
		return ReadIndexResponse{}, errNoLeader() // a newer leader may have been elected
	}
	agree := voters.count(n.cfg.ID)
	if !req.NoEvidence && req.ID != n.cfg.ID {
		agree += voters.count(req.ID)
	}
	if agree >= voters.quorum() {
		return resp, nil
	}
	return n.confirms.join(ctx, n.stopped)
}

// HandleTerm tells another server this one's current term, as proof that it has
// not moved on to a newer leader. It fails on a server that lost its state and
// does not know which term it had reached.
func (n *Node) HandleTerm(_ context.Context, _ TermRequest) (TermReply, error) {
	r, err := n.started()
	if err != nil {
		return TermReply{}, err
	}
	if r.gate.probation.Load() != nil {
		return TermReply{}, failure.Wrap(failure.Unavailable, errProbation)
	}
	return TermReply{ID: n.cfg.ID, Term: r.raft.CurrentTerm()}, nil
}

// voters maps the IDs of the voters in the newest configuration to addresses.
type voters map[string]string

func (v voters) quorum() int { return len(v)/2 + 1 }

func (v voters) count(id string) int {
	if _, ok := v[id]; ok {
		return 1
	}
	return 0
}

// propose returns the index and term that a read may use if this server's
// leadership is confirmed by terms observed after the read began: the commit
// index, taken while this server was leader and knew of every commit of its
// predecessors.
func (n *Node) propose(r *running) (ReadIndexResponse, voters, error) {
	l := n.leadership.Get()
	if !l.IsLeader || !l.Ready {
		return ReadIndexResponse{}, nil, errNoLeader()
	}
	resp := ReadIndexResponse{Index: r.raft.CommitIndex(), Term: l.Term}
	if r.raft.State() != raft.Leader || r.raft.CurrentTerm() != l.Term {
		return ReadIndexResponse{}, nil, errNoLeader()
	}
	v := voters{}
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter {
			v[string(s.ID)] = string(s.Address)
		}
	}
	return resp, v, nil
}

// confirm proves leadership for all who wait on the leader, by asking the other
// voters for their terms.
func (n *Node) confirm(ctx context.Context) (ReadIndexResponse, error) {
	r, err := n.started()
	if err != nil {
		return ReadIndexResponse{}, err
	}
	resp, voters, err := n.propose(r)
	if err != nil {
		return ReadIndexResponse{}, err
	}
	if n.trustLeadership {
		return resp, nil
	}
	missing := voters.quorum() - voters.count(n.cfg.ID)
	if missing <= 0 {
		return resp, nil
	}
	if n.cfg.Peers == nil {
		return ReadIndexResponse{}, failure.New(failure.Internal, "consensus: no way to ask the other servers")
	}
	ctx, cancel := context.WithTimeout(ctx, n.confirmTimeout())
	defer cancel()
	delete(voters, n.cfg.ID)
	answers := n.askTerms(ctx, voters)
	for range voters {
		reply := <-answers
		switch {
		case reply.ID == "": // no answer
		case reply.Term > resp.Term:
			return ReadIndexResponse{}, errNoLeader()
		default:
			missing--
		}
		if missing == 0 {
			return resp, nil
		}
	}
	return ReadIndexResponse{}, errNoLeader()
}

// askTerms asks all at once. One value comes for each; its ID is empty when the
// server did not answer, or another one did at its address.
func (n *Node) askTerms(ctx context.Context, ask voters) <-chan TermReply {
	answers := make(chan TermReply, len(ask)) // nobody waits for the late ones
	for id, addr := range ask {
		n.wg.Go(func() {
			reply, err := n.cfg.Peers.Term(ctx, addr, TermRequest{})
			if err != nil || reply.ID != id {
				reply = TermReply{}
			}
			answers <- reply
		})
	}
	return answers
}
