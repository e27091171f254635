// Command cmd measures ctl: see package loadgen.
//
//	go run ./internal/loadgen/cmd                 all scenarios but the optional
//	go run ./internal/loadgen/cmd kv failover     these two
//	go run ./internal/loadgen/cmd -h              flags and scenarios
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/loadgen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c := loadgen.DefaultConfig()
	c.Log = os.Stderr
	fs := flag.NewFlagSet("bench", flag.ExitOnError)
	clients := fs.String("clients", "1,16,64,256", "numbers of clients of the KV loads")
	fs.DurationVar(&c.Duration, "duration", c.Duration, "of one KV load")
	fs.IntVar(&c.Trials, "trials", c.Trials, "of starts and failovers")
	fs.IntVar(&c.Keys, "keys", c.Keys, "of the restart and memory scenarios")
	fs.IntVar(&c.Watchers, "watchers", c.Watchers, "blocking queries at once")
	fs.IntVar(&c.Services, "services", c.Services, "that are registered with an agent; the scenario of that name has five times as many")
	fs.DurationVar(&c.Calm, "calm", c.Calm, "how long to count elections under load")
	fs.StringVar(&c.Binary, "binary", "", "the ctl to measure (default: built from this module)")
	dir := fs.String("dir", "", "parent of the agents' data, on a real disk (default: the system's temporary directory)")
	jsonFile := fs.String("json", "", "also write the measurements to this file, as JSON")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: bench [flags] [scenario...]\n\nscenarios:")
		for _, s := range loadgen.Scenarios() {
			fmt.Fprintf(fs.Output(), "  %-10s %s\n", s.Name, s.What)
		}
		fmt.Fprintln(fs.Output(), "\nflags:")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(fs.Args())
	if err != nil {
		return err
	}
	if c.Clients, err = numbers(*clients); err != nil {
		return err
	}
	if c.Dir, err = os.MkdirTemp(*dir, "ctl-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.Dir)
	if c.Binary == "" {
		if c.Binary, err = agentproc.Build(ctx, c.Dir, ""); err != nil {
			return err
		}
	}
	var all []loadgen.Measurement
	for _, s := range chosen {
		rows, runErr := s.Run(ctx, c)
		all = append(all, rows...)
		if runErr != nil {
			err = fmt.Errorf("%s: %w", s.Name, runErr)
			break
		}
	}
	if writeErr := loadgen.WriteTable(os.Stdout, all); err == nil {
		err = writeErr
	}
	if *jsonFile != "" {
		data, encErr := json.MarshalIndent(all, "", "  ")
		if encErr != nil {
			return encErr
		}
		if writeErr := os.WriteFile(*jsonFile, append(data, '\n'), 0o644); err == nil {
			err = writeErr
		}
	}
	return err
}

// choose returns the named scenarios; none, or "all", is all but the optional.
func choose(names []string) ([]loadgen.Scenario, error) {
	all := loadgen.Scenarios()
	if len(names) == 0 || slices.Equal(names, []string{"all"}) {
		return slices.DeleteFunc(all, func(s loadgen.Scenario) bool { return s.Optional }), nil
	}
	var out []loadgen.Scenario
	for _, name := range names {
		i := slices.IndexFunc(all, func(s loadgen.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario %q; see -h", name)
		}
		out = append(out, all[i])
	}
	return out, nil
}

func numbers(list string) ([]int, error) {
	var out []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-clients %q: not a list of positive numbers", list)
		}
		out = append(out, n)
	}
	return out, nil
}
