package catalogapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// server is the Dispatcher of the only server there is.
type server struct{}

func (server) Here(httpapi.Where, string) bool { return true }
func (server) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("nothing is elsewhere")
}

// leading is the query.Freshness of a leader.
type leading struct{}

func (leading) ReadBarrier(context.Context) error { return nil }
func (leading) Contact() (bool, time.Duration)    { return true, 0 }
func open(db *store.DB) *catalogapi.API {
	return &catalogapi.API{
		Reader:      query.New(query.Config{DB: db, Freshness: leading{}}),
		Authz:       authz.Open{},
		Datacenter:  "dc1",
		Datacenters: func() []string { return []string{"dc1", "dc2"} },
	}
}

// cluster is a state of a server n1, at index 5, and a client n10, at index 7,
// which is down.
func cluster(t *testing.T) *store.DB {
	t.Helper()
	db := storetest.Open(t, catalog.Module())
	storetest.Apply(t, db, 5, catalog.TypeRegister, &catalog.Registration{
		Node: catalog.Node{
			ID: "id-1", Node: "n1", Address: "10.0.0.1", Datacenter: "dc1",
			TaggedAddresses: catalog.Labels{"lan": "10.0.0.1"}, Meta: catalog.Labels{"rack": "r1", "consul-version": "1.21.4"},
		},
		Service: &catalog.Service{
			ID: "consul", Service: "consul", Port: 8300, Tags: []string{"v1", "Blue"},
			Meta: catalog.Labels{"version": "1.21.4"}, Weights: catalog.Weights{Passing: 1, Warning: 1},
		},
		Checks: []*catalog.Check{{CheckID: catalog.SerfHealth, Name: "Serf Health Status", Status: catalog.Passing, Output: "Agent alive and reachable"}},
	})
	storetest.Apply(t, db, 7, catalog.TypeRegister, &catalog.Registration{
		Node:   catalog.Node{ID: "id-2", Node: "n10", Address: "10.0.0.2", Datacenter: "dc1"},
		Checks: []*catalog.Check{{CheckID: catalog.SerfHealth, Name: "Serf Health Status", Status: catalog.Critical, Output: "Agent not live or unreachable"}},
	})
	return db
}

func newMux(t testing.TB, a *catalogapi.API) *httpapi.Mux {
	t.Helper()
	m, err := httpapi.NewMux(httpapi.Config{Routes: a.Routes(), Dispatcher: server{}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	nodeN1  = `{"ID":"id-1","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":{"lan":"10.0.0.1"},"Meta":{"consul-version":"1.21.4","rack":"r1"},"CreateIndex":5,"ModifyIndex":5}`
	nodeN10 = `{"ID":"id-2","Node":"n10","Address":"10.0.0.2","Datacenter":"dc1","TaggedAddresses":null,"Meta":null,"CreateIndex":7,"ModifyIndex":7}`

	service = `{"ID":"consul","Service":"consul","Tags":["v1","Blue"],"Address":"","Meta":{"version":"1.21.4"},"Port":8300,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,` +
		`"Proxy":{"Mode":"","MeshGateway":{},"Expose":{}},"Connect":{},"PeerName":"","CreateIndex":5,"ModifyIndex":5}`

	instance = `{"ID":"id-1","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":{"lan":"10.0.0.1"},"NodeMeta":{"consul-version":"1.21.4","rack":"r1"},` +
		`"ServiceKind":"","ServiceID":"consul","ServiceName":"consul","ServiceTags":["v1","Blue"],"ServiceAddress":"","ServiceWeights":{"Passing":1,"Warning":1},` +
		`"ServiceMeta":{"version":"1.21.4"},"ServicePort":8300,"ServiceSocketPath":"","ServiceEnableTagOverride":false,` +
		`"ServiceProxy":{"Mode":"","MeshGateway":{},"Expose":{}},"ServiceConnect":{},"ServiceLocality":null,"CreateIndex":5,"ModifyIndex":5}`

	checkN1 = `{"Node":"n1","CheckID":"serfHealth","Name":"Serf Health Status","Status":"passing","Notes":"","Output":"Agent alive and reachable","ServiceID":"","ServiceName":"",` +
		`"ServiceTags":[],"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{},"CreateIndex":5,"ModifyIndex":5}`
	checkN10 = `{"Node":"n10","CheckID":"serfHealth","Name":"Serf Health Status","Status":"critical","Notes":"","Output":"Agent not live or unreachable","ServiceID":"","ServiceName":"",` +
		`"ServiceTags":[],"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{},"CreateIndex":7,"ModifyIndex":7}`
)

func TestRoutes(t *testing.T) {
	mux := newMux(t, open(cluster(t)))
	for _, c := range []struct {
		name, target string
		status       int
		index, body  string
	}{
		{"datacenters", "/v1/catalog/datacenters", 200, "", `["dc1","dc2"]`},
		{"nodes", "/v1/catalog/nodes", 200, "7", "[" + nodeN1 + "," + nodeN10 + "]"},
		{"nodes near an agent", "/v1/catalog/nodes?near=_agent", 200, "7", "[" + nodeN1 + "," + nodeN10 + "]"},
		{"nodes of a rack", "/v1/catalog/nodes?node-meta=rack:r1", 200, "7", "[" + nodeN1 + "]"},
		{"nodes with all of the metadata", "/v1/catalog/nodes?node-meta=rack:r1&node-meta=rack:r2", 200, "7", "[]"},
		{"nodes by address", "/v1/catalog/nodes?filter=Address+%3D%3D+%2210.0.0.2%22", 200, "7", "[" + nodeN10 + "]"},
		{"nodes of a peer", "/v1/catalog/nodes?peer=p", 200, "7", "[]"},
		{"node of a peer", "/v1/catalog/node/n1?peer=p", 200, "5", "null"},
		{"services of a peer", "/v1/catalog/services?peer=p", 200, "5", "{}"},
		{"service of a peer", "/v1/catalog/service/consul?peer=p", 200, "5", "[]"},
		{"health of a peer", "/v1/health/service/consul?peer=p&passing", 200, "5", "[]"},
		{"checks of a peer", "/v1/health/state/any?peer=p", 200, "7", "[]"},
		{"peer and sameness group", "/v1/health/service/consul?peer=p&sg=g", 400, "", "Cannot specify both ?peer and a sameness group: ask for one of them"},
		{"nodes by metadata", "/v1/catalog/nodes?filter=rack+in+Meta", 200, "7", "[" + nodeN1 + "]"},
		{"nodes by index", "/v1/catalog/nodes?filter=CreateIndex+%3D%3D+5", 500, "", `Failed to create boolean expression evaluator: Selector "CreateIndex" is not valid`},
		{"a filter that is none", "/v1/catalog/nodes?filter=Nope+%3D%3D+1", 500, "", `Failed to create boolean expression evaluator: Selector "Nope" is not valid`},

		{"node", "/v1/catalog/node/n1", 200, "5", `{"Node":` + nodeN1 + `,"Services":{"consul":` + service + `}}`},
		{"node in another case", "/v1/catalog/node/N1", 200, "5", `{"Node":` + nodeN1 + `,"Services":{"consul":` + service + `}}`},
		{"node without services", "/v1/catalog/node/n10", 200, "7", `{"Node":` + nodeN10 + `,"Services":{}}`},
		{"node with its services filtered", "/v1/catalog/node/n1?filter=Port+%21%3D+8300", 200, "5", `{"Node":` + nodeN1 + `,"Services":{}}`},
		{"unknown node", "/v1/catalog/node/n2", 200, "1", `null`},
		{"no node", "/v1/catalog/node/", 400, "", "Missing node name"},

		{"services", "/v1/catalog/services", 200, "5", `{"consul":["Blue","v1"]}`},
		{"services elsewhere", "/v1/catalog/services?node-meta=rack:r2", 200, "7", `{}`},
		{"service", "/v1/catalog/service/consul", 200, "5", "[" + instance + "]"},
		{"service with tags in another case", "/v1/catalog/service/consul?tag=V1&tag=blue", 200, "5", "[" + instance + "]"},
		{"service without one of the tags", "/v1/catalog/service/consul?tag=v1&tag=green", 200, "5", "[]"},
		{"service filtered", "/v1/catalog/service/consul?filter=ServiceMeta.version+%3D%3D+%221.21.4%22", 200, "5", "[" + instance + "]"},
		{"unknown service", "/v1/catalog/service/web", 200, "1", "[]"},
		{"no service", "/v1/catalog/service/", 400, "", "Missing service name"},

		{"checks of a node", "/v1/health/node/n1", 200, "5", "[" + checkN1 + "]"},
		{"checks of a node filtered", "/v1/health/node/n1?filter=Status+%3D%3D+critical", 200, "5", "[]"},
		{"checks of an unknown node", "/v1/health/node/n2", 200, "1", "[]"},
		{"checks of no node", "/v1/health/node/", 400, "", "Missing node name"},
		{"checks in any state", "/v1/health/state/any", 200, "7", "[" + checkN1 + "," + checkN10 + "]"},
		{"checks in one state", "/v1/health/state/critical", 200, "7", "[" + checkN10 + "]"},
		{"checks of a rack", "/v1/health/state/any?node-meta=rack:r1", 200, "7", "[" + checkN1 + "]"},
		{"checks in an unknown state", "/v1/health/state/ill", 200, "7", "[]"},
		{"checks in no state", "/v1/health/state/", 400, "", "Missing check state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.target, nil))
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			if diff := cmp.Diff(w.Body.String(), c.body); diff != "" {
				t.Errorf("body (-got +want):\n%s", diff)
			}
			h := w.Header()
			if got := h.Get("X-Consul-Index"); got != c.index {
				t.Errorf("index %q, want %q", got, c.index)
			}
			if got := h.Get("X-Consul-Effective-Consistency"); (got == "leader") != (c.index != "") {
				t.Errorf("consistency %q", got)
			}
		})
	}
}

func TestNothingIsNull(t *testing.T) {
	a := open(storetest.Open(t, catalog.Module()))
	a.Datacenters = func() []string { return nil }
	mux := newMux(t, a)
	for _, path := range []string{
		"/v1/catalog/datacenters", "/v1/catalog/nodes", "/v1/catalog/service/web", "/v1/health/node/n1", "/v1/health/state/any",
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Body.String() != "[]" {
			t.Errorf("%s answers %s", path, w.Body)
		}
	}
}

// only allows reading one node and one service.
type only struct{ node, service string }

func (o only) Resolve(_ context.Context, token string) (authz.Authorizer, error) {
	if token != "secret" {
		return nil, failure.New(failure.PermissionDenied, failure.TextACLNotFound)
	}
	return o, nil
}
func (o only) Allow(r authz.Resource, name string, a authz.Access) bool {
	return a == authz.Read && (r == authz.Node && name == o.node || r == authz.Service && name == o.service)
}
func (o only) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestWhatATokenMayNotReadIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		rules  only
		target string
		body   string
	}{
		{"nodes", only{node: "n10"}, "/v1/catalog/nodes", "[" + nodeN10 + "]"},
		{"node", only{node: "n10"}, "/v1/catalog/node/n1", "null"},
		{"services of a node", only{node: "n1"}, "/v1/catalog/node/n1", `{"Node":` + nodeN1 + `,"Services":{}}`},
		{"service on a hidden node", only{service: "consul"}, "/v1/catalog/service/consul", "[]"},
		{"hidden service on a node", only{node: "n1"}, "/v1/catalog/service/consul", "[]"},
		{"service", only{"n1", "consul"}, "/v1/catalog/service/consul", "[" + instance + "]"},
		{"checks", only{node: "n1"}, "/v1/health/state/any", "[" + checkN1 + "]"},
		{"datacenters", only{}, "/v1/catalog/datacenters", `["dc1","dc2"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := open(cluster(t))
			a.Authz = c.rules
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			r.Header.Set("X-Consul-Token", "secret")
			w := httptest.NewRecorder()
			newMux(t, a).ServeHTTP(w, r)
			if w.Body.String() != c.body {
				t.Errorf("got %s, want %s", w.Body, c.body)
			}
		})
	}
	t.Run("unknown token", func(t *testing.T) {
		a := open(cluster(t))
		a.Authz = only{}
		w := httptest.NewRecorder()
		newMux(t, a).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/catalog/nodes", nil))
		if w.Code != http.StatusForbidden || w.Body.String() != failure.TextACLNotFound {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestOfficialClient(t *testing.T) {
	db := cluster(t)
	srv := httptest.NewServer(newMux(t, open(db)))
	defer srv.Close()
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := client.Catalog().Datacenters(); err != nil || !slices.Equal(got, []string{"dc1", "dc2"}) {
		t.Errorf("datacenters %q, error %v", got, err)
	}
	nodes, meta, err := client.Catalog().Nodes(&api.QueryOptions{RequireConsistent: true, NodeMeta: map[string]string{"rack": "r1"}})
	if err != nil || len(nodes) != 1 || nodes[0].Node != "n1" || meta.LastIndex != 7 || !meta.KnownLeader {
		t.Errorf("nodes %v, meta %+v, error %v", nodes, meta, err)
	}
	node, _, err := client.Catalog().Node("n1", nil)
	if err != nil || node.Node.Address != "10.0.0.1" || node.Services["consul"].Port != 8300 {
		t.Errorf("node %+v, error %v", node, err)
	}
	if node, _, err := client.Catalog().Node("n2", nil); err != nil || node != nil {
		t.Errorf("unknown node %+v, error %v", node, err)
	}
	instances, _, err := client.Catalog().Service("consul", "v1", nil)
	if err != nil || len(instances) != 1 || instances[0].ServicePort != 8300 || instances[0].ServiceWeights.Passing != 1 {
		t.Errorf("instances %v, error %v", instances, err)
	}
	checks, _, err := client.Health().State(api.HealthCritical, nil)
	if err != nil || len(checks) != 1 || checks[0].Node != "n10" {
		t.Errorf("checks %v, error %v", checks, err)
	}
	if checks, _, err = client.Health().Node("n1", nil); err != nil || checks.AggregatedStatus() != api.HealthPassing {
		t.Errorf("checks %v, error %v", checks, err)
	}
}

func TestBlockingOnTheHealthOfANode(t *testing.T) {
	db := cluster(t)
	srv := httptest.NewServer(newMux(t, open(db)))
	defer srv.Close()
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		checks api.HealthChecks
		meta   *api.QueryMeta
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		checks, meta, err := client.Health().Node("n10", &api.QueryOptions{WaitIndex: 7, WaitTime: time.Minute})
		answered <- answer{checks, meta, err}
	}()
	storetest.Apply(t, db, 9, catalog.TypeDeregister, &catalog.Removal{Node: "n10"})
	a := <-answered
	if a.err != nil || len(a.checks) != 0 || a.meta.LastIndex != 9 {
		t.Errorf("checks %v, meta %+v, error %v", a.checks, a.meta, a.err)
	}
}
