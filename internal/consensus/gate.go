package consensus

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

var (
	errStalled   = errors.New("this server's disk has stalled: it does not lead")
	errProbation = errors.New("this server lost its state and has no vote until it has caught up")
)

// gate stands between raft and the network. It keeps raft's promises where raft
// cannot: a leader whose disk has stalled stops sending, so that the others
// elect; a server on probation neither gives votes nor asks for them. It also
// lets the Node tell its own raft to stand for election.
type gate struct {
	Transport
	stalled func() bool
	// wanted says whether this server leads in the term and the follower is
	// still in the configuration, at that address.
	wanted func(term uint64, id raft.ServerID, at raft.ServerAddress) bool

	// probation is nil when this server may vote.
	probation atomic.Pointer[probation]
	// reached says whether the probation's index has been reached.
	reached func(*probation) bool

	in chan raft.RPC
}

func newGate(inner Transport, p *probation, stalled func() bool) *gate {
	g := &gate{Transport: inner, stalled: stalled, in: make(chan raft.RPC)}
	g.probation.Store(p)
	return g
}

// mayVote says whether a vote in term breaks no promise this server forgot. Up
// to the probation's term it may have voted already; below its index a log that
// lacks entries it acknowledged could win by its vote.
func (g *gate) mayVote(term uint64) bool {
	p := g.probation.Load()
	return p == nil || term > p.Term && g.reached(p)
}

// forward carries what other servers send to raft, until done is closed.
func (g *gate) forward(done <-chan struct{}) {
	for {
		select {
		case rpc := <-g.Transport.Consumer():
			if g.refused(rpc) {
				rpc.Respond(nil, errProbation)
				continue
			}
			select {
			case g.in <- rpc:
			case <-done:
				return // the transport, which is closed next, ends the call
			}
		case <-done:
			return
		}
	}
}

func (g *gate) refused(rpc raft.RPC) bool {
	switch r := rpc.Command.(type) {
	case *raft.RequestVoteRequest:
		return !g.mayVote(r.Term)
	case *raft.RequestPreVoteRequest:
		return !g.mayVote(r.Term)
	case *raft.TimeoutNowRequest:
		return g.probation.Load() != nil
	}
	return false
}

// campaign makes raft stand for election at once, without the pre-vote and
// although others may still believe in a leader. It waits until raft takes
// the message or done is closed.
func (g *gate) campaign(id string, done <-chan struct{}) {
	rpc := raft.RPC{
		Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(g.LocalAddr()),
		}},
		RespChan: make(chan raft.RPCResponse, 1),
	}
	select {
	case g.in <- rpc:
	case <-done:
	}
}

// Consumer implements raft.Transport.
func (g *gate) Consumer() <-chan raft.RPC { return g.in }

// How long raft waits for a follower that cannot be reached, and how often it is
// tried meanwhile.
const (
	reachTime  = 30 * time.Second
	reachPause = 50 * time.Millisecond
)

// AppendEntries implements raft.Transport. raft doubles its pause at every
// failure, up to ten seconds, so a follower that was down for a while would lag
// for as long again after it came back. Entries are therefore tried again here
// until the follower answers. Heartbeats are not: on them hangs whether this
// server still leads.
func (g *gate) AppendEntries(id raft.ServerID, to raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	heartbeat := req.PrevLogEntry == 0 && req.PrevLogTerm == 0 && len(req.Entries) == 0 && req.LeaderCommitIndex == 0
	for until := time.Now().Add(reachTime); ; time.Sleep(reachPause) {
		if g.stalled() {
			return errStalled
		}
		err := g.Transport.AppendEntries(id, to, req, resp)
		if err == nil || heartbeat || !g.wanted(req.Term, id, to) || time.Now().After(until) {
			return err
		}
	}
}

// AppendEntriesPipeline implements raft.Transport.
func (g *gate) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	if g.stalled() {
		return nil, errStalled
	}
	p, err := g.Transport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	return gatedPipeline{p, g}, nil
}

type gatedPipeline struct {
	raft.AppendPipeline
	gate *gate
}

// AppendEntries implements raft.AppendPipeline.
func (p gatedPipeline) AppendEntries(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.gate.stalled() {
		return nil, errStalled
	}
	return p.AppendPipeline.AppendEntries(req, resp)
}

// RequestVote implements raft.Transport.
func (g *gate) RequestVote(id raft.ServerID, to raft.ServerAddress, req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if !g.mayVote(req.Term) {
		return errProbation
	}
	return g.Transport.RequestVote(id, to, req, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (g *gate) RequestPreVote(id raft.ServerID, to raft.ServerAddress, req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if !g.mayVote(req.Term) {
		return errProbation
	}
	return g.Transport.RequestPreVote(id, to, req, resp)
}

// Close implements raft.WithClose.
func (g *gate) Close() error {
	if c, ok := g.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
