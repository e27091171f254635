package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// agents is a set of running agents: the servers first, then client agents.
type agents struct {
	procs   []*agentproc.Process
	servers int
	http    *http.Client
}

// startAgents starts three servers and client agents with the defaults of ctl and
// waits until each acknowledges a write.
func startAgents(ctx context.Context, binary, dir string, clients int, extra map[string]any) (*agents, error) {
	const servers = 3
	var alloc agentproc.Allocator
	return startAgentsAt(ctx, binary, dir, alloc.Loopback(servers+clients), servers, extra)
}

// startAgentsAt is startAgents at addresses of the caller's choice, the servers'
// first.
func startAgentsAt(ctx context.Context, binary, dir string, addresses []string, servers int, extra map[string]any) (*agents, error) {
	a := &agents{servers: servers, http: &http.Client{}}
	for i, address := range addresses {
		spec := agentproc.Spec{
			Binary: binary, Bind: address, Name: "server" + strconv.Itoa(i),
			Server: true, Expect: servers, Join: addresses[:servers], Extra: extra,
		}
		if i >= servers {
			spec.Name, spec.Server, spec.Expect = "client"+strconv.Itoa(i-servers), false, 0
		}
		spec.Dir = filepath.Join(dir, spec.Name)
		p, err := agentproc.Start(spec)
		if err != nil {
			a.close()
			return nil, err
		}
		a.procs = append(a.procs, p)
	}
	for i := range a.procs {
		if err := a.awaitWrite(ctx, i, 30*time.Second); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

func (a *agents) awaitWrite(ctx context.Context, i int, bound time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return a.procs[i].Await(ctx, 2*time.Millisecond, func(ctx context.Context) bool {
		return a.procs[i].Put(ctx, a.http, "bench/ready", strconv.FormatInt(time.Now().UnixNano(), 36))
	})
}

func (a *agents) close() {
	for _, p := range a.procs {
		p.Kill()
	}
	a.http.CloseIdleConnections()
}

// cpu returns the processor time all agents have taken.
func (a *agents) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, p := range a.procs {
		u, err := p.Usage()
		if err != nil {
			return 0, err
		}
		sum += u.CPU
	}
	return sum, nil
}

// leader returns the number of the leader and of one follower.
func (a *agents) leader(ctx context.Context) (leader, follower int, err error) {
	for i := range a.servers {
		if !a.procs[i].Running() {
			continue
		}
		var address string
		if err := a.json(ctx, i, "/v1/status/leader", &address); err != nil {
			continue
		}
		host, _, _ := net.SplitHostPort(address) // an empty address matches nobody
		for j := range a.servers {
			if a.procs[j].Spec.Bind == host && a.procs[j].Running() {
				return j, (j + 1) % a.servers, nil
			}
		}
	}
	return 0, 0, errors.New("no server knows a running leader")
}

func (a *agents) json(ctx context.Context, i int, path string, into any) error {
	body, err := a.send(ctx, http.MethodGet, i, path)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), into)
}

// send makes a request without a body and returns the answer's.
func (a *agents) send(ctx context.Context, method string, i int, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.procs[i].Spec.HTTPAddr()+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, body)
	}
	return string(body), nil
}

// stat returns one number of an agent's statistics, as /v1/agent/self has them.
func (a *agents) stat(ctx context.Context, i int, group, name string) (int64, error) {
	var self struct{ Stats map[string]map[string]string }
	if err := a.json(ctx, i, "/v1/agent/self", &self); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(self.Stats[group][name]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("statistic %s.%s: %w", group, name, err)
	}
	return n, nil
}
