package catalogapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
)

// A node n1 with a web instance that passes and its proxy, a node n2 with one
// that does not, and a node n3 with a db.
var mesh = []string{
	`{"Node":"n1","Address":"10.0.0.1","NodeMeta":{"rack":"r1"},"Service":{"ID":"web-1","Service":"web","Tags":["v1","Blue"],"Port":80,"TaggedAddresses":{"wan":{"Address":"192.0.2.1","Port":8080}}},
		"Checks":[{"CheckID":"ping","Name":"Ping","Status":"passing"},{"CheckID":"tcp","Name":"TCP","Status":"passing","ServiceID":"web-1","Definition":{"TCP":"10.0.0.1:80","Interval":10000000000}}]}`,
	`{"Node":"n1","SkipNodeUpdate":true,"Service":{"Kind":"connect-proxy","ID":"web-1-proxy","Service":"web-proxy","Port":20000,"Proxy":{"DestinationServiceName":"web","LocalServicePort":80}}}`,
	`{"Node":"n2","Address":"10.0.0.2","Service":{"Service":"Web","Tags":["v1"],"Weights":{"Passing":5,"Warning":2}},"Check":{"Name":"tcp","Status":"warning","ServiceID":"Web"}}`,
	`{"Node":"n3","Address":"10.0.0.3","Service":{"Service":"db","Port":3306,"Connect":{"Native":true}}}`,
}

func meshMux(t testing.TB) http.Handler {
	a, _ := writable(t)
	mux := newMux(t, a)
	register(t, mux, mesh...)
	return mux
}

const (
	emptyProxy = `{"Mode":"","MeshGateway":{},"Expose":{}}`
	ping       = `{"Node":"n1","CheckID":"ping","Name":"Ping","Status":"passing","Notes":"","Output":"","ServiceID":"","ServiceName":"","ServiceTags":[],"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{},"CreateIndex":11,"ModifyIndex":11}`
	tcp        = `{"Node":"n1","CheckID":"tcp","Name":"TCP","Status":"passing","Notes":"","Output":"","ServiceID":"web-1","ServiceName":"web","ServiceTags":["v1","Blue"],"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{"Interval":"10s","TCP":"10.0.0.1:80"},"CreateIndex":11,"ModifyIndex":11}`
	webOnN1    = `{"Node":{"ID":"","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":null,"Meta":{"rack":"r1"},"CreateIndex":11,"ModifyIndex":11},` +
		`"Service":{"ID":"web-1","Service":"web","Tags":["v1","Blue"],"Address":"","TaggedAddresses":{"wan":{"Address":"192.0.2.1","Port":8080}},"Meta":null,"Port":80,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,` +
		`"Proxy":` + emptyProxy + `,"Connect":{},"PeerName":"","CreateIndex":11,"ModifyIndex":11},"Checks":[` + ping + `,` + tcp + `]}`
	webOnN2 = `{"Node":{"ID":"","Node":"n2","Address":"10.0.0.2","Datacenter":"dc1","TaggedAddresses":null,"Meta":null,"CreateIndex":13,"ModifyIndex":13},` +
		`"Service":{"ID":"Web","Service":"Web","Tags":["v1"],"Address":"","Meta":null,"Weights":{"Passing":5,"Warning":2},"EnableTagOverride":false,` +
		`"Proxy":` + emptyProxy + `,"Connect":{},"PeerName":"","CreateIndex":13,"ModifyIndex":13},"Checks":[` + tcpOnN2 + `]}`
	tcpOnN2 = `{"Node":"n2","CheckID":"tcp","Name":"tcp","Status":"warning","Notes":"","Output":"","ServiceID":"Web","ServiceName":"Web","ServiceTags":["v1"],"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{},"CreateIndex":13,"ModifyIndex":13}`
	proxyOn = `{"Kind":"connect-proxy","ID":"web-1-proxy","Service":"web-proxy","Tags":[],"Address":"","Meta":null,"Port":20000,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,` +
		`"Proxy":{"DestinationServiceName":"web","Expose":{},"LocalServicePort":80,"MeshGateway":{},"Mode":""},"Connect":{},"PeerName":"","CreateIndex":12,"ModifyIndex":12}`
)

func TestHealth(t *testing.T) {
	mux := meshMux(t)
	for _, c := range []struct {
		name, target string
		status       int
		index, body  string
	}{
		{"a service in any case", "service/wEb", 200, "13", "[" + webOnN1 + "," + webOnN2 + "]"},
		{"near an agent, with its central configuration", "service/web?near=_agent&merge-central-config", 200, "13", "[" + webOnN1 + "," + webOnN2 + "]"},
		{"passing", "service/web?passing", 200, "13", "[" + webOnN1 + "]"},
		{"passing or not", "service/web?passing=false", 200, "13", "[" + webOnN1 + "," + webOnN2 + "]"},
		{"passing perhaps", "service/web?passing=maybe", 400, "", "Invalid value for ?passing"},
		{"with tags in another case", "service/web?tag=V1&tag=blue", 200, "13", "[" + webOnN1 + "]"},
		{"with a tag, passing", "service/web?tag=v1&passing=1", 200, "13", "[" + webOnN1 + "]"},
		{"of a rack", "service/web?node-meta=rack:r1", 200, "13", "[" + webOnN1 + "]"},
		{"any check passing", "service/web?filter=Checks.Status+%3D%3D+passing", 200, "13", "[" + webOnN1 + "]"},
		{"by address of the node", "service/web?filter=Node.Address+%3D%3D+%2210.0.0.2%22", 200, "13", "[" + webOnN2 + "]"},
		{"by index", "service/web?filter=Node.CreateIndex+%3D%3D+1", 500, "", `Failed to create boolean expression evaluator: Selector "Node.CreateIndex" is not valid`},
		{"a service that is not there", "service/nothing", 200, "1", "[]"},
		{"no service", "service/", 400, "", "Missing service name"},
		{"through the mesh", "connect/web?filter=Service.Proxy.DestinationServiceName+%3D%3D+web", 200, "12",
			`[{"Node":{"ID":"","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":null,"Meta":{"rack":"r1"},"CreateIndex":11,"ModifyIndex":11},"Service":` + proxyOn + `,"Checks":[` + ping + `]}]`},
		{"through the mesh, to nowhere", "connect/web-proxy", 200, "1", "[]"},
		{"checks of a service", "checks/web", 200, "13", "[" + tcp + "," + tcpOnN2 + "]"},
		{"checks of a service on a rack", "checks/web?node-meta=rack:r1", 200, "13", "[" + tcp + "]"},
		{"checks of a service, filtered", "checks/web?filter=Status+%3D%3D+warning", 200, "13", "[" + tcpOnN2 + "]"},
		{"checks of a service that is not there", "checks/nothing", 200, "1", "[]"},
		{"checks of no service", "checks/", 400, "", "Missing service name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(mux, http.MethodGet, "/v1/health/"+c.target, "")
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.body)
			}
			if got := w.Header().Get("X-Consul-Index"); got != c.index {
				t.Errorf("index %q, want %q", got, c.index)
			}
		})
	}
}

func TestCatalogOfTheMesh(t *testing.T) {
	mux := meshMux(t)
	for _, c := range []struct{ name, target, index, body string }{
		{"services", "services", "14", `{"Web":["v1"],"db":[],"web":["Blue","v1"],"web-proxy":[]}`},
		{"services of a rack", "services?node-meta=rack:r1", "14", `{"web":["Blue","v1"],"web-proxy":[]}`},
		{"services, filtered", "services?filter=ServicePort+%3D%3D+3306", "14", `{"db":[]}`},
		{"services of a node", "node-services/N2", "13", `{"Node":{"ID":"","Node":"n2","Address":"10.0.0.2","Datacenter":"dc1","TaggedAddresses":null,"Meta":null,"CreateIndex":13,"ModifyIndex":13},` +
			`"Services":[{"ID":"Web","Service":"Web","Tags":["v1"],"Address":"","Meta":null,"Weights":{"Passing":5,"Warning":2},"EnableTagOverride":false,"Proxy":` + emptyProxy + `,"Connect":{},"PeerName":"","CreateIndex":13,"ModifyIndex":13}]}`},
		{"services of a node that is not there", "node-services/n9", "1", `{"Node":null,"Services":null}`},
		{"a native instance", "connect/db", "14", `[{"ID":"","Node":"n3","Address":"10.0.0.3","Datacenter":"dc1","TaggedAddresses":null,"NodeMeta":null,"ServiceKind":"","ServiceID":"db","ServiceName":"db","ServiceTags":[],"ServiceAddress":"",` +
			`"ServiceWeights":{"Passing":1,"Warning":1},"ServiceMeta":{},"ServicePort":3306,"ServiceSocketPath":"","ServiceEnableTagOverride":false,"ServiceProxy":` + emptyProxy + `,"ServiceConnect":{"Native":true},"ServiceLocality":null,"CreateIndex":14,"ModifyIndex":14}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(mux, http.MethodGet, "/v1/catalog/"+c.target, "")
			if w.Code != 200 || w.Body.String() != c.body {
				t.Errorf("got %d %s\nwant %s", w.Code, w.Body, c.body)
			}
			if got := w.Header().Get("X-Consul-Index"); got != c.index {
				t.Errorf("index %q, want %q", got, c.index)
			}
		})
	}
}

// TestHealthIsNeverOld asks for a body that is kept, after each change of
// anything in it.
func TestHealthIsNeverOld(t *testing.T) {
	a, _ := writable(t)
	mux := newMux(t, a)
	register(t, mux, mesh...)
	before := do(mux, http.MethodGet, "/v1/health/service/web?passing", "").Body.String()
	for _, c := range []struct{ name, path, body string }{
		{"address of the node", "register", `{"Node":"n1","Address":"10.0.0.9"}`},
		{"check of the node", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"ping","Status":"passing","Output":"new"}}`},
		{"check of the instance", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"tcp","ServiceID":"web-1","Status":"warning"}}`},
		{"one more check goes", "deregister", `{"Node":"n1","CheckID":"tcp"}`},
		{"another instance passes", "register", `{"Node":"n2","SkipNodeUpdate":true,"Check":{"Name":"tcp","Status":"passing","ServiceID":"Web"}}`},
		{"an instance goes", "deregister", `{"Node":"n2","ServiceID":"Web"}`},
		{"the other with its node", "deregister", `{"Node":"n1"}`},
		{"a new one", "register", mesh[0]},
	} {
		if w := do(mux, http.MethodPut, "/v1/catalog/"+c.path, c.body); w.Code != 200 {
			t.Fatalf("%s: %d %s", c.name, w.Code, w.Body)
		}
		after := do(mux, http.MethodGet, "/v1/health/service/web?passing", "").Body.String()
		if after == before {
			t.Errorf("%s: still %s", c.name, after)
		}
		before = after
	}
}

// hundred registers a service web of a hundred instances with two checks each.
func hundred(t testing.TB, a *catalogapi.API) http.Handler {
	mux := newMux(t, a)
	for i := range 100 {
		register(t, mux, fmt.Sprintf(`{"Node":"node-%d","Address":"10.0.0.%d","NodeMeta":{"rack":"r1"},"TaggedAddresses":{"lan":"10.0.0.%d"},
			"Service":{"Service":"web","Port":80,"Tags":["v1","primary"],"Meta":{"version":"1.2.3"}},
			"Checks":[{"CheckID":"serfHealth","Name":"Serf Health Status","Status":"passing","Output":"Agent alive and reachable"},
			{"CheckID":"service:web","Name":"HTTP","Status":"passing","ServiceID":"web","Output":"HTTP GET http://10.0.0.1/: 200 OK"}]}`, i, i, i))
	}
	return mux
}

func TestHundredInstances(t *testing.T) {
	a, _ := writable(t)
	mux := hundred(t, a)
	for _, target := range []string{"/v1/health/service/web?passing", "/v1/health/service/web?passing&tag=v1"} {
		var rows []json.RawMessage
		if err := json.Unmarshal(do(mux, http.MethodGet, target, "").Body.Bytes(), &rows); err != nil || len(rows) != 100 {
			t.Errorf("%s: %d rows, error %v", target, len(rows), err)
		}
	}
}

func BenchmarkServiceHealth(b *testing.B) {
	a, _ := writable(b)
	mux := hundred(b, a)
	for _, c := range []struct {
		name, target string
		change       bool
	}{
		{"unchanged", "/v1/health/service/web?passing", false},
		{"tag", "/v1/health/service/web?passing&tag=v1", false},
		{"changed", "/v1/health/service/web?passing", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			req := httptest.NewRequest(http.MethodGet, c.target, nil)
			w := &discard{header: http.Header{}}
			i := 0
			for b.Loop() {
				if c.change {
					i++
					register(b, mux, fmt.Sprintf(`{"Node":"node-1","SkipNodeUpdate":true,"Check":{"CheckID":"service:web","ServiceID":"web","Status":"passing","Output":"%d"}}`, i))
				}
				clear(w.header)
				mux.ServeHTTP(w, req)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d *discard) WriteHeader(int)             {}
