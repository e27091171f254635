package watchbench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/tui/source"
)

// Config says what to measure.
type Config struct {
	// Binary is the ctl program, Self this one, which is run again to watch
	// in a process of its own.
	Binary, Self string
	// Dir is for the agent's files.
	Dir string
	// Services is how many there are, Samples how many changes are timed,
	// Rate how many are made a second, for Duration, while the watcher's CPU
	// time is taken.
	Services, Samples, Rate int
	Duration                time.Duration
	// Out is told what is measured.
	Out io.Writer
}

// Run starts a server, registers services and measures, by the change stream and
// by blocking queries: from a write's beginning to the state that shows it, and
// what watching costs while much changes and while nothing does.
func Run(ctx context.Context, cfg Config) error {
	p, err := agentproc.Start(agentproc.Spec{
		Binary: cfg.Binary, Dir: filepath.Join(cfg.Dir, "server"), Name: "n1",
		Bind: new(agentproc.Allocator).Loopback(1)[0], Server: true, Expect: 1,
		Extra: map[string]any{"limits": map[string]any{"http_max_conns_per_client": 1000}},
	})
	if err != nil {
		return err
	}
	defer p.Kill()
	b := &bench{cfg: cfg, base: "http://" + p.Spec.HTTPAddr(), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.Await(starting, 20*time.Millisecond, func(ctx context.Context) bool { return p.Put(ctx, b.http, "ready", "") }); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	for _, noStream := range []bool{false, true} {
		if err := b.latency(ctx, noStream); err != nil {
			return err
		}
		if err := b.cost(ctx, noStream); err != nil {
			return err
		}
	}
	return nil
}

type bench struct {
	cfg  Config
	base string
	http *http.Client
	turn atomic.Int64
}

func way(noStream bool) string {
	if noStream {
		return "long poll"
	}
	return "stream"
}

// register sets the state of the check of service i.
func (b *bench) register(ctx context.Context, i int, status string) error {
	body := fmt.Sprintf(`{"Node":"ext%d","Address":"10.0.0.1","Service":{"ID":"s%[2]d","Service":"service-%05[2]d"},"Check":{"CheckID":"c%[2]d","Name":"alive","ServiceID":"s%[2]d","Status":%[3]q,"Output":"turn %[4]d"}}`,
		i%100, i, status, b.turn.Add(1))
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.base+"/v1/catalog/register", strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("register service %d: %s: %s", i, resp.Status, bytes.TrimSpace(text))
	}
	return err
}

// many calls do for 0..n-1 from some goroutines at once.
func many(n int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failed.Load() != nil {
					return
				}
				if err := do(i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (b *bench) fill(ctx context.Context) error {
	began := time.Now()
	err := many(b.cfg.Services, func(i int) error { return b.register(ctx, i, "passing") })
	fmt.Fprintf(b.cfg.Out, "registered %d services in %s\n", b.cfg.Services, time.Since(began).Round(time.Millisecond))
	return err
}

// latency times changes one by one.
func (b *bench) latency(ctx context.Context, noStream bool) error {
	s, err := source.New(source.Config{Endpoints: []source.Endpoint{{Name: b.base, URL: b.base}}, NoStream: noStream})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	began := time.Now()
	wg.Go(func() { _ = s.Run(running) })
	s.Interest(source.Interest{Sections: source.SectionServices | source.SectionProblems})
	until := func(what string, want func(*source.State) bool) error {
		limit := time.NewTimer(20 * time.Second)
		defer limit.Stop()
		for !want(s.Current()) {
			select {
			case <-s.Changed():
			case <-limit.C:
				return errors.New("waited in vain for " + what)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	if err := until("the services", func(st *source.State) bool { return len(st.Services.Rows) > b.cfg.Services }); err != nil {
		return err
	}
	first := time.Since(began)
	took := make([]time.Duration, 0, b.cfg.Samples)
	states := []string{"critical", "passing"}
	for i := range b.cfg.Samples {
		at := (i / 2 * 37) % b.cfg.Services
		name := fmt.Sprintf("service-%05d", at)
		began := time.Now()
		if err := b.register(ctx, at, states[i%2]); err != nil {
			return err
		}
		err := until(name, func(st *source.State) bool {
			j, ok := slices.BinarySearchFunc(st.Services.Rows, name, func(r *source.Service, n string) int { return strings.Compare(r.Name, n) })
			return ok && st.Services.Rows[j].Critical == (i+1)%2
		})
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	fmt.Fprintf(b.cfg.Out, "%-9s  all %d rows after %s; write to snapshot p50 %s p95 %s max %s (%d changes)\n",
		way(noStream), b.cfg.Services, ms(first), ms(at(took, 50)), ms(at(took, 95)), ms(took[len(took)-1]), len(took))
	return nil
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100]
}

func ms(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + " ms"
}

// cost takes the CPU time of a watcher in a process of its own.
func (b *bench) cost(ctx context.Context, noStream bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args := []string{"-watch", b.base}
	if noStream {
		args = append(args, "-no-stream")
	}
	cmd := exec.CommandContext(ctx, b.cfg.Self, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }() // cut off by cancel
	defer cancel()
	lines := bufio.NewScanner(out)
	read := func() (cpu time.Duration, resident int64, err error) {
		if _, err := io.WriteString(in, "\n"); err != nil {
			return 0, 0, err
		}
		if !lines.Scan() {
			return 0, 0, errors.New("the watcher ended")
		}
		var nanos int64
		_, err = fmt.Sscan(lines.Text(), &nanos, &resident)
		return time.Duration(nanos), resident, err
	}
	if !lines.Scan() { // it says when it holds all services
		return errors.New("the watcher ended")
	}
	idleFrom, _, err := read()
	if err != nil {
		return err
	}
	backoff.Pause(ctx, b.cfg.Duration)
	idleTo, _, err := read()
	if err != nil {
		return err
	}
	began := time.Now()
	n := b.cfg.Rate * int(b.cfg.Duration/time.Second)
	states := []string{"critical", "passing"}
	err = many(n, func(i int) error {
		backoff.Pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(b.cfg.Rate))))
		return b.register(ctx, i%b.cfg.Services, states[i/b.cfg.Services%2])
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	busyTo, resident, err := read()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.cfg.Out, "%-9s  idle %.2f %% of a core; %.0f changes/s cost %.1f %% of a core (%.0f µs a change); %d MB resident\n",
		way(noStream), percent(idleTo-idleFrom, b.cfg.Duration), float64(n)/took.Seconds(), percent(busyTo-idleTo, took),
		float64((busyTo-idleTo).Microseconds())/float64(n), resident>>20)
	return nil
}

func percent(used, of time.Duration) float64 { return 100 * used.Seconds() / of.Seconds() }

// Watch watches the services at an agent as a dashboard does, says once that it
// has them, and answers each line of in with the CPU time this process has used,
// in nanoseconds, and its resident bytes.
func Watch(ctx context.Context, base string, noStream bool, in io.Reader, out io.Writer) error {
	s, err := source.New(source.Config{Endpoints: []source.Endpoint{{Name: base, URL: base}}, NoStream: noStream})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = s.Run(ctx) })
	s.Interest(source.Interest{Sections: source.SectionServices | source.SectionProblems})
	have := make(chan struct{})
	wg.Go(func() {
		told := false
		for {
			select {
			case <-s.Changed():
			case <-ctx.Done():
				return
			}
			if st := s.Current(); !told && st.Services.Phase == source.Ready && len(st.Services.Rows) > 1 {
				told = true
				close(have)
			}
		}
	})
	select {
	case <-have:
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Fprintln(out, "ready")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		cpu, resident, err := used()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, int64(cpu), resident)
	}
	return nil
}
