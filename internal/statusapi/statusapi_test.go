package statusapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/statusapi"
)

type cluster struct {
	leader string
	peers  []string
}

func (c cluster) Leader() string  { return c.leader }
func (c cluster) Peers() []string { return c.peers }

// server is the Dispatcher of the only server there is.
type server struct{}

func (server) Here(httpapi.Where, string) bool { return true }
func (server) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("nothing is elsewhere")
}

func newMux(t *testing.T, c statusapi.Cluster) *httpapi.Mux {
	t.Helper()
	m, err := httpapi.NewMux(httpapi.Config{Routes: (&statusapi.API{Cluster: c}).Routes(), Dispatcher: server{}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRoutes(t *testing.T) {
	three := cluster{"10.0.0.1:8300", []string{"10.0.0.1:8300", "10.0.0.2:8300", "[::1]:8300"}}
	for _, c := range []struct {
		name    string
		cluster cluster
		path    string
		body    string
	}{
		{"leader", three, "/v1/status/leader", `"10.0.0.1:8300"`},
		{"no leader", cluster{}, "/v1/status/leader", `""`},
		{"peers", three, "/v1/status/peers", `["10.0.0.1:8300","10.0.0.2:8300","[::1]:8300"]`},
		{"no peers", cluster{}, "/v1/status/peers", `[]`},
		{"pretty", three, "/v1/status/leader?pretty", "\"10.0.0.1:8300\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			newMux(t, c.cluster).ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.path, nil))
			if w.Code != http.StatusOK || w.Body.String() != c.body {
				t.Errorf("got %d %s, want 200 %s", w.Code, w.Body, c.body)
			}
			if h := w.Header(); h["X-Consul-Index"] != nil || h.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestRoutesNeedNoServerToBeListed(t *testing.T) {
	for _, r := range (&statusapi.API{}).Routes() {
		if r.Where != httpapi.Server {
			t.Errorf("%s runs at the %s", r.Pattern, r.Where)
		}
	}
}

func TestOfficialClient(t *testing.T) {
	want := cluster{"10.0.0.1:8300", []string{"10.0.0.1:8300", "10.0.0.2:8300"}}
	srv := httptest.NewServer(newMux(t, want))
	defer srv.Close()
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := client.Status().Leader(); err != nil || got != want.leader {
		t.Errorf("leader %q, error %v", got, err)
	}
	if got, err := client.Status().Peers(); err != nil || !slices.Equal(got, want.peers) {
		t.Errorf("peers %q, error %v", got, err)
	}
}
