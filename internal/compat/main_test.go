package compat

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

const servers = 3

// site is the cluster the tests share, and what is needed to add agents to it.
type site struct {
	dir, binary string
	alloc       agentproc.Allocator
	agents      []*via // the servers, then the client agent
}

// shared is set by TestMain before any test runs.
var shared *site

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ctl-compat-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared = &site{dir: dir}
	defer shared.close()
	if err := shared.start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func (s *site) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if s.binary, err = agentproc.Build(ctx, s.dir, ""); err != nil {
		return err
	}
	addresses := s.alloc.Loopback(servers + 1)
	for i, address := range addresses {
		spec := agentproc.Spec{Name: "server" + strconv.Itoa(i), Bind: address, Server: true, Expect: servers, Join: addresses[:servers]}
		if i >= servers {
			spec.Name, spec.Server, spec.Expect = "client", false, 0
		}
		v, err := s.launch(spec)
		if err != nil {
			return err
		}
		s.agents = append(s.agents, v)
	}
	for _, v := range s.agents {
		err := v.p.Await(ctx, 5*time.Millisecond, func(context.Context) bool {
			_, err := v.api.KV().Put(&api.KVPair{Key: "ready"}, nil)
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// launch starts an agent without waiting for it to serve.
func (s *site) launch(spec agentproc.Spec) (*via, error) {
	spec.Binary, spec.Dir = s.binary, filepath.Join(s.dir, spec.Name)
	p, err := agentproc.Start(spec)
	if err != nil {
		return nil, err
	}
	conf := api.DefaultNonPooledConfig()
	conf.Address = spec.HTTPAddr()
	c, err := api.NewClient(conf)
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &via{p: p, api: c}, nil
}

// join starts a further client agent and waits until it serves. It ends with
// the test.
func (s *site) join(t *testing.T, name string) *via {
	t.Helper()
	v, err := s.launch(agentproc.Spec{Name: name, Bind: s.alloc.Loopback(1)[0], Join: []string{s.agents[0].p.Spec.Bind}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.p.Kill)
	within(t, name+" serves", func() error {
		_, err := v.api.KV().Put(&api.KVPair{Key: "ready"}, nil)
		return err
	})
	return v
}

// dev starts a dev agent, which is a cluster of its own. It ends with the test.
func (s *site) dev(t *testing.T, extra map[string]any) *via {
	t.Helper()
	v, err := s.launch(agentproc.Spec{Name: strings.ToLower(t.Name()), Bind: s.alloc.Loopback(1)[0], Dev: true, Extra: extra})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.p.Kill)
	within(t, "the dev agent serves", func() error {
		_, err := v.api.KV().Delete("ready", nil)
		return err
	})
	return v
}

func (s *site) close() {
	for _, v := range s.agents {
		v.p.Kill()
	}
}

// via is one way into the cluster.
type via struct {
	role string
	p    *agentproc.Process
	api  *api.Client
}

// ways returns the leader, a follower and the client agent.
func ways(t *testing.T) [3]*via {
	t.Helper()
	var out [3]*via
	within(t, "all agents name one running leader", func() error {
		first := ""
		for i, v := range shared.agents {
			address, err := v.api.Status().Leader()
			if err != nil {
				return err
			}
			if i > 0 && address != first {
				return fmt.Errorf("%s says %q, another %q", v.p.Spec.Name, address, first)
			}
			first = address
		}
		for i, v := range shared.agents[:servers] {
			if net.JoinHostPort(v.p.Spec.Bind, "8300") == first {
				out = [3]*via{v, shared.agents[(i+1)%servers], shared.agents[servers]}
				return nil
			}
		}
		return fmt.Errorf("no server has the address %q", first)
	})
	for i, role := range []string{"leader", "follower", "client agent"} {
		out[i].role = role
	}
	return out
}

// through runs a test by each of the ways.
func through(t *testing.T, test func(t *testing.T, v *via)) {
	t.Helper()
	for _, v := range ways(t) {
		t.Run("through the "+v.role, func(t *testing.T) { test(t, v) })
	}
}

// space returns a key prefix of the test's own.
func space(t *testing.T) string {
	return strings.NewReplacer(" ", "-", "#", "-").Replace(t.Name()) + "/"
}

// within calls try until it returns nil.
func within(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// must fails the test at once for an error that leaves nothing to check.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustSay fails unless err is there and its text holds want.
func mustSay(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one that says %q", err, want)
	}
}
