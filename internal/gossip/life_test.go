package gossip_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

func TestLeaveIsNotAFailure(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b := l.start(l.config(1)), l.start(l.config(2))
		b.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
		start := time.Now()
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("leaving took %s", took)
		}
		await(t, time.Second, "node-1=alive node-2=left", a)
		if err := b.Leave(t.Context()); err != nil {
			t.Errorf("leaving twice: %v", err)
		}
	})
}

func TestStopWaitsForALeaveInProgress(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b := l.start(l.config(1)), l.start(l.config(2))
		b.join(a)
		left := make(chan error, 1)
		go func() { left <- b.Leave(t.Context()) }()
		synctest.Wait()
		b.kill() // panics inside memberlist if it does not wait
		if err := <-left; err != nil {
			t.Error(err)
		}
		await(t, time.Second, "node-1=alive node-2=left", a)
	})
}

func TestALoneAgentLeavesAtOnce(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		start := time.Now()
		if err := a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("leaving nobody took %s", took)
		}
	})
}

// TestLeaveRightAfterAStart has an agent come back after it failed, and leave before
// it has met the others: they learn that it has left, and not that it failed again.
func TestLeaveRightAfterAStart(t *testing.T) {
	for _, c := range []struct {
		name string
		dir  string
		meet func(d *agent)
	}{
		{"while it joins", "", func(d *agent) { _, _ = d.Join(d.lab.t.Context(), []string{"a.example"}) }},
		{"while it tries to join", "", func(d *agent) { d.retry(d.lab.t, gossip.RetryJoinConfig{Addresses: []string{"a.example"}}) }},
		{"with members of before", t.TempDir(), func(*agent) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				conf := l.config(3)
				conf.Dir = c.dir
				a, b, d := l.start(l.config(1)), l.start(l.config(2)), l.start(conf)
				b.join(a)
				d.join(a)
				await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, d)
				d.kill()
				await(t, 20*time.Second, "node-1=alive node-2=alive node-3=failed", a, b)
				conf = l.config(3)
				conf.Dir = c.dir
				conf.LookupIP = func(context.Context, string) ([]netip.Addr, error) {
					time.Sleep(time.Second)
					return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
				}
				d = l.start(conf)
				var joining sync.WaitGroup
				joining.Go(func() { c.meet(d) })
				if c.dir == "" {
					synctest.Wait()
				}
				if err := d.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
				joining.Wait()
				await(t, time.Second, "node-1=alive node-2=alive node-3=left", a, b)
				d.kill()
				time.Sleep(time.Minute)
				await(t, 0, "node-1=alive node-2=alive node-3=left", a, b)
			})
		})
	}
}

func TestForceLeave(t *testing.T) {
	for _, c := range []struct {
		name, node  string
		prune, kill bool
		want        string
		fail        string
	}{
		{"a failed member is left", "node-3", false, true, "node-1=alive node-2=alive node-3=left", ""},
		{"pruned it is forgotten", "node-3", true, true, "node-1=alive node-2=alive", ""},
		{"an alive member stays", "node-3", false, false, "node-1=alive node-2=alive node-3=alive", ""},
		{"an alive member is not pruned", "node-3", true, false, "node-1=alive node-2=alive node-3=alive", ""},
		{"nobody of that name", "node-9", false, true, "node-1=alive node-2=alive node-3=failed",
			"agent: No node found with name 'node-9'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				a, b, d := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
				b.join(a)
				d.join(a)
				await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, d)
				if c.kill {
					d.kill()
					await(t, 20*time.Second, "node-1=alive node-2=alive node-3=failed", a, b)
				}
				err := b.ForceLeave(t.Context(), c.node, c.prune)
				if got := errText(err); got != c.fail {
					t.Fatalf("got error %q, want %q", got, c.fail)
				}
				if c.fail != "" && !failure.Is(err, failure.Invalid) {
					t.Errorf("kind is %s", failure.KindOf(err))
				}
				time.Sleep(20 * time.Second) // long enough for a prune to be carried out everywhere
				await(t, 0, c.want, a, b)
			})
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAFailedAgentComesBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		down    time.Duration // how long the agent is away
		addr    string        // where it comes back
		id      string        // with another node id, if set
		within  time.Duration
		want    string
		logLine string
	}{
		{"same address, before it was missed", 500 * time.Millisecond, "127.0.0.3", "", 5 * time.Second, "127.0.0.3", ""},
		{"same address, after it failed", 30 * time.Second, "127.0.0.3", "", 5 * time.Second, "127.0.0.3", ""},
		{"new address, long after it failed", 3 * time.Minute, "127.0.0.33", "", 5 * time.Second, "127.0.0.33", ""},
		{"new address, just after it failed", 8 * time.Second, "127.0.0.33", "", 15 * time.Second, "127.0.0.33", ""},
		{"new address, before it was missed", 500 * time.Millisecond, "127.0.0.33", "", 10 * time.Second, "127.0.0.33", ""},
		{"reinstalled at a new address", 3 * time.Minute, "127.0.0.33", "f", 5 * time.Second, "127.0.0.33", ""},
		{"another node takes the name of one that just failed", 8 * time.Second, "127.0.0.33", "f", 90 * time.Second, "127.0.0.33", "refused for now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				a, b, d := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
				b.join(a)
				d.join(a)
				await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, d)
				d.kill()
				time.Sleep(c.down)
				conf := l.config(3)
				conf.BindAddr = c.addr
				if c.id != "" {
					conf.Identity.ID = c.id
				}
				back := l.start(conf)
				// The join itself may be refused: the name is not free yet.
				if _, err := back.Join(t.Context(), []string{"127.0.0.1", "127.0.0.2"}); err != nil && c.logLine == "" {
					t.Fatal(err)
				}
				start := time.Now()
				for a.addrOf("node-3") != c.want || b.addrOf("node-3") != c.want {
					if time.Since(start) > c.within {
						t.Fatalf("after %s node-3 is %s and %s\n%s\n%s", c.within, a.view(), b.view(), a.log, back.log)
					}
					time.Sleep(50 * time.Millisecond)
				}
				t.Logf("back after %s", time.Since(start))
				if !a.log.has(c.logLine) {
					t.Errorf("no %q in the log", c.logLine)
				}
			})
		})
	}
}

// addrOf returns the address of a member while it is alive.
func (a *agent) addrOf(name string) string {
	for _, m := range a.Members() {
		if m.Name == name && m.Status == gossip.StatusAlive {
			return m.Addr
		}
	}
	return ""
}

func TestPartitionHeals(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b, c := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
		b.join(a)
		c.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, c)
		l.net.Part([]string{"127.0.0.3"}, []string{"127.0.0.1", "127.0.0.2"})
		await(t, 30*time.Second, "node-1=alive node-2=alive node-3=failed", a, b)
		await(t, 60*time.Second, "node-1=failed node-2=failed node-3=alive", c)
		l.net.HealAll()
		await(t, 5*time.Minute, "node-1=alive node-2=alive node-3=alive", a, b, c)
	})
}

func TestOneWayCutFailsNobody(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b, c := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
		b.join(a)
		c.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, c)
		l.net.Cut("127.0.0.1", "127.0.0.3") // the third member can vouch for both
		for range 300 {
			time.Sleep(time.Second)
			if v := a.view(); strings.Contains(v, "failed") {
				t.Fatalf("node-1 sees %s", v)
			}
		}
	})
}

func TestMembersOfAnotherDatacenterAreRefused(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		conf := l.config(2)
		conf.Identity.Datacenter = "dc2"
		b := l.start(conf)
		n, err := b.Join(t.Context(), []string{"127.0.0.1"})
		if n != 0 || err == nil || !strings.Contains(err.Error(), `its datacenter is "dc1", this agent's is "dc2"`) {
			t.Fatalf("got %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		await(t, 0, "node-1=alive", a)
		await(t, 0, "node-2=alive", b)
		if !a.log.has("the LAN pool holds the agents of one datacenter") {
			t.Errorf("the log of the one that was joined says nothing:\n%s", a.log)
		}
	})
}

func TestMembersOfAnotherClusterAreRefused(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b, c := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
		for x, id := range map[*agent]string{a: "red", b: "blue"} {
			if err := x.SetCluster(id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Join(t.Context(), []string{"127.0.0.1"}); err == nil || !strings.Contains(err.Error(), "two clusters do not merge") {
			t.Fatalf("got %v", err)
		}
		c.join(a) // an agent that knows no cluster yet may join any
		await(t, 5*time.Second, "node-1=alive node-3=alive", a, c)
	})
}

func TestTwoAgentsWithOneNodeID(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b, conf := l.start(l.config(1)), l.start(l.config(2)), l.config(3)
		b.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
		conf.Identity.ID = l.config(2).Identity.ID
		c := l.start(conf)
		if _, err := c.Join(t.Context(), []string{"127.0.0.1"}); err == nil || !strings.Contains(err.Error(), "remove the node-id file") {
			t.Fatalf("got %v", err)
		}
		await(t, 0, "node-1=alive node-2=alive", a, b)
	})
}

func TestNamesConsulUsersHave(t *testing.T) {
	for _, name := range []string{"consul_server_01", "host.example.org", "ümlaut", "with space", "UPPER-lower"} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				conf := l.config(2)
				conf.NodeName = name
				conf.Identity.Datacenter = "consul_cluster"
				other := l.config(1)
				other.Identity.Datacenter = "consul_cluster"
				a, b := l.start(other), l.start(conf)
				b.join(a)
				for range 2 {
					time.Sleep(time.Second)
				}
				if a.addrOf(name) != "127.0.0.2" {
					t.Fatalf("members are %s", a.view())
				}
			})
		})
	}
}

func TestWANPool(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		wan := func(n int, dc string) gossip.Config {
			c := l.config(n)
			c.Kind = gossip.WAN
			c.BindPort = gossip.DefaultWANPort
			c.Timing = gossip.DefaultTiming(gossip.WAN)
			c.Identity.Datacenter = dc
			c.Identity.Server, c.Identity.RPCPort = true, 8300
			return c
		}
		a, b := l.start(wan(1, "dc_1")), l.start(wan(2, "dc2"))
		b.join(a)
		await(t, 5*time.Second, "node-1.dc_1=alive node-2.dc2=alive", a, b)
		client := wan(3, "dc2")
		client.Identity.Server = false
		if _, err := gossip.New(client); !failure.Is(err, failure.Invalid) {
			t.Errorf("a client in the WAN pool: %v", err)
		}
		lan := l.config(3) // an agent that mistakes the WAN port for its own
		lan.BindPort = gossip.DefaultWANPort
		lan.Identity.Datacenter = "dc_1"
		if _, err := l.start(lan).Join(t.Context(), []string{"127.0.0.1"}); err == nil {
			t.Error("a client joined the WAN pool")
		}
		time.Sleep(time.Second)
		if !a.log.has("the WAN pool is for servers") {
			t.Errorf("the log says nothing about the client:\n%s", a.log)
		}
		await(t, 0, "node-1.dc_1=alive node-2.dc2=alive", a, b)
	})
}

func TestTagsChange(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b := l.start(l.config(1)), l.start(l.config(2))
		b.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
		sub := a.Subscribe()
		defer sub.Close()
		before := a.Changes().Get()
		if err := b.SetTags(map[string]string{"build": "", "role": "consul", "port": "8300"}); err != nil {
			t.Fatal(err)
		}
		events, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != 1 || events[0].Kind != gossip.MemberUpdated || events[0].Member.Name != "node-2" {
			t.Fatalf("got %+v", events)
		}
		if a.Changes().Get() == before {
			t.Error("no change was signalled")
		}
		want := map[string]string{
			"role": "consul", "port": "8300", "dc": "dc1", "segment": "", "vsn": "2", "vsn_min": "2", "vsn_max": "3",
			"id": "00000000-0000-0000-0000-000000000002",
		}
		if got := a.Members()[1].Tags; !maps.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
	})
}

func TestSubscriberSeesTheLastEventOfEachMember(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		time.Sleep(time.Second)
		sub := a.Subscribe()
		b, c := l.start(l.config(2)), l.start(l.config(3))
		b.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive", a)
		synctest.Wait() // or the third may be told of before the second
		c.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a)
		c.kill()
		await(t, 20*time.Second, "node-1=alive node-2=alive node-3=failed", a)
		synctest.Wait()
		events, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range events {
			got = append(got, e.Member.Name+" "+e.Kind.String())
		}
		if diff := cmp.Diff([]string{"node-2 joined", "node-3 failed"}, got); diff != "" {
			t.Error(diff)
		}
		sub.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a closed subscription gave %v", err)
		}
	})
}

func TestFailedMembersAreReaped(t *testing.T) {
	for _, c := range []struct {
		name    string
		ask     time.Duration // rc_tm of the failed agent
		present time.Duration
		gone    time.Duration
	}{
		{"after the pool's reconnect_timeout", 0, 9 * time.Minute, 11 * time.Minute},
		{"after the agent's own", 3 * time.Minute, 2 * time.Minute, 4 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				conf, other := l.config(2), l.config(1)
				conf.Identity.ReconnectTimeout = c.ask
				other.ReconnectTimeout = 10 * time.Minute
				a, b := l.start(other), l.start(conf)
				b.join(a)
				await(t, 5*time.Second, "node-1=alive node-2=alive", a)
				b.kill()
				await(t, 30*time.Second, "node-1=alive node-2=failed", a)
				time.Sleep(c.present)
				await(t, 0, "node-1=alive node-2=failed", a)
				time.Sleep(c.gone - c.present)
				await(t, 0, "node-1=alive", a)
			})
		})
	}
}

func TestUserEvents(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		got := make(chan gossip.UserEvent, 8)
		conf := l.config(1)
		conf.OnUserEvent = func(e gossip.UserEvent) { got <- e }
		a, b := l.start(conf), l.start(l.config(2))
		b.join(a)
		if err := b.FireUserEvent("deploy", []byte("v2"), false); err != nil {
			t.Fatal(err)
		}
		if e := <-got; e.Name != "deploy" || string(e.Payload) != "v2" {
			t.Errorf("got %+v", e)
		}
		if err := b.FireUserEvent("deploy", make([]byte, 600), false); err == nil {
			t.Error("600 bytes were accepted")
		}
	})
}

func TestStatsAndCoordinate(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b := l.start(l.config(1)), l.start(l.config(2))
		b.join(a)
		time.Sleep(10 * time.Second)
		stats := a.Stats()
		for _, k := range []string{
			"coordinate_resets", "encrypted", "event_queue", "event_time", "failed", "health_score",
			"intent_queue", "left", "member_time", "members", "query_queue", "query_time",
		} {
			if _, ok := stats[k]; !ok {
				t.Errorf("no %s in %v", k, stats)
			}
		}
		if stats["members"] != "2" || stats["encrypted"] != "false" || a.Encrypted() {
			t.Errorf("got %v", stats)
		}
		if c := a.Coordinate(); len(c.Vec) != 8 || c.Height <= 0 {
			t.Errorf("own coordinate is %+v", c)
		}
		if _, ok := a.CachedCoordinate("node-2"); !ok {
			t.Error("no coordinate of node-2")
		}
		if _, ok := a.CachedCoordinate("node-9"); ok {
			t.Error("a coordinate of nobody")
		}
	})
}

func TestBeforeRun(t *testing.T) {
	c := gossip.DefaultConfig(gossip.LAN)
	c.NodeName, c.Identity.Datacenter = "a", "dc1"
	p, err := gossip.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Join(t.Context(), []string{"127.0.0.1"}); !failure.Is(err, failure.Unavailable) {
		t.Errorf("join: %v", err)
	}
	if err := p.Leave(t.Context()); !failure.Is(err, failure.Unavailable) {
		t.Errorf("leave: %v", err)
	}
	if err := p.SetTags(map[string]string{"x": "y"}); err != nil {
		t.Errorf("set tags: %v", err)
	}
	if p.Members() != nil || p.Stats() != nil || p.Encrypted() || p.Previous() != nil || len(p.Coordinate().Vec) != 8 {
		t.Error("a pool that does not run reports something")
	}
}
