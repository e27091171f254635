package watchbench

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

func TestSections(t *testing.T) {
	both(t, func(t *testing.T, noStream bool) {
		p := alone(t)
		s := watch(t, noStream, p)
		s.Interest(source.Interest{
			Sections: source.SectionServices | source.SectionNodes | source.SectionProblems | source.SectionDatacenters,
			Service:  "web", Node: "n1", Prefixes: []string{"", "app/"}, Key: "app/a", LogLevel: "info",
		})
		st := await(t, s, "the header", func(st *source.State) bool {
			return st.Connection.Link == source.Connected && st.Cluster.Phase == source.Ready && len(st.Cluster.Peers) == 1 &&
				st.Cluster.LeaderName == "n1" && len(st.Members.LAN) == 1 && st.Cluster.Commit > 0 && st.Cluster.Term > 0
		})
		if st.Connection.Agent.Node != "n1" || !st.Connection.Agent.Server || st.Connection.RTT <= 0 || st.Connection.Agent.DNS == "" {
			t.Errorf("connection %+v", st.Connection)
		}
		if st.Cluster.Voters != 1 || st.Cluster.Quorum != 1 || st.Cluster.CanLose != 0 {
			t.Errorf("cluster %+v", st.Cluster)
		}
		await(t, s, "an unknown service to be empty", func(st *source.State) bool { return st.Service.Empty(len(st.Service.Rows)) })
		await(t, s, "an unknown key to be absent", func(st *source.State) bool { return st.Key.Phase == source.Ready && !st.Key.Found })

		put(t, p, "/v1/agent/service/register", `{"Name":"web","ID":"web1","Port":80,"Tags":["b","a"],"Check":{"CheckID":"w","TTL":"60s"}}`)
		await(t, s, "a critical service", func(st *source.State) bool {
			i := slices.IndexFunc(st.Services.Rows, func(r *source.Service) bool { return r.Name == "web" && r.Critical == 1 })
			return i >= 0 && slices.Equal(st.Services.Rows[i].Tags, []string{"a", "b"}) && st.Services.Rows[i].Instances == 1
		})
		await(t, s, "its check among the problems", func(st *source.State) bool {
			return slices.ContainsFunc(st.Problems.Rows, func(c *source.Check) bool { return c.ID == "w" && c.ServiceName == "web" })
		})
		await(t, s, "its instance", func(st *source.State) bool {
			return len(st.Service.Rows) == 1 && st.Service.Rows[0].Health == source.Critical && st.Service.Rows[0].Port == 80 && len(st.Service.Rows[0].Checks) == 2
		})
		await(t, s, "its node", func(st *source.State) bool {
			return st.Node.Node != nil && st.Node.Node.Critical == 1 && slices.ContainsFunc(st.Node.Services, func(i *source.Instance) bool { return i.ID == "web1" })
		})
		put(t, p, "/v1/agent/check/pass/w?note=fine", "")
		st = await(t, s, "the check to pass", func(st *source.State) bool {
			return len(st.Problems.Rows) == 0 && len(st.Service.Rows) == 1 && st.Service.Rows[0].Health == source.Passing
		})
		c := st.Service.Rows[0].Checks[slices.IndexFunc(st.Service.Rows[0].Checks, func(c *source.Check) bool { return c.ID == "w" })]
		if h := c.History; h == nil || h.Flaps != 1 || len(h.Entries) < 2 || h.Entries[len(h.Entries)-1].Output != "fine" {
			t.Errorf("history %+v", c.History)
		}
		await(t, s, "the service to pass", func(st *source.State) bool {
			return slices.ContainsFunc(st.Services.Rows, func(r *source.Service) bool { return r.Name == "web" && r.Passing == 1 && r.Critical == 0 })
		})
		await(t, s, "both in the time line", func(st *source.State) bool {
			said := func(sev source.Severity) bool {
				return slices.ContainsFunc(st.Recent.Events, func(e source.Event) bool { return e.Kind == source.EventHealth && e.Severity == sev })
			}
			return said(source.Bad) && said(source.Good)
		})

		put(t, p, "/v1/kv/app/a?flags=7", "one")
		await(t, s, "the key", func(st *source.State) bool {
			return st.Key.Found && string(st.Key.Value) == "one" && st.Key.Flags == 7 && st.Key.ModifyIndex > 0
		})
		await(t, s, "its levels", func(st *source.State) bool {
			root, app := st.KV.Levels[""], st.KV.Levels["app/"]
			return slices.Contains(root.Children, source.Child{Key: "app/", Dir: true}) && slices.Contains(root.Children, source.Child{Key: "ready"}) &&
				slices.Equal(app.Children, []source.Child{{Key: "app/a"}})
		})
		if st := s.Current(); len(st.Datacenters.Names) != 1 {
			await(t, s, "datacenters", func(st *source.State) bool { return slices.Equal(st.Datacenters.Names, []string{"dc1"}) })
		}
		put(t, p, "/v1/agent/reload", "")
		await(t, s, "a line of the log", func(st *source.State) bool {
			return slices.ContainsFunc(st.Log.Lines, func(l source.LogLine) bool { return l.Level == "INFO" && l.Text != "" })
		})
		await(t, s, "a sample of the traffic", func(st *source.State) bool { return len(st.Traffic.Writes) > 0 })
	})
}

func TestActions(t *testing.T) {
	p := alone(t)
	s := watch(t, false, p)
	ctx := t.Context()
	s.Interest(source.Interest{Sections: source.SectionNodes, Node: "n1", Key: "k", Prefixes: []string{""}})
	await(t, s, "the connection", func(st *source.State) bool { return st.Connection.Link == source.Connected })
	do := func(a source.Action) error {
		t.Helper()
		out, err := s.Do(ctx, a)
		if err == nil && out.Text == "" {
			t.Errorf("%s says nothing", a.Command())
		}
		return err
	}
	must := func(a source.Action) {
		t.Helper()
		if err := do(a); err != nil {
			t.Fatalf("%s: %v", a.Command(), err)
		}
	}
	must(source.MaintainNode{Node: "n1", Enable: true, Reason: "disk"})
	await(t, s, "maintenance", func(st *source.State) bool {
		return st.Node.Node != nil && st.Node.Node.Maintenance && st.Node.Node.MaintenanceReason == "disk" && st.Node.Node.Health() == source.MaintenanceState
	})
	await(t, s, "maintenance in the list", func(st *source.State) bool {
		return len(st.Nodes.Rows) == 1 && st.Nodes.Rows[0].Maintenance
	})
	must(source.MaintainNode{Node: "n1"})
	await(t, s, "no maintenance", func(st *source.State) bool { return st.Node.Node != nil && !st.Node.Node.Maintenance })
	if err := do(source.MaintainNode{Node: "other", Enable: true}); source.KindOf(err) != source.Refused {
		t.Errorf("maintenance of another node: %v", err)
	}
	must(source.PutKey{Key: "k", Value: []byte("one")})
	st := await(t, s, "the key", func(st *source.State) bool { return st.Key.Found })
	put(t, p, "/v1/kv/k", "two")
	err := do(source.PutKey{Key: "k", Value: []byte("three"), Index: st.Key.ModifyIndex})
	var conflict *source.Conflict
	if !errors.As(err, &conflict) || source.KindOf(err) != source.Conflicted || string(conflict.Key.Value) != "two" {
		t.Errorf("a check-and-set of what has changed: %v", err)
	}
	must(source.PutKey{Key: "k", Value: []byte("three"), Index: conflict.Key.ModifyIndex})
	if err := do(source.DeleteKey{Key: "k", Index: 1}); source.KindOf(err) != source.Conflicted {
		t.Errorf("deleting what has changed: %v", err)
	}
	must(source.DeleteKey{Key: "k", Unconditional: true})
	await(t, s, "the key to go", func(st *source.State) bool { return st.Key.Phase == source.Ready && !st.Key.Found })
	must(source.PutKey{Key: "tree/a/b", Value: []byte("x")})
	await(t, s, "the tree", func(st *source.State) bool {
		return slices.Contains(st.KV.Levels[""].Children, source.Child{Key: "tree/", Dir: true})
	})
	must(source.DeleteTree{Prefix: "tree/"})
	await(t, s, "the tree to go", func(st *source.State) bool {
		return !slices.Contains(st.KV.Levels[""].Children, source.Child{Key: "tree/", Dir: true})
	})
	put(t, p, "/v1/agent/service/register", `{"Name":"web"}`)
	await(t, s, "the service", func(st *source.State) bool {
		return slices.ContainsFunc(st.Node.Services, func(i *source.Instance) bool { return i.ID == "web" })
	})
	must(source.MaintainService{Node: "n1", ID: "web", Enable: true})
	await(t, s, "its maintenance", func(st *source.State) bool {
		return slices.ContainsFunc(st.Node.Services, func(i *source.Instance) bool { return i.ID == "web" && i.Health == source.MaintenanceState })
	})
	must(source.DeregisterService{Node: "n1", ID: "web"})
	await(t, s, "the service to go", func(st *source.State) bool {
		return !slices.ContainsFunc(st.Node.Services, func(i *source.Instance) bool { return i.ID == "web" })
	})
	if err := do(source.ForceLeave{Member: "nobody"}); err == nil {
		t.Error("nobody was forced to leave")
	}
	if err := do(source.TransferLeader{}); err == nil {
		t.Error("leadership went to nobody")
	}
	if err := do(source.DeleteTree{}); source.KindOf(err) != source.Refused {
		t.Errorf("deleting everything: %v", err)
	}
	answer, err := s.Probe(ctx, source.Question{Name: "n1.node.consul", Type: "a"})
	if err != nil || answer.Code != "NOERROR" || len(answer.Answers) != 1 || answer.Answers[0].Data != p.Spec.Bind {
		t.Errorf("probe: %+v, %v", answer, err)
	}
	if answer, err = s.Probe(ctx, source.Question{Name: "no.service.consul"}); err != nil || answer.Code != "NXDOMAIN" {
		t.Errorf("probe of what is not there: %+v, %v", answer, err)
	}
	s.SetReadOnly("the context says so")
	if err := do(source.PutKey{Key: "k"}); source.KindOf(err) != source.Refused {
		t.Errorf("a write while read-only: %v", err)
	}
	s.SetReadOnly("")
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Do(gone, source.PutKey{Key: "k"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
}

func TestAgentLostAndBack(t *testing.T) {
	both(t, func(t *testing.T, noStream bool) {
		p := alone(t)
		put(t, p, "/v1/catalog/register", `{"Node":"ext","Address":"10.0.0.9","Service":{"Service":"db"},"Check":{"CheckID":"c","ServiceID":"db","Status":"passing"}}`)
		s := watch(t, noStream, p)
		s.Interest(source.Interest{Sections: source.SectionServices})
		has := func(st *source.State, name string, critical int) bool {
			return slices.ContainsFunc(st.Services.Rows, func(r *source.Service) bool { return r.Name == name && r.Critical == critical })
		}
		await(t, s, "the service", func(st *source.State) bool { return has(st, "db", 0) })
		await(t, s, "the cluster", func(st *source.State) bool { return st.Cluster.Phase == source.Ready && st.Cluster.Commit > 0 })
		p.Kill()
		st := await(t, s, "the loss", func(st *source.State) bool {
			return st.Connection.Link == source.Lost && !st.Connection.RetryAt.IsZero()
		})
		if !has(st, "db", 0) || st.Services.Phase != source.Ready || st.Services.At.IsZero() || st.Connection.Problem == nil {
			t.Errorf("what was known is not kept: %+v, %+v", st.Services, st.Connection)
		}
		p = start(t, p.Spec)
		serving(t, p)
		put(t, p, "/v1/catalog/register", `{"Node":"ext","Address":"10.0.0.9","Check":{"CheckID":"c","ServiceID":"db","Status":"critical"}}`)
		s.Retry()
		await(t, s, "the return", func(st *source.State) bool { return st.Connection.Link == source.Connected && has(st, "db", 1) })
		st = await(t, s, "the summary", func(st *source.State) bool { return st.Connection.Away != nil })
		if st.Connection.Away.Writes == 0 {
			t.Errorf("while away: %+v", st.Connection.Away)
		}
		s.Seen()
		await(t, s, "the summary to go", func(st *source.State) bool { return st.Connection.Away == nil })
	})
}
