package catalogapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func TestRegister(t *testing.T) {
	const reserved = `The service "consul" is reserved: each server is registered as it by the leader, and nobody else can be`
	for _, c := range []struct {
		name, path, body string
		status           int
		text             string
	}{
		{"a node", "register", `{"Node":"n9","Address":"host.example"}`, 200, "true"},
		{"as the public client spells it", "register", `{"node":"n9","address":"a","datacenter":"dc1","ID":"5b1a4e3c-6c0a-4d3b-9b0e-0123456789aB","Locality":{"Region":"r"}}`, 200, "true"},
		{"the same again", "register", mesh[0], 200, "true"},
		{"as it was read", "register", `{"Node":"n9","Address":"a","Service":` + proxyOn + `,"Checks":[{"Node":"N9","CheckID":"c","Status":"odd","ServiceTags":[],"Definition":{"Unknown":{"a":1},"HTTP":"","Timeout":"2s"},"ModifyIndex":3}]}`, 200, "true"},
		{"no node", "register", `{"Address":"a"}`, 500, "Must provide node"},
		{"no address", "register", `{"Node":"n9"}`, 500, "Must provide address if SkipNodeUpdate is not set"},
		{"a bad node id", "register", `{"Node":"n9","Address":"a","ID":"nope"}`, 500, `Bad node ID: "nope" is not a UUID`},
		{"another datacenter", "register", `{"Node":"n9","Address":"a","Datacenter":"dc9"}`, 500, failure.TextNoPath},
		{"a service without a name", "register", `{"Node":"n9","Address":"a","Service":{"Port":1}}`, 500, "Must provide service name (Service.Service)"},
		{"a service with only an id", "register", `{"Node":"n9","Address":"a","Service":{"ID":"x"}}`, 500, "Must provide service name (Service.Service) when service ID is provided"},
		{"an address for all", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x","Address":"0.0.0.0"}}`, 500, "Invalid service address"},
		{"a port that is none", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x","Port":65536}}`, 500, "Invalid service port 65536"},
		{"a proxy of nothing", "register", `{"Node":"n9","Address":"a","Service":{"Kind":"connect-proxy","Service":"x"}}`, 500, "Proxy.DestinationServiceName must be non-empty for Connect proxy services"},
		{"a zero byte in a name", "register", `{"Node":"n\u0000","Address":"a"}`, 500, "Node names and ids must not contain a zero byte"},
		{"a check of no service", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x"},"Check":{"CheckID":"c","ServiceID":"y"}}`, 500, "Unknown service ID 'y' for check ID 'c'"},
		{"a check of another node", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x"},"Check":{"CheckID":"c","Node":"n1"}}`, 500, `check node "n1" does not match node "n9"`},
		{"a check without a name", "register", `{"Node":"n9","Address":"a","Checks":[{"Status":"passing"}]}`, 500, "Must provide check ID or name"},
		{"the servers' service", "register", `{"Node":"n9","Address":"a","Service":{"Service":"Consul","ID":"x"}}`, 400, reserved},
		{"the servers' service by its id", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x","ID":"consul"}}`, 400, reserved},
		{"an unknown member", "register", `{"Node":"n9","Address":"a","Foo":1}`, 400, `Request decode failed: json: unknown field "Foo"`},
		{"an unknown member of the service", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x","Prot":1}}`, 400, `Request decode failed: json: unknown field "Prot"`},
		{"a namespace", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x","Namespace":"default"}}`, 400, `Request decode failed: json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature`},
		{"a proxy that is a list", "register", `{"Node":"n9","Address":"a","Service":{"Service":"x","Proxy":[]}}`, 400, "Request decode failed: Proxy: json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
		{"nothing", "register", "", 400, "Request decode failed: EOF"},

		{"deregister a node", "deregister", `{"Node":"N1"}`, 200, "true"},
		{"deregister what is not there", "deregister", `{"Node":"n9","ServiceID":"x","Address":"ignored"}`, 200, "true"},
		{"deregister nothing", "deregister", `{"ServiceID":"x"}`, 500, "Must provide node"},
		{"deregister elsewhere", "deregister", `{"Node":"n1","Datacenter":"dc9"}`, 500, failure.TextNoPath},
		{"deregister the servers' service", "deregister", `{"Node":"n1","ServiceID":"consul"}`, 400, reserved},
		{"deregister with an unknown member", "deregister", `{"Node":"n1","Service":"x"}`, 400, `Request decode failed: json: unknown field "Service"`},
		{"deregister in a namespace", "deregister", `{"Node":"n1","Namespace":"x"}`, 400, `Request decode failed: json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, db := writable(t)
			mux := newMux(t, a)
			register(t, mux, mesh[0])
			before := storetest.Dump(t, db)
			w := do(mux, http.MethodPut, "/v1/catalog/"+c.path, c.body)
			if w.Code != c.status || w.Body.String() != c.text {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.text)
			}
			if c.status != 200 && !bytes.Equal(storetest.Dump(t, db), before) {
				t.Error("it was refused and left something behind")
			}
		})
	}
}

// writer may write what its names say and read everything.
type writer struct {
	only
	writes []string // "service/web", "node/n1"
}

func (w writer) Allow(r authz.Resource, name string, a authz.Access) bool {
	return a == authz.Read || slices.Contains(w.writes, string(r)+"/"+name)
}

func TestWhoMayRegister(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		writes           string
		status           int
	}{
		{"a node", "register", mesh[0], "node/n1 service/web", 200},
		{"a node without the right to it", "register", mesh[0], "service/web", 403},
		{"a service without the right to it", "register", mesh[0], "node/n1", 403},
		{"a service on a node left alone", "register", `{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"db"}}`, "service/db", 200},
		{"a service in place of another", "register", `{"Node":"n1","SkipNodeUpdate":true,"Service":{"ID":"web-1","Service":"db"}}`, "service/db", 403},
		{"a check of a service", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"c","ServiceID":"web-1"}}`, "service/web", 200},
		{"a check of another's service", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"c","ServiceID":"web-1"}}`, "service/db", 403},
		{"a check of a node", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"c"}}`, "service/web", 403},
		{"deregister with the right to the node", "deregister", `{"Node":"n1","ServiceID":"web-1"}`, "node/n1", 200},
		{"deregister with the right to the service", "deregister", `{"Node":"n1","ServiceID":"web-1"}`, "service/web", 200},
		{"deregister without", "deregister", `{"Node":"n1","ServiceID":"web-1"}`, "service/db", 403},
		{"deregister a service's check", "deregister", `{"Node":"n1","CheckID":"tcp"}`, "service/web", 200},
		{"deregister a node's check", "deregister", `{"Node":"n1","CheckID":"ping"}`, "service/web", 403},
		{"deregister a node with the right to its service", "deregister", `{"Node":"n1"}`, "service/web", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, db := writable(t)
			register(t, newMux(t, a), mesh[0])
			a.Authz = resolver{writer{writes: strings.Fields(c.writes)}}
			before := storetest.Dump(t, db)
			if w := do(newMux(t, a), http.MethodPut, "/v1/catalog/"+c.path, c.body); w.Code != c.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.status != 200 && !bytes.Equal(storetest.Dump(t, db), before) {
				t.Error("it was refused and left something behind")
			}
		})
	}
}

// FuzzRegister registers anything: it is there whole or not at all, and what is
// answered about it is JSON.
func FuzzRegister(f *testing.F) {
	for _, body := range mesh {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"Node":"n9","Address":"a","Service":{"Service":"x","Proxy":{"Config":{"a":"\u2028\ud800<"}}},"Check":{"Name":"c","Definition":{"Interval":1e3,"Header":{"a":["b"]}}}}`))
	tables := []string{catalog.TableNodes, catalog.TableServices, catalog.TableChecks, catalog.TableHeads}
	var mux http.Handler
	var db *store.DB
	registered := 0
	f.Fuzz(func(t *testing.T, body []byte) {
		if mux == nil || registered > 20 {
			var a *catalogapi.API
			a, db = writable(t)
			mux, registered = newMux(t, a), 0
			register(t, mux, mesh...)
		}
		tx, _ := db.Read()
		before := store.MaxIndex(tx, tables...)
		w := do(mux, http.MethodPut, "/v1/catalog/register", string(body))
		if tx, _ = db.Read(); w.Code != http.StatusOK && store.MaxIndex(tx, tables...) != before {
			t.Errorf("refused with %d and left something behind", w.Code)
		}
		if w.Code != http.StatusOK {
			return
		}
		registered++
		for _, target := range []string{"/v1/catalog/nodes", "/v1/catalog/services", "/v1/health/state/any", "/v1/health/service/web", "/v1/catalog/service/web", "/v1/health/connect/web"} {
			if w := do(mux, http.MethodGet, target, ""); w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) {
				t.Errorf("%s answers %d %s", target, w.Code, w.Body)
			}
		}
	})
}
