package compat

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestStatus(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		var want []string
		for _, s := range shared.agents[:servers] {
			want = append(want, s.p.Spec.Bind+":8300")
		}
		leader, err := v.api.Status().LeaderWithQueryOptions(&api.QueryOptions{Datacenter: "dc1"})
		if err != nil || !slices.Contains(want, leader) {
			t.Errorf("leader %q, %v", leader, err)
		}
		peers, err := v.api.Status().Peers()
		slices.Sort(peers)
		slices.Sort(want)
		if err != nil || !slices.Equal(peers, want) {
			t.Errorf("peers %q, want %q, %v", peers, want, err)
		}
		_, err = v.api.Status().LeaderWithQueryOptions(&api.QueryOptions{Datacenter: "nowhere"})
		mustSay(t, err, "No path to datacenter")
	})
}

// registered waits until the leader has written down every agent.
func registered(t *testing.T, v *via) []*api.Node {
	t.Helper()
	var nodes []*api.Node
	within(t, "all agents in the catalog", func() error {
		var err error
		nodes, _, err = v.api.Catalog().Nodes(&api.QueryOptions{Filter: `Node matches "^(server[0-2]|client)$"`})
		if err == nil && len(nodes) != servers+1 {
			err = fmt.Errorf("%d nodes", len(nodes))
		}
		return err
	})
	return nodes
}

func TestCatalog(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		catalog := v.api.Catalog()
		dcs, err := catalog.Datacenters()
		if err != nil || !slices.Equal(dcs, []string{"dc1"}) {
			t.Errorf("datacenters %q, %v", dcs, err)
		}
		for _, n := range registered(t, v) {
			i := slices.IndexFunc(shared.agents, func(a *via) bool { return a.p.Spec.Name == n.Node })
			if n.Address != shared.agents[i].p.Spec.Bind || len(n.ID) != 36 || n.Datacenter != "dc1" || n.TaggedAddresses["lan"] != n.Address || n.ModifyIndex == 0 {
				t.Errorf("node %+v", n)
			}
			_, hasVersion := n.Meta["consul-version"]
			if !hasVersion {
				t.Errorf("%s: meta %v", n.Node, n.Meta)
			}
		}
		nodes, meta, err := catalog.Nodes(&api.QueryOptions{NodeMeta: map[string]string{"consul-version": "1.21.4"}, Filter: `Node == "client"`})
		if err != nil || len(nodes) != 1 || meta.LastIndex == 0 || !meta.KnownLeader {
			t.Errorf("nodes by meta and filter: %d, %+v, %v", len(nodes), meta, err)
		}
		if nodes, _, err = catalog.Nodes(&api.QueryOptions{NodeMeta: map[string]string{"rack": "r1"}}); err != nil || len(nodes) != 0 {
			t.Errorf("nodes by meta that none has: %d, %v", len(nodes), err)
		}
		node, meta, err := catalog.Node("server0", nil)
		must(t, err)
		if node == nil || node.Node.Node != "server0" || meta.LastIndex == 0 {
			t.Fatalf("node server0: %+v", node)
		}
		consul := node.Services["consul"]
		if consul == nil || consul.Service != "consul" || consul.Port != 8300 {
			t.Errorf("services of server0: %+v", node.Services)
		}
		if node, _, err := catalog.Node("nobody", nil); err != nil || node != nil {
			t.Errorf("unknown node: %+v, %v", node, err)
		}
		within(t, "the servers' service in a stale read", func() error {
			names, _, err := catalog.Services(&api.QueryOptions{AllowStale: true})
			if _, ok := names["consul"]; err == nil && (!ok || len(names) != 1) {
				err = fmt.Errorf("services %v", names)
			}
			return err
		})
		rows, meta, err := catalog.Service("consul", "", &api.QueryOptions{RequireConsistent: true})
		if err != nil || len(rows) != servers || meta.LastIndex == 0 {
			t.Fatalf("service consul: %d rows, %+v, %v", len(rows), meta, err)
		}
		if r := rows[0]; r.ServicePort != 8300 || r.Address == "" || r.ServiceID != "consul" || r.Datacenter != "dc1" {
			t.Errorf("row %+v", r)
		}
		if rows, _, err := catalog.Service("consul", "no-such-tag", nil); err != nil || len(rows) != 0 {
			t.Errorf("with a tag nobody has: %d rows, %v", len(rows), err)
		}
		if rows, _, err := catalog.Service("nothing", "", nil); err != nil || rows == nil || len(rows) != 0 {
			t.Errorf("unknown service: %v, %v", rows, err)
		}
		_, _, err = catalog.Nodes(&api.QueryOptions{Filter: "Nope == 1"})
		mustSay(t, err, "Failed to create boolean expression evaluator")
		_, _, err = catalog.Nodes(&api.QueryOptions{Datacenter: "nowhere"})
		mustSay(t, err, "No path to datacenter")
	})
}

func TestHealth(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		registered(t, v)
		health := v.api.Health()
		for _, a := range shared.agents {
			checks, meta, err := health.Node(a.p.Spec.Name, nil)
			if err != nil || len(checks) != 1 || meta.LastIndex == 0 {
				t.Fatalf("checks of %s: %d, %+v, %v", a.p.Spec.Name, len(checks), meta, err)
			}
			if c := checks[0]; c.CheckID != "serfHealth" || c.Name != "Serf Health Status" || c.Status != api.HealthPassing || c.Output != "Agent alive and reachable" {
				t.Errorf("check %+v", c)
			}
		}
		if checks, _, err := health.Node("nobody", nil); err != nil || checks == nil || len(checks) != 0 {
			t.Errorf("checks of nobody: %v, %v", checks, err)
		}
		for _, state := range []string{api.HealthPassing, api.HealthAny} {
			if checks, _, err := health.State(state, nil); err != nil || len(checks) < servers+1 {
				t.Errorf("%s: %d checks, %v", state, len(checks), err)
			}
		}
		if checks, _, err := health.State(api.HealthWarning, &api.QueryOptions{AllowStale: true}); err != nil || len(checks) != 0 {
			t.Errorf("warnings: %v, %v", checks, err)
		}
	})
}

// TestCached asks every agent for what it keeps.
func TestCached(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		registered(t, v)
		cached := func(q api.QueryOptions) *api.QueryOptions { q.UseCache = true; return &q }
		for name, ask := range map[string]func(*api.QueryOptions) (*api.QueryMeta, error){
			"health/service": func(q *api.QueryOptions) (*api.QueryMeta, error) {
				list, meta, err := v.api.Health().Service("consul", "", true, q)
				if err == nil && len(list) != servers {
					err = fmt.Errorf("%d instances", len(list))
				}
				return meta, err
			},
			"catalog/service": func(q *api.QueryOptions) (*api.QueryMeta, error) {
				list, meta, err := v.api.Catalog().Service("consul", "", q)
				if err == nil && len(list) != servers {
					err = fmt.Errorf("%d instances", len(list))
				}
				return meta, err
			},
			"catalog/services": func(q *api.QueryOptions) (*api.QueryMeta, error) {
				list, meta, err := v.api.Catalog().Services(q)
				if _, ok := list["consul"]; err == nil && !ok {
					err = fmt.Errorf("services %v", list)
				}
				return meta, err
			},
		} {
			for range 2 {
				var meta *api.QueryMeta
				within(t, name+" in the agent's memory", func() (err error) {
					meta, err = ask(cached(api.QueryOptions{}))
					return err
				})
				again, err := ask(cached(api.QueryOptions{MaxAge: time.Hour, StaleIfError: time.Hour}))
				if err != nil || !again.CacheHit || again.CacheAge != 0 || again.LastIndex < meta.LastIndex || again.LastIndex == 0 || !again.KnownLeader {
					t.Errorf("%s: %+v, %v", name, again, err)
				}
			}
			if meta, err := ask(&api.QueryOptions{}); err != nil || meta.CacheHit {
				t.Errorf("%s without the cache: %+v, %v", name, meta, err)
			}
		}
	})
}

// TestCatalogWakes waits for a node that joins, and for its check when it dies.
func TestCatalogWakes(t *testing.T) {
	all := ways(t)
	follower, client := all[1].api, all[2].api
	_, nodes, err := follower.Catalog().Nodes(nil)
	must(t, err)
	_, critical, err := client.Health().State(api.HealthCritical, nil)
	must(t, err)
	joins := make(chan error, 1)
	go func() { // awaited below
		joins <- seen(nodes.LastIndex, func(q *api.QueryOptions) (uint64, bool, error) {
			list, meta, err := follower.Catalog().Nodes(q)
			if err != nil {
				return 0, false, err
			}
			return meta.LastIndex, slices.ContainsFunc(list, func(n *api.Node) bool { return n.Node == "guest" }), nil
		})
	}()
	guest := shared.join(t, "guest")
	must(t, <-joins)
	fails := make(chan error, 1)
	go func() { // awaited below
		fails <- seen(critical.LastIndex, func(q *api.QueryOptions) (uint64, bool, error) {
			list, meta, err := client.Health().State(api.HealthCritical, q)
			if err != nil {
				return 0, false, err
			}
			return meta.LastIndex, slices.ContainsFunc(list, func(c *api.HealthCheck) bool { return c.Node == "guest" && c.CheckID == "serfHealth" }), nil
		})
	}()
	guest.p.Kill()
	must(t, <-fails)
	// Nobody waits for a reconnect in the tests that follow.
	must(t, client.Agent().ForceLeavePrune("guest"))
	within(t, "guest is forgotten", func() error {
		list, _, err := follower.Catalog().Nodes(&api.QueryOptions{Filter: `Node == "guest"`})
		if err == nil && len(list) != 0 {
			err = fmt.Errorf("still there: %+v", list[0])
		}
		return err
	})
}

// seen follows a blocking read from index on until it shows what is looked for.
func seen(index uint64, read func(*api.QueryOptions) (uint64, bool, error)) error {
	for until := time.Now().Add(patience); time.Now().Before(until); {
		next, found, err := read(&api.QueryOptions{WaitIndex: index, WaitTime: 10 * time.Second})
		if err != nil || found {
			return err
		}
		if next < index {
			return fmt.Errorf("index went from %d to %d", index, next)
		}
		index = next
	}
	return fmt.Errorf("not seen within %v", patience)
}
