package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// manyConns lets one address have as many connections as a scenario opens.
func manyConns(n int) map[string]any {
	return map[string]any{"limits": map[string]any{"http_max_conns_per_client": n + 100}}
}

// bodyRequest appends a PUT with a JSON body.
func bodyRequest(buf []byte, host, path string, body []byte) []byte {
	buf = append(buf, "PUT "...)
	buf = append(buf, path...)
	buf = append(buf, " HTTP/1.1\r\nHost: "...)
	buf = append(buf, host...)
	buf = append(buf, "\r\nContent-Length: "...)
	buf = strconv.AppendInt(buf, int64(len(body)), 10)
	buf = append(buf, "\r\n\r\n"...)
	return append(buf, body...)
}

// put sends one request and fails unless it was taken.
func put(address, path, body string) error {
	c, err := dial(address, 4096)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	status, answer, err := c.do(bodyRequest(nil, address, path, []byte(body)))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, status, answer)
	}
	return err
}

// register registers services through one client agent for each number of
// clients, and waits until the leader's catalog has them all.
func register(ctx context.Context, c Config) ([]Measurement, error) {
	dir, err := c.dir("register")
	if err != nil {
		return nil, err
	}
	counts := []int{1, 16}
	a, err := startAgents(ctx, c.Binary, dir, len(counts), nil)
	if err != nil {
		return nil, err
	}
	defer a.close()
	leader, _, err := a.leader(ctx)
	if err != nil {
		return nil, err
	}
	var rows, whole []Measurement
	for i, clients := range counts {
		m, all, err := a.register(ctx, c, leader, a.servers+i, clients)
		if err != nil {
			return nil, err
		}
		c.say(m)
		fmt.Fprintf(c.Log, "%s: %s\n", all.Case, all.value())
		rows, whole = append(rows, m), append(whole, all)
	}
	return append(rows, whole...), nil
}

func (a *agents) register(ctx context.Context, c Config, leader, agent, clients int) (m, all Measurement, err error) {
	address := a.procs[agent].Spec.HTTPAddr()
	prefix := "c" + strconv.Itoa(clients) + "-"
	before, err := a.cpu()
	if err != nil {
		return m, all, err
	}
	began := time.Now()
	r, err := counted(ctx, address, clients, c.Services, func(buf []byte, n int) []byte {
		return bodyRequest(buf, address, "/v1/agent/service/register", fmt.Appendf(nil, `{"Name":"%s%04d","Port":%d,"Tags":["bench"],"Check":{"TTL":"1h","Status":"passing"}}`, prefix, n, 10000+n))
	})
	if err != nil {
		return m, all, err
	}
	if err := a.awaitCatalog(ctx, leader, `"`+prefix, c.Services); err != nil {
		return m, all, err
	}
	took := time.Since(began)
	after, err := a.cpu()
	if err != nil {
		return m, all, err
	}
	m = Measurement{
		Scenario: "register: services with a check, with a client agent of three servers", Case: "register with the agent", Clients: clients,
		Rate: r.Rate(), Ops: r.Ops, Errors: r.Errors, Problem: r.Problem, P50: r.P50, P99: r.P99, CPU: (after - before) / time.Duration(c.Services),
	}
	all = Measurement{
		Scenario: "register: first request until the leader's catalog has all", Case: fmt.Sprintf("%d services, %d clients", c.Services, clients), Times: []time.Duration{took},
	}
	return m, all, nil
}

// awaitCatalog waits until an agent lists n services whose names begin with
// something.
func (a *agents) awaitCatalog(ctx context.Context, agent int, begin string, n int) error {
	address := a.procs[agent].Spec.HTTPAddr()
	c, err := dial(address, 4096)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	request := getRequest(nil, address, "/v1/catalog/services")
	have := 0
	for range 6000 {
		status, body, err := c.do(request)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("list services: status %d: %w", status, err)
		}
		if have = bytes.Count(body, []byte(begin)); have == n {
			return nil
		}
		backoff.Pause(ctx, 10*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s has %d of %d services after a minute", address, have, n)
}

// counted sends n requests in a closed loop of clients.
func counted(ctx context.Context, address string, clients, n int, request func(buf []byte, n int) []byte) (Result, error) {
	var next atomic.Int64
	done := make(chan struct {
		tally
		err error
	}, clients)
	began := time.Now()
	for range clients {
		go func() { // awaited below
			var out struct {
				tally
				err error
			}
			defer func() { done <- out }()
			s, err := dialHTTP(address, began.Add(5*time.Minute))
			if err != nil {
				out.err = err
				return
			}
			defer s.shut()
			var buf []byte
			for k := next.Add(1) - 1; k < int64(n) && ctx.Err() == nil; k = next.Add(1) - 1 {
				start := time.Now()
				buf = request(buf[:0], int(k))
				problem, end := s.try(buf)
				if problem == "" {
					out.latencies = append(out.latencies, time.Since(start))
				} else {
					out.errors, out.problem = out.errors+1, problem
				}
				if end {
					out.err = fmt.Errorf("request %d: the connection ended: %s", k, problem)
					return
				}
			}
		}()
	}
	var tallies []tally
	var first error
	for range clients {
		one := <-done
		tallies = append(tallies, one.tally)
		if first == nil {
			first = one.err
		}
	}
	if first == nil {
		first = ctx.Err()
	}
	return merge(tallies, time.Since(began)), first
}

// instances registers nodes that no agent has, each with an instance of a
// service that passes a check.
func instances(address, service string, n int) error {
	for i := range n {
		err := put(address, "/v1/catalog/register", fmt.Sprintf(
			`{"Node":"%[1]s-node%[2]d","Address":"10.9.%[3]d.%[4]d","NodeMeta":{"rack":"r%[2]d"},"Service":{"ID":"%[1]s-%[2]d","Service":"%[1]s","Port":%[5]d,"Tags":["bench","v1"],"Meta":{"version":"1"}},`+
				`"Checks":[{"CheckID":"node-alive","Name":"node alive","Status":"passing"},{"CheckID":"service:%[1]s-%[2]d","Name":"port","Status":"passing","ServiceID":"%[1]s-%[2]d"}]}`,
			service, i, i/250, 1+i%250, 8000+i))
		if err != nil {
			return err
		}
	}
	return nil
}

// discovering starts three servers and a client agent.
func (c Config) discovering(ctx context.Context, name string, conns int) (a *agents, leader, follower int, err error) {
	dir, err := c.dir(name)
	if err != nil {
		return nil, 0, 0, err
	}
	if a, err = startAgents(ctx, c.Binary, dir, 1, manyConns(conns)); err != nil {
		return nil, 0, 0, err
	}
	if leader, follower, err = a.leader(ctx); err != nil {
		a.close()
	}
	return a, leader, follower, err
}

// few are the numbers of clients of loops where more tell nothing new.
func (c Config) few() []int {
	if len(c.Clients) < 3 {
		return c.Clients
	}
	return []int{1, 64}
}

func health(ctx context.Context, c Config) ([]Measurement, error) {
	a, leader, follower, err := c.discovering(ctx, "health", 200)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if err := instances(a.procs[leader].Spec.HTTPAddr(), "web", 100); err != nil {
		return nil, err
	}
	var out []Measurement
	for _, k := range []struct {
		name  string
		agent int
		query string
	}{
		{"default leader", leader, ""},
		{"stale follower", follower, "?stale"},
		{"default client agent", a.servers, ""},
		{"stale client agent", a.servers, "?stale"},
		{"cached client agent", a.servers, "?cached"},
	} {
		for _, clients := range c.few() {
			address := a.procs[k.agent].Spec.HTTPAddr()
			request := getRequest(nil, address, "/v1/health/service/web"+k.query)
			m, err := a.loop(ctx, c, Load{Address: address, Clients: clients, Request: func(buf []byte, _, _ int) []byte { return append(buf, request...) }})
			if err != nil {
				return out, err
			}
			m.Scenario, m.Case = "health: /v1/health/service of 100 instances, three servers and a client agent", k.name
			c.say(m)
			out = append(out, m)
		}
	}
	return out, nil
}

func fanout(ctx context.Context, c Config) ([]Measurement, error) {
	n := min(c.Watchers, 1000)
	a, leader, _, err := c.discovering(ctx, "fanout", n)
	if err != nil {
		return nil, err
	}
	defer a.close()
	at := a.procs[leader].Spec.HTTPAddr()
	if err := instances(at, "web", 3); err != nil {
		return nil, err
	}
	var out []Measurement
	changes := 0
	for _, k := range []struct {
		name  string
		agent int
	}{{"leader", leader}, {"client agent", a.servers}} {
		asked := &agents{procs: []*agentproc.Process{a.procs[k.agent]}, servers: 1, http: a.http}
		w := watch{agents: asked, path: "/v1/health/service/web", n: n, change: func(context.Context, int) error {
			changes++
			return put(at, "/v1/catalog/register", fmt.Sprintf(
				`{"Node":"web-node0","SkipNodeUpdate":true,"Check":{"CheckID":"service:web-0","Name":"port","Status":"%s","ServiceID":"web-0"}}`, []string{"critical", "passing"}[changes%2]))
		}}
		m := Measurement{Scenario: "fanout: " + strconv.Itoa(n) + " blocking queries on a service of 3 instances; a check's change until the last answer", Case: k.name}
		before, err := a.cpu()
		if err != nil {
			return nil, err
		}
		for range max(3, c.Trials/3) {
			rows, err := w.round(ctx)
			if err != nil {
				return nil, fmt.Errorf("fanout at the %s: %w", k.name, err)
			}
			for _, row := range rows {
				if len(row.Times) > 0 {
					fmt.Fprintf(c.Log, "%s: %s\n", m.Case, row.value())
					m.Times = append(m.Times, row.Times...)
				}
			}
		}
		after, err := a.cpu()
		if err != nil {
			return nil, err
		}
		out = append(out, m, Measurement{Scenario: m.Scenario, Case: k.name + ", µs CPU a watcher, parking included", Count: (after - before).Microseconds() / int64(len(m.Times))})
	}
	return out, nil
}

// services measures one server that holds many services, each with a check.
func services(ctx context.Context, c Config) ([]Measurement, error) {
	n := 5 * c.Services
	scenario := "services: " + strconv.Itoa(n) + " services with a check each on one agent, a server on disk"
	var out []Measurement
	for _, k := range []struct {
		name string
		tcp  int // of ten have a TCP check every 30 s, the others a TTL
	}{{"all TTL", 0}, {"half TTL, half TCP every 30 s", 5}} {
		rows, err := c.services(ctx, n, k.tcp)
		if err != nil {
			return out, fmt.Errorf("services, %s: %w", k.name, err)
		}
		for _, m := range rows {
			m.Scenario, m.Case = scenario, k.name+": "+m.Case
			fmt.Fprintf(c.Log, "%s: %s\n", m.Case, m.value())
			out = append(out, m)
		}
	}
	return out, nil
}

func (c Config) services(ctx context.Context, n, tcp int) ([]Measurement, error) {
	p, err := c.single(ctx, "services", false, nil)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	l, err := net.Listen("tcp", net.JoinHostPort(p.Spec.Bind, "0"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	idle, err := p.Usage()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	r, err := counted(ctx, p.Spec.HTTPAddr(), 16, n, func(buf []byte, i int) []byte {
		check := map[string]string{"TTL": "24h", "Status": "passing"}
		if i%10 < tcp {
			check = map[string]string{"TCP": l.Addr().String(), "Interval": "30s", "Status": "passing"}
		}
		body, _ := json.Marshal(map[string]any{"Name": fmt.Sprintf("svc-%04d", i), "Port": 10000 + i, "Tags": []string{"bench"}, "Check": check}) // strings and numbers encode
		return bodyRequest(buf, p.Spec.HTTPAddr(), "/v1/agent/service/register", body)
	})
	if err != nil || r.Errors > 0 {
		return nil, fmt.Errorf("%d errors: %s: %w", r.Errors, r.Problem, err)
	}
	a := &agents{procs: []*agentproc.Process{p}, servers: 1, http: &http.Client{}}
	defer a.http.CloseIdleConnections()
	if err := a.awaitCatalog(ctx, 0, `"svc-`, n); err != nil {
		return nil, err
	}
	took := time.Since(began)
	backoff.Pause(ctx, 4*c.Duration) // whatever registering left behind, a snapshot for example
	before, err := p.Usage()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	backoff.Pause(ctx, 12*c.Duration) // a minute, in which everything is compared with the catalog once
	after, err := p.Usage()
	if err != nil {
		return nil, err
	}
	share := (after.CPU - before.CPU).Seconds() / time.Since(start).Seconds()
	files, err := os.ReadDir(filepath.Join(p.Spec.Dir, "data"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("the agent keeps nothing on disk: %w", err)
	}
	return []Measurement{
		{Case: "resident before", Bytes: idle.RSS},
		{Case: "resident", Bytes: after.RSS},
		{Case: "at rest", Share: max(share, 1e-6)},
		{Case: "registered after", Times: []time.Duration{took}},
	}, ctx.Err()
}
