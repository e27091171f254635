package query

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/plant"
	"github.com/ctl-sh/ctl/internal/store"
)

// Freshness is what the engine needs of consensus.
type Freshness interface {
	// ReadBarrier returns when this server's state includes every write
	// acknowledged anywhere before the call. It ends with ctx, and fails
	// with failure.NoLeader when nobody could confirm that.
	ReadBarrier(ctx context.Context) error
	// Contact reports whether a leader is known and how long ago this
	// server last heard from it; zero on the leader.
	Contact() (known bool, last time.Duration)
}

// Result is what one evaluation of a read found.
type Result struct {
	// Index is the index at which what was asked last changed.
	Index store.Index
	// Found is false when what was asked does not exist. A blocking read
	// that keeps finding nothing is not woken by writes elsewhere.
	Found bool
}

// ReadFunc evaluates a read against one state, keeping what it found for its
// caller. It adds to ws the channels that close when the answer may change,
// all taken from tx. It may run several times; only the last run counts. It
// must not block.
type ReadFunc func(ws store.WatchSet, tx *store.Txn) (Result, error)

// Config configures an Engine. All fields but the waits are required.
type Config struct {
	DB        *store.DB
	Freshness Freshness
	// DefaultWait is how long a blocking read waits that names no time;
	// MaxWait is the longest it may name. Zero means 300 s and 600 s.
	DefaultWait, MaxWait time.Duration
}

// Engine runs reads. It is safe for any number of goroutines.
type Engine struct {
	cfg     Config
	blocked atomic.Int64
	reads   atomic.Uint64
}

// New returns an engine.
func New(cfg Config) *Engine {
	if cfg.DefaultWait == 0 {
		cfg.DefaultWait = 300 * time.Second
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = 600 * time.Second
	}
	return &Engine{cfg: cfg}
}

// Blocked returns how many reads wait for a change now.
func (e *Engine) Blocked() int64 { return e.blocked.Load() }

// Reads returns how many reads were begun since start.
func (e *Engine) Reads() uint64 { return e.reads.Load() }

// Read makes the state as fresh as o asks, evaluates read and, where o blocks,
// waits until its index is above o.MinIndex, the wait is over or a restore
// replaced the state. Running out of wait is no error: the newest evaluation
// stands. It fails with failure.NoLeader when freshness cannot be confirmed,
// with ctx's error when the caller went away, and with read's own errors; the
// Meta is filled as far as it goes in each case.
func (e *Engine) Read(ctx context.Context, o Options, read ReadFunc) (Meta, error) {
	e.reads.Add(1)
	meta := Meta{Index: 1, Mode: o.Mode}
	if err := e.freshen(ctx, o); err != nil {
		return meta, err
	}
	var err error
	if o.MinIndex == 0 {
		meta.Index, err = e.once(read)
	} else {
		meta.Index, err = e.block(ctx, o, read)
	}
	meta.KnownLeader, meta.LastContact = e.cfg.Freshness.Contact()
	return meta, err
}

// freshen waits until a read of o's mode may look at the local state.
func (e *Engine) freshen(ctx context.Context, o Options) error {
	if o.Mode == Stale {
		if o.MaxStale == 0 {
			return nil
		}
		if known, last := e.cfg.Freshness.Contact(); known && last <= o.MaxStale {
			return nil
		}
	}
	if plant.On(plant.StaleRead) {
		return nil
	}
	return e.cfg.Freshness.ReadBarrier(ctx)
}

func (e *Engine) once(read ReadFunc) (store.Index, error) {
	tx, _ := e.cfg.DB.Read()
	res, err := read(nil, tx)
	return max(res.Index, 1), err
}

func (e *Engine) block(ctx context.Context, o Options, read ReadFunc) (store.Index, error) {
	e.blocked.Add(1)
	defer e.blocked.Add(-1)
	waiting, cancel := context.WithTimeout(ctx, e.wait(o.MaxWait))
	defer cancel()
	least, foundNothing := o.MinIndex, false
	for {
		tx, abandoned := e.cfg.DB.Read()
		ws := store.WatchSet{}
		ws.Add(abandoned)
		res, err := read(ws, tx)
		if err != nil {
			return max(res.Index, 1), err
		}
		if !res.Found && foundNothing {
			// Still nothing: the index only rose because of what others
			// wrote, and that is no news for who waits for this.
			least = max(least, res.Index)
		}
		if res.Index > least {
			return res.Index, nil
		}
		foundNothing = !res.Found
		if plant.On(plant.LostWakeup) && rand.N(4) == 0 {
			ws = store.WatchSet{}
			ws.Add(abandoned)
		}
		if ws.WatchCtx(waiting) != nil {
			return max(res.Index, 1), ctx.Err() // nil when only the wait is over
		}
		select {
		case <-abandoned:
			return e.once(read)
		default:
		}
	}
}

// wait returns how long a read that asked for d blocks: capped, with up to a
// sixteenth added at random so that waits begun together do not end together.
func (e *Engine) wait(d time.Duration) time.Duration {
	if d <= 0 {
		d = e.cfg.DefaultWait
	}
	d = min(d, e.cfg.MaxWait)
	return d + rand.N(d/16+1)
}
