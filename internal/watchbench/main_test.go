package watchbench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/tui/source"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

var built struct {
	dir, binary string
	alloc       agentproc.Allocator
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ctl-watch-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.dir = dir
	if built.binary, err = agentproc.Build(context.Background(), dir, ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start starts an agent that the test ends.
func start(t *testing.T, spec agentproc.Spec) *agentproc.Process {
	t.Helper()
	spec.Binary, spec.Dir = built.binary, filepath.Join(built.dir, spec.Name+"-"+spec.Bind)
	p, err := agentproc.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", spec.Name, p.LogTail(4000))
		}
	})
	return p
}

// serving waits until the agent takes writes.
func serving(t *testing.T, p *agentproc.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := p.Await(ctx, 20*time.Millisecond, func(ctx context.Context) bool { return p.Put(ctx, http.DefaultClient, "ready", "") })
	if err != nil {
		t.Fatal(err)
	}
}

// alone starts a single server and waits until it takes writes.
func alone(t *testing.T) *agentproc.Process {
	t.Helper()
	p := start(t, agentproc.Spec{Name: "n1", Bind: built.alloc.Loopback(1)[0], Server: true, Expect: 1})
	serving(t, p)
	return p
}

// put makes a request that must succeed.
func put(t *testing.T, p *agentproc.Process, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+p.Spec.HTTPAddr()+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var text bytes.Buffer
		_, _ = text.ReadFrom(resp.Body)
		t.Fatalf("PUT %s: %s: %s", path, resp.Status, text.String())
	}
}

// watch runs a source until the test ends.
func watch(t *testing.T, noStream bool, at ...*agentproc.Process) *source.Source {
	t.Helper()
	cfg := source.Config{NoStream: noStream}
	for _, p := range at {
		cfg.Endpoints = append(cfg.Endpoints, source.Endpoint{Name: p.Spec.HTTPAddr(), URL: "http://" + p.Spec.HTTPAddr()})
	}
	s, err := source.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// await returns the first state that is as wanted.
func await(t *testing.T, s *source.Source, what string, want func(*source.State) bool) *source.State {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		st := s.Current()
		if want(st) {
			return st
		}
		select {
		case <-s.Changed():
		case <-timeout.C:
			t.Fatalf("waited in vain for %s; last state: connection %+v\ncluster %+v\nservices %+v nodes %+v\nservice %+v", what, st.Connection, st.Cluster, st.Services, st.Nodes, st.Service)
		}
	}
}

// both runs a test by the stream and by blocking queries.
func both(t *testing.T, test func(t *testing.T, noStream bool)) {
	t.Run("stream", func(t *testing.T) { test(t, false) })
	t.Run("long poll", func(t *testing.T) { test(t, true) })
}
