package compat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// unique returns a service name of the test's own.
func unique(t *testing.T) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", "/", "-", "_", "-").Replace(t.Name()))
}

// serve registers a service with the agent, until the end of the test.
func serve(t *testing.T, v *via, reg *api.AgentServiceRegistration) {
	t.Helper()
	must(t, v.api.Agent().ServiceRegister(reg))
	t.Cleanup(func() {
		// The test may have removed it.
		if err := v.api.Agent().ServiceDeregister(reg.ID); err != nil && statusOf(err) != 404 {
			t.Error(err)
		}
		vanished(t, v, reg.Name)
	})
}

// vanished waits until the catalog has no instance of a service.
func vanished(t *testing.T, v *via, name string) {
	t.Helper()
	within(t, name+" is gone", func() error {
		rows, _, err := v.api.Catalog().Service(name, "", nil)
		if err == nil && len(rows) != 0 {
			err = fmt.Errorf("still there: %+v", rows[0])
		}
		return err
	})
}

func statusOf(err error) int {
	if status, ok := errors.AsType[api.StatusError](err); ok {
		return status.Code
	}
	return 0
}

func TestAgentServices(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		agent, name := v.api.Agent(), unique(t)
		id := name + "-1"
		reg := &api.AgentServiceRegistration{
			ID: id, Name: name, Port: 80, Address: "10.1.1.1", Tags: []string{"v1", "eu"}, Meta: map[string]string{"rack": "r1"},
			TaggedAddresses: map[string]api.ServiceAddress{"wan": {Address: "198.51.100.1", Port: 8080}},
			Weights:         &api.AgentWeights{Passing: 5, Warning: 2},
			Checks:          api.AgentServiceChecks{{CheckID: id + ":a", Name: "a", TTL: "1h", Status: "passing"}, {CheckID: id + ":b", Name: "b", TTL: "1h"}},
		}
		serve(t, v, reg)
		all, err := agent.ServicesWithFilter(fmt.Sprintf("Service == %q", name))
		must(t, err)
		if s := all[id]; len(all) != 1 || s == nil || s.Service != name || s.Port != 80 || s.Address != "10.1.1.1" || !slices.Equal(s.Tags, reg.Tags) ||
			s.Meta["rack"] != "r1" || s.TaggedAddresses["wan"].Port != 8080 || s.Weights.Passing != 5 || s.Datacenter != "dc1" {
			t.Errorf("services %+v", all[id])
		}
		one, meta, err := agent.Service(id, nil)
		must(t, err)
		if one.Service != name || one.ContentHash == "" || meta.LastContentHash != one.ContentHash {
			t.Errorf("service %+v, hash of the header %q", one, meta.LastContentHash)
		}
		changed := make(chan error, 1)
		go func() { // awaited below
			s, _, err := agent.Service(id, &api.QueryOptions{WaitHash: one.ContentHash, WaitTime: 20 * time.Second})
			if err == nil && (s.ContentHash == one.ContentHash || s.Port != 81) {
				err = fmt.Errorf("woke with %+v", s)
			}
			changed <- err
		}()
		reg.Port, reg.Checks = 81, api.AgentServiceChecks{{CheckID: id + ":b", Name: "b", TTL: "1h"}}
		must(t, agent.ServiceRegisterOpts(reg, api.ServiceRegisterOpts{ReplaceExistingChecks: true}))
		must(t, <-changed)
		checks, err := agent.ChecksWithFilter(fmt.Sprintf("ServiceID == %q", id))
		if c := checks[id+":b"]; err != nil || len(checks) != 1 || c == nil || c.Type != "ttl" || c.Status != api.HealthCritical || c.ServiceName != name {
			t.Errorf("checks after they were replaced: %v, %v", checks, err)
		}
		must(t, agent.ServiceDeregister(id))
		_, _, err = agent.Service(id, nil)
		mustSay(t, err, "unknown service ID: "+id)
		err = agent.ServiceDeregister(id)
		mustSay(t, err, fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id))
		if statusOf(err) != 404 {
			t.Errorf("status %d", statusOf(err))
		}
	})
}

func TestAgentChecks(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		agent, name := v.api.Agent(), unique(t)
		check := "service:" + name
		serve(t, v, &api.AgentServiceRegistration{ID: name, Name: name, Port: 80, Check: &api.AgentServiceCheck{TTL: "1h"}})
		steps := []struct {
			name   string
			do     func() error
			status string
			output string
		}{
			{"pass", func() error { return agent.PassTTL(check, "good") }, api.HealthPassing, "good"},
			{"warn", func() error { return agent.WarnTTL(check, "slow") }, api.HealthWarning, "slow"},
			{"fail", func() error { return agent.FailTTL(check, "bad") }, api.HealthCritical, "bad"},
			{"update", func() error { return agent.UpdateTTL(check, "again", "pass") }, api.HealthPassing, "again"},
			{"maintenance", func() error { return agent.EnableServiceMaintenance(name, "upgrade") }, api.HealthMaint, ""},
			{"no maintenance", func() error { return agent.DisableServiceMaintenance(name) }, api.HealthPassing, "again"},
		}
		for _, step := range steps {
			must(t, step.do())
			known := step.status
			if known == api.HealthMaint {
				known = api.HealthCritical // the client knows no more from the status code
			}
			status, info, err := agent.AgentHealthServiceByID(name)
			if err != nil || status != known || info.AggregatedStatus != step.status || info.Service.Port != 80 {
				t.Fatalf("%s: by ID %q, %+v, %v", step.name, status, info, err)
			}
			status, list, err := agent.AgentHealthServiceByName(name)
			if err != nil || status != known || len(list) != 1 || list[0].AggregatedStatus != step.status {
				t.Errorf("%s: by name %q, %d, %v", step.name, status, len(list), err)
			}
			checks, err := agent.Checks()
			must(t, err)
			if step.output != "" && (checks[check] == nil || checks[check].Status != step.status || checks[check].Output != step.output) {
				t.Errorf("%s: check %+v", step.name, checks[check])
			}
			if maint := checks["_service_maintenance:"+name]; (maint != nil) != (step.status == api.HealthMaint) || maint != nil && maint.Notes != "upgrade" {
				t.Errorf("%s: maintenance %+v", step.name, maint)
			}
		}
		if status, info, err := agent.AgentHealthServiceByID("nobody"); err != nil || status != api.HealthCritical || info != nil {
			t.Errorf("health of nobody: %q, %+v, %v", status, info, err)
		}
		if statusOf(agent.PassTTL("nobody", "")) != 404 {
			t.Error("an unknown check passes")
		}
		must(t, agent.CheckRegister(&api.AgentCheckRegistration{ID: name + "-own", Name: "own", AgentServiceCheck: api.AgentServiceCheck{TTL: "1h", Status: "passing"}}))
		own := func(want string) {
			t.Helper()
			within(t, "the node's check is "+want, func() error {
				list, _, err := v.api.Health().Node(v.p.Spec.Name, nil)
				i := slices.IndexFunc(list, func(c *api.HealthCheck) bool { return c.CheckID == name+"-own" })
				if err == nil && (want == "" && i >= 0 || want != "" && (i < 0 || list[i].Status != want)) {
					err = fmt.Errorf("checks %v", list)
				}
				return err
			})
		}
		own(api.HealthPassing)
		must(t, agent.FailTTL(name+"-own", ""))
		own(api.HealthCritical)
		must(t, agent.CheckDeregister(name+"-own"))
		own("")
		if statusOf(agent.CheckDeregister(name+"-own")) != 404 {
			t.Error("a check is deregistered twice")
		}
	})
}

func TestNodeMaintenance(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		name := unique(t)
		serve(t, v, &api.AgentServiceRegistration{ID: name, Name: name})
		passing := func(want int) {
			t.Helper()
			within(t, fmt.Sprintf("%d instances pass", want), func() error {
				rows, _, err := v.api.Health().Service(name, "", true, nil)
				if err == nil && len(rows) != want {
					err = fmt.Errorf("%d instances", len(rows))
				}
				return err
			})
		}
		passing(1)
		must(t, v.api.Agent().EnableNodeMaintenance("disk"))
		passing(0)
		rows, _, err := v.api.Health().Service(name, "", false, nil)
		if err != nil || len(rows) != 1 || rows[0].Checks.AggregatedStatus() != api.HealthMaint {
			t.Errorf("in maintenance: %v, %v", rows, err)
		}
		must(t, v.api.Agent().DisableNodeMaintenance())
		passing(1)
	})
}

// external registers a node with a service and its proxy, which no agent knows,
// until the end of the test.
func external(t *testing.T, v *via, name string) {
	t.Helper()
	catalog := v.api.Catalog()
	t.Cleanup(func() {
		if _, err := catalog.Deregister(&api.CatalogDeregistration{Node: name}, nil); err != nil {
			t.Error(err)
		}
		vanished(t, v, name)
	})
	for _, reg := range []*api.CatalogRegistration{
		{
			Node: name, Address: "10.2.2.2", NodeMeta: map[string]string{"external": name},
			Service: &api.AgentService{ID: name, Service: name, Port: 5432, Tags: []string{"primary", "eu"}},
			Check:   &api.AgentCheck{Node: name, CheckID: "up", Name: "up", Status: api.HealthPassing, ServiceID: name},
		},
		{
			Node: name, SkipNodeUpdate: true,
			Service: &api.AgentService{
				Kind: api.ServiceKindConnectProxy, ID: name + "-proxy", Service: name + "-proxy", Port: 20000,
				Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: name},
			},
			Checks: api.HealthChecks{{Node: name, CheckID: "node", Name: "node", Status: api.HealthWarning}},
		},
	} {
		_, err := catalog.Register(reg, nil)
		must(t, err)
	}
}

func TestCatalogOfExternalNodes(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		catalog, name := v.api.Catalog(), unique(t)
		external(t, v, name)
		rows, meta, err := catalog.ServiceMultipleTags(name, []string{"primary", "eu"}, &api.QueryOptions{NodeMeta: map[string]string{"external": name}})
		if err != nil || len(rows) != 1 || meta.LastIndex == 0 || rows[0].Address != "10.2.2.2" || rows[0].ServicePort != 5432 || rows[0].NodeMeta["external"] != name {
			t.Errorf("service: %+v, %v", rows, err)
		}
		if rows, _, err = catalog.Service(name, "nope", nil); err != nil || len(rows) != 0 {
			t.Errorf("with a tag it has not: %d, %v", len(rows), err)
		}
		proxies, _, err := catalog.Connect(name, "", nil)
		if err != nil || len(proxies) != 1 || proxies[0].ServiceID != name+"-proxy" || proxies[0].ServiceProxy.DestinationServiceName != name {
			t.Errorf("connect: %+v, %v", proxies, err)
		}
		list, _, err := catalog.NodeServiceList(name, nil)
		if err != nil || list == nil || list.Node.Address != "10.2.2.2" || len(list.Services) != 2 {
			t.Errorf("services of the node: %+v, %v", list, err)
		}
		names, _, err := catalog.Services(&api.QueryOptions{NodeMeta: map[string]string{"external": name}})
		if tags := names[name]; err != nil || len(names) != 2 || !slices.Contains(tags, "primary") || !slices.Contains(tags, "eu") {
			t.Errorf("names %v, %v", names, err)
		}
		_, err = catalog.Deregister(&api.CatalogDeregistration{Node: name, ServiceID: name}, nil)
		must(t, err)
		vanished(t, v, name)
		if checks, _, err := v.api.Health().Node(name, nil); err != nil || len(checks) != 1 {
			t.Errorf("checks left: %v, %v", checks, err)
		}
	})
}

func TestCatalogRefuses(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		name := unique(t)
		tests := []struct {
			name   string
			reg    api.CatalogRegistration
			status int
			says   string
		}{
			{"no node", api.CatalogRegistration{Address: "10.0.0.1"}, 500, "Must provide node"},
			{"no address", api.CatalogRegistration{Node: name}, 500, "Must provide address if SkipNodeUpdate is not set"},
			{"the servers' service", api.CatalogRegistration{Node: name, Address: "10.0.0.1", Service: &api.AgentService{Service: "consul"}}, 400, "reserved"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				_, err := v.api.Catalog().Register(&tt.reg, nil)
				mustSay(t, err, tt.says)
				if statusOf(err) != tt.status {
					t.Errorf("status %d, want %d", statusOf(err), tt.status)
				}
			})
		}
		if node, _, err := v.api.Catalog().Node(name, nil); err != nil || node != nil {
			t.Errorf("it is there: %+v, %v", node, err)
		}
	})
}

func TestHealthOfServices(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		health, name := v.api.Health(), unique(t)
		external(t, v, name)
		rows, meta, err := health.ServiceMultipleTags(name, []string{"EU", "primary"}, false, nil)
		if err != nil || len(rows) != 1 || meta.LastIndex == 0 || rows[0].Node.Node != name || rows[0].Service.Port != 5432 || len(rows[0].Checks) != 2 {
			t.Errorf("service: %+v, %v", rows, err)
		}
		if rows, _, err = health.Service(name, "", true, nil); err != nil || len(rows) != 0 { // the node warns
			t.Errorf("passing: %d, %v", len(rows), err)
		}
		if rows, _, err = health.Service(name, "", false, &api.QueryOptions{Filter: "Service.Port == 1"}); err != nil || len(rows) != 0 {
			t.Errorf("filtered: %d, %v", len(rows), err)
		}
		proxies, _, err := health.Connect(name, "", false, nil)
		if err != nil || len(proxies) != 1 || proxies[0].Service.Kind != api.ServiceKindConnectProxy {
			t.Errorf("connect: %+v, %v", proxies, err)
		}
		checks, _, err := health.Checks(name, nil)
		if err != nil || len(checks) != 1 || checks[0].CheckID != "up" || checks[0].ServiceName != name || !slices.Equal(checks[0].ServiceTags, []string{"primary", "eu"}) {
			t.Errorf("checks: %v, %v", checks, err)
		}
		warned, _, err := health.State(api.HealthWarning, &api.QueryOptions{NodeMeta: map[string]string{"external": name}})
		if err != nil || len(warned) != 1 || warned[0].CheckID != "node" {
			t.Errorf("warnings: %v, %v", warned, err)
		}
		if all, _, err := health.Node(name, nil); err != nil || len(all) != 2 {
			t.Errorf("checks of the node: %v, %v", all, err)
		}
		// From the agent's own memory.
		within(t, "the service in the agent's memory", func() error {
			cached, meta, err := health.Service(name, "primary", false, &api.QueryOptions{UseCache: true})
			if err == nil && (len(cached) != 1 || meta.LastIndex == 0) {
				err = fmt.Errorf("%+v, %+v", cached, meta)
			}
			return err
		})
	})
}

// TestHealthWakes follows one service: its own changes wake the reader, those of
// another do not.
func TestHealthWakes(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		health, agent, name := v.api.Health(), v.api.Agent(), unique(t)
		serve(t, v, &api.AgentServiceRegistration{ID: name, Name: name, Check: &api.AgentServiceCheck{TTL: "1h", Status: "passing"}})
		other := &api.AgentServiceRegistration{ID: name + "-other", Name: name + "-other"}
		var index uint64
		follow := func(want int) {
			t.Helper()
			must(t, seen(index, func(q *api.QueryOptions) (uint64, bool, error) {
				rows, meta, err := health.Service(name, "", true, q)
				if err != nil {
					return 0, false, err
				}
				index = meta.LastIndex
				return index, len(rows) == want, nil
			}))
		}
		within(t, "the service is there, with its check", func() error {
			rows, meta, err := health.Service(name, "", true, nil)
			if err == nil && (len(rows) != 1 || len(rows[0].Checks) != 2) {
				err = fmt.Errorf("instances %+v", rows)
			}
			if err == nil {
				index = meta.LastIndex
			}
			return err
		})
		serve(t, v, other)
		within(t, "the other service is there", func() error {
			rows, _, err := health.Service(other.Name, "", true, nil)
			if err == nil && len(rows) != 1 {
				err = fmt.Errorf("%d instances", len(rows))
			}
			return err
		})
		began := time.Now()
		_, meta, err := health.Service(name, "", true, &api.QueryOptions{WaitIndex: index, WaitTime: 500 * time.Millisecond})
		if err != nil || meta.LastIndex != index || time.Since(began) < 500*time.Millisecond {
			t.Errorf("woken after %v with index %d, was %d, %v", time.Since(began), meta.LastIndex, index, err)
		}
		failed := make(chan error, 1)
		go func() { failed <- agent.FailTTL("service:"+name, "") }() // awaited below
		follow(0)
		must(t, <-failed)
		must(t, agent.PassTTL("service:"+name, ""))
		follow(1)
		must(t, agent.ServiceDeregister(name))
		follow(0)
	})
}
