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
	"slices"
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
	agent    string // address of its HTTP API
	services int
	starts   int
	samples  int
	noStream bool
	span     time.Duration
}

func run(ctx context.Context) error {
	b := &bench{}
	flag.StringVar(&b.binary, "binary", "", "the ctl to measure (default: built from this module)")
	flag.IntVar(&b.services, "services", 5000, "how many services there are")
	flag.IntVar(&b.starts, "starts", 20, "how often the dashboard is started")
	flag.IntVar(&b.samples, "samples", 100, "how many changes are timed")
	flag.DurationVar(&b.span, "span", 5*time.Second, "how long to scroll, change and idle")
	flag.BoolVar(&b.noStream, "no-stream", false, "watch by blocking queries")
	flag.Parse()
	var err error
	if b.dir, err = os.MkdirTemp("", "ctl-bench-tui-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(b.dir)
	if b.binary == "" {
		if b.binary, err = agentproc.Build(ctx, b.dir, ""); err != nil {
			return err
		}
	}
	var alloc agentproc.Allocator
	addr := alloc.Loopback(1)[0]
	agent, err := agentproc.Start(agentproc.Spec{Binary: b.binary, Dir: b.dir, Name: "bench", Bind: addr, Dev: true})
	if err != nil {
		return err
	}
	defer agent.Kill()
	b.agent = agent.Spec.HTTPAddr()
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
	fmt.Printf("%d services, 200x60, %s\n\n%-34s %-30s %s\n", b.services, how, "", "measured", "goal")
	for _, step := range []func(context.Context) error{b.starting, b.changes, b.scrolling, b.load, b.idle, b.frozen} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func report(what, got, goal string) { fmt.Printf("%-34s %-30s %s\n", what, got, goal) }

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
