package routing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/signal"
)

// pool is a source whose members a test sets.
type pool struct {
	mu      sync.Mutex
	members []gossip.Member
	changes signal.Value[uint64]
}

func (p *pool) Members() []gossip.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.members)
}

func (p *pool) Changes() *signal.Value[uint64] { return &p.changes }

func (p *pool) set(members ...gossip.Member) {
	p.mu.Lock()
	p.members = members
	p.mu.Unlock()
	p.changes.Update(func(n uint64) uint64 { return n + 1 })
}

// server returns a server member n of dc.
func server(dc string, n int, status gossip.Status) gossip.Member {
	return gossip.Member{
		Name: fmt.Sprintf("s%d", n), Addr: fmt.Sprintf("10.0.0.%d", n), Port: 8301, Status: status,
		Tags: map[string]string{"role": "consul", "dc": dc, "id": fmt.Sprintf("id-%s-%d", dc, n), "port": "8300"},
	}
}

func client(n int) gossip.Member {
	return gossip.Member{
		Name: fmt.Sprintf("c%d", n), Addr: fmt.Sprintf("10.0.1.%d", n), Port: 8301, Status: gossip.StatusAlive,
		Tags: map[string]string{"role": "node", "dc": "dc1", "id": fmt.Sprintf("id-c-%d", n)},
	}
}

// run starts a router in a bubble.
func run(t *testing.T, cfg Config) *Router {
	t.Helper()
	if cfg.Datacenter == "" {
		cfg.Datacenter = "dc1"
	}
	r := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func mustPick(t *testing.T, r *Router, target Target, exclude ...string) string {
	t.Helper()
	s, err := r.Pick("", target, exclude...)
	if err != nil {
		t.Fatal(err)
	}
	return s.Addr
}

func TestPickIsSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{}
		p.set(server("dc1", 1, gossip.StatusAlive), server("dc1", 2, gossip.StatusAlive), client(1))
		r := run(t, Config{Sources: []Source{p}})
		first := mustPick(t, r, AnyServer)
		for range 100 {
			if got := mustPick(t, r, AnyServer); got != first {
				t.Fatalf("moved from %s to %s", first, got)
			}
		}
		// New servers do not move it either.
		p.set(append(p.Members(), server("dc1", 3, gossip.StatusAlive), server("dc1", 4, gossip.StatusAlive))...)
		synctest.Wait()
		if got := mustPick(t, r, AnyServer); got != first || len(r.Servers("")) != 4 {
			t.Errorf("moved from %s to %s among %v", first, got, r.Servers(""))
		}
	})
}

func TestFailuresCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{}
		p.set(server("dc1", 1, gossip.StatusAlive), server("dc1", 2, gossip.StatusAlive), server("dc1", 3, gossip.StatusAlive))
		r := run(t, Config{Sources: []Source{p}})
		var seen []string
		for range 6 {
			a := mustPick(t, r, AnyServer)
			seen = append(seen, a)
			r.NotifyFailed(a)
		}
		if diff := cmp.Diff(seen[:3], seen[3:]); diff != "" || seen[0] == seen[1] || seen[1] == seen[2] {
			t.Errorf("asked %v", seen)
		}
		before := r.Changes().Get()
		r.NotifyFailed("10.9.9.9:8300")
		if r.Changes().Get() != before {
			t.Error("an unknown server changed the list")
		}
	})
}

func TestPick(t *testing.T) {
	alive, failed := gossip.StatusAlive, gossip.StatusFailed
	for _, c := range []struct {
		name    string
		members []gossip.Member
		self    string
		leader  string
		dc      string
		target  Target
		exclude []string
		want    string
		kind    failure.Kind
		text    string
	}{
		{name: "only server", members: []gossip.Member{server("dc1", 1, alive)}, want: "10.0.0.1:8300"},
		{name: "named datacenter", members: []gossip.Member{server("dc1", 1, alive)}, dc: "dc1", want: "10.0.0.1:8300"},
		{name: "nobody", kind: failure.NoPath, text: "No known Consul servers"},
		{name: "only clients", members: []gossip.Member{client(1)}, kind: failure.NoPath, text: "No known Consul servers"},
		{name: "unknown datacenter", members: []gossip.Member{server("dc1", 1, alive)}, dc: "dc9", kind: failure.NoPath, text: "No path to datacenter"},
		{name: "other datacenter", members: []gossip.Member{server("dc1", 1, alive), server("dc2", 2, alive)}, dc: "dc2", want: "10.0.0.2:8300"},
		{name: "excluded", members: []gossip.Member{server("dc1", 1, alive), server("dc1", 2, alive)}, exclude: []string{"10.0.0.1:8300"}, want: "10.0.0.2:8300"},
		{name: "all excluded", members: []gossip.Member{server("dc1", 1, alive)}, exclude: []string{"10.0.0.1:8300"}, kind: failure.NoPath, text: "No known Consul servers"},
		{name: "all of another datacenter excluded", members: []gossip.Member{server("dc2", 1, alive)}, dc: "dc2", exclude: []string{"10.0.0.1:8300"}, kind: failure.NoPath, text: "No known Consul servers"},
		{name: "not this server", members: []gossip.Member{server("dc1", 1, alive), server("dc1", 2, alive)}, self: "id-dc1-1", want: "10.0.0.2:8300"},
		{name: "failed ones last", members: []gossip.Member{server("dc1", 1, failed), server("dc1", 2, alive)}, want: "10.0.0.2:8300"},
		{name: "failed one if there is no other", members: []gossip.Member{server("dc1", 1, failed)}, want: "10.0.0.1:8300"},
		{name: "not one that left", members: []gossip.Member{server("dc1", 1, gossip.StatusLeft)}, kind: failure.NoPath, text: "No known Consul servers"},
		{name: "leader", members: []gossip.Member{server("dc1", 1, alive), server("dc1", 2, alive)}, leader: "10.0.0.2:8300", target: TheLeader, want: "10.0.0.2:8300"},
		{name: "leader that gossip does not know", leader: "10.0.0.7:8300", target: TheLeader, want: "10.0.0.7:8300"},
		{name: "no leader", members: []gossip.Member{server("dc1", 1, alive)}, target: TheLeader, kind: failure.NoLeader, text: "No cluster leader"},
		{name: "excluded leader", leader: "10.0.0.7:8300", target: TheLeader, exclude: []string{"10.0.0.7:8300"}, kind: failure.NoLeader, text: "No cluster leader"},
		{name: "leader of another datacenter", leader: "10.0.0.7:8300", dc: "dc2", target: TheLeader, kind: failure.NoLeader, text: "No cluster leader"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{}
				p.set(c.members...)
				r := run(t, Config{Sources: []Source{p}, SelfID: c.self})
				r.SetLeader("", c.leader)
				s, err := r.Pick(c.dc, c.target, c.exclude...)
				if s.Addr != c.want {
					t.Errorf("got %q, want %q", s.Addr, c.want)
				}
				if (err == nil) != (c.text == "") || err != nil && (err.Error() != c.text || !failure.Is(err, c.kind)) {
					t.Errorf("got error %v of kind %s", err, failure.KindOf(err))
				}
			})
		})
	}
}

func TestRebalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{}
		var members []gossip.Member
		for n := 1; n <= 7; n++ {
			members = append(members, server("dc1", n, gossip.StatusAlive))
		}
		members = append(members, server("dc1", 8, gossip.StatusFailed))
		p.set(members...)
		r := run(t, Config{Sources: []Source{p}})
		firsts := map[string]bool{}
		for range 60 {
			start := r.Changes().Get()
			_, changed := r.Changes().Watch()
			from := time.Now()
			<-changed
			if took := time.Since(from); took < 2*time.Minute || took > 3*time.Minute {
				t.Fatalf("shuffled after %s", took)
			}
			if r.Changes().Get() != start+1 {
				t.Fatal("shuffled twice")
			}
			firsts[mustPick(t, r, AnyServer)] = true
			if last := r.Servers("")[7].Addr; last != "10.0.0.8:8300" {
				t.Fatalf("the failed server is not last, but %s", last)
			}
		}
		if len(firsts) < 5 {
			t.Errorf("in 60 shuffles only %v came first", firsts)
		}
	})
}

func TestRebalanceInterval(t *testing.T) {
	for _, c := range []struct {
		name             string
		members, servers int
		min, max         time.Duration
	}{
		{"nobody", 0, 0, 2 * time.Minute, 3 * time.Minute},
		{"a small cluster", 100, 3, 2 * time.Minute, 3 * time.Minute},
		{"ten thousand agents", 10_000, 3, 2 * time.Minute, 3 * time.Minute},
		{"a hundred thousand agents", 100_000, 3, 520 * time.Second, 521 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 100 {
				if got := rebalanceInterval(c.members, c.servers); got < c.min || got > c.max {
					t.Fatalf("got %s", got)
				}
			}
		})
	}
}

func TestServersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan, wan := &pool{}, &pool{}
		r := run(t, Config{Sources: []Source{lan, wan}})
		_, changed := r.Changes().Watch()
		if _, err := r.Pick("", AnyServer); err == nil {
			t.Fatal("picked nobody")
		}
		lan.set(server("dc1", 1, gossip.StatusAlive), server("dc1", 2, gossip.StatusAlive))
		<-changed
		first := mustPick(t, r, AnyServer)

		wanMember := server("dc1", 1, gossip.StatusAlive)
		wanMember.Name, wanMember.Addr = "s1.dc1", "192.0.2.1"
		wanOther := server("dc1", 2, gossip.StatusAlive)
		wanOther.Name, wanOther.Addr = "s2.dc1", "192.0.2.2"
		wan.set(wanMember, wanOther, server("dc3", 5, gossip.StatusAlive), server("dc2", 6, gossip.StatusAlive))
		synctest.Wait()
		if diff := cmp.Diff([]string{"dc1", "dc2", "dc3"}, r.Datacenters()); diff != "" {
			t.Error(diff)
		}
		for _, s := range r.Servers("") {
			if strings.HasPrefix(s.Addr, "192.") {
				t.Errorf("the WAN address of a LAN server is used: %+v", s)
			}
		}

		// The one asked fails, then comes back at another address. The WAN
		// pool still calls both alive.
		which := 1
		if first == "10.0.0.2:8300" {
			which = 2
		}
		lan.set(server("dc1", which, gossip.StatusFailed), server("dc1", 3-which, gossip.StatusAlive))
		synctest.Wait()
		if got := mustPick(t, r, AnyServer); got == first {
			t.Errorf("still %s, which failed", got)
		}
		back := server("dc1", which, gossip.StatusAlive)
		back.Addr = "10.0.0.99"
		lan.set(back, server("dc1", 3-which, gossip.StatusLeft))
		synctest.Wait()
		if got := mustPick(t, r, AnyServer); got != "10.0.0.99:8300" || len(r.Servers("")) != 1 {
			t.Errorf("got %s among %v", got, r.Servers(""))
		}
		if s, ok := r.Server("", back.Tags["id"]); !ok || s.Addr != "10.0.0.99:8300" {
			t.Errorf("got %+v, %v", s, ok)
		}
		if _, ok := r.Server("", "nobody"); ok {
			t.Error("found nobody")
		}
	})
}

func TestRenamedServerIsThereOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{}
		renamed := server("dc1", 1, gossip.StatusAlive)
		renamed.Name, renamed.Addr = "z", "10.0.0.50"
		p.set(server("dc1", 1, gossip.StatusFailed), renamed)
		r := run(t, Config{Sources: []Source{p}})
		if got := r.Servers(""); len(got) != 1 || got[0].Addr != "10.0.0.50:8300" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestLeaderIsPassedIn(t *testing.T) {
	r := New(Config{Datacenter: "dc1"})
	before := r.Changes().Get()
	r.SetLeader("dc1", "a:1")
	r.SetLeader("", "a:1")
	if r.Changes().Get() != before+1 || r.Leader("") != "a:1" || r.Leader("dc2") != "" {
		t.Errorf("%d changes, leaders %q and %q", r.Changes().Get()-before, r.Leader(""), r.Leader("dc2"))
	}
	r.SetLeader("", "")
	if _, err := r.Pick("", TheLeader); !failure.Is(err, failure.NoLeader) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkPick(b *testing.B) {
	p := &pool{}
	for n := 1; n <= 5; n++ {
		p.members = append(p.members, server("dc1", n, gossip.StatusAlive))
	}
	r := New(Config{Datacenter: "dc1", Sources: []Source{p}})
	r.refresh()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Pick("", AnyServer); err != nil {
			b.Fatal(err)
		}
	}
}
