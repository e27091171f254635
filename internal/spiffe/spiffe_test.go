package spiffe_test

import (
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

const domain = "11111111-2222-3333-4444-555555555555.consul"

func TestSpelling(t *testing.T) {
	for text, id := range map[string]spiffe.ID{
		"/ns/default/dc/dc1/svc/web":                           {Kind: spiffe.Service, Datacenter: "dc1", Name: "web"},
		"/ns/default/dc/dc1/svc/web%20shop":                    {Kind: spiffe.Service, Datacenter: "dc1", Name: "web shop"},
		"/ns/default/dc/dc1/svc/caf%C3%A9":                     {Kind: spiffe.Service, Datacenter: "dc1", Name: "café"},
		"/ns/default/dc/dc_1/svc/Web.v1":                       {Kind: spiffe.Service, Datacenter: "dc_1", Name: "Web.v1"},
		"/agent/client/dc/dc1/id/8f0e3a3e-0f7c-4a6e-8f0e-3a3e": {Kind: spiffe.Agent, Datacenter: "dc1", Name: "8f0e3a3e-0f7c-4a6e-8f0e-3a3e"},
		"/agent/server/dc/dc1":                                 {Kind: spiffe.Server, Datacenter: "dc1"},
		"/gateway/mesh/dc/dc1":                                 {Kind: spiffe.MeshGateway, Datacenter: "dc1"},
		"":                                                     {Kind: spiffe.TrustDomain},
	} {
		text, id.TrustDomain = "spiffe://"+domain+text, domain
		if got := id.String(); got != text {
			t.Errorf("%+v is spelt %q, want %q", id, got, text)
		}
		if got := id.URI().String(); got != text {
			t.Errorf("%+v is the URL %q, want %q", id, got, text)
		}
		if got, err := spiffe.Parse(text); err != nil || got != id {
			t.Errorf("%q is read as %+v, %v, want %+v", text, got, err, id)
		}
	}
}

func TestOnlyOneSpellingIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                        "",
		"another scheme":                 "https://" + domain + "/ns/default/dc/dc1/svc/web",
		"the scheme in capitals":         "SPIFFE://" + domain + "/ns/default/dc/dc1/svc/web",
		"no trust domain":                "spiffe:///ns/default/dc/dc1/svc/web",
		"a trust domain in capitals":     "spiffe://A.consul/ns/default/dc/dc1/svc/web",
		"a port":                         "spiffe://a.consul:80/ns/default/dc/dc1/svc/web",
		"a user":                         "spiffe://u@a.consul/ns/default/dc/dc1/svc/web",
		"a trust domain that is escaped": "spiffe://a%2econsul/ns/default/dc/dc1/svc/web",
		"a long trust domain":            "spiffe://" + strings.Repeat("a", 256) + "/agent/server/dc/dc1",
		"a query":                        "spiffe://a.consul/ns/default/dc/dc1/svc/web?x=1",
		"a fragment":                     "spiffe://a.consul/ns/default/dc/dc1/svc/web#x",
		"a slash behind":                 "spiffe://a.consul/ns/default/dc/dc1/svc/web/",
		"a slash alone":                  "spiffe://a.consul/",
		"two slashes":                    "spiffe://a.consul//ns/default/dc/dc1/svc/web",
		"no service":                     "spiffe://a.consul/ns/default/dc/dc1/svc/",
		"no datacenter":                  "spiffe://a.consul/ns/default/dc//svc/web",
		"a dot for a service":            "spiffe://a.consul/ns/default/dc/dc1/svc/.",
		"dots for a datacenter":          "spiffe://a.consul/ns/default/dc/../svc/web",
		"another namespace":              "spiffe://a.consul/ns/other/dc/dc1/svc/web",
		"a partition":                    "spiffe://a.consul/ap/default/ns/default/dc/dc1/svc/web",
		"an unknown kind":                "spiffe://a.consul/ns/default/dc/dc1/sv/web",
		"a wildcard":                     "spiffe://a.consul/ns/default/dc/dc1/svc/*",
		"a wildcard that is escaped":     "spiffe://a.consul/ns/default/dc/dc1/svc/%2A",
		"a slash that is escaped":        "spiffe://a.consul/ns/default/dc/dc1/svc/a%2Fb",
		"a needless escape":              "spiffe://a.consul/ns/default/dc/dc1/svc/%77eb",
		"an escape in small letters":     "spiffe://a.consul/ns/default/dc/dc1/svc/caf%c3%a9",
		"an escape cut short":            "spiffe://a.consul/ns/default/dc/dc1/svc/web%2",
		"an escaped fixed part":          "spiffe://a.consul/n%73/default/dc/dc1/svc/web",
		"a control character":            "spiffe://a.consul/ns/default/dc/dc1/svc/a%00",
		"a space":                        "spiffe://a.consul/ns/default/dc/dc1/svc/a b",
		"more than the limit":            "spiffe://a.consul/ns/default/dc/dc1/svc/" + strings.Repeat("a", 2048),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := spiffe.Parse(text)
			if err == nil || got != (spiffe.ID{}) || !failure.Is(err, failure.Invalid) {
				t.Errorf("%q is read as %+v, %v", text, got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("spiffe://" + domain + "/ns/default/dc/dc1/svc/web")
	f.Add("spiffe://a/agent/client/dc/%C3%A9/id/x")
	f.Add("spiffe://a/agent/server/dc/..")
	f.Add("spiffe://a%2f/gateway/mesh/dc/dc1?#")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := spiffe.Parse(text)
		if err != nil {
			if id != (spiffe.ID{}) {
				t.Fatalf("%q is refused and read as %+v", text, id)
			}
			return
		}
		if id.String() != text {
			t.Fatalf("%q is read as %+v, which is spelt %q", text, id, id)
		}
		if strings.ContainsAny(id.Name+id.Datacenter, "/*\x00") || id.Check() != nil {
			t.Fatalf("%q is read as %+v, which cannot stand in a certificate", text, id)
		}
		if u := id.URI(); u.String() != text || u.Host != id.TrustDomain || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is the URL %#v", text, u)
		}
	})
}
