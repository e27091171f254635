package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/gossip"
)

// world is a set of servers that see and reach each other only in part.
type world struct {
	mu       sync.Mutex
	all      map[string]*bootstrapper
	sees     map[string][]string // who sees whom alive
	cut      map[string]bool     // "a>b": a cannot ask b
	state    map[string]string   // the proposer whose cluster a server is in
	clusters []string
}

func newWorld(ids ...string) *world {
	w := &world{all: map[string]*bootstrapper{}, sees: map[string][]string{}, cut: map[string]bool{}, state: map[string]string{}}
	for _, id := range ids {
		w.sees[id] = ids
	}
	return w
}

func (w *world) server(id string, expect int) *bootstrapper {
	b := &bootstrapper{
		id: id, dc: "dc1", expect: expect, log: slog.New(slog.DiscardHandler),
		running: func() bool { return true },
		hasState: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.state[id] != ""
		},
		bootstrap: func(servers []consensus.Server) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.clusters = append(w.clusters, id)
			for _, s := range servers {
				if old := w.state[s.ID]; old != "" && old != id {
					return fmt.Errorf("server %s is in the clusters of %s and %s", s.ID, old, id)
				}
				w.state[s.ID] = id
			}
			return nil
		},
		servers: func() ([]gossip.Server, <-chan struct{}) {
			w.mu.Lock()
			defer w.mu.Unlock()
			var out []gossip.Server
			for _, o := range w.sees[id] {
				out = append(out, gossip.Server{ID: o, Name: o, Datacenter: "dc1", Addr: o, Expect: w.all[o].expect, Status: gossip.StatusAlive})
			}
			return out, nil
		},
		ask: func(_ context.Context, addr string, req *bootstrapAsk) (*bootstrapAnswer, error) {
			time.Sleep(rand.N(5 * time.Millisecond))
			w.mu.Lock()
			cut, other := w.cut[id+">"+addr], w.all[addr]
			w.mu.Unlock()
			if cut {
				return nil, errors.New("no route")
			}
			return other.promise(req), nil
		},
	}
	w.all[id] = b
	return b
}

// run lets every server bootstrap for a minute of fake time.
func (w *world) run(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	for _, b := range w.all {
		running.Go(func() {
			if err := b.run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
}

func TestBootstrapMakesOneCluster(t *testing.T) {
	for _, c := range []struct {
		name     string
		prepare  func(*world)
		expect   map[string]int
		clusters int
	}{
		{"all see each other", func(*world) {}, nil, 1},
		{"one is missing", func(w *world) {
			for id := range w.sees {
				w.sees[id] = []string{"a", "b"}
			}
		}, nil, 0},
		{"the numbers differ", func(*world) {}, map[string]int{"c": 2}, 0},
		{"one cannot be asked", func(w *world) { w.cut["a>c"] = true }, nil, 0},
		{"one already has state", func(w *world) { w.state["b"] = "old" }, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("a", "b", "c")
				for _, id := range []string{"a", "b", "c"} {
					expect := 3
					if n, ok := c.expect[id]; ok {
						expect = n
					}
					w.server(id, expect)
				}
				c.prepare(w)
				w.run(t)
				if len(w.clusters) != c.clusters {
					t.Errorf("clusters of %v, want %d", w.clusters, c.clusters)
				}
			})
		})
	}
}

// TestBootstrapNeverSplits starts five servers that each wait for three, under
// views and connections that differ at random and heal one by one. However that
// goes, no server ends up in two clusters.
func TestBootstrapNeverSplits(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e"}
	made := 0
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(ids...)
			for _, id := range ids {
				w.server(id, 3)
				w.sees[id] = []string{id}
				for _, o := range ids {
					if o != id && rnd.IntN(2) == 0 {
						w.sees[id] = append(w.sees[id], o)
					}
					w.cut[id+">"+o] = rnd.IntN(3) == 0
				}
			}
			heal := time.AfterFunc(time.Duration(rnd.IntN(4000))*time.Millisecond, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				clear(w.cut)
				for _, id := range ids {
					w.sees[id] = ids
				}
			})
			defer heal.Stop()
			w.run(t)
			made += len(w.clusters)
			if len(w.clusters) > 1 {
				t.Errorf("seed %d: clusters of %v", seed, w.clusters)
			}
		})
	}
	if made < 900 {
		t.Errorf("only %d of 1000 runs made a cluster", made)
	}
}
