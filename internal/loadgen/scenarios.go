package loadgen

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// Config says what to measure and how long.
type Config struct {
	Binary   string
	Dir      string        // of the agents' data; on a disk, or flushing costs nothing
	Clients  []int         // of the KV scenarios
	Duration time.Duration // of one load
	Trials   int           // of starts and failovers
	Keys     int           // of the restart and memory scenarios
	Watchers int
	Services int           // that are registered with an agent, and five times as many that one holds
	Calm     time.Duration // of the scenario that counts elections
	Log      io.Writer     // progress
}

// DefaultConfig returns the figures that `make bench` uses.
func DefaultConfig() Config {
	return Config{
		Clients: []int{1, 16, 64, 256}, Duration: 5 * time.Second, Trials: 9,
		Keys: 100_000, Watchers: 10_000, Services: 1000, Calm: 10 * time.Minute, Log: io.Discard,
	}
}

// Scenario is something that can be measured by name.
type Scenario struct {
	Name string
	What string
	// Optional scenarios run only when named.
	Optional bool
	Run      func(context.Context, Config) ([]Measurement, error)
}

// Scenarios returns all scenarios in the order they run.
func Scenarios() []Scenario {
	return []Scenario{
		{"kv", "KV put and get through leader, follower and client agent of three servers", false, kv},
		{"tls", "KV put in plain text and under full TLS, side by side", false, secure},
		{"startup", "exec to first write: dev, one server on disk, restart with many keys", false, startup},
		{"failover", "SIGKILL of the leader to the first write through a survivor", false, failover},
		{"memory", "resident memory, idle and with many keys", false, memory},
		{"watchers", "blocking queries on one key: the last answer, and what stays behind", false, watchers},
		{"register", "services registered with an agent, until the leader's catalog has all", false, register},
		{"health", "health of a service of 100 instances, through leader, follower and client agent", false, health},
		{"dns", "DNS A and SRV of a service of 3 instances over UDP, at a server and at a client agent", false, questions},
		{"fanout", "1,000 blocking queries on one service: the last answer", false, fanout},
		{"services", "many services with checks on one agent: memory and processor time at rest", false, services},
		{"calm", "elections under full load (takes -calm)", true, calm},
	}
}

func (c Config) dir(name string) (string, error) {
	return os.MkdirTemp(c.Dir, name+"-")
}

func benchKey(n int) string { return fmt.Sprintf("bench/%06d", n) }

// fill writes n keys through an agent and fails if not all were acknowledged.
func fill(ctx context.Context, address string, n int) error {
	const clients = 64
	errs := make(chan error, clients)
	for id := range clients {
		go func() { errs <- fillPart(ctx, address, id, clients, n) }() // awaited below
	}
	var first error
	for range clients {
		if err := <-errs; err != nil && first == nil {
			first = fmt.Errorf("fill %s with %d keys: %w", address, n, err)
		}
	}
	return first
}

func fillPart(ctx context.Context, address string, id, clients, n int) error {
	c, err := dial(address, 4096)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	var buf []byte
	for k := id; k < n && ctx.Err() == nil; k += clients {
		buf = putRequest(buf[:0], address, benchKey(k), id, k, valueBytes)
		status, body, err := c.do(buf)
		if err != nil {
			return err
		}
		if status != 200 || string(body[:min(4, len(body))]) != "true" {
			return fmt.Errorf("key %d: status %d: %s", k, status, body)
		}
	}
	return ctx.Err()
}

func kv(ctx context.Context, c Config) ([]Measurement, error) {
	dir, err := c.dir("kv")
	if err != nil {
		return nil, err
	}
	a, err := startAgents(ctx, c.Binary, dir, 1, map[string]any{"limits": map[string]any{"http_max_conns_per_client": 1000}})
	if err != nil {
		return nil, err
	}
	defer a.close()
	leader, follower, err := a.leader(ctx)
	if err != nil {
		return nil, err
	}
	if err := fill(ctx, a.procs[leader].Spec.HTTPAddr(), benchKeys); err != nil {
		return nil, err
	}
	var out []Measurement
	for _, k := range []struct {
		name  string
		agent int
		query string
		put   bool
	}{
		{"put leader", leader, "", true},
		{"put follower", follower, "", true},
		{"put client agent", 3, "", true},
		{"get default leader", leader, "", false},
		{"get default follower", follower, "", false},
		{"get default client agent", 3, "", false},
		{"get stale leader", leader, "?stale", false},
		{"get stale follower", follower, "?stale", false},
	} {
		for _, clients := range c.Clients {
			m, err := a.load(ctx, c, k.name, k.agent, clients, k.query, k.put)
			if err != nil {
				return out, err
			}
			fmt.Fprintf(c.Log, "%s, %d clients: %.0f/s, p50 %s ms, p99 %s ms, %s µs CPU\n", m.Case, clients, m.Rate, millis(m.P50), millis(m.P99), micros(m.CPU))
			out = append(out, m)
		}
	}
	return out, nil
}

// load runs one closed loop of KV requests against an agent.
func (a *agents) load(ctx context.Context, c Config, name string, agent, clients int, query string, put bool) (Measurement, error) {
	address := a.procs[agent].Spec.HTTPAddr()
	m, err := a.loop(ctx, c, Load{Address: address, Clients: clients, Request: func(buf []byte, client, n int) []byte {
		key := benchKey((client*7919 + n*104729) % benchKeys)
		if put {
			return putRequest(buf, address, key, client, n, valueBytes)
		}
		return getRequest(buf, address, "/v1/kv/"+key+query)
	}})
	m.Scenario, m.Case = "kv: three servers, writes flushed, values of 128 B", name
	return m, err
}

// loop runs one closed loop with the processor time of all agents.
func (a *agents) loop(ctx context.Context, c Config, l Load) (Measurement, error) {
	var before, after time.Duration
	var cpuErr error
	l.Warmup, l.Duration = c.Duration/5, c.Duration
	l.Measure = func(end bool) {
		if end {
			after, cpuErr = a.cpu()
		} else {
			before, cpuErr = a.cpu()
		}
	}
	r, err := l.Run(ctx)
	if err != nil {
		return Measurement{}, err
	}
	m := Measurement{Clients: l.Clients, Rate: r.Rate(), Ops: r.Ops, Errors: r.Errors, Problem: r.Problem, P50: r.P50, P99: r.P99}
	if cpuErr == nil && r.Ops > 0 {
		m.CPU = (after - before) / time.Duration(r.Ops)
	}
	return m, nil
}

// say tells the progress of a loop.
func (c Config) say(m Measurement) {
	fmt.Fprintf(c.Log, "%s, %d clients: %.0f/s, p50 %s ms, p99 %s ms, %s µs CPU, %d errors\n", m.Case, m.Clients, m.Rate, millis(m.P50), millis(m.P99), micros(m.CPU), m.Errors)
}

func sortedTimes(times []time.Duration) []time.Duration {
	return slices.Sorted(slices.Values(times))
}

func calm(ctx context.Context, c Config) ([]Measurement, error) {
	dir, err := c.dir("calm")
	if err != nil {
		return nil, err
	}
	a, err := startAgents(ctx, c.Binary, dir, 0, nil)
	if err != nil {
		return nil, err
	}
	defer a.close()
	leader, follower, err := a.leader(ctx)
	if err != nil {
		return nil, err
	}
	before, err := a.stat(ctx, leader, "raft", "term")
	if err != nil {
		return nil, err
	}
	address := a.procs[leader].Spec.HTTPAddr()
	reads := make(chan error, 1)
	go func() { // awaited below
		_, err := Load{Address: a.procs[follower].Spec.HTTPAddr(), Clients: 64, Duration: c.Calm, Request: func(buf []byte, client, n int) []byte {
			return getRequest(buf, "bench", "/v1/kv/bench/ready")
		}}.Run(ctx)
		reads <- err
	}()
	r, err := Load{Address: address, Clients: 64, Duration: c.Calm, Request: func(buf []byte, client, n int) []byte {
		return putRequest(buf, address, benchKey((client*7919+n)%benchKeys), client, n, valueBytes)
	}}.Run(ctx)
	if readErr := <-reads; err == nil {
		err = readErr
	}
	if err != nil {
		return nil, err
	}
	after, err := a.stat(ctx, leader, "raft", "term")
	if err != nil {
		return nil, err
	}
	name := "calm: 64 writers and 64 readers for " + c.Calm.String()
	return []Measurement{
		{Scenario: name, Case: "elections", Count: after - before},
		{Scenario: name, Case: "writes", Count: int64(r.Ops)},
		{Scenario: name, Case: "errors", Count: int64(r.Errors), Problem: r.Problem},
	}, nil
}

func memory(ctx context.Context, c Config) ([]Measurement, error) {
	name := "memory: resident, after " + c.Duration.String() + " of rest"
	var out []Measurement
	measure := func(what string, dev bool, keys int) error {
		p, err := c.single(ctx, "memory", dev, nil)
		if err != nil {
			return err
		}
		defer p.Kill()
		if err := fill(ctx, p.Spec.HTTPAddr(), keys); err != nil {
			return err
		}
		backoff.Pause(ctx, c.Duration)
		u, err := p.Usage()
		if err != nil {
			return err
		}
		out = append(out, Measurement{Scenario: name, Case: what, Bytes: u.RSS})
		return nil
	}
	if err := measure("dev agent, idle", true, 0); err != nil {
		return nil, err
	}
	if err := measure("one server, idle", false, 0); err != nil {
		return out, err
	}
	if err := measure("one server, "+strconv.Itoa(c.Keys)+" keys of 128 B", false, c.Keys); err != nil {
		return out, err
	}
	if info, err := os.Stat(c.Binary); err == nil {
		out = append(out, Measurement{Scenario: name, Case: "program " + filepath.Base(c.Binary), Bytes: info.Size()})
	}
	return out, nil
}
