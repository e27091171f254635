package connectapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/agentapi/connectapi"
	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/leafcert"
)

// fake keeps one leaf and one list of roots, and notes what it was asked.
type fake struct {
	token, service string
	index          uint64
	wait           time.Duration
	fresh          leafcert.Freshness
	err            error
}

func (f *fake) Roots(_ context.Context, index uint64, wait time.Duration) (*leafcert.Roots, leafcert.Freshness, error) {
	f.index, f.wait = index, wait
	return &leafcert.Roots{JSON: []byte(`{"ActiveRootID":"a"}`), ActiveID: "a", Index: 12}, f.fresh, f.err
}

func (f *fake) Leaf(_ context.Context, token, service string, index uint64, wait time.Duration) (*leafcert.Leaf, leafcert.Freshness, error) {
	f.token, f.service, f.index, f.wait = token, service, index, wait
	if f.err != nil {
		return nil, f.fresh, f.err
	}
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return &leafcert.Leaf{
		Signed:        caapi.Signed{CertPEM: "cert", SerialNumber: "09", URI: "spiffe://x", RootID: "a", ValidAfter: at, ValidBefore: at.Add(time.Hour), CreateIndex: 33, ModifyIndex: 33},
		PrivateKeyPEM: "key", Service: service,
	}, f.fresh, nil
}

func (*fake) Here(httpapi.Where, string) bool { return true }
func (*fake) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("it is answered here")
}

// writer may write the service that its token names.
type writer struct{ service string }

func (writer) Resolve(_ context.Context, token string) (authz.Authorizer, error) {
	return writer{token}, nil
}
func (w writer) Allow(r authz.Resource, name string, a authz.Access) bool {
	return r == authz.Service && a == authz.Write && name == w.service
}
func (writer) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestRoutes(t *testing.T) {
	const leaf = `{"SerialNumber":"09","CertPEM":"cert","PrivateKeyPEM":"key","Service":"web","ServiceURI":"spiffe://x",` +
		`"ValidAfter":"2030-01-02T03:04:05Z","ValidBefore":"2030-01-02T04:04:05Z","CreateIndex":33,"ModifyIndex":33}`
	hit, old := leafcert.Freshness{Hit: true}, leafcert.Freshness{Hit: true, Age: 90 * time.Second}
	for _, c := range []struct {
		name, path, token string
		fresh             leafcert.Freshness
		err               error
		status            int
		body              string
		headers           string // X-Consul-Index, X-Consul-Knownleader, X-Cache, Age
		index             uint64
		wait              time.Duration // at least; a sixteenth more at most
	}{
		{"roots", "roots", "", hit, nil, 200, `{"ActiveRootID":"a"}`, "12 true HIT 0", 0, 5 * time.Minute},
		{"roots, waiting", "roots?index=12&wait=1m", "", hit, nil, 200, `{"ActiveRootID":"a"}`, "12 true HIT 0", 12, time.Minute},
		{"roots, waiting too long", "roots?index=12&wait=20m", "", hit, nil, 200, `{"ActiveRootID":"a"}`, "12 true HIT 0", 12, 10 * time.Minute},
		{"roots while the servers are away", "roots", "", old, nil, 200, `{"ActiveRootID":"a"}`, "12 false HIT 90", 0, 5 * time.Minute},
		{"roots of another datacenter", "roots?dc=dc2", "", hit, nil, 500, "No path to datacenter", "   ", 0, 0},
		{"roots nobody knows", "roots", "", hit, failure.New(failure.NoPath, "No known Consul servers"), 500, "No known Consul servers", "   ", 0, 5 * time.Minute},
		{"leaf, new", "leaf/web", "web", leafcert.Freshness{}, nil, 200, leaf, "33 true MISS ", 0, 5 * time.Minute},
		{"leaf, kept", "leaf/web?dc=DC1&stale", "web", hit, nil, 200, leaf, "33 true HIT 0", 0, 5 * time.Minute},
		{"leaf, waiting", "leaf/web?index=33&wait=10s", "web", hit, nil, 200, leaf, "33 true HIT 0", 33, 10 * time.Second},
		{"leaf of nothing", "leaf/", "web", hit, nil, 400, "Missing service name", "   ", 0, 0},
		{"leaf without the right", "leaf/web", "db", hit, nil, 403, "Permission denied: token lacks permission 'service:write' on \"web\"", "   ", 0, 0},
		{"leaf of another datacenter", "leaf/web?dc=dc2", "web", hit, nil, 500, "No path to datacenter", "   ", 0, 0},
		{"too many leaves", "leaf/web", "web", hit, failure.New(failure.RateLimited, "Rate limit reached, try again later"), 429, "Rate limit reached, try again later", "   ", 0, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{fresh: c.fresh, err: c.err}
			a := &connectapi.API{Certificates: f, Authz: writer{}, Datacenter: "dc1", DefaultWait: 5 * time.Minute, MaxWait: 10 * time.Minute}
			mux, err := httpapi.NewMux(httpapi.Config{Routes: a.Routes(), Dispatcher: f})
			if err != nil {
				t.Fatal(err)
			}
			r, w := httptest.NewRequest(http.MethodGet, "/v1/agent/connect/ca/"+c.path, nil), httptest.NewRecorder()
			r.Header.Set("X-Consul-Token", c.token)
			mux.ServeHTTP(w, r)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("answered %d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			h := w.Header()
			if got := strings.Join([]string{h.Get("X-Consul-Index"), h.Get("X-Consul-Knownleader"), h.Get("X-Cache"), h.Get("Age")}, " "); got != c.headers {
				t.Errorf("headers %q, want %q", got, c.headers)
			}
			if f.index != c.index || f.wait < c.wait || f.wait > c.wait+c.wait/16+1 {
				t.Errorf("waits for more than %d, for %v", f.index, f.wait)
			}
			if strings.HasPrefix(c.name, "leaf,") && (f.token != "web" || f.service != "web") {
				t.Errorf("asked for %q with %q", f.service, f.token)
			}
		})
	}
}
