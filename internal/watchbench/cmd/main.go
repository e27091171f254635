// Command cmd measures how soon and at what cost the dashboard's source sees
// changes. `make bench-tui` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/watchbench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "watchbench:", err)
		os.Exit(1)
	}
}

func run() error {
	binary := flag.String("ctl", "", "the ctl program; built if empty")
	services := flag.Int("services", 5000, "services in the catalog")
	samples := flag.Int("samples", 200, "changes that are timed")
	rate := flag.Int("rate", 1000, "changes a second while CPU time is taken")
	duration := flag.Duration("duration", 10*time.Second, "for how long")
	watch := flag.String("watch", "", "internal: watch the agent at this URL")
	noStream := flag.Bool("no-stream", false, "internal: by blocking queries")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *watch != "" {
		return watchbench.Watch(ctx, *watch, *noStream, os.Stdin, os.Stdout)
	}
	dir, err := os.MkdirTemp("", "ctl-watchbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *binary == "" {
		if *binary, err = agentproc.Build(ctx, dir, ""); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return watchbench.Run(ctx, watchbench.Config{
		Binary: *binary, Self: self, Dir: dir, Services: *services, Samples: *samples, Rate: *rate, Duration: *duration, Out: os.Stdout,
	})
}
