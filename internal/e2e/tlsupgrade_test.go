package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// upgrade is the way of a running cluster to full TLS that the documentation
// gives: each step is taken by one agent after the other, with a restart each.
var upgrade = []struct {
	name     string
	defaults map[string]any // besides the files
	hostname bool
}{
	{"files", nil, false},
	{"verify_outgoing", map[string]any{"verify_outgoing": true}, true},
	{"verify_incoming", map[string]any{"verify_outgoing": true, "verify_incoming": true}, true},
}

// TestTLSIsIntroducedUnderWrites takes a cluster in plain text to full TLS while
// clients write through all agents. No write fails that is tried again elsewhere.
func TestTLSIsIntroducedUnderWrites(t *testing.T) {
	c := startAgents(t, func(*secureCluster, int) map[string]any { return nil })
	hosts := make([]string, len(c.procs))
	for i, p := range c.procs {
		hosts[i] = p.Spec.HTTPAddr()
		c.await(i)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	var written, again atomic.Int64
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if !putSomewhere(t, hosts, w, fmt.Sprintf("w%d", w), fmt.Sprint(n), &again) {
					t.Errorf("write %d of writer %d failed everywhere", n, w)
					return
				}
				written.Add(1)
			}
		})
	}
	for _, step := range upgrade {
		for i, p := range c.procs {
			if err := p.Stop(30 * time.Second); err != nil {
				t.Fatal(err)
			}
			defaults := c.files(i)
			maps.Copy(defaults, step.defaults)
			spec := p.Spec
			spec.Extra = map[string]any{"tls": map[string]any{"defaults": defaults, "internal_rpc": map[string]any{"verify_server_hostname": step.hostname}}}
			next, err := agentproc.Start(spec)
			if err != nil {
				t.Fatal(err)
			}
			c.procs[i] = next
			c.await(i)
		}
		t.Logf("%s everywhere: %d writes, %d attempts repeated", step.name, written.Load(), again.Load())
	}
	stop()
	writers.Wait()
	if written.Load() < 50 {
		t.Errorf("only %d writes: too few to prove anything", written.Load())
	}
	// Nobody speaks plain text to a server any more.
	conn, err := net.Dial("tcp", net.JoinHostPort(c.bind(0), "8300"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, _ := io.Copy(io.Discard, conn); n > 0 {
		t.Errorf("a server answers plain text with %d bytes", n)
	}
	if got := presents(t, net.JoinHostPort(c.bind(0), "8300"), "ctl-rpc"); got == "" {
		t.Error("a server presents no certificate")
	}
}

// await waits until an agent takes writes, and where it is a server, until the
// cluster is healthy, as an operator does before the next restart.
func (c *secureCluster) await(i int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 90*time.Second)
	defer cancel()
	err := c.procs[i].Await(ctx, 100*time.Millisecond, func(ctx context.Context) bool {
		return c.procs[i].Put(ctx, http.DefaultClient, "ready", "1") && (i == 3 || healthy(ctx, c.procs[i]))
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// healthy reports whether autopilot finds all three servers healthy.
func healthy(ctx context.Context, p *agentproc.Process) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Spec.HTTPAddr()+"/v1/operator/autopilot/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var health struct {
		Healthy bool
		Servers []any
	}
	return json.NewDecoder(resp.Body).Decode(&health) == nil && health.Healthy && len(health.Servers) == 3
}

// putSomewhere writes through one agent and, where that fails, through the next,
// for a minute at most.
func putSomewhere(t *testing.T, hosts []string, first int, key, value string, again *atomic.Int64) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for tries := 0; ; tries++ {
		host, _, _ := net.SplitHostPort(hosts[(first+tries)%len(hosts)]) // as Spec made it
		if (&agentproc.Process{Spec: agentproc.Spec{Bind: host}}).Put(ctx, http.DefaultClient, key, value) {
			return true
		}
		again.Add(1)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return false
		}
	}
}
