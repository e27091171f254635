package gossip_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

// TestProbeTellsTheDirection cuts one way between two of three agents: all stay
// alive, because the third asks for them, and neither ping is answered; who
// heard whom says which way is cut.
func TestProbeTellsTheDirection(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b, c := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
		b.join(a)
		c.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, c)
		for _, x := range []*agent{a, b, c} {
			for _, p := range probe(t, x) {
				if p.PingError != nil || p.StreamError != nil || time.Since(p.Heard) > time.Second {
					t.Errorf("before the cut: %+v", p)
				}
			}
		}
		l.net.Cut("127.0.0.1", "127.0.0.2")
		time.Sleep(2 * time.Minute)
		await(t, 0, "node-1=alive node-2=alive node-3=alive", a, b, c)
		start := time.Now()
		probe(t, a, "node-2")
		fromB := probe(t, b, "node-1")
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("two probes took %s", took)
		}
		fromA := probe(t, a, "node-2")
		for _, p := range append(fromA, fromB...) {
			if p.PingError == nil || p.StreamError == nil {
				t.Errorf("behind the cut: %+v", p)
			}
		}
		if len(fromA) != 1 || len(fromB) != 1 {
			t.Fatalf("probed %d and %d", len(fromA), len(fromB))
		}
		if fromA[0].Heard.Before(start) {
			t.Errorf("node-1 last heard node-2 %s ago, though node-2 pinged it", time.Since(fromA[0].Heard))
		}
		if silent := time.Since(fromB[0].Heard); silent < time.Minute {
			t.Errorf("node-2 heard node-1 %s ago, from behind the cut", silent)
		}
		if p := probe(t, c); len(p) != 2 || p[0].PingError != nil || p[1].PingError != nil {
			t.Errorf("node-3 is not behind the cut: %+v", p)
		}
	})
}

func probe(t *testing.T, a *agent, names ...string) []gossip.Probe {
	t.Helper()
	p, err := a.Probe(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProbeOfAFailedMember(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b := l.start(l.config(1)), l.start(l.config(2))
		b.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
		b.kill()
		await(t, 20*time.Second, "node-1=alive node-2=failed", a)
		p := probe(t, a)
		if len(p) != 1 || p[0].PingError == nil || p[0].StreamError == nil || p[0].Member.Status != gossip.StatusFailed {
			t.Errorf("got %+v", p)
		}
		if p := probe(t, a, "node-1", "nobody"); len(p) > 0 {
			t.Errorf("got %+v of itself and nobody", p)
		}
	})
}

// TestProbesAreASample has more members than are probed: all servers, and
// clients up to the limit.
func TestProbesAreASample(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		for n := 2; n <= 30; n++ {
			c := l.config(n)
			c.Identity.Server = n%10 == 0
			l.start(c).join(a)
		}
		time.Sleep(5 * time.Second)
		p := probe(t, a)
		servers := 0
		for _, one := range p {
			if one.Member.Tags["role"] == "consul" {
				servers++
			}
		}
		if len(p) != gossip.MaxProbes || servers != 3 {
			t.Errorf("%d probes, %d of servers", len(p), servers)
		}
	})
}

func TestProbeBeforeThePoolRuns(t *testing.T) {
	p, err := gossip.New((&lab{t: t}).config(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); !failure.Is(err, failure.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name     string
		one, two string // gossip keys of node-1, and of node-2, which joins
		reason   string
	}{
		{"the same key", redKey, redKey, ""},
		{"another key", redKey, blueKey, gossip.RefusedOtherKey},
		{"a key missing there", redKey, "", gossip.RefusedNoKeyThere},
		{"a key missing here", "", redKey, gossip.RefusedNoKeyHere},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				one, two := l.config(1), l.config(2)
				one.EncryptKey, two.EncryptKey = c.one, c.two
				a, b := l.start(one), l.start(two)
				for range 3 {
					_, _ = b.Join(t.Context(), []string{"127.0.0.1"}) // see what a refuses
					time.Sleep(time.Second)
				}
				var got []string
				for _, r := range a.Refusals() {
					got = append(got, fmt.Sprintf("%s %s %t", r.Host, r.Reason, r.Count >= 3 && time.Since(r.Last) < 2*time.Second))
				}
				want := ""
				if c.reason != "" {
					want = "127.0.0.2 " + c.reason + " true"
				}
				if strings.Join(got, ", ") != want {
					t.Errorf("got %v, want %s\n%s", got, want, a.log)
				}
			})
		})
	}
}
