package tuitest

import (
	"fmt"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

// Now is the moment the states are made for.
func Now() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) }

// ready is the status of a section that has been answered.
func ready() source.Status { return source.Status{Phase: source.Ready, Version: 1, At: Now()} }

// Live returns a cluster in which not all is well: three servers, a client,
// services with failing checks, keys and a log.
func Live() *source.State {
	s := &source.State{Version: 1}
	s.Connection = source.Connection{Version: 1, Link: source.Connected, Since: Now().Add(-time.Hour), Address: "127.0.0.1:8500",
		Transport: source.Stream, RTT: 400 * time.Microsecond,
		Agent: source.Agent{Node: "client-1", ID: "c1", Datacenter: "dc1", Version: "1.16.0", Build: "ctl 0.5.0", DNS: "127.0.0.1:8600"}}
	s.Cluster = source.Cluster{Status: ready(), Leader: "id-2", LeaderName: "server-2", LeaderAddr: "10.0.0.2:8300", LeaderSince: Now().Add(-26 * time.Minute),
		Term: 7, Commit: 4711, Applied: 4711, LastLog: 4711, Voters: 3, Quorum: 2, CanLose: 1, Healthy: true, Judged: true, Elections: 1, Snapshot: 4096}
	for i, n := range []int{2, 1, 3} {
		s.Cluster.Peers = append(s.Cluster.Peers, &source.Peer{ID: fmt.Sprint("id-", n), Name: fmt.Sprint("server-", n), Address: fmt.Sprintf("10.0.0.%d:8300", n),
			Voter: true, Leader: i == 0, Serf: "alive", Version: "1.16.0", Known: true, Healthy: true, LastContact: time.Duration(i) * 7 * time.Millisecond,
			LastTerm: 7, Match: 4711 - uint64(i), Gap: uint64(i), StableSince: Now().Add(-time.Hour)})
	}
	members(s)
	services(s)
	nodes(s)
	keys(s)
	history(s)
	s.Datacenters = source.Datacenters{Status: ready(), Names: []string{"dc1", "dc2"}}
	s.Sessions = source.Sessions{Status: ready()}
	return s
}

func members(s *source.State) {
	s.Members = source.Members{Status: ready(), Alive: 4, Failed: 1}
	for i, name := range []string{"client-1", "client-2", "server-1", "server-2", "server-3"} {
		m := &source.Member{Name: name, ID: fmt.Sprint("m", i), Address: fmt.Sprintf("10.0.0.%d", 10-i), Port: 8301, State: "alive", Server: i > 1,
			Build: "1.16.0", Protocol: "2", Datacenter: "dc1", RTT: time.Duration(i) * 310 * time.Microsecond,
			Tags: map[string]string{"dc": "dc1", "role": "node", "build": "1.16.0"}}
		if name == "client-2" {
			m.State, m.Since = "failed", Now().Add(-3*time.Minute)
		}
		s.Members.LAN = append(s.Members.LAN, m)
	}
	for i := 1; i < 4; i++ {
		s.Members.WAN = append(s.Members.WAN, &source.Member{Name: fmt.Sprintf("server-%d.dc1", i), Address: fmt.Sprintf("10.0.0.%d", i), Port: 8302, State: "alive",
			Server: true, Build: "1.16.0", Protocol: "2", Datacenter: "dc1"})
	}
}

// Check makes a check with a course.
func Check(node, id, name, status, output string) *source.Check {
	c := &source.Check{Node: node, ID: id, Name: name, Status: status, Output: output, Type: "http", Interval: "10s", Index: 90,
		History: &source.History{Entries: []source.HistoryEntry{{At: Now().Add(-20 * time.Minute), Status: status, Output: output}}}}
	if status != source.Passing {
		c.History.Entries = []source.HistoryEntry{
			{At: Now().Add(-20 * time.Minute), Status: source.Passing, Output: "HTTP GET: 200 OK"},
			{At: Now().Add(-2 * time.Minute), Status: status, Output: output},
		}
		c.History.Flaps = 1
	}
	return c
}

func services(s *source.State) {
	row := func(name string, p, w, c int, tags ...string) {
		s.Services.Rows = append(s.Services.Rows, &source.Service{Name: name, Tags: tags, Instances: p + w + c, Passing: p, Warning: w, Critical: c, Counted: true, Index: 77})
	}
	s.Services.Status = ready()
	row("api", 3, 0, 0, "v1", "v2")
	row("cache", 1, 1, 0)
	row("consul", 3, 0, 0)
	row("web", 2, 0, 1, "blue", "http")
	s.Services.Passing, s.Services.Warning, s.Services.Critical = 2, 1, 1

	bad := Check("client-2", "service:web-3", "web answers", source.Critical, "HTTP GET http://10.0.0.9:8080/health: 503 Service Unavailable\nOutput: database is gone\n")
	bad.ServiceID, bad.ServiceName = "web-3", "web"
	slow := Check("client-1", "service:cache-1", "cache is quick", source.Warning, "took 120 ms")
	slow.ServiceID, slow.ServiceName = "cache-1", "cache"
	gone := Check("client-2", "serfHealth", "Serf Health Status", source.Critical, "Agent not live or unreachable")
	s.Problems = source.Problems{Status: ready(), Rows: []*source.Check{bad, gone, slow}}

	s.Service = source.ServiceDetail{Status: ready(), Name: "web"}
	for i, node := range []string{"client-1", "server-1", "client-2"} {
		id := fmt.Sprint("web-", i+1)
		in := &source.Instance{Node: node, NodeAddress: "10.0.0.1", ID: id, Service: "web", Address: fmt.Sprintf("10.0.0.%d", 7+i), Port: 8080,
			Tags: []string{"blue", "http"}, Meta: map[string]string{"version": "1.2"}, Health: source.Passing}
		in.Checks = []*source.Check{Check(node, "service:"+id, "web answers", source.Passing, "HTTP GET: 200 OK"), Check(node, "serfHealth", "Serf Health Status", source.Passing, "Agent alive and reachable")}
		if node == "client-2" {
			in.Health, in.Checks = source.Critical, []*source.Check{bad, gone}
		}
		s.Service.Rows = append(s.Service.Rows, in)
	}
}

func nodes(s *source.State) {
	s.Nodes.Status = ready()
	for i, name := range []string{"client-1", "client-2", "server-1", "server-2", "server-3"} {
		n := &source.Node{Name: name, ID: fmt.Sprint("n", i), Address: fmt.Sprintf("10.0.0.%d", 10-i), Datacenter: "dc1", Meta: map[string]string{"rack": "r1"},
			Services: 1, Passing: 2, Counted: true, Index: 12}
		switch name {
		case "client-2":
			n.Critical, n.Passing = 2, 0
		case "server-3":
			n.Maintenance, n.MaintenanceReason = true, "new disk"
		}
		s.Nodes.Rows = append(s.Nodes.Rows, n)
	}
	s.Node = source.NodeDetail{Status: ready(), Name: "client-2", Node: s.Nodes.Rows[1], Services: s.Service.Rows[2:], Checks: s.Service.Rows[2].Checks}
}

func keys(s *source.State) {
	level := func(prefix string, children ...source.Child) {
		s.KV.Levels[prefix] = &source.Level{Status: ready(), Prefix: prefix, Children: children}
	}
	s.KV = source.KV{Status: ready(), Levels: map[string]*source.Level{}}
	level("", source.Child{Key: "app/", Dir: true}, source.Child{Key: "greeting"}, source.Child{Key: "locks/", Dir: true})
	level("app/", source.Child{Key: "app/colour"}, source.Child{Key: "app/limits.json"})
	s.Key = source.Key{Status: ready(), Key: "greeting", Found: true, Value: []byte("hello\nworld"), Flags: 42, CreateIndex: 17, ModifyIndex: 90}
}

func history(s *source.State) {
	s.Recent.Status = ready()
	event := func(ago time.Duration, k source.EventKind, sev source.Severity, object, text string) {
		s.Recent.Events = append(s.Recent.Events, source.Event{Seq: uint64(len(s.Recent.Events) + 1), At: Now().Add(-ago), Kind: k, Severity: sev, Object: object, Text: text})
	}
	event(26*time.Minute, source.EventRaft, source.Info, "server-2", "is the leader, term 7")
	event(3*time.Minute, source.EventMember, source.Bad, "client-2", "failed")
	event(2*time.Minute, source.EventHealth, source.Bad, "web", "web answers on client-2: passing, now critical")
	event(time.Minute, source.EventHealth, source.Warn, "cache", "cache is quick on client-1: passing, now warning")
	s.Log = source.Log{Status: ready(), Level: "info", Lines: []source.LogLine{
		{Seq: 1, At: Now().Add(-150 * time.Second), Level: "INFO", Text: "agent: synced service: service=cache-1"},
		{Seq: 2, At: Now().Add(-100 * time.Second), Level: "WARN", Text: "agent: check is now critical: check=service:web-3"},
		{Seq: 3, At: Now().Add(-30 * time.Second), Level: "ERROR", Text: "gossip: push/pull with client-2 failed: connection refused"},
	}}
	s.Traffic.Status = ready()
	for i := range 60 {
		s.Traffic.Writes = append(s.Traffic.Writes, float64((i*i)%17))
		s.Traffic.Requests = append(s.Traffic.Requests, float64(40+(i*7)%30))
		s.Traffic.Elections = append(s.Traffic.Elections, 0)
	}
}

// sections calls f for the status of every section.
func sections(s *source.State, f func(*source.Status)) {
	for _, st := range []*source.Status{&s.Cluster.Status, &s.Members.Status, &s.Services.Status, &s.Service.Status, &s.Nodes.Status, &s.Node.Status,
		&s.Problems.Status, &s.KV.Status, &s.Key.Status, &s.Sessions.Status, &s.Log.Status, &s.Datacenters.Status, &s.Recent.Status, &s.Traffic.Status} {
		f(st)
	}
	for p, l := range s.KV.Levels {
		c := *l
		f(&c.Status)
		s.KV.Levels[p] = &c
	}
}

// Loading returns the state of a dashboard that has asked and not been answered.
func Loading() *source.State {
	s := &source.State{Version: 1}
	s.Connection = source.Connection{Version: 1, Address: "127.0.0.1:8500", Since: Now()}
	sections(s, func(st *source.Status) { st.Phase = source.Loading })
	return s
}

// Empty returns a cluster that has nothing but itself.
func Empty() *source.State {
	s := &source.State{Version: 1}
	s.Connection = Live().Connection
	sections(s, func(st *source.Status) { *st = ready() })
	s.Cluster.Leader, s.Cluster.LeaderName = "id-2", "server-2"
	s.Service.Name, s.Node.Name = "web", "client-2"
	s.KV.Levels = map[string]*source.Level{"": {Status: ready()}}
	s.Key.Key = "greeting"
	return s
}

// Denied returns a state in which the token may see nothing.
func Denied() *source.State {
	s := Empty()
	sections(s, func(st *source.Status) {
		st.Phase = source.Failed
		st.Problem = &source.Problem{Kind: source.Denied, Text: "Permission denied: token with AccessorID '6e5f' lacks permission", Rule: `service:read on "web"`, Token: "CONSUL_HTTP_TOKEN", HTTP: 403, At: Now()}
	})
	return s
}

// Lost returns Live as it is shown when the agent has not answered for a while.
func Lost() *source.State {
	s := Live()
	s.Connection.Version++
	s.Connection.Link, s.Connection.Since = source.Lost, Now().Add(-12*time.Second)
	s.Connection.Attempt, s.Connection.RetryAt = 4, Now().Add(2500*time.Millisecond)
	s.Connection.Problem = &source.Problem{Kind: source.Unreachable, Text: "dial tcp 127.0.0.1:8500: connect: connection refused"}
	sections(s, func(st *source.Status) { st.At = Now().Add(-12 * time.Second) })
	return s
}

// Leaderless returns Live without a leader.
func Leaderless() *source.State {
	s := Live()
	c := &s.Cluster
	c.Version++
	c.Leader, c.LeaderName, c.LeaderAddr, c.CanLose, c.Healthy = "", "", "", -1, false
	for i, p := range c.Peers {
		q := *p
		q.Leader = false
		if i > 0 {
			q.Serf, q.Healthy = "failed", false
		}
		c.Peers[i] = &q
	}
	sections(s, func(st *source.Status) { st.Stale, st.At = true, Now().Add(-5*time.Second) })
	return s
}

// ReadOnly returns Live where nothing may be changed.
func ReadOnly() *source.State {
	s := Live()
	s.Connection.ReadOnly, s.Connection.ReadOnlyReason = true, "the context prod is read-only"
	return s
}

// Back returns Live just after the agent was reached again.
func Back() *source.State {
	s := Live()
	s.Connection.Away = &source.Away{From: Now().Add(-40 * time.Second), To: Now(), Leader: "server-2", ServicesCritical: []string{"a", "b", "c"}, MembersChanged: 1, Writes: 41}
	return s
}

// Many returns Live with n services, of which every hundredth is critical.
func Many(n int) *source.State {
	s := Live()
	s.Services = source.Services{Status: ready()}
	for i := range n {
		r := &source.Service{Name: fmt.Sprintf("service-%05d", i), Tags: []string{"v1", fmt.Sprint("zone-", i%7)}, Instances: 3, Passing: 3, Counted: true, Index: uint64(i)}
		if i%100 == 0 {
			r.Passing, r.Critical = 2, 1
			s.Services.Critical++
		} else {
			s.Services.Passing++
		}
		s.Services.Rows = append(s.Services.Rows, r)
	}
	return s
}

// Past returns states before Live, the oldest first: one in which nobody looked at
// the services yet, one in which all was well, and one in which the node failed and
// its checks did not yet.
func Past() []*source.State {
	began := Live()
	began.AsOf = Now().Add(-10 * time.Minute)
	began.Services = source.Services{Status: source.Status{Phase: source.Idle}}
	began.Nodes = source.Nodes{Status: source.Status{Phase: source.Idle}}
	well, failed := Live(), Live()
	well.AsOf, failed.AsOf = Now().Add(-5*time.Minute), Now().Add(-3*time.Minute)
	for _, s := range []*source.State{began, well, failed} {
		s.Problems.Rows = nil
		s.Recent.Events = s.Recent.Events[:1]
		s.Service = source.ServiceDetail{Status: source.Status{Phase: source.Idle}}
		s.Node = source.NodeDetail{Status: source.Status{Phase: source.Idle}}
		s.KV, s.Key, s.Datacenters, s.Log = source.KV{}, source.Key{}, source.Datacenters{}, source.Log{}
		for i, r := range s.Services.Rows {
			s.Services.Rows[i] = &source.Service{Name: r.Name, Tags: r.Tags, Instances: r.Instances, Passing: r.Instances, Counted: true, Index: 70}
		}
		s.Services.Passing, s.Services.Warning, s.Services.Critical = len(s.Services.Rows), 0, 0
	}
	failed.Recent.Events = Live().Recent.Events[:2]
	for _, s := range []*source.State{began, well} {
		for i, r := range s.Members.LAN {
			m := *r
			m.State, m.Since = "alive", time.Time{}
			s.Members.LAN[i] = &m
		}
		s.Members.Alive, s.Members.Failed = 5, 0
		for i, r := range s.Nodes.Rows {
			n := *r
			n.Passing, n.Warning, n.Critical = n.Passing+n.Warning+n.Critical, 0, 0
			s.Nodes.Rows[i] = &n
		}
	}
	failed.Nodes = source.Nodes{Status: source.Status{Phase: source.Idle, At: Now().Add(-4 * time.Minute)}, Rows: well.Nodes.Rows}
	return []*source.State{began, well, failed}
}
