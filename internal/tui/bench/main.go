//go:build linux

// Command bench measures the dashboard: the real program on a pseudo terminal,
// against a real agent on this machine.
//
//	go run ./internal/tui/bench
//	go run ./internal/tui/bench -binary bin/ctl -no-stream
//
// Times are from the system call that starts or asks to the byte on the
// terminal. CPU is the dashboard's own, of one core. The goals are those of a
// quiet machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-tui:", err)
		os.Exit(1)
	}
}

// bench is one run of all measurements.
type bench struct {
	binary   string
	dir      string
	alloc    *agentproc.Allocator
	server   string // its address
	agent    string // that of its HTTP API
	shown    string // that of the agent the dashboard looks at
	process  int    // of the agent
	services int
	starts   int
	samples  int
	noStream bool
	only     string
	span     time.Duration
}

func run(ctx context.Context) error {
	b := &bench{alloc: new(agentproc.Allocator)}
	flag.StringVar(&b.binary, "binary", "", "the ctl to measure (default: built from this module)")
	flag.IntVar(&b.services, "services", 5000, "how many services there are")
	flag.IntVar(&b.starts, "starts", 20, "how often the dashboard is started")
	flag.IntVar(&b.samples, "samples", 100, "how many changes are timed")
	flag.DurationVar(&b.span, "span", 5*time.Second, "how long to scroll, change and idle")
	flag.BoolVar(&b.noStream, "no-stream", false, "watch by blocking queries")
	flag.StringVar(&b.only, "only", "", "measure only these, with commas: "+strings.Join(names(b.steps()), ", "))
	flag.Parse()
	steps, err := b.chosen()
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "ctl-bench-tui-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(b.dir)
	if b.binary == "" {
		if b.binary, err = agentproc.Build(ctx, b.dir, ""); err != nil {
			return err
		}
	}
	addr := b.alloc.Loopback(1)[0]
	agent, err := agentproc.Start(agentproc.Spec{Binary: b.binary, Dir: b.dir, Name: "bench", Bind: addr, Dev: true})
	if err != nil {
		return err
	}
	defer agent.Kill()
	b.server, b.shown = addr, agent.Spec.HTTPAddr()
	b.agent, b.process = agent.Spec.HTTPAddr(), agent.PID()
	if err := agent.Await(ctx, 20*time.Millisecond, b.leads); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return fmt.Errorf("register services: %w", err)
	}
	how := "change stream"
	if b.noStream {
		how = "blocking queries"
	}
	fmt.Printf("%d services, 200x60, %s, %s\n\n", b.services, how, machine())
	report("", "measured", "goal")
	for _, s := range steps {
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	fmt.Println(machine())
	return nil
}

// step is one measurement.
type step struct {
	name string
	run  func(context.Context) error
}

func (b *bench) steps() []step {
	return []step{
		{"start", b.starting}, {"change", b.changes}, {"client", b.throughClient}, {"scroll", b.scrolling}, {"load", b.load}, {"idle", b.idle}, {"frozen", b.frozen},
	}
}

func names(steps []step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.name)
	}
	return out
}

// chosen returns the steps that were asked for, all where none was.
func (b *bench) chosen() ([]step, error) {
	all := b.steps()
	if b.only == "" {
		return all, nil
	}
	var out []step
	for name := range strings.SplitSeq(b.only, ",") {
		i := slices.IndexFunc(all, func(s step) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no measurement %q; there are %s", name, strings.Join(names(all), ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// machine says how much of this machine others use: times mean little where it
// is more than its CPUs.
func machine() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("load %s on %d CPUs", load, runtime.NumCPU())
}

func report(what, got, goal string) { fmt.Printf("%-30s %-40s %s\n", what, got, goal) }

// spread says p50, p95 and the greatest of some times.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "nothing measured"
	}
	slices.Sort(all)
	at := func(p int) time.Duration { return all[min(len(all)-1, len(all)*p/100)] }
	ms := func(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }
	return fmt.Sprintf("p50 %s, p95 %s, max %s ms", ms(at(50)), ms(at(95)), ms(all[len(all)-1]))
}
