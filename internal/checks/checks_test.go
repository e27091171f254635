package checks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard notes what a Runner tells.
type heard struct {
	mu   sync.Mutex
	list []string
}

func (h *heard) Update(id, status, output string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, strings.TrimSpace(id+" "+status+" "+output))
}

func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.list
	h.list = nil
	return l
}

// live runs a Runner in a bubble.
func live(t *testing.T, f func(t *testing.T, r *Runner, h *heard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, h := New(Config{}), &heard{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx, func() {}) }()
		f(t, r, h)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// begin schedules a probe of the test's own.
func (r *Runner) begin(id string, d *Definition, to Notifier, p probe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &scheduled{id: id, def: d, to: to, probe: p, at: -1, successes: d.SuccessBeforePassing, failures: d.FailuresBeforeCritical}
	r.checks[id] = s
	r.push(s, time.Now().Add(d.every()))
}

func TestTTL(t *testing.T) {
	live(t, func(t *testing.T, r *Runner, h *heard) {
		r.Start("c", &Definition{TTL: Duration(10 * time.Second)}, h)
		time.Sleep(9 * time.Second)
		if err := r.Report("c", Passing, "fine"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		want(t, h, "c passing fine")
		time.Sleep(2 * time.Second)
		want(t, h, "c critical TTL expired (last output before timeout follows): fine")
		time.Sleep(time.Minute)
		want(t, h)
		if err := r.Report("no", Passing, ""); err == nil || err.Error() != `CheckID "no" does not have associated TTL` {
			t.Errorf("unknown check: %v", err)
		}
		r.Start("d", &Definition{TTL: Duration(time.Second)}, h)
		time.Sleep(2 * time.Second)
		want(t, h, "d critical TTL expired")
		if err := r.Report("d", Passing, strings.Repeat("x", 5000)); err != nil {
			t.Fatal(err)
		}
		if got := h.take(); len(got) != 1 || !strings.HasSuffix(got[0], "x ... (captured 4096 of 5000 bytes)") {
			t.Errorf("long output: %q", got)
		}
		r.Stop("d")
		time.Sleep(time.Hour)
		want(t, h)
	})
}

func want(t *testing.T, h *heard, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := h.take(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestThresholds(t *testing.T) {
	second := Duration(time.Second)
	tests := []struct {
		name    string
		def     Definition
		results string // p, w, c
		told    string // - for nothing
	}{
		{"none", Definition{}, "pcwp", "pcwp"},
		{"first result counts at once", Definition{SuccessBeforePassing: 3, FailuresBeforeCritical: 3, FailuresBeforeWarning: 3}, "p", "p"},
		{"failures before critical", Definition{FailuresBeforeCritical: 3}, "pcccpccp", "p--cp--p"},
		{"warning on the way", Definition{FailuresBeforeCritical: 3, FailuresBeforeWarning: 1}, "pccccp", "pwwccp"},
		{"successes before passing", Definition{SuccessBeforePassing: 3}, "cppcpppp", "c--c--pp"},
		{"a warning counts as success", Definition{SuccessBeforePassing: 2}, "cww", "c-w"},
	}
	states := map[byte]string{'p': Passing, 'w': Warning, 'c': Critical}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			live(t, func(t *testing.T, r *Runner, h *heard) {
				d := test.def
				d.Interval = second
				n := 0
				r.begin("c", &d, h, func(context.Context) (string, string) {
					n++
					return states[test.results[n-1]], ""
				})
				for i := range len(test.results) {
					time.Sleep(time.Second)
					if told := states[test.told[i]]; told != "" {
						want(t, h, "c "+told)
					} else {
						want(t, h)
					}
				}
				r.Stop("c")
			})
		})
	}
}

// TestNoHerd has many checks: their first runs are spread over the interval, and
// nothing has a goroutine that does not run.
func TestNoHerd(t *testing.T) {
	const n = 5000
	live(t, func(t *testing.T, r *Runner, h *heard) {
		for i := range n {
			r.Start(fmt.Sprint(i), &Definition{UDP: "127.0.0.1:1", Interval: Duration(100 * time.Second)}, h)
		}
		r.mu.Lock()
		buckets := make([]int, 10)
		for _, s := range r.queue {
			buckets[min(int(time.Until(s.due)/(10*time.Second)), 9)]++ // up to a beat later
		}
		r.mu.Unlock()
		for i, c := range buckets {
			if c < n/20 || c > n/5 {
				t.Errorf("%d of %d in the %dth tenth of the interval", c, n, i)
			}
		}
		if ttls, monitors := r.Counts(); ttls != 0 || monitors != n {
			t.Errorf("counts %d %d", ttls, monitors)
		}
		for i := range n {
			r.Stop(fmt.Sprint(i))
		}
	})
}

func TestManyHangingChecksDoNotRunTogether(t *testing.T) {
	live(t, func(t *testing.T, r *Runner, h *heard) {
		var now, most atomic.Int64
		hang := func(ctx context.Context) (string, string) {
			if v := now.Add(1); v > most.Load() {
				most.Store(v)
			}
			<-ctx.Done()
			now.Add(-1)
			return Critical, "timeout"
		}
		for i := range maxRunning + 100 {
			r.begin(fmt.Sprint(i), &Definition{HTTP: "x", Interval: Duration(time.Minute)}, h, hang)
		}
		time.Sleep(65 * time.Second)
		synctest.Wait()
		if m := most.Load(); m != maxRunning {
			t.Errorf("%d ran together, want %d", m, maxRunning)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := len(h.take()); got != maxRunning+100 {
			t.Errorf("%d results, want all %d", got, maxRunning+100)
		}
	})
}

func TestStopDropsTheResult(t *testing.T) {
	live(t, func(t *testing.T, r *Runner, h *heard) {
		r.begin("c", &Definition{HTTP: "x", Interval: Duration(time.Second)}, h, func(ctx context.Context) (string, string) {
			<-ctx.Done()
			return Critical, "late"
		})
		time.Sleep(1500 * time.Millisecond)
		r.Stop("c")
		want(t, h)
	})
}

func TestLookingWithoutWaiting(t *testing.T) {
	live(t, func(t *testing.T, r *Runner, h *heard) {
		tries := 0
		r.Start("c", &Definition{TCP: "127.0.0.1:1", Interval: Duration(time.Second)}, h)
		r.mu.Lock()
		r.checks["c"].quick = func() (string, string, probe) {
			switch tries++; tries {
			case 1:
				return Passing, "at once", nil
			case 2:
				return "", "", func(context.Context) (string, string) { return Critical, "after a while" }
			}
			r.Stop("c")
			return "", "", func(ctx context.Context) (string, string) {
				<-ctx.Done() // or this test would not end before the check's limit
				return Critical, "too late"
			}
		}
		r.mu.Unlock()
		time.Sleep(time.Second)
		want(t, h, "c passing at once")
		time.Sleep(time.Second)
		want(t, h, "c critical after a while")
		began := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		r.mu.Lock()
		if r.running != 0 || time.Since(began) > time.Second || tries != 3 {
			t.Errorf("%d run, %v after %d tries", r.running, time.Since(began), tries)
		}
		r.mu.Unlock()
		want(t, h)
	})
}

func TestDiscardOutput(t *testing.T) {
	live(t, func(t *testing.T, r *Runner, h *heard) {
		r.SetDiscardOutput(true)
		r.begin("c", &Definition{HTTP: "x", Interval: Duration(time.Second)}, h, func(context.Context) (string, string) { return Passing, "secret" })
		time.Sleep(time.Second)
		want(t, h, "c passing")
		r.Stop("c")
	})
}

func TestMirror(t *testing.T) {
	passing, warning, critical := Seen{Name: "p", Status: Passing}, Seen{Name: "w", Status: Warning, Output: "hm"}, Seen{Name: "c", Status: Critical, Output: "no"}
	for _, test := range []struct {
		name   string
		checks []Seen
		want   string
	}{
		{"none", nil, "passing No checks found."},
		{"all passing", []Seen{passing, passing}, "passing All checks passing."},
		{"warning", []Seen{passing, warning}, `warning Aliased check "w" failing: hm`},
		{"critical", []Seen{warning, critical, passing}, `critical Aliased check "c" failing: no`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, output := Mirror(test.checks); status+" "+output != test.want {
				t.Errorf("got %s %s", status, output)
			}
		})
	}
}
