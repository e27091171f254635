package coordinateapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/store"
)

// How updates become log entries. Together they bound what coordinates can ask
// of the log: one entry a second, of some 20 KB.
const (
	// settleTime gathers updates that come together.
	settleTime = 100 * time.Millisecond
	// flushEvery is the shortest time between two rounds of writing.
	flushEvery = 5 * time.Second
	// batchEntries is how many updates go into one log entry, roundBatches how
	// many entries are written in a round.
	batchEntries = 128
	roundBatches = 5
	// maxPending bounds what waits: a round of the next leader's cluster.
	maxPending = batchEntries * roundBatches
)

// take puts an update where Run finds it, in the place of an older one of the
// same node. It never blocks.
func (a *API) take(e *coordinate.Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending == nil {
		return failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	at := place{strings.ToLower(e.Node), e.Segment}
	if _, waits := a.pending[at]; !waits && len(a.pending) >= maxPending {
		return failure.Newf(failure.RateLimited, "%d coordinates wait to be written already; tell this one again in %v", maxPending, flushEvery)
	}
	a.pending[at] = e
	select {
	case a.arrived <- struct{}{}:
	default: // it is already told
	}
	return nil
}

// Writer is the leader's duty to write down what updates say.
func (a *API) Writer(db *store.DB) leader.Duty {
	return leader.Duty{Name: "coordinates", Run: func(ctx context.Context) error { return a.write(ctx, db) }}
}

func (a *API) write(ctx context.Context, db *store.DB) error {
	arrived := a.open()
	defer a.close()
	pause := time.NewTimer(0)
	defer pause.Stop()
	sleep := func(d time.Duration) {
		pause.Reset(d)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	for {
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil
		}
		sleep(settleTime)
		if ctx.Err() != nil {
			return nil
		}
		if err := a.flush(ctx, db); err != nil {
			return err
		}
		sleep(flushEvery - settleTime)
	}
}

// open lets updates in. close forgets those that were not written: they are from
// before another server may have led.
func (a *API) open() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending, a.arrived = map[place]*coordinate.Entry{}, make(chan struct{}, 1)
	return a.arrived
}

func (a *API) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.pending); n > 0 && a.Logger != nil {
		a.Logger.Debug("coordinates were not written before leadership ended; agents tell them again", "count", n)
	}
	a.pending, a.arrived = nil, nil
}

// flush writes what waits and is news.
func (a *API) flush(ctx context.Context, db *store.DB) error {
	news, err := news(db, a.drain())
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(news, batchEntries) {
		_, err := a.Applier.Apply(ctx, coordinate.TypeUpdate, &coordinate.Update{Entries: batch})
		switch {
		case ctx.Err() != nil || failure.Is(err, failure.NoLeader):
			return nil // this server no longer leads
		case err != nil:
			if a.Logger != nil {
				a.Logger.Warn("coordinates were not written; agents tell them again", "count", len(batch), logging.KeyError, err)
			}
		}
	}
	return nil
}

func (a *API) drain() map[place]*coordinate.Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.pending
	a.pending = map[place]*coordinate.Entry{}
	return taken
}

// news returns those of the updates that would change the state, in the order of
// the nodes.
func news(db *store.DB, updates map[place]*coordinate.Entry) ([]*coordinate.Entry, error) {
	tx, _ := db.Read()
	var out []*coordinate.Entry
	for _, e := range updates {
		fresh, err := coordinate.News(tx, e)
		if err != nil {
			return nil, err
		}
		if fresh {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *coordinate.Entry) int {
		if c := strings.Compare(a.Node, b.Node); c != 0 {
			return c
		}
		return strings.Compare(a.Segment, b.Segment)
	})
	return out, nil
}
