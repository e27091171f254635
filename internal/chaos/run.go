package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// Config says what a run does. DefaultConfig has the usual figures.
type Config struct {
	Binary string
	Dir    string // of the servers' data and logs and, on a violation, the evidence
	Seed   uint64
	// The run ends after Kills rounds with a kill, or after Duration,
	// whichever is set and comes first.
	Kills    int
	Duration time.Duration
	Servers  int
	Workers  int           // clients at each server
	Pace     time.Duration // mean pause between a client's operations
	Env      []string      // for the servers
	Extra    map[string]any
	Only     []Act // empty is all that the fabric can do
	// WakeBound is the time in which a watcher must see a change,
	// RecoverBound the time in which writes must work again.
	WakeBound    time.Duration
	RecoverBound time.Duration
	CheckLimit   time.Duration // for deciding one key's history
	// KeepGoing goes on after a violation; otherwise the first ends the run.
	KeepGoing bool
	Log       io.Writer // progress, a line a round
}

// DefaultConfig returns the usual figures: three servers, three clients each.
func DefaultConfig() Config {
	return Config{
		Servers: 3, Workers: 3, Pace: 4 * time.Millisecond,
		WakeBound: 2 * time.Second, RecoverBound: 20 * time.Second, CheckLimit: time.Minute,
		Log: io.Discard,
	}
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Binary == "" || c.Dir == "":
		return errors.New("chaos: no binary or no directory")
	case c.Kills <= 0 && c.Duration <= 0:
		return errors.New("chaos: neither a number of kills nor a duration: the run would not end")
	case c.Servers < 3 || c.Workers < 1:
		return errors.New("chaos: needs at least three servers and a client at each")
	}
	return nil
}

// Report is what a run did and found.
type Report struct {
	Seed         uint64
	Rounds       int
	Kills        int // rounds with a kill
	Faults       map[string]int
	Operations   int
	Unknown      int // writes without a known outcome
	Refused      int // writes certainly not applied
	Acknowledged int // writes to keys that are written once, all read back
	Wakeups      int // changes that every watcher saw in time
	Recoveries   []time.Duration
	Violations   []Violation
	Isolation    bool // whether servers could be isolated
	Elapsed      time.Duration
}

// run is the state of one call of Run.
type run struct {
	Config
	cluster  *Cluster
	fabric   Fabric
	schedule *Schedule
	watchers []*watcher
	ledger   Ledger
	start    time.Time
	writes   int // to watched keys
	probes   int

	mu     sync.Mutex
	report Report
}

// Run runs a cluster of c on the fabric under faults and checks it. The error
// says that the harness could not do its work; broken promises are in the
// report. The servers have ended when it returns.
func Run(ctx context.Context, c Config, f Fabric) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	var without []Act
	if !f.CanIsolate() {
		without = append(without, Isolate)
	}
	r := &run{
		Config: c, fabric: f, start: time.Now(),
		schedule: NewSchedule(c.Seed, c.Only, without...),
		cluster:  NewCluster(ClusterConfig{Binary: c.Binary, Dir: c.Dir, Servers: c.Servers, Env: c.Env, Extra: c.Extra}, f),
		report:   Report{Seed: c.Seed, Faults: map[string]int{}, Isolation: f.CanIsolate()},
	}
	defer r.cluster.Close()
	err := r.run(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Acknowledged = r.ledger.Total()
	r.report.Elapsed = time.Since(r.start)
	return r.report, err
}

func (r *run) clock() time.Duration { return time.Since(r.start) }

func (r *run) violate(bad ...Violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range bad {
		fmt.Fprintf(r.Log, "VIOLATION %v\n", v)
	}
	r.report.Violations = append(r.report.Violations, bad...)
}

func (r *run) violated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.report.Violations) > 0
}

func (r *run) run(ctx context.Context) error {
	for i := range r.cluster.Len() {
		if err := r.cluster.Start(i); err != nil {
			return err
		}
	}
	if _, bad := r.recover(ctx); bad != nil {
		return fmt.Errorf("the cluster did not form: %w", bad)
	}
	watching, stopWatching := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() { stopWatching(); wg.Wait() }()
	for i := range r.cluster.Len() {
		for _, mode := range []Mode{Default, Stale} {
			for _, key := range watchedKeys {
				w := newWatcher(r.cluster, i, key, mode, func(v Violation) { r.violate(v) })
				r.watchers = append(r.watchers, w)
				wg.Go(func() { w.run(watching) })
			}
		}
	}
	for number := 1; !r.done(ctx); number++ {
		if err := r.round(ctx, number); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.violated() && !r.KeepGoing {
		return nil
	}
	return r.readLedger(ctx)
}

var watchedKeys = []string{"watched/a", "watched/b"}

func (r *run) done(ctx context.Context) bool {
	if ctx.Err() != nil || r.violated() && !r.KeepGoing {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Kills > 0 && r.report.Kills >= r.Kills || r.Duration > 0 && r.clock() >= r.Duration
}

// round loads the cluster, does one fault, waits for recovery, lets the
// watchers prove themselves, and checks what was seen.
func (r *run) round(ctx context.Context, number int) error {
	fault := r.schedule.Next()
	rd := newRound(number, &r.ledger)
	stop := rd.start(ctx, r.cluster, r.clock, r.Workers, r.Seed, r.Pace)
	defer stop()
	backoff.Pause(ctx, fault.Before)
	hit, err := r.inflict(ctx, fault, rd)
	if err != nil {
		return fmt.Errorf("round %d, %v: %w", number, fault, err)
	}
	took, bad := r.recover(ctx)
	if bad != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.violate(Violation{PromiseRecover, fmt.Sprintf("round %d, %v: %v", number, fault, bad)})
	} else {
		r.checkWatchers(ctx)
	}
	stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := r.cluster.CheckRunning(); err != nil {
		r.violate(Violation{PromiseRecover, err.Error()})
	}
	r.finish(ctx, rd)
	r.count(rd, fault)
	fmt.Fprintf(r.Log, "%7.1fs round %d: %v (servers %v), %d operations, served again after %v\n",
		r.clock().Seconds(), number, fault, hit, len(rd.history.Ops()), took.Round(time.Millisecond))
	return nil
}

func (r *run) count(rd *round, fault Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Rounds++
	r.report.Faults[string(fault.Act)+" "+string(fault.Target)]++
	if fault.Act == Kill {
		r.report.Kills++
	}
	for _, op := range rd.history.Ops() {
		r.report.Operations++
		switch op.Outcome {
		case Unknown:
			r.report.Unknown++
		case Refused:
			r.report.Refused++
		default: // counted above
		}
	}
}

// finish reads the round's final state and checks its history and ledger.
func (r *run) finish(ctx context.Context, rd *round) {
	reader := &client{cluster: r.cluster, id: r.cluster.Len() * (r.Workers + 1), clock: r.clock}
	for i := range r.cluster.Len() {
		reader.server = i
		if op, ok := reader.list(ctx, rd.prefix(), Default); ok {
			rd.history.Add(op)
		}
	}
	ops := rd.history.Ops()
	bad := CheckObserved(ops)
	bad = append(bad, CheckLinearizable(ops, rd.keys, r.CheckLimit, func(key string, html []byte) {
		r.evidence(fmt.Sprintf("round-%d-%s.html", rd.number, filepath.Base(key)), html)
	})...)
	if op, ok := reader.list(ctx, rd.ledgerPrefix(), Default); ok {
		bad = append(bad, r.ledger.Check(rd.number, op.Listed)...)
	}
	if len(bad) == 0 {
		return
	}
	r.violate(bad...)
	if data, err := json.Marshal(ops); err == nil {
		r.evidence(fmt.Sprintf("round-%d-history.json", rd.number), data)
	}
}

// evidence keeps a file beside the servers' data. That it could not is worth a
// line, not an end: the violation itself is in the report.
func (r *run) evidence(name string, data []byte) {
	path := filepath.Join(r.Dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		fmt.Fprintf(r.Log, "keep evidence: %v\n", err)
		return
	}
	fmt.Fprintf(r.Log, "evidence: %s\n", path)
}

// readLedger reads all acknowledged writes of the whole run back, from each
// server in turn.
func (r *run) readLedger(ctx context.Context) error {
	for number := 1; number <= r.report.Rounds; number++ {
		reader := &client{cluster: r.cluster, server: number % r.cluster.Len(), clock: r.clock}
		op, ok := reader.list(ctx, (&round{number: number}).ledgerPrefix(), Default)
		if !ok {
			return fmt.Errorf("read the acknowledged writes of round %d back from server %d: no answer", number, reader.server)
		}
		r.violate(r.ledger.Check(number, op.Listed)...)
	}
	return nil
}

// checkWatchers writes watched keys in calm and holds the watchers to the bound.
// Several writes in a row, with different pauses, meet watchers that have just
// come back and watchers that have been waiting.
func (r *run) checkWatchers(ctx context.Context) {
	for _, between := range []time.Duration{0, 30 * time.Millisecond, 150 * time.Millisecond} {
		backoff.Pause(ctx, between)
		for _, key := range watchedKeys {
			r.writes++
			value := fmt.Sprintf("watched.%d", r.writes)
			writer := &client{cluster: r.cluster, server: r.writes % r.cluster.Len(), clock: r.clock}
			if op := writer.put(ctx, key, value); op.Outcome != Done || !op.Swapped {
				continue // an election may still be under way; the next one counts
			}
			var watching []*watcher
			for _, w := range r.watchers {
				if w.key == key {
					watching = append(watching, w)
				}
			}
			if bad := awaitAll(ctx, watching, value, r.WakeBound); len(bad) > 0 && ctx.Err() == nil {
				r.violate(bad...)
				return
			}
			r.mu.Lock()
			r.report.Wakeups++
			r.mu.Unlock()
		}
	}
}

// inflict does a fault, waits, ends it, and returns the servers it hit.
func (r *run) inflict(ctx context.Context, f Fault, rd *round) ([]int, error) {
	hit, err := r.targets(ctx, f)
	if err != nil {
		return nil, err
	}
	switch f.Act {
	case Kill:
		if f.AtAck {
			rd.atAck(ctx, r.cluster, r.clock, r.cluster.Len()*r.Workers+hit[0], func() { r.cluster.Kill(hit...) })
		} else {
			r.cluster.Kill(hit...)
		}
		backoff.Pause(ctx, f.Hold)
		for _, i := range hit {
			if err := r.cluster.Start(i); err != nil {
				return hit, err
			}
		}
		return hit, nil
	case Restart:
		for _, i := range hit {
			if err := r.cluster.proc(i).Stop(time.Minute); err != nil {
				return hit, err
			}
			backoff.Pause(ctx, f.Hold)
			if err := r.cluster.Start(i); err != nil {
				return hit, err
			}
		}
		return hit, nil
	case Pause:
		return hit, r.around(ctx, f, hit, func(i int) error { return r.cluster.proc(i).Pause() }, func(i int) error { return r.cluster.proc(i).Resume() })
	case Isolate:
		return hit, r.around(ctx, f, hit, r.fabric.Isolate, r.fabric.Heal)
	case Transfer:
		// Its answer does not matter: it may be refused, and that is a fault too.
		_, _ = r.cluster.ask(ctx, hit[0], http.MethodPut, "/v1/operator/raft/transfer-leader", "")
		backoff.Pause(ctx, f.Hold)
		return hit, nil
	}
	return nil, fmt.Errorf("unknown act %q", f.Act)
}

func (r *run) around(ctx context.Context, f Fault, hit []int, begin, end func(int) error) error {
	for _, i := range hit {
		if err := begin(i); err != nil {
			return err
		}
		defer func() { _ = end(i) }() // once more is harmless; it is undone even on an error
	}
	backoff.Pause(ctx, f.Hold)
	for _, i := range hit {
		if err := end(i); err != nil {
			return err
		}
	}
	return nil
}

// targets resolves a fault's target now. Without a leader, which the last fault may have
// left behind for a moment, it waits for one.
func (r *run) targets(ctx context.Context, f Fault) ([]int, error) {
	n := r.cluster.Len()
	if f.Target == All {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.RecoverBound)
	defer cancel()
	for {
		leader, err := r.cluster.Leader(ctx)
		follower := (leader + 1 + f.Pick%(n-1)) % n
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil:
			backoff.Pause(ctx, 20*time.Millisecond)
		case f.Target == Leader:
			return []int{leader}, nil
		case f.Target == Follower:
			return []int{follower}, nil
		default:
			return []int{leader, follower}, nil
		}
	}
}

// recover waits until a write through every server is acknowledged and a default
// read there answered, and returns how long it took. A process that ended by itself is an error at once.
func (r *run) recover(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	deadline := began.Add(r.RecoverBound)
	for i := range r.cluster.Len() {
		prober := &client{cluster: r.cluster, server: i, clock: r.clock}
		for {
			r.probes++
			op := prober.put(ctx, fmt.Sprintf("probe/%d", i), fmt.Sprintf("probe.%d", r.probes))
			if op.Outcome == Done && op.Swapped {
				// A server that was away still has to apply what it missed.
				// Only then is a late answer of a watcher its own fault.
				if _, ok := prober.get(ctx, op.Key, Default); ok {
					break
				}
			}
			if err := r.cluster.CheckRunning(); err != nil {
				return 0, err
			}
			if ctx.Err() != nil || time.Now().After(deadline) {
				return 0, fmt.Errorf("no write through server %d within %v\n%s", i, r.RecoverBound, r.cluster.proc(i).LogTail(3000))
			}
			backoff.Pause(ctx, 10*time.Millisecond)
		}
	}
	took := time.Since(began)
	r.mu.Lock()
	r.report.Recoveries = append(r.report.Recoveries, took)
	r.mu.Unlock()
	return took, nil
}
