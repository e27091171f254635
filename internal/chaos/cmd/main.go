// Command cmd runs three ctl servers under faults and checks what clients see.
//
//	go run ./internal/chaos/cmd -cycles 200
//	go run ./internal/chaos/cmd -duration 5m -seed 42 -only kill,isolate
//
// It exits 0 if every promise held, 1 if one was broken, 2 if the harness could
// not do its work. See package chaos for what is checked.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/chaos"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		code = 2
	}
	os.Exit(code)
}

type options struct {
	conf            chaos.Config
	binary, dir     string
	only, plant     string
	noRoot, jsonOut bool
}

func parse(args []string) (options, error) {
	o := options{conf: chaos.DefaultConfig()}
	fs := flag.NewFlagSet("chaos", flag.ContinueOnError)
	fs.IntVar(&o.conf.Kills, "cycles", 0, "end after this many rounds with a kill -9")
	fs.DurationVar(&o.conf.Duration, "duration", 0, "end after this time (default 1m without -cycles)")
	fs.Uint64Var(&o.conf.Seed, "seed", 0, "repeat the faults of this seed; 0 draws one")
	fs.IntVar(&o.conf.Workers, "workers", o.conf.Workers, "clients at each server")
	fs.DurationVar(&o.conf.Pace, "pace", o.conf.Pace, "mean pause between a client's operations")
	fs.BoolVar(&o.conf.KeepGoing, "keep-going", false, "go on after a violation")
	fs.StringVar(&o.binary, "binary", "", "the ctl to run (default: built from this module)")
	fs.StringVar(&o.dir, "dir", "", "directory for data, logs and evidence (default: temporary, kept on a violation)")
	fs.StringVar(&o.only, "only", "", "only these acts: kill,pause,isolate,restart,transfer")
	fs.StringVar(&o.plant, "plant", "", "plant this fault (see internal/plant); builds with -tags planted")
	fs.BoolVar(&o.noRoot, "loopback", false, "use loopback addresses even where network namespaces would work")
	fs.BoolVar(&o.jsonOut, "json", false, "print the report as JSON")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.conf.Kills == 0 && o.conf.Duration == 0 {
		o.conf.Duration = time.Minute
	}
	if o.conf.Seed == 0 {
		o.conf.Seed = rand.Uint64N(1_000_000) + 1
	}
	for act := range strings.SplitSeq(o.only, ",") {
		if act != "" {
			o.conf.Only = append(o.conf.Only, chaos.Act(act))
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string) (int, error) {
	o, err := parse(args)
	if err != nil {
		return 2, err
	}
	temporary := o.dir == ""
	if temporary {
		if o.dir, err = os.MkdirTemp("", "ctl-chaos-"); err != nil {
			return 2, err
		}
	}
	o.conf.Dir, o.conf.Binary, o.conf.Log = o.dir, o.binary, os.Stderr
	if o.binary == "" {
		tags := ""
		if o.plant != "" {
			tags = "planted"
		}
		if o.conf.Binary, err = agentproc.Build(ctx, o.dir, tags); err != nil {
			return 2, err
		}
	}
	if o.plant != "" {
		o.conf.Env = append(o.conf.Env, "CTL_PLANT="+o.plant)
	}
	fabric, err := newFabric(o.conf.Servers, o.noRoot)
	if err != nil {
		return 2, err
	}
	defer func() { _ = fabric.Close() }() // what is left is named when it is made again
	if !fabric.CanIsolate() {
		fmt.Fprintln(os.Stderr, "note: servers are not isolated in this run: that takes Linux, root and iproute2")
	}
	fmt.Fprintf(os.Stderr, "seed %d; the same faults again: go run ./internal/chaos/cmd -seed %d %s\n",
		o.conf.Seed, o.conf.Seed, strings.Join(withoutSeed(args), " "))

	report, err := chaos.Run(ctx, o.conf, fabric)
	if printErr := print(report, o.jsonOut); printErr != nil {
		return 2, printErr
	}
	clean := err == nil && len(report.Violations) == 0
	if temporary && clean {
		return 0, os.RemoveAll(o.dir)
	}
	fmt.Fprintf(os.Stderr, "data, logs and evidence: %s\n", o.dir)
	if err != nil {
		return 2, err
	}
	if !clean {
		return 1, nil
	}
	return 0, nil
}

func newFabric(n int, loopback bool) (chaos.Fabric, error) {
	if loopback {
		return chaos.NewLoopback(n)
	}
	return chaos.NewFabric(n)
}

// withoutSeed returns the arguments less -seed, for the line that repeats a run.
func withoutSeed(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		name := strings.TrimLeft(args[i], "-")
		switch {
		case name == "seed":
			i++ // and its value
		case strings.HasPrefix(name, "seed="):
		default:
			out = append(out, args[i])
		}
	}
	return out
}

func print(r chaos.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Printf("seed %d: %d rounds, %d with a kill -9, in %v\n", r.Seed, r.Rounds, r.Kills, r.Elapsed.Round(time.Second))
	var faults []string
	for name, n := range r.Faults {
		faults = append(faults, fmt.Sprintf("%d x %s", n, name))
	}
	slices.Sort(faults)
	fmt.Printf("faults: %s\n", strings.Join(faults, ", "))
	fmt.Printf("operations: %d; writes refused %d, of unknown outcome %d\n", r.Operations, r.Refused, r.Unknown)
	fmt.Printf("acknowledged writes read back: %d; changes seen by all watchers in time: %d\n", r.Acknowledged, r.Wakeups)
	if n := len(r.Recoveries); n > 0 {
		slices.Sort(r.Recoveries)
		fmt.Printf("served again, through every server: median %v, worst %v\n",
			r.Recoveries[n/2].Round(time.Millisecond), r.Recoveries[n-1].Round(time.Millisecond))
	}
	fmt.Printf("violations: %d\n", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Printf("  %s\n", filepath.ToSlash(v.Error()))
	}
	return nil
}
