package programs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// patience bounds every wait that has no bound of its own.
const patience = 60 * time.Second

// tick is how often something is looked at again: a look costs a process or a
// few requests, and bounds are measured in seconds.
const tick = 50 * time.Millisecond

// agent is one agent of the cluster.
type agent struct {
	p   *agentproc.Process
	api *api.Client
}

func (a *agent) name() string { return a.p.Spec.Name }

// host is the address of its HTTP API and its DNS server.
func (a *agent) host() string { return a.p.Spec.Client }

// cluster is what the tests share: the servers, then the client agent.
type cluster struct {
	dir, binary string
	alloc       agentproc.Allocator
	agents      []*agent
}

func (c *cluster) client() *agent { return c.agents[len(c.agents)-1] }

// shared is set by TestMain before any test runs.
var shared *cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ctl-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared = &cluster{dir: dir}
	defer shared.close()
	if err := shared.start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start starts the agents of configs/cluster, with other addresses and
// directories.
func (c *cluster) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if c.binary, err = agentproc.Build(ctx, c.dir, ""); err != nil {
		return err
	}
	addresses := c.alloc.Loopback(4)
	elsewhere := strings.NewReplacer(
		"127.0.0.1 127.0.0.5", addresses[3], // the demo's client serves on both
		"127.0.0.2", addresses[0], "127.0.0.3", addresses[1], "127.0.0.4", addresses[2], "127.0.0.5", addresses[3],
		"/tmp/ctl-demo", c.dir,
	)
	for i, file := range []string{"server1/server.json", "server2/server.json", "server3/server.json", "client/client.json"} {
		if err := c.launch(file, elsewhere, addresses[i]); err != nil {
			return fmt.Errorf("configs/cluster/%s: %w", file, err)
		}
	}
	for _, a := range c.agents {
		err := a.p.Await(ctx, 5*time.Millisecond, func(context.Context) bool {
			_, err := a.api.KV().Put(&api.KVPair{Key: "ready"}, nil)
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) launch(file string, elsewhere *strings.Replacer, address string) error {
	text, err := os.ReadFile(filepath.Join("../../../configs/cluster", file))
	if err != nil {
		return err
	}
	var conf map[string]any
	if err := json.Unmarshal([]byte(elsewhere.Replace(string(text))), &conf); err != nil {
		return err
	}
	if conf["bind_addr"] != address || conf["client_addr"] != address {
		return fmt.Errorf("the addresses of the file are not those expected: %v", conf)
	}
	name, _ := conf["node_name"].(string)
	p, err := agentproc.Start(agentproc.Spec{Binary: c.binary, Dir: filepath.Join(c.dir, name), Name: name, Bind: address, Client: address, Extra: conf})
	if err != nil {
		return err
	}
	a := &agent{p: p}
	c.agents = append(c.agents, a)
	settings := api.DefaultNonPooledConfig()
	settings.Address = p.Spec.HTTPAddr()
	a.api, err = api.NewClient(settings)
	return err
}

func (c *cluster) close() {
	for _, a := range c.agents {
		a.p.Kill()
	}
}

// serve registers a service with an agent until the end of the test.
func serve(t *testing.T, a *agent, reg *api.AgentServiceRegistration) {
	t.Helper()
	must(t, a.api.Agent().ServiceRegister(reg))
	id := reg.ID
	if id == "" {
		id = reg.Name
	}
	t.Cleanup(func() { retire(t, a, id) })
}

// retire deregisters a service, which may be gone already.
func retire(t *testing.T, a *agent, id string) {
	t.Helper()
	var status api.StatusError
	if err := a.api.Agent().ServiceDeregister(id); err != nil && (!errors.As(err, &status) || status.Code != 404) {
		t.Error(err)
	}
}

// within calls try until it returns nil, and returns how long that took since
// the moment from. It ends the test if it is longer than bound.
func within(t *testing.T, from time.Time, bound time.Duration, what string, try func() error) time.Duration {
	t.Helper()
	again := time.NewTicker(tick)
	defer again.Stop()
	for {
		err := try()
		took := time.Since(from)
		if err == nil && took <= bound {
			return took
		}
		if took > bound {
			t.Fatalf("%s: not within %v but, after %v: %v", what, bound, took, err)
		}
		<-again.C
	}
}

// eventually calls try until it returns nil.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	within(t, time.Now(), patience, what, try)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
