package loadgen

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, wire string
		status     int
		body       string
		index      uint64
		wantErr    bool
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Consul-Index: 17\r\n\r\ntrue", 200, "true", 17, false},
		{"lower case", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue", 200, "true", 0, false},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, "abcde", 0, false},
		{"empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nX-Consul-Index: 3\r\n\r\n", 404, "", 3, false},
		{"cut off in the body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntrue", 0, "", 0, true},
		{"cut off in the head", "HTTP/1.1 200 OK\r\nConte", 0, "", 0, true},
		{"no end known", "HTTP/1.1 200 OK\r\n\r\n", 0, "", 0, true},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 0, "", 0, true},
		{"a bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0, "", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &conn{r: bufio.NewReader(strings.NewReader(tt.wire))}
			status, body, err := c.answer()
			if (err != nil) != tt.wantErr {
				t.Fatalf("error %v, want one: %t", err, tt.wantErr)
			}
			if err == nil && (status != tt.status || string(body) != tt.body || c.index != tt.index) {
				t.Errorf("answer %d %q index %d, want %d %q index %d", status, body, c.index, tt.status, tt.body, tt.index)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := []struct {
		name   string
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{"none", nil, 50, 0},
		{"one", hundred[:1], 99, 1},
		{"median of three", hundred[:3], 50, 2},
		{"median of a hundred", hundred, 50, 50},
		{"ninety-ninth of a hundred", hundred, 99, 99},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(tt.sorted, tt.p); got != tt.want {
				t.Errorf("percentile = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestRequestsAreWellFormed(t *testing.T) {
	t.Parallel()
	put := putRequest(nil, "h:1", benchKey(3), 5, 7, valueBytes)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(put))))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || len(body) != valueBytes || req.Method != http.MethodPut || req.URL.Path != "/v1/kv/bench/000003" || req.Host != "h:1" {
		t.Errorf("%s %s at %s, %d bytes, %v", req.Method, req.URL, req.Host, len(body), err)
	}
	if other := putRequest(nil, "h:1", benchKey(3), 5, 8, valueBytes); string(other) == string(put) {
		t.Error("two puts write the same value")
	}
	req, err = http.ReadRequest(bufio.NewReader(strings.NewReader(string(getRequest(nil, "h:1", "/v1/kv/a?stale")))))
	if err != nil || req.Method != http.MethodGet || req.URL.RawQuery != "stale" {
		t.Errorf("get: %v, %v", req, err)
	}
}

// TestLoadCountsWhatWasAnswered has four clients for 200 ms of fake time, each
// of whose answers takes one.
func TestLoadCountsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var served, measured atomic.Int64
		serve := func(nc net.Conn) {
			defer nc.Close()
			for r := bufio.NewReader(nc); ; {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				time.Sleep(time.Millisecond)
				answer := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
				if served.Add(1)%50 == 0 {
					answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 17\r\n\r\nNo cluster leader"
				}
				if _, err := io.WriteString(nc, answer); err != nil {
					return
				}
			}
		}
		r, err := Load{
			Clients: 4, Warmup: 20 * time.Millisecond, Duration: 200 * time.Millisecond,
			Dial: func(string, time.Time) (session, error) {
				ours, theirs := net.Pipe()
				go serve(theirs) // ends with the pipe
				return &conn{nc: ours, r: bufio.NewReader(ours)}, nil
			},
			Request: func(buf []byte, client, n int) []byte { return putRequest(buf, "h", benchKey(n), client, n, 16) },
			Measure: func(bool) { measured.Add(1) },
		}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The ends of the measured part fall together with an answer.
		if all := r.Ops + r.Errors; all < 4*199 || all > 4*201 || r.Errors < 15 || r.Errors > 17 || r.P50 != time.Millisecond || r.P99 != time.Millisecond {
			t.Errorf("%+v of %d served", r, served.Load())
		}
		if !strings.Contains(r.Problem, "No cluster leader") {
			t.Errorf("problem %q", r.Problem)
		}
		if measured.Load() != 2 {
			t.Errorf("Measure was called %d times, want at the begin and the end", measured.Load())
		}
	})
}

func TestLoadNeedsAServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := (Load{Address: l.Addr().String(), Clients: 1, Duration: time.Second}).Run(t.Context()); err == nil {
		t.Error("no error without a server")
	}
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := WriteTable(&out, []Measurement{
		{Scenario: "kv", Case: "put leader", Clients: 64, Rate: 8000.4, P50: 7 * time.Millisecond, P99: 20 * time.Millisecond, CPU: 180 * time.Microsecond},
		{Scenario: "kv", Case: "get leader", Clients: 1, Rate: 100, Errors: 2, Problem: "status 500"},
		{Scenario: "failover", Case: "defaults", Times: []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}},
		{Scenario: "memory", Case: "idle", Bytes: 30 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `
kv
        case  clients  ops/s  p50 ms  p99 ms  CPU µs/op  errors
  put leader       64   8000    7.00   20.00        180       0
  get leader        1    100    0.00    0.00          -       2
get leader, 1 clients: status 500

failover
  defaults  median 2.00 ms, worst 3.00 ms of 3

memory
  idle  30.0 MiB
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestScenariosWork runs every scenario against the real program, small: it
// proves that they measure something, not how much.
func TestScenariosWork(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	c := DefaultConfig()
	c.Dir, c.Log = t.TempDir(), testLog{t}
	c.Clients, c.Duration, c.Trials, c.Keys, c.Watchers, c.Services, c.Calm = []int{4}, 200*time.Millisecond, 1, 500, 200, 50, time.Second
	var err error
	if c.Binary, err = agentproc.Build(ctx, c.Dir, ""); err != nil {
		t.Fatal(err)
	}
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			rows, err := s.Run(ctx, c)
			// A busy machine may need longer until the first answer.
			for longer := c; err == nil && longer.Duration < 3*time.Second && slices.ContainsFunc(rows, measuredNothing); {
				longer.Duration *= 5
				rows, err = s.Run(ctx, longer)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 0 {
				t.Error("nothing was measured")
			}
			for _, m := range rows {
				if m.Errors > 0 || measuredNothing(m) {
					t.Errorf("%s: %d operations, %d errors: %s", m.Case, m.Ops, m.Errors, m.Problem)
				}
			}
		})
	}
}

func measuredNothing(m Measurement) bool { return m.Clients > 0 && m.Ops == 0 }

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}
