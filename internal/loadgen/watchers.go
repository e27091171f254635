package loadgen

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// watchers parks many blocking queries on one key of one server, writes the key
// and times the answers; then all connections close, and what the server holds
// is compared with before.
func watchers(ctx context.Context, c Config) ([]Measurement, error) {
	p, err := c.single(ctx, "watchers", false, map[string]any{"limits": map[string]any{"http_max_conns_per_client": 2 * c.Watchers}})
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	a := &agents{procs: []*agentproc.Process{p}, servers: 1, http: &http.Client{}}
	w := keyWatch(a, c.Watchers)
	w.name = "watchers: " + strconv.Itoa(c.Watchers) + " blocking queries on one key"
	// The first round warms up: what a server keeps after it, it keeps once.
	var out []Measurement
	for round := range 3 {
		rows, err := w.round(ctx)
		if err != nil {
			return nil, fmt.Errorf("watchers, round %d: %w", round+1, err)
		}
		for _, m := range rows {
			m.Case = "round " + strconv.Itoa(round+1) + ": " + m.Case
			out = append(out, m)
			fmt.Fprintf(c.Log, "%s: %s\n", m.Case, m.value())
		}
	}
	return out, nil
}

// watch parks n blocking queries of one path at one agent.
type watch struct {
	agents *agents // the agent that is asked is the first
	path   string  // without a query
	// change makes the n-th change of what path shows.
	change  func(ctx context.Context, n int) error
	n       int
	name    string
	changes int
}

// keyWatch watches a key.
func keyWatch(a *agents, n int) watch {
	return watch{agents: a, path: "/v1/kv/watched", n: n, change: func(ctx context.Context, n int) error {
		if !a.procs[0].Put(ctx, a.http, "watched", strconv.Itoa(n)) {
			return fmt.Errorf("write %d of the watched key was not acknowledged", n)
		}
		return nil
	}}
}

func (w *watch) address() string { return w.agents.procs[0].Spec.HTTPAddr() }

// held is what a server holds at one moment.
type held struct {
	goroutines int64
	rss        int64
}

func (w *watch) held(ctx context.Context) (held, error) {
	n, err := w.agents.stat(ctx, 0, "runtime", "goroutines")
	if err != nil {
		return held{}, err
	}
	u, err := w.agents.procs[0].Usage()
	return held{n, u.RSS}, err
}

func (w *watch) write(ctx context.Context) error {
	w.changes++
	return w.change(ctx, w.changes)
}

func (w *watch) round(ctx context.Context) ([]Measurement, error) {
	if err := w.write(ctx); err != nil {
		return nil, err
	}
	before, err := w.held(ctx)
	if err != nil {
		return nil, err
	}
	conns, index, err := w.connect()
	defer func() {
		for _, c := range conns {
			c.nc.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	answers := make([]time.Time, w.n)
	errs := make([]error, w.n)
	request := getRequest(nil, w.address(), w.path+"?wait=60s&index="+strconv.FormatUint(index, 10))
	for i, c := range conns {
		wg.Go(func() {
			status, _, err := c.do(request)
			if err == nil && (status != 200 || c.index <= index) {
				err = fmt.Errorf("status %d, index %d after %d", status, c.index, index)
			}
			answers[i], errs[i] = time.Now(), err
		})
	}
	parked, err := w.parked(ctx, before)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := w.write(ctx); err != nil {
		return nil, err
	}
	wg.Wait()
	times := make([]time.Duration, 0, w.n)
	for i := range answers {
		if errs[i] != nil {
			return nil, fmt.Errorf("watcher %d: %w", i, errs[i])
		}
		times = append(times, answers[i].Sub(began))
	}
	for _, c := range conns {
		c.nc.Close()
	}
	after, err := w.settled(ctx, before)
	if err != nil {
		return nil, err
	}
	return []Measurement{
		{Scenario: w.name, Case: "write to answer (the worst is the last watcher)", Times: times},
		{Scenario: w.name, Case: "resident before", Bytes: before.rss},
		{Scenario: w.name, Case: "resident while parked", Bytes: parked.rss},
		{Scenario: w.name, Case: "resident after", Bytes: after.rss},
		{Scenario: w.name, Case: "goroutines before", Count: before.goroutines},
		{Scenario: w.name, Case: "goroutines while parked", Count: parked.goroutines},
		{Scenario: w.name, Case: "goroutines after", Count: after.goroutines},
	}, nil
}

// connect opens a connection for each watcher and returns the path's index.
func (w *watch) connect() ([]*conn, uint64, error) {
	conns := make([]*conn, 0, w.n)
	for range w.n {
		c, err := dial(w.address(), 1024)
		if err != nil {
			return conns, 0, err
		}
		conns = append(conns, c)
	}
	status, body, err := conns[0].do(getRequest(nil, w.address(), w.path))
	if err == nil && status != 200 {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	return conns, conns[0].index, err
}

// parked waits until the server holds a goroutine more for every watcher and
// has come to rest.
func (w *watch) parked(ctx context.Context, before held) (held, error) {
	return w.until(ctx, func(now, last held) bool {
		return now.goroutines >= before.goroutines+int64(w.n) && now.goroutines == last.goroutines
	}, "the queries are not all parked")
}

// settled waits until the server's goroutines are back; memory is what it is then.
func (w *watch) settled(ctx context.Context, before held) (held, error) {
	return w.until(ctx, func(now, _ held) bool {
		return now.goroutines <= before.goroutines+20 // keep-alive connections of the measuring client
	}, "goroutines stay behind")
}

func (w *watch) until(ctx context.Context, ok func(now, last held) bool, complaint string) (held, error) {
	var last held
	for range 120 {
		backoff.Pause(ctx, 500*time.Millisecond)
		now, err := w.held(ctx)
		if err != nil {
			return now, err
		}
		if ok(now, last) {
			return now, nil
		}
		last = now
	}
	return last, fmt.Errorf("%s after a minute: %d goroutines", complaint, last.goroutines)
}
