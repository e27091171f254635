package catalogapi_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestOfficialClientRegisters drives the official client's calls for services
// from registration to the end.
func TestOfficialClientRegisters(t *testing.T) {
	a, _ := writable(t)
	srv := httptest.NewServer(newMux(t, a))
	defer srv.Close()
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	c, h := client.Catalog(), client.Health()
	must := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Fatalf("%s: %v, error %v", what, ok, err)
		}
	}
	reg := &api.CatalogRegistration{
		ID: "5b1a4e3c-6c0a-4d3b-9b0e-0123456789ab", Node: "n1", Address: "10.0.0.1", Datacenter: "dc1",
		TaggedAddresses: map[string]string{"lan": "10.0.0.1"}, NodeMeta: map[string]string{"rack": "r1"},
		Service: &api.AgentService{
			ID: "web-1", Service: "web", Tags: []string{"v1"}, Port: 80, Meta: map[string]string{"a": "b"},
			TaggedAddresses: map[string]api.ServiceAddress{"wan": {Address: "192.0.2.1", Port: 8080}},
			Weights:         api.AgentWeights{Passing: 3, Warning: 1}, EnableTagOverride: true, Connect: &api.AgentServiceConnect{Native: true},
		},
		Check: &api.AgentCheck{Node: "n1", CheckID: "ping", Name: "Ping", Status: api.HealthPassing},
		Checks: api.HealthChecks{{
			Node: "n1", CheckID: "tcp", Name: "TCP", ServiceID: "web-1", Status: api.HealthPassing,
			Definition: api.HealthCheckDefinition{TCP: "10.0.0.1:80", IntervalDuration: 10 * time.Second},
		}},
	}
	_, err = c.Register(reg, nil)
	must("register", true, err)
	proxy := &api.CatalogRegistration{Node: "n1", SkipNodeUpdate: true, Service: &api.AgentService{
		Kind: api.ServiceKindConnectProxy, ID: "web-1-proxy", Service: "web-proxy", Port: 20000,
		Proxy: &api.AgentServiceConnectProxyConfig{
			DestinationServiceName: "web", Config: map[string]any{"protocol": "http"},
			Upstreams: []api.Upstream{{DestinationName: "db", LocalBindPort: 1234}},
		},
	}}
	_, err = c.Register(proxy, nil)
	must("register proxy", true, err)

	entries, meta, err := h.Service("web", "v1", true, &api.QueryOptions{Near: "_agent", Filter: `Node.Meta.rack == "r1"`})
	must("health", len(entries) == 1 && entries[0].Checks.AggregatedStatus() == api.HealthPassing && len(entries[0].Checks) == 2 && meta.LastIndex == 11, err)
	e := entries[0]
	must("health row", e.Node.ID == reg.ID && e.Service.TaggedAddresses["wan"].Port == 8080 && e.Service.Weights.Passing == 3 &&
		e.Service.EnableTagOverride && e.Service.Connect.Native && e.Checks[1].Definition.TCP == "10.0.0.1:80" &&
		e.Checks[1].Definition.IntervalDuration == 10*time.Second, nil)
	entries, _, err = h.ServiceMultipleTags("web", []string{"V1", "v2"}, false, nil)
	must("health by tags", len(entries) == 0, err)
	entries, _, err = h.Connect("web", "", false, nil)
	must("health connect", len(entries) == 2 && entries[1].Service.Proxy.Config["protocol"] == "http" && entries[1].Service.Proxy.Upstreams[0].LocalBindPort == 1234, err)
	checks, _, err := h.Checks("web", nil)
	must("health checks", len(checks) == 1 && checks[0].ServiceName == "web", err)
	checks, _, err = h.Node("n1", nil)
	must("health node", len(checks) == 2, err)
	checks, _, err = h.State(api.HealthPassing, nil)
	must("health state", len(checks) == 2, err)

	rows, _, err := c.Service("web", "v1", nil)
	must("service", len(rows) == 1 && rows[0].ServiceTaggedAddresses["wan"].Address == "192.0.2.1" && rows[0].ServiceWeights.Passing == 3, err)
	rows, _, err = c.ServiceMultipleTags("web", []string{"v1"}, nil)
	must("service by tags", len(rows) == 1, err)
	rows, _, err = c.Connect("web", "", nil)
	must("connect", len(rows) == 2 && rows[1].ServiceProxy.DestinationServiceName == "web", err)
	list, _, err := c.NodeServiceList("n1", nil)
	must("node services", len(list.Services) == 2 && list.Node.Node == "n1", err)
	node, _, err := c.Node("n1", nil)
	must("node", node.Services["web-1-proxy"].Proxy.DestinationServiceName == "web", err)
	names, _, err := c.Services(&api.QueryOptions{NodeMeta: map[string]string{"rack": "r1"}})
	must("services", len(names) == 2 && names["web"][0] == "v1", err)

	// What was read can be registered again, and changes nothing.
	again := *reg
	again.Service, again.Check, again.Checks = e.Service, nil, e.Checks
	_, err = c.Register(&again, nil)
	must("register what was read", true, err)
	entries, meta, err = h.Service("web", "", false, nil)
	must("health afterwards", len(entries) == 1 && meta.LastIndex == 11, err)

	for _, d := range []*api.CatalogDeregistration{
		{Node: "n1", CheckID: "tcp"}, {Node: "n1", ServiceID: "web-1", Datacenter: "dc1"}, {Node: "n1", Address: "10.0.0.1"}, {Node: "n1"},
	} {
		_, err = c.Deregister(d, nil)
		must("deregister", true, err)
	}
	entries, meta, err = h.Service("web", "", false, nil)
	must("health at the end", len(entries) == 0 && meta.LastIndex == 16, err)
	nodes, _, err := c.Nodes(nil)
	must("nodes at the end", len(nodes) == 0, err)
}
