package loadgen

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// singleSpec describes one agent: a dev agent, or a server on disk that may
// bootstrap alone.
func (c Config) singleSpec(name string, dev bool, extra map[string]any) (agentproc.Spec, error) {
	dir, err := c.dir(name)
	var alloc agentproc.Allocator
	return agentproc.Spec{
		Binary: c.Binary, Dir: dir, Name: name, Bind: alloc.Loopback(1)[0],
		Dev: dev, Server: true, Expect: 1, Extra: extra,
	}, err
}

// single starts one agent and waits for its first write.
func (c Config) single(ctx context.Context, name string, dev bool, extra map[string]any) (*agentproc.Process, error) {
	spec, err := c.singleSpec(name, dev, extra)
	if err != nil {
		return nil, err
	}
	p, _, err := timedStart(ctx, spec)
	return p, err
}

// timedStart starts an agent and returns the time from exec to its first
// acknowledged write.
func timedStart(ctx context.Context, spec agentproc.Spec) (*agentproc.Process, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	p, err := agentproc.Start(spec)
	if err != nil {
		return nil, 0, err
	}
	err = p.Await(ctx, time.Millisecond, func(ctx context.Context) bool { return p.Put(ctx, client, "bench/first", "1") })
	if err != nil {
		p.Kill()
		return nil, 0, err
	}
	return p, time.Since(p.Started), nil
}

func startup(ctx context.Context, c Config) ([]Measurement, error) {
	const name = "startup: exec to first acknowledged write"
	var out []Measurement
	for _, dev := range []bool{true, false} {
		m := Measurement{Scenario: name, Case: map[bool]string{true: "dev agent", false: "one server on disk, empty"}[dev]}
		for range c.Trials {
			took, err := c.timedFirst(ctx, dev)
			if err != nil {
				return out, err
			}
			m.Times = append(m.Times, took)
		}
		out = append(out, m)
		fmt.Fprintf(c.Log, "%s: %s\n", m.Case, m.value())
	}
	again, err := c.restarts(ctx, name)
	return append(out, again...), err
}

func (c Config) timedFirst(ctx context.Context, dev bool) (time.Duration, error) {
	spec, err := c.singleSpec("startup", dev, nil)
	if err != nil {
		return 0, err
	}
	p, took, err := timedStart(ctx, spec)
	if err != nil {
		return 0, err
	}
	p.Kill()
	return took, nil
}

// restarts measures one server that comes back with many keys, after SIGKILL
// and after SIGTERM.
func (c Config) restarts(ctx context.Context, name string) ([]Measurement, error) {
	p, err := c.single(ctx, "restart", false, nil)
	if err != nil {
		return nil, err
	}
	if err := fill(ctx, p.Spec.HTTPAddr(), c.Keys); err != nil {
		p.Kill()
		return nil, err
	}
	keys := strconv.Itoa(c.Keys)
	killed := Measurement{Scenario: name, Case: "restart with " + keys + " keys, after SIGKILL"}
	stopped := Measurement{Scenario: name, Case: "restart with " + keys + " keys, after SIGTERM"}
	for i := range 2 * c.Trials {
		m := &killed
		if i%2 == 0 {
			p.Kill()
		} else {
			m = &stopped
			if err := p.Stop(30 * time.Second); err != nil {
				return nil, err
			}
		}
		var took time.Duration
		if p, took, err = timedStart(ctx, p.Spec); err != nil {
			return nil, err
		}
		m.Times = append(m.Times, took)
	}
	p.Kill()
	fmt.Fprintf(c.Log, "%s: %s\n%s: %s\n", killed.Case, killed.value(), stopped.Case, stopped.value())
	return []Measurement{killed, stopped}, nil
}

func failover(ctx context.Context, c Config) ([]Measurement, error) {
	dir, err := c.dir("failover")
	if err != nil {
		return nil, err
	}
	a, err := startAgents(ctx, c.Binary, dir, 0, nil)
	if err != nil {
		return nil, err
	}
	defer a.close()
	m := Measurement{Scenario: "failover: SIGKILL of the leader to the first write through a survivor", Case: "three servers, defaults"}
	for trial := range c.Trials {
		took, err := a.failOver(ctx)
		if err != nil {
			return nil, fmt.Errorf("failover %d: %w", trial+1, err)
		}
		fmt.Fprintf(c.Log, "failover %d: %s ms\n", trial+1, millis(took))
		m.Times = append(m.Times, took)
	}
	return []Measurement{m}, nil
}

// failOver kills the leader, times the first write through either survivor, and
// starts the killed server again.
func (a *agents) failOver(ctx context.Context) (time.Duration, error) {
	leader, _, err := a.leader(ctx)
	if err != nil {
		return 0, err
	}
	trial, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	done := make(chan time.Duration, a.servers)
	began := time.Now()
	a.procs[leader].Kill()
	pollers := 0
	for i := range a.servers {
		if i == leader {
			continue
		}
		pollers++
		go func() { // ends with the trial's context, which the caller's defer ends
			if err := a.awaitWrite(trial, i, 30*time.Second); err != nil {
				done <- 0
				return
			}
			done <- time.Since(began)
		}()
	}
	took := <-done
	for range pollers - 1 {
		if other := <-done; took == 0 || other != 0 && other < took {
			took = other
		}
	}
	if took == 0 {
		return 0, fmt.Errorf("no write within 30 s\n%s", a.procs[(leader+1)%a.servers].LogTail(3000))
	}
	p, _, err := timedStart(ctx, a.procs[leader].Spec)
	if err != nil {
		return 0, err
	}
	a.procs[leader] = p
	backoff.Pause(ctx, 2*time.Second) // let it catch up: the next trial must find three servers
	return took, nil
}
