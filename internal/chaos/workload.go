package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// round is the load of one fault: keys and history of its own, so that what is
// checked together stays small however long the run is.
type round struct {
	number  int
	keys    []string
	history *History
	ledger  *Ledger
	// hush is held for reading during each operation: whoever holds it for
	// writing has the cluster to itself.
	hush sync.RWMutex
}

const keysPerRound = 5

func newRound(number int, ledger *Ledger) *round {
	r := &round{number: number, history: &History{}, ledger: ledger}
	for i := range keysPerRound {
		r.keys = append(r.keys, fmt.Sprintf("%s%d", r.prefix(), i))
	}
	return r
}

func (r *round) prefix() string       { return fmt.Sprintf("register/%d/", r.number) }
func (r *round) ledgerPrefix() string { return fmt.Sprintf("ledger/%d/", r.number) }

// worker is one sequential client of a round. seed makes its choices.
type worker struct {
	*client
	round *round
	rand  *rand.Rand
	pace  time.Duration // mean pause between operations
	seq   int
	// known is what the worker last read of each key, to compare and swap.
	known map[string]Entry
}

// run does operations until stop is closed. An operation under way is finished,
// so that nothing of a round goes on after it.
func (w *worker) run(ctx context.Context, stop <-chan struct{}) {
	for {
		w.round.hush.RLock()
		w.one(ctx)
		w.round.hush.RUnlock()
		if backoff.PauseUntil(ctx, stop, time.Duration(w.rand.Int64N(int64(2*w.pace)+1))) || ctx.Err() != nil {
			return
		}
	}
}

// one does one operation and records it.
func (w *worker) one(ctx context.Context) {
	i := w.rand.IntN(len(w.round.keys))
	key := w.round.keys[i]
	switch n := w.rand.IntN(100); {
	case n < 20:
		w.round.history.Add(w.put(ctx, key, w.value()))
	case n < 32:
		w.round.history.Add(w.cas(ctx, key, w.value(), w.known[key]))
	case n < 35 && i == 0: // only one key is ever deleted: the others prove more
		w.round.history.Add(w.del(ctx, key))
	case n < 50:
		w.append(ctx)
	case n < 72:
		w.read(ctx, key, Default)
	case n < 82:
		w.read(ctx, key, Consistent)
	case n < 92:
		w.read(ctx, key, Stale)
	default:
		w.readAll(ctx, []Mode{Default, Consistent, Stale}[n%3])
	}
}

// value returns a value that nobody else writes.
func (w *worker) value() string {
	w.seq++
	return fmt.Sprintf("%d.%d.%d", w.round.number, w.id, w.seq)
}

// append writes to a key that is never written again, remembers it if it was
// acknowledged, and reports whether it was.
func (w *worker) append(ctx context.Context) bool {
	value := w.value()
	key := w.round.ledgerPrefix() + value
	op := w.put(ctx, key, value)
	acknowledged := op.Outcome == Done && op.Swapped
	if acknowledged {
		w.round.ledger.Acknowledge(w.round.number, key, value)
	}
	return acknowledged
}

// atAck calls strike at the moment at which a write is acknowledged, while no
// other operation is under way. Without an acknowledgement it calls it as well.
func (r *round) atAck(ctx context.Context, c *Cluster, clock func() time.Duration, id int, strike func()) {
	r.hush.Lock()
	defer r.hush.Unlock()
	w := &worker{client: &client{cluster: c, id: id, server: id % c.Len(), clock: clock}, round: r}
	for range 3 {
		if w.append(ctx) {
			break
		}
	}
	strike()
}

func (w *worker) read(ctx context.Context, key string, mode Mode) {
	op, ok := w.get(ctx, key, mode)
	if !ok {
		return
	}
	w.known[key] = op.Got
	w.round.history.Add(op)
}

func (w *worker) readAll(ctx context.Context, mode Mode) {
	if op, ok := w.list(ctx, w.round.prefix(), mode); ok {
		w.round.history.Add(op)
	}
}

// start starts perServer workers at each server and returns a function that
// stops them and waits for their last operation.
func (r *round) start(ctx context.Context, c *Cluster, clock func() time.Duration, perServer int, seed uint64, pace time.Duration) func() {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range c.Len() * perServer {
		w := &worker{
			client: &client{cluster: c, id: i, server: i % c.Len(), clock: clock},
			round:  r,
			rand:   rand.New(rand.NewPCG(seed, uint64(r.number)<<16|uint64(i))),
			pace:   pace,
			known:  map[string]Entry{},
		}
		wg.Go(func() { w.run(ctx, stop) })
	}
	return sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
	})
}
