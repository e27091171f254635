package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Apply writes a command to the log and returns, once a majority has it on disk
// and this server has applied it, the state machine's response and the entry's
// index. A response that is an error is returned as err.
//
// It fails as NoLeader, Unavailable or RateLimited when the command was
// certainly not and will not be applied, and as OutcomeUnknown when it may have
// been, or may still be: leadership was lost meanwhile, or ctx ended. It blocks
// until one of these; a stalled leader's callers are bounded by ctx alone. data
// belongs to the Node from then on. Safe for any number of goroutines.
func (n *Node) Apply(ctx context.Context, data []byte) (any, uint64, error) {
	r, err := n.started()
	if err != nil {
		return nil, 0, err
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, failure.Wrap(failure.Unavailable, err)
	}
	if r.raft.State() != raft.Leader || r.stalled() {
		// A leader whose disk has stalled is one in name only: the others elect.
		return nil, 0, failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	done, err := n.admit(len(data))
	if err != nil {
		return nil, 0, err
	}
	f := r.raft.Apply(data, n.enqueueTimeout(ctx))
	if err := awaitThen(ctx, r.abandoned, f, done); err != nil {
		return nil, 0, applyError(err, f)
	}
	if err, refused := f.Response().(error); refused {
		return nil, f.Index(), err
	}
	return f.Response(), f.Index(), nil
}

// admit counts a command in flight; the result counts it out.
func (n *Node) admit(size int) (func(), error) {
	if n.closing.Load() {
		return nil, failure.New(failure.Unavailable, "server is shutting down")
	}
	if n.inFlight.Add(int64(size)) > n.cfg.MaxInFlightBytes {
		n.inFlight.Add(-int64(size))
		return nil, failure.Newf(failure.RateLimited, "over %d bytes of writes are waiting for the log", n.cfg.MaxInFlightBytes)
	}
	n.waiting.Add(1)
	return func() {
		n.inFlight.Add(-int64(size))
		n.waiting.Add(-1)
	}, nil
}

// enqueueTimeout is what raft may take to take up an entry. raft knows no ctx;
// its own timer guarantees that an entry it gave up on is not in the log.
func (n *Node) enqueueTimeout(ctx context.Context) time.Duration {
	limit := n.cfg.EnqueueTimeout
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	return max(limit, time.Millisecond)
}

// errWait is why a wait ended before its future.
type errWait struct{ cause error }

func (e *errWait) Error() string { return e.cause.Error() }
func (e *errWait) Unwrap() error { return e.cause }

var errAbandoned = errors.New("server was shut down")

// await waits for a raft future or the end of ctx.
func await(ctx context.Context, f raft.Future) error {
	return awaitThen(ctx, nil, f, func() {})
}

// awaitThen waits for f, for ctx, or for abandoned, and runs then once f itself
// is resolved. raft's futures cannot be waited for together with anything else,
// so each gets a goroutine; raft resolves every future it took up, except that
// at its end some are forgotten: abandoned stands for those.
func awaitThen(ctx context.Context, abandoned <-chan struct{}, f raft.Future, then func()) error {
	resolved := make(chan error, 1)
	go func() {
		err := f.Error()
		then()
		resolved <- err
	}()
	select {
	case err := <-resolved:
		return err
	case <-ctx.Done():
		return &errWait{ctx.Err()}
	case <-abandoned:
		return &errWait{errAbandoned}
	}
}

// applyError gives raft's error its kind. What raft refused before it put the
// entry into the log is certain; everything else is not.
func applyError(err error, f raft.ApplyFuture) error {
	var w *errWait
	switch {
	case errors.As(err, &w):
		return failure.Newf(failure.OutcomeUnknown, "result of the write is unknown: %w", err)
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		// Answered before the entry is dispatched, in every state.
		return failure.Newf(failure.NoLeader, "%s: %w", failure.TextNoLeader, err)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		// One select either queues the entry or returns this.
		return failure.Newf(failure.Unavailable, "leader did not take up the write in time: %w", err)
	case errors.Is(err, raft.ErrRaftShutdown) && f.Index() == 0:
		return failure.Newf(failure.Unavailable, "server is shutting down: %w", err)
	default:
		// ErrLeadershipLost, ErrAbortedByRestore, and a failed append: what was
		// written of it may come back from the disk.
		return failure.Newf(failure.OutcomeUnknown, "result of the write is unknown: %w", err)
	}
}

// changeError gives the error of a change of membership its kind.
func changeError(what string, err error) error {
	if err == nil {
		return nil
	}
	var w *errWait
	kind := failure.Invalid
	switch {
	case errors.As(err, &w), errors.Is(err, raft.ErrLeadershipLost):
		kind = failure.OutcomeUnknown
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		kind = failure.NoLeader
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrRaftShutdown):
		kind = failure.Unavailable
	}
	return failure.Wrap(kind, fmt.Errorf("%s: %w", what, err))
}
