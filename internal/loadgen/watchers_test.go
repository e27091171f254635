package loadgen

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// TestTenThousandWatchers parks 10,000 blocking queries on one key, twice: all
// are answered by one write, and the server then holds what it held before. The
// bounds leave room for a machine that does other things; its figures are in the
// log.
func TestTenThousandWatchers(t *testing.T) {
	const n = 10_000
	raiseFileLimit(t, n+1000)
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	c := DefaultConfig()
	c.Dir = t.TempDir()
	var err error
	if c.Binary, err = agentproc.Build(ctx, c.Dir, ""); err != nil {
		t.Fatal(err)
	}
	p, err := c.single(ctx, "watched", false, map[string]any{"limits": map[string]any{"http_max_conns_per_client": 2 * n}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	a := &agents{procs: []*agentproc.Process{p}, servers: 1, http: &http.Client{}}
	w := keyWatch(a, n)
	first, err := w.held(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		rows, err := w.round(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rows {
			t.Logf("%s: %s", m.Case, m.value())
			if times := sortedTimes(m.Times); len(times) > 0 && times[n-1] > 20*time.Second {
				t.Errorf("the last of %d answers came %v after the write", n, times[n-1])
			}
		}
	}
	began := time.Now()
	last, err := w.until(ctx, func(now, _ held) bool {
		return now.goroutines <= first.goroutines+20 && now.rss <= first.rss+32<<20
	}, "memory stays behind")
	if err != nil {
		t.Errorf("%v, %d MiB; at first %d, %d MiB", err, last.rss>>20, first.goroutines, first.rss>>20)
	}
	t.Logf("at first %d goroutines and %d MiB; %v after the connections closed %d and %d MiB",
		first.goroutines, first.rss>>20, time.Since(began), last.goroutines, last.rss>>20)
}
