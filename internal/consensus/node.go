// Package consensus is one server's part in the replicated log: a Raft node that
// applies commands, says up to where reads must wait, knows who leads, and
// checks everything it stored before it relies on it.
//
// It is hashicorp/raft with what that library leaves to its host. It does not
// know what a command means (fsm), how servers find each other (gossip), or how
// calls travel (rpc); it declares what it needs of them as StateMachine, Peers
// and raft.StreamLayer.
//
// Rules that keep it right: a write is acknowledged after a majority has it on
// disk, and an outcome that is not known is never reported as a failure; a read
// relies on terms seen after it began, never on time; a server votes only if it
// has everything it ever acknowledged; nothing that was read from disk is used
// before it was verified; raft's goroutines are never made to wait for ours. The
// arguments, and the file formats, are in DESIGN.md.
package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Node is one server's part in the log. Make one with New; it works while Run
// runs and cannot be started again. Methods may be called by any number of
// goroutines at any time; before Run is ready and after it ended they fail as
// Unavailable.
type Node struct {
	cfg Config
	log *slog.Logger

	run        atomic.Pointer[running] // set while Run is ready
	leadership signal.Value[Leadership]
	reads      *share[uint64]            // of the readers on this server
	confirms   *share[ReadIndexResponse] // of the askers, when this server leads
	stopped    chan struct{}             // closed when Run stops

	closing  atomic.Bool  // no new writes
	inFlight atomic.Int64 // bytes of commands that wait for their result
	waiting  atomic.Int64 // their number

	wg sync.WaitGroup // goroutines that Run waits for

	// trustLeadership is a fault for tests: the leader believes itself.
	trustLeadership bool
	// wrapLogs lets tests stand in front of the log.
	wrapLogs func(raft.LogStore) raft.LogStore
}

// running is what exists only while Run does.
type running struct {
	raft      *raft.Raft
	machine   *machine
	store     *storage
	dog       *watchdog
	gate      *gate
	stream    *stream       // nil when Config.Transport was given
	log       *parting      // of raft
	changed   chan struct{} // size one: leadership may have changed
	silent    sync.Map      // IDs of servers that do not answer this leader
	stalled   func() bool
	abandoned chan struct{} // closed when raft has ended: open futures have no result
	// replayed is the last entry that was in the log at the start, if that
	// log is long enough for a snapshot; 0 once there is one. A server that
	// keeps being killed never lives to see raft's own interval, and would
	// replay an ever longer log.
	replayed uint64
}

// New checks c and returns a Node that Run will start. It touches nothing.
func New(c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Node{
		cfg: c, log: c.Logger,
		reads: newShare[uint64](), confirms: newShare[ReadIndexResponse](),
		stopped: make(chan struct{}),
	}, nil
}

func (n *Node) started() (*running, error) {
	if r := n.run.Load(); r != nil {
		return r, nil
	}
	return nil, failure.New(failure.Unavailable, "raft is not running")
}

// Run verifies what is on disk, restores the state machine, takes part in the
// cluster, and calls ready as soon as the Node's methods work. It blocks until
// ctx ends, and then hands on leadership if it has it and stops within the stop
// time-out. It fails when the stored state is damaged and the policy is Refuse,
// or when the disk fails such that this server cannot keep its promises.
func (n *Node) Run(ctx context.Context, ready func()) error {
	store, err := openStorage(&n.cfg, n.log)
	if err != nil {
		return fmt.Errorf("open raft state: %w", err)
	}
	r, err := n.start(store)
	if err != nil {
		return errors.Join(err, store.close())
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r.replayed = n.longLog(r)
	n.serve(inner, r)
	n.run.Store(r)
	if n.soleVoter(r) {
		r.gate.campaign(n.cfg.ID, ctx.Done())
	}
	ready()
	select {
	case <-ctx.Done():
		n.closing.Store(true)
		n.handOn(r)
	case err = <-r.dog.failure:
		n.closing.Store(true)
	}
	close(n.stopped)
	return errors.Join(err, n.stop(r, cancel))
}

// start brings up raft over store.
func (n *Node) start(store *storage) (*running, error) {
	if n.wrapLogs != nil {
		store.logs = n.wrapLogs(store.logs)
	}
	r := &running{
		machine: &machine{StateMachine: n.cfg.Machine},
		store:   store, dog: newWatchdog(store),
		changed: make(chan struct{}, 1), abandoned: make(chan struct{}),
	}
	r.stalled = func() bool { return r.dog.running() > n.cfg.StallLimit }
	logger := &parting{Logger: logging.HCLog(n.log)}
	r.log = logger
	inner := n.cfg.Transport
	if inner == nil {
		r.stream = newStream(n.cfg.Stream)
		inner = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: r.stream, MaxPool: 3, Timeout: 10 * time.Second, Logger: logger,
		})
	}
	r.gate = newGate(inner, store.probation, r.stalled)
	r.gate.wanted = func(term uint64, id raft.ServerID, at raft.ServerAddress) bool {
		return r.raft.State() == raft.Leader && r.raft.CurrentTerm() == term &&
			slices.ContainsFunc(r.raft.GetConfiguration().Configuration().Servers, func(s raft.Server) bool { return s.ID == id && s.Address == at })
	}
	r.gate.reached = func(p *probation) bool { return r.raft.AppliedIndex() >= p.Index }
	c := n.cfg.raft()
	c.Logger = logger
	var err error
	r.raft, err = raft.NewRaft(c, r.machine, r.dog, r.dog, store.snaps, r.gate)
	if err != nil {
		if r.stream != nil {
			r.stream.closeAll()
		}
		return nil, errors.Join(fmt.Errorf("start raft: %w", err), r.gate.Close())
	}
	return r, nil
}

// serve starts the Node's goroutines; stop waits for them.
func (n *Node) serve(ctx context.Context, r *running) {
	n.wg.Go(func() { r.gate.forward(ctx.Done()) })
	n.wg.Go(func() { n.watchLeadership(ctx, r) })
	n.wg.Go(func() { n.reads.run(ctx, n.askIndex) })
	n.wg.Go(func() { n.confirms.run(ctx, n.confirm) })
	n.wg.Go(func() { n.keepHouse(ctx, r) })
	if r.stream != nil {
		n.wg.Go(func() { n.watchConnections(ctx, r) })
	}
}

// handOn gives leadership away before a stop, and lets the writes that are under
// way end.
func (n *Node) handOn(r *running) {
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.StopTimeout/2)
	defer cancel()
	for n.waiting.Load() > 0 && backoff.Pause(ctx, 5*time.Millisecond) {
	}
	if r.raft.State() != raft.Leader || n.soleVoter(r) {
		return
	}
	if err := n.TransferLeadership(ctx, ""); err != nil {
		n.log.Warn("leadership was not handed on before the stop", logging.KeyError, err)
	}
}

// stop ends raft and all goroutines, or gives up on them in time: a goroutine
// may hang in a disk that does not answer.
func (n *Node) stop(r *running, cancel context.CancelFunc) error {
	n.run.Store(nil)
	cancel()
	down := r.raft.Shutdown()
	ended := make(chan error, 1)
	go func() {
		r.log.closed.Store(true)
		if r.stream != nil {
			r.stream.closeAll()
		}
		err := down.Error()
		close(r.abandoned)
		n.wg.Wait()
		ended <- errors.Join(err, r.store.close())
	}()
	t := time.NewTimer(n.cfg.StopTimeout)
	defer t.Stop()
	select {
	case err := <-ended:
		return err
	case <-t.C:
		return fmt.Errorf("raft did not stop within %s", n.cfg.StopTimeout)
	}
}

// keepHouse does what is due about once a second, until ctx ends.
func (n *Node) keepHouse(ctx context.Context, r *running) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	owed := false // a snapshot
	for {
		select {
		case <-t.C:
		case <-r.store.again:
			owed = true
		case <-ctx.Done():
			return
		}
		n.syncMark(r)
		n.reviewProbation(r)
		if r.replayed > 0 && n.cfg.Machine.Applied() >= r.replayed {
			r.replayed = 0
			n.snapshotNow(ctx, r)
		}
		if owed || r.store.wantsSnapshot(r.raft) {
			owed = !n.snapshotNow(ctx, r)
		}
		if r.stalled() == n.leadership.Get().IsLeader {
			poke(r.changed)
		}
	}
}

// longLog returns the last entry of the log if there are more entries behind the
// newest snapshot than call for another.
func (n *Node) longLog(r *running) uint64 {
	last, covered := r.raft.LastIndex(), uint64(0)
	if snaps, err := r.store.snaps.List(); err == nil && len(snaps) > 0 {
		covered = snaps[0].Index
	}
	if last <= covered+n.cfg.Reloadable.SnapshotThreshold {
		return 0
	}
	return last
}

func (n *Node) syncMark(r *running) {
	if r.store.disk == nil || r.dog.running() > 0 {
		return // on a disk that is busy it would only wait as well
	}
	if err := r.store.disk.Sync(); err != nil {
		n.log.Warn("could not flush how far the log reached", logging.KeyError, err)
	}
}

// snapshotNow reports whether it took one.
func (n *Node) snapshotNow(ctx context.Context, r *running) bool {
	err := awaitThen(ctx, r.abandoned, r.raft.Snapshot(), func() {})
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && ctx.Err() == nil {
		n.log.Warn("could not take a snapshot", logging.KeyError, err)
	}
	return err == nil
}

// reviewProbation lets this server vote again once it has what it had: the log
// up to the index, and a term in which it cannot have voted, or an entry of the
// last in which it can, after which no candidate of that term wins its vote.
func (n *Node) reviewProbation(r *running) {
	p := r.gate.probation.Load()
	if p == nil || !r.gate.reached(p) {
		return
	}
	var last raft.Log
	if r.raft.CurrentTerm() <= p.Term {
		if err := r.store.logs.GetLog(r.raft.LastIndex(), &last); err != nil || last.Term < p.Term {
			return
		}
	}
	if err := p.end(); err != nil {
		n.log.Warn("could not end the probation", logging.KeyError, err)
		return
	}
	r.gate.probation.Store(nil)
	n.log.Info("this server has caught up with what it lost and may vote again", logging.KeyIndex, p.Index, logging.KeyTerm, p.Term)
}
