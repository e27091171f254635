// Package backoff spaces out attempts that keep failing.
//
// The wait before attempt n is chosen evenly between zero and min(limit,
// base·2ⁿ) ("full jitter"), so that many agents which lost the same server do
// not come back in step. It is not for deciding whether to try again; that is
// the caller's.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Backoff counts the failures of one activity. It is made by New and is not
// safe for concurrent use.
type Backoff struct {
	base, ceiling, limit time.Duration
	random               func(n int64) int64 // in [0, n)
}

// New returns a Backoff whose first wait is at most base and whose later waits
// are at most limit. A base below a nanosecond counts as one, a limit below base as
// base.
func New(base, limit time.Duration) *Backoff {
	base = max(base, 1)
	return &Backoff{base: base, ceiling: base, limit: max(limit, base), random: rand.Int64N}
}

// Next counts one more failure and returns how long to wait now: more than
// zero, at most the current ceiling.
func (b *Backoff) Next() time.Duration {
	d := time.Duration(b.random(int64(b.ceiling)) + 1)
	if b.ceiling > b.limit/2 {
		b.ceiling = b.limit
	} else {
		b.ceiling *= 2
	}
	return d
}

// Wait counts one more failure and blocks for Next, or until ctx ends; then it
// returns the cause of that end.
func (b *Backoff) Wait(ctx context.Context) error {
	if !Pause(ctx, b.Next()) {
		return context.Cause(ctx)
	}
	return nil
}

// Pause blocks for d, or until ctx ends, and reports whether d passed.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// PauseUntil blocks until changed is closed or has something, d has passed or ctx
// ends, and reports whether it was changed. ctx's end counts before a change.
func PauseUntil(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
		return ctx.Err() == nil
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// Reset forgets the failures, after a success.
func (b *Backoff) Reset() { b.ceiling = b.base }
