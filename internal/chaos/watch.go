package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// watchWait is how long a blocking query waits: much longer than WakeBound, so
// that a lost wake-up cannot pass for a slow one.
const watchWait = 30 * time.Second

// watcher follows one key at one server with blocking queries, for a whole run.
type watcher struct {
	cluster *Cluster
	server  int
	key     string
	mode    Mode
	report  func(Violation)

	mu      sync.Mutex
	last    Entry
	changed chan struct{} // closed and replaced when last changes
}

func newWatcher(c *Cluster, server int, key string, mode Mode, report func(Violation)) *watcher {
	return &watcher{cluster: c, server: server, key: key, mode: mode, report: report, changed: make(chan struct{})}
}

func (w *watcher) String() string {
	return fmt.Sprintf("%s watcher of %s at server %d", w.mode, w.key, w.server)
}

// run follows the key until ctx ends. Errors are expected: servers are being
// killed. It asks again after a moment, from index 0 at a new run of the server.
func (w *watcher) run(ctx context.Context) {
	var index uint64
	run := 0
	for ctx.Err() == nil {
		if now := w.cluster.Run(w.server); now != run {
			run, index = now, 0
		}
		got, next, err := w.poll(ctx, index)
		if w.cluster.Run(w.server) != run {
			continue
		}
		if err != nil {
			backoff.Pause(ctx, 30*time.Millisecond)
			continue
		}
		if next < index {
			w.report(Violation{PromiseMonotonic, fmt.Sprintf("%v: index %d after %d in run %d", w, next, index, run)})
		}
		index = next
		w.see(got)
	}
}

func (w *watcher) poll(ctx context.Context, index uint64) (Entry, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, watchWait+watchWait/16+requestTimeout)
	defer cancel()
	query := w.mode.query()
	if query != "" {
		query += "&"
	}
	query += "index=" + strconv.FormatUint(index, 10) + "&wait=" + watchWait.String()
	a, err := w.cluster.ask(ctx, w.server, http.MethodGet, kvPath(w.key, query), "")
	if err != nil {
		return Entry{}, 0, err
	}
	listed, next, err := entriesOf(a)
	return listed[w.key], next, err
}

func (w *watcher) see(e Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e == w.last {
		return
	}
	w.last = e
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until the watcher has seen value, and reports whether it did
// before ctx ended.
func (w *watcher) await(ctx context.Context, value string) bool {
	for {
		w.mu.Lock()
		seen, changed := w.last.Value == value, w.changed
		w.mu.Unlock()
		if seen {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// awaitAll waits for value at all watchers and returns a violation for each
// that has not seen it within bound of now.
func awaitAll(ctx context.Context, watchers []*watcher, value string, bound time.Duration) []Violation {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	var bad []Violation
	for _, w := range watchers {
		if !w.await(ctx, value) {
			bad = append(bad, Violation{PromiseWake, fmt.Sprintf("%v has not seen %q %v after its write", w, value, bound)})
		}
	}
	return bad
}
