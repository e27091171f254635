package doctor

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// membersOf returns n members as one agent lists them, the last five servers.
func membersOf(n int) []*api.AgentMember {
	list := make([]*api.AgentMember, n)
	for i := range list {
		role := "node"
		if i >= n-5 {
			role = "consul"
		}
		list[i] = &api.AgentMember{
			Name: fmt.Sprintf("n%d", i), Addr: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Port: 8301, Status: statusAlive,
			Tags: map[string]string{"role": role, "id": fmt.Sprintf("id%d", i), "build": "1.21.4:ctl"},
		}
	}
	return list
}

// large is a cluster of n members of which asked agents were asked; each has
// probed 16 others, one of which did not answer.
func large(n, asked int) *cluster {
	c := &cluster{now: time.Now()}
	for i := range asked {
		v := &view{address: fmt.Sprintf("http://10.0.%d.%d:8500", i/250, i%250), members: membersOf(n), leader: "10.0.0.1:8300"}
		v.self.Config.NodeName, v.self.Config.Datacenter = fmt.Sprintf("n%d", i), "dc1"
		g := &gossip{}
		for k := range 16 {
			seconds := 0.001
			p := probe{Member: fmt.Sprintf("n%d", (i+k+1)%n), Status: statusAlive, PingSeconds: &seconds}
			if k == 0 {
				p.PingSeconds, p.PingError = nil, "no answer"
				v.again = map[string]probe{p.Member: p}
			}
			g.Probes = append(g.Probes, p)
		}
		v.diagnosis = &diagnosis{Gossip: g}
		c.views = append(c.views, v)
	}
	return c
}

func TestAllAsksServersFirst(t *testing.T) {
	c := large(5000, 1)
	others := c.others()
	if len(others) != 4999 {
		t.Fatalf("%d others", len(others))
	}
	for i, at := range others[:5] {
		if want := fmt.Sprintf("http://10.0.19.%d:8500", 245+i); at != want {
			t.Errorf("other %d is %s, want the server at %s", i, at, want)
		}
	}
}

func TestMembersSeenAlikeAreKeptOnce(t *testing.T) {
	c := large(100, 3)
	c.views[2].members[7].Status = statusFailed
	c.settle()
	for i := range 100 {
		a, b, other := c.views[0].members[i], c.views[1].members[i], c.views[2].members[i]
		if a != b || (a == other) != (i != 7) {
			t.Fatalf("member %d: %p %p %p", i, a, b, other)
		}
	}
}

// BenchmarkLargeCluster is all that doctor thinks about 5,000 members of which
// the most are asked, once it has the answers.
func BenchmarkLargeCluster(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		c := large(5000, maxAll)
		b.StartTimer()
		c.settle()
		if r := diagnose(c); len(r.Findings) == 0 {
			b.Fatal("nothing was found")
		}
	}
}
