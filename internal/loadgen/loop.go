package loadgen

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// Load is one closed loop: Clients connections to Address, each sending its next
// request when the last is answered.
type Load struct {
	Address  string
	Clients  int
	Warmup   time.Duration // before measuring
	Duration time.Duration
	// Request appends the n-th request of a client to buf[:0]. It is called
	// from every client's goroutine.
	Request func(buf []byte, client, n int) []byte
	// Dial opens a client's connection, which hangs no longer than until; nil
	// is HTTP.
	Dial func(address string, until time.Time) (session, error)
	// Measure is called when the warm-up ends and when the measured part
	// does; nil is nothing.
	Measure func(end bool)
}

// session is one client's connection with a server.
type session interface {
	// try sends a request and waits for its answer. It returns what is wrong
	// with it, "" if nothing, and whether the session is at its end.
	try(request []byte) (problem string, end bool)
	shut()
}

func dialHTTP(address string, until time.Time) (session, error) {
	c, err := dial(address, 4096)
	if err != nil {
		return nil, err
	}
	_ = c.nc.SetDeadline(until) // without it only a hang is worse
	return c, nil
}

func (c *conn) try(request []byte) (problem string, end bool) {
	status, body, err := c.do(request)
	if err != nil {
		return err.Error(), true
	}
	if status != http.StatusOK {
		problem = "status " + strconv.Itoa(status) + ": " + string(body)
	}
	return problem, c.close
}

func (c *conn) shut() { c.nc.Close() }

// Result is what a loop saw in its measured part.
type Result struct {
	Ops      int
	Errors   int    // requests without a good answer
	Problem  string // one of the errors
	Elapsed  time.Duration
	P50, P99 time.Duration
}

// Rate returns operations a second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Ops) / r.Elapsed.Seconds()
}

// tally is one client's part of a result.
type tally struct {
	latencies []time.Duration
	errors    int
	problem   string
}

// Run runs the loop. A client whose connection breaks opens a new one; only if
// none can be opened at the start is that an error of the loop.
func (l Load) Run(ctx context.Context) (Result, error) {
	if l.Dial == nil {
		l.Dial = dialHTTP
	}
	probe, err := l.Dial(l.Address, time.Now().Add(time.Second))
	if err != nil {
		return Result{}, fmt.Errorf("load %s: %w", l.Address, err)
	}
	probe.shut()
	begin := time.Now().Add(l.Warmup)
	end := begin.Add(l.Duration)
	tallies := make([]tally, l.Clients)
	var wg sync.WaitGroup
	for i := range l.Clients {
		wg.Go(func() { tallies[i] = l.client(ctx, i, begin, end) })
	}
	l.mark(ctx, begin, false)
	l.mark(ctx, end, true)
	wg.Wait()
	return merge(tallies, l.Duration), ctx.Err()
}

func (l Load) mark(ctx context.Context, at time.Time, end bool) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	if l.Measure != nil {
		l.Measure(end)
	}
}

// client sends requests until end. What was sent before begin or answered after
// end is not counted.
func (l Load) client(ctx context.Context, id int, begin, end time.Time) tally {
	var t tally
	var c session
	var buf []byte
	defer func() {
		if c != nil {
			c.shut()
		}
	}()
	for n := 0; ctx.Err() == nil; n++ {
		start := time.Now()
		if start.After(end) {
			return t
		}
		problem := ""
		if c == nil {
			var err error
			if c, err = l.Dial(l.Address, end.Add(10*time.Second)); err != nil {
				problem, c = err.Error(), nil
			}
		}
		if c != nil {
			buf = l.Request(buf[:0], id, n)
			over := false
			if problem, over = c.try(buf); over {
				c.shut()
				c = nil
			}
		}
		done := time.Now()
		switch {
		case start.Before(begin) || done.After(end):
		case problem != "":
			t.errors++
			t.problem = problem
		default:
			t.latencies = append(t.latencies, done.Sub(start))
		}
		if problem != "" && done.Sub(start) < time.Millisecond {
			backoff.Pause(ctx, time.Millisecond) // do not spin on a refusal
		}
	}
	return t
}

func merge(tallies []tally, elapsed time.Duration) Result {
	r := Result{Elapsed: elapsed}
	var all []time.Duration
	for _, t := range tallies {
		all = append(all, t.latencies...)
		r.Errors += t.errors
		if t.problem != "" {
			r.Problem = t.problem
		}
	}
	slices.Sort(all)
	r.Ops = len(all)
	r.P50, r.P99 = percentile(all, 50), percentile(all, 99)
	return r
}

// percentile returns the smallest of the sorted values that p percent are not
// above; 0 for none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// key and value sizes of the KV scenarios.
const (
	benchKeys  = 1000
	valueBytes = 128
)

// putRequest appends a PUT of a value that differs each time: writing the same
// value again would not be a change.
func putRequest(buf []byte, host, key string, client, n, size int) []byte {
	buf = append(buf, "PUT /v1/kv/"...)
	buf = append(buf, key...)
	buf = append(buf, " HTTP/1.1\r\nHost: "...)
	buf = append(buf, host...)
	buf = append(buf, "\r\nContent-Length: "...)
	buf = strconv.AppendInt(buf, int64(size), 10)
	buf = append(buf, "\r\n\r\n"...)
	at := len(buf)
	buf = strconv.AppendInt(buf, int64(client), 36)
	buf = append(buf, '.')
	buf = strconv.AppendInt(buf, int64(n), 36)
	for i := len(buf) - at; i < size; i++ {
		buf = append(buf, 'a'+byte(i*7+n)%26)
	}
	return buf
}

func getRequest(buf []byte, host, path string) []byte {
	buf = append(buf, "GET "...)
	buf = append(buf, path...)
	buf = append(buf, " HTTP/1.1\r\nHost: "...)
	buf = append(buf, host...)
	return append(buf, "\r\n\r\n"...)
}
