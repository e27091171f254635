package agent

import (
	"encoding/json"
	"net"
	"testing"

	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

// TestWithoutACertificate: what an agent that shows none may ask for.
func TestWithoutACertificate(t *testing.T) {
	sign := func(id spiffe.ID, names ...string) []byte {
		key, _, err := issue.NewKey(ca.KeyEC, 256)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := issue.NewRequest(issue.Request{Identity: id, DNSNames: names, Addresses: []net.IP{}}, key)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(caapi.SignRequest{CSR: csr, Node: "n"})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	agent := spiffe.ID{Kind: spiffe.Agent, TrustDomain: "x.consul", Datacenter: "dc1", Name: "abc"}
	service := spiffe.ID{Kind: spiffe.Service, TrustDomain: "x.consul", Datacenter: "dc1", Name: "web"}
	serverID := spiffe.ID{Kind: spiffe.Server, TrustDomain: "x.consul", Datacenter: "dc1"}
	for _, c := range []struct {
		name string
		req  httpapi.WireRequest
		want failure.Kind
		ok   bool
	}{
		{"the roots", httpapi.WireRequest{Method: "GET", Path: pathRoots}, 0, true},
		{"its own certificate", httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: sign(agent, "localhost")}, 0, true},
		{"a service's certificate", httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: sign(service)}, failure.PermissionDenied, false},
		{"a server's identity", httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: sign(serverID)}, failure.BadRequest, false},
		{"a server's name", httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: sign(agent, "server.dc1.consul")}, failure.BadRequest, false},
		{"no request at all", httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: []byte("{}")}, failure.BadRequest, false},
		{"not JSON", httpapi.WireRequest{Method: "PUT", Path: caapi.SignPath, Body: []byte("x")}, failure.BadRequest, false},
		{"a key", httpapi.WireRequest{Method: "GET", Path: "/v1/kv/secret"}, failure.PermissionDenied, false},
		{"the authority's settings", httpapi.WireRequest{Method: "PUT", Path: "/v1/connect/ca/configuration"}, failure.PermissionDenied, false},
		{"the roots of elsewhere", httpapi.WireRequest{Method: "GET", Path: pathRoots, RawQuery: "dc=x"}, failure.PermissionDenied, false},
		{"a path that is written otherwise", httpapi.WireRequest{Method: "GET", Path: "/v1/connect/ca/../../kv/secret"}, failure.PermissionDenied, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := allowedUnknown(&c.req)
			if (err == nil) != c.ok || err != nil && failure.KindOf(err) != c.want {
				t.Errorf("got %v of kind %s", err, failure.KindOf(err))
			}
		})
	}
}
