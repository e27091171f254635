package serviceapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/agentapi/serviceapi"
	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nowhere is the Dispatcher of an agent that sees no server: these routes must
// do without.
type nowhere struct{}

func (nowhere) Here(w httpapi.Where, _ string) bool { panic("asked for a " + w.String()) }
func (nowhere) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("handed on")
}

// pusher counts, and fails: nobody who asks may notice.
type pusher struct{ pushes int }

func (p *pusher) Push(context.Context) error {
	p.pushes++
	return errors.New("no leader")
}

type fixture struct {
	state  *local.State
	push   *pusher
	api    *serviceapi.API
	mux    *httpapi.Mux
	client *api.Client
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{push: &pusher{}}
	f.state = local.New(local.Config{Node: local.Node{Name: "n1", Datacenter: "dc1"}}, checks.New(checks.Config{}))
	f.api = &serviceapi.API{State: f.state, Push: f.push, Authz: authz.Open{}, Logger: slog.New(slog.DiscardHandler), NodeName: "n1", Datacenter: "dc1"}
	return f
}

func (f *fixture) route(t *testing.T) {
	t.Helper()
	var err error
	if f.mux, err = httpapi.NewMux(httpapi.Config{Routes: f.api.Routes(), Dispatcher: nowhere{}}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) serve(t *testing.T) *fixture {
	t.Helper()
	f.route(t)
	srv := httptest.NewServer(f.mux)
	t.Cleanup(srv.Close)
	transport := &http.Transport{DisableKeepAlives: true}
	var err error
	if f.client, err = api.NewClient(&api.Config{Address: srv.URL, HttpClient: &http.Client{Transport: transport}}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// TestOfficialClient walks through every call the official client has about
// services and checks of an agent.
func TestOfficialClient(t *testing.T) {
	f := newFixture(t).serve(t)
	agent := f.client.Agent()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(agent.ServiceRegister(&api.AgentServiceRegistration{
		ID: "web1", Name: "web", Tags: []string{"v1", "blue"}, Port: 80, Address: "10.0.0.1", Meta: map[string]string{"a": "b"},
		TaggedAddresses: map[string]api.ServiceAddress{"lan": {Address: "10.0.0.1", Port: 81}}, Weights: &api.AgentWeights{Passing: 10, Warning: 1},
		Check: &api.AgentServiceCheck{TTL: "1h"}, Checks: api.AgentServiceChecks{{TCP: "127.0.0.1:1", Interval: "1h", Status: api.HealthPassing}},
	}))
	if f.push.pushes != 1 {
		t.Errorf("%d pushes, want one before the answer", f.push.pushes)
	}
	service, _, err := agent.Service("web1", nil)
	must(err)
	want := &api.AgentService{
		ID: "web1", Service: "web", Tags: []string{"v1", "blue"}, Port: 80, Address: "10.0.0.1", Meta: map[string]string{"a": "b"},
		TaggedAddresses: map[string]api.ServiceAddress{"lan": {Address: "10.0.0.1", Port: 81}}, Weights: api.AgentWeights{Passing: 10, Warning: 1},
		Datacenter: "dc1", ContentHash: service.ContentHash,
	}
	if d := cmp.Diff(service, want); d != "" || service.ContentHash == "" {
		t.Errorf("service, got - want +:\n%s", d)
	}
	list, err := agent.Checks()
	must(err)
	if len(list) != 2 || list["service:web1:1"].Status != api.HealthCritical || list["service:web1:2"].Status != api.HealthPassing ||
		list["service:web1:1"].Name != "Service 'web' check" || list["service:web1:1"].Type != "ttl" {
		t.Errorf("checks: %+v", list)
	}
	must(agent.UpdateTTL("service:web1:1", "fine", api.HealthPassing))
	if status, info, err := agent.AgentHealthServiceByID("web1"); err != nil || status != api.HealthPassing || len(info.Checks) != 2 {
		t.Errorf("health by id: %s %+v %v", status, info, err)
	}
	must(agent.WarnTTL("service:web1:1", "hm"))
	if status, info, err := agent.AgentHealthServiceByName("web"); err != nil || status != api.HealthWarning || len(info) != 1 {
		t.Errorf("health by name: %s %+v %v", status, info, err)
	}
	must(agent.PassTTL("service:web1:1", ""))
	must(agent.FailTTL("service:web1:1", "down"))
	must(agent.CheckRegister(&api.AgentCheckRegistration{ID: "disk", Name: "Disk", Notes: "n", AgentServiceCheck: api.AgentServiceCheck{TTL: "1h", Status: api.HealthPassing}}))
	must(agent.CheckRegister(&api.AgentCheckRegistration{Name: "extra", ServiceID: "web1", AgentServiceCheck: api.AgentServiceCheck{TTL: "1h"}}))
	if found, err := agent.ChecksWithFilter(`ServiceID == "web1" and CheckID == "extra"`); err != nil || len(found) != 1 || found["extra"].ServiceName != "web" {
		t.Errorf("filtered checks: %+v %v", found, err)
	}
	if found, err := agent.ServicesWithFilter(`Meta.a == "b" and "v1" in Tags`); err != nil || len(found) != 1 {
		t.Errorf("filtered services: %+v %v", found, err)
	}
	must(agent.EnableServiceMaintenance("web1", "broken"))
	must(agent.EnableServiceMaintenance("web1", "again"))
	if _, info, err := agent.AgentHealthServiceByID("web1"); err != nil || info.AggregatedStatus != api.HealthMaint {
		t.Errorf("in maintenance: %+v %v", info, err)
	}
	must(agent.DisableServiceMaintenance("web1"))
	must(agent.EnableNodeMaintenance(""))
	if list, _ := agent.Checks(); list["_node_maintenance"].Notes == "" || list["_node_maintenance"].Type != "maintenance" {
		t.Errorf("node maintenance: %+v", list["_node_maintenance"])
	}
	must(agent.DisableNodeMaintenance())
	must(agent.CheckDeregister("disk"))
	must(agent.ServiceDeregister("web1"))
	if services, err := agent.Services(); err != nil || len(services) != 0 || len(f.state.Checks()) != 0 {
		t.Errorf("left: %+v %+v %v", services, f.state.Checks(), err)
	}
}

func TestAnswers(t *testing.T) {
	f := newFixture(t).serve(t)
	const register, check = "/v1/agent/service/register", "/v1/agent/check/register"
	f.do("PUT", register, `{"name":"ttl","check":{"ttl":"1h"}}`)
	f.do("PUT", register, `{"Name":"tcp","Check":{"TCP":":1","Interval":"1h"}}`)
	for _, test := range []struct {
		name, path, body string
		status           int
		text             string
	}{
		{"empty body", register, "", 400, "Request decode failed: EOF"},
		{"broken body", register, "{", 400, "Request decode failed: unexpected EOF"},
		{"unknown field", register, `{"Name":"x","Foo":1}`, 400, `Request decode failed: json: unknown field "Foo"`},
		{"unknown field of a check", register, `{"Name":"x","Check":{"foo_bar":1}}`, 400, `Request decode failed: json: unknown field "foo_bar"`},
		{"two spellings", register, `{"Name":"x","enable_tag_override":true,"EnableTagOverride":false}`, 400, `Request decode failed: json: field "EnableTagOverride" is given twice, in two spellings`},
		{"wrong type", register, `{"Name":1}`, 400, "Request decode failed: json: cannot unmarshal number"},
		{"no name", register, `{}`, 400, "Missing service name"},
		{"wildcard address", register, `{"Name":"x","Address":"::"}`, 400, "Invalid service address"},
		{"weights", register, `{"Name":"x","Weights":{"Passing":0}}`, 400, "Invalid Weights: "},
		{"meta", register, `{"Name":"x","Meta":{"a b":"c"}}`, 400, "Invalid Service Meta: "},
		{"reserved meta", register, `{"Name":"x","Meta":{"consul-x":"c"}}`, 400, "Invalid Service Meta: Couldn't load metadata pair ('consul-x', 'c'): Key prefix 'consul-' is reserved for internal use"},
		{"socket and port", register, `{"Name":"x","SocketPath":"/s","Port":1}`, 400, "Validation failed: "},
		{"reserved", register, `{"Name":"consul"}`, 400, "Validation failed: "},
		{"check without a kind", register, `{"Name":"x","Check":{"Notes":"n"}}`, 400, "Invalid check: TTL must be > 0 for TTL checks"},
		{"check without interval", register, `{"Name":"x","Check":{"HTTP":"http://x"}}`, 400, "Invalid check: Interval must be > 0"},
		{"check of two kinds", register, `{"Name":"x","Check":{"HTTP":"http://x","TCP":"x:1","Interval":"1s"}}`, 400, "Invalid check: a check does one thing"},
		{"alias of itself", register, `{"Name":"x","Check":{"AliasService":"x"}}`, 400, "Invalid check: an alias of"},
		{"check status", register, `{"Name":"x","Check":{"TTL":"1s","Status":"good"}}`, 400, "Status for checks must 'passing', 'warning', 'critical'"},
		{"bad duration", register, `{"Name":"x","Check":{"TTL":"abc"}}`, 400, "Request decode failed: time: invalid duration"},
		{"scripts off", register, `{"Name":"x","Check":{"Args":["true"],"Interval":"1s"}}`, 500, "Scripts are disabled"},
		{"sidecar", register, `{"Name":"x","Connect":{"SidecarService":{}}}`, 400, "Invalid SidecarService: "},
		{"check without a name", check, `{"TTL":"1s"}`, 400, "Missing check name"},
		{"check, bad status", check, `{"Name":"c","TTL":"1s","Status":"x"}`, 400, "Bad check status"},
		{"check, no TTL", check, `{"Name":"c"}`, 400, "Invalid check: TTL must be > 0 for TTL checks"},
		{"check, both", check, `{"Name":"c","TTL":"1s","Interval":"1s"}`, 400, "Invalid check: Interval and TTL cannot both be specified"},
		{"check, unknown service", check, `{"Name":"c","TTL":"1s","ServiceID":"no"}`, 404, `ServiceID "no" does not exist`},
		{"check, scripts off", check, `{"Name":"c","script_args":["true"],"Interval":"1s"}`, 500, "Scripts are disabled"},
		{"deregister unknown", "/v1/agent/service/deregister/no", "", 404, `Unknown service ID "no". Ensure that the service ID is passed, not the service name.`},
		{"deregister unknown check", "/v1/agent/check/deregister/no", "", 404, `Unknown check ID "no". Ensure that the check ID is passed, not the check name.`},
		{"pass unknown", "/v1/agent/check/pass/no", "", 404, `Unknown check ID "no"`},
		{"pass without TTL", "/v1/agent/check/pass/service:tcp", "", 500, `CheckID "service:tcp" does not have associated TTL`},
		{"update, bad status", "/v1/agent/check/update/service:ttl", `{"Status":"x"}`, 400, "Invalid check status: 'x'"},
		{"maintenance without enable", "/v1/agent/maintenance", "", 400, "Missing value for enable"},
		{"maintenance, bad enable", "/v1/agent/maintenance?enable=x", "", 400, `Invalid value for enable: "x"`},
		{"service maintenance, unknown", "/v1/agent/service/maintenance/no?enable=true", "", 404, "Unknown service ID"},
		{"service maintenance, no id", "/v1/agent/service/maintenance/?enable=true", "", 400, "Missing service ID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(f.state.Services()) + len(f.state.Checks())
			w := f.do("PUT", test.path, test.body)
			if w.Code != test.status || !strings.HasPrefix(w.Body.String(), test.text) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, test.status, test.text)
			}
			if after := len(f.state.Services()) + len(f.state.Checks()); after != before {
				t.Errorf("half registered: %d things before, %d after", before, after)
			}
		})
	}
}

func TestHealthAnswers(t *testing.T) {
	f := newFixture(t).serve(t)
	f.do("PUT", "/v1/agent/service/register", `{"Name":"web","Check":{"TTL":"1h","Status":"passing"}}`)
	f.do("PUT", "/v1/agent/service/register", `{"ID":"web2","Name":"web","Check":{"TTL":"1h","Status":"warning"}}`)
	for _, test := range []struct {
		name, path string
		header     []string
		status     int
		reason     string
		body       string
	}{
		{"passing", "id/web?format=text", nil, 200, "passing", "passing"},
		{"warning", "id/web2", []string{"Accept", "text/plain"}, 429, "warning", "warning"},
		{"worst of a name", "name/web?format=text", nil, 429, "warning", "warning"},
		{"unknown id", "id/no", nil, 404, "ServiceId no not found", `{"AggregatedStatus":"critical","Service":null,"Checks":null}`},
		{"unknown name", "name/no", nil, 404, "ServiceName no Not Found", "[]"},
		{"unknown name, text", "name/no?format=text", nil, 404, "ServiceName no Not Found", "ServiceName no Not Found"},
		{"no name", "name/", nil, 500, "", "Missing service Name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := f.do("GET", "/v1/agent/health/service/"+test.path, "", test.header...)
			if w.Code != test.status || w.Body.String() != test.body || w.Header().Get("X-Consul-Reason") != test.reason {
				t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
			}
		})
	}
}

func TestServiceBlocksByHash(t *testing.T) {
	f := newFixture(t).serve(t)
	f.do("PUT", "/v1/agent/service/register", `{"Name":"web"}`)
	w := f.do("GET", "/v1/agent/service/web", "")
	hash := w.Header().Get("X-Consul-Contenthash")
	if w := f.do("GET", "/v1/agent/service/web?wait=1ms&hash="+hash, ""); w.Code != 200 || w.Header().Get("X-Consul-Contenthash") != hash {
		t.Errorf("unchanged: %d %v", w.Code, w.Header())
	}
	if w := f.do("GET", "/v1/agent/service/no", ""); w.Code != 404 || w.Body.String() != "unknown service ID: no" {
		t.Errorf("unknown: %d %s", w.Code, w.Body)
	}
	done := make(chan string)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/agent/service/web?hash="+hash, nil)
		w := httptest.NewRecorder()
		f.mux.ServeHTTP(w, r)
		done <- w.Header().Get("X-Consul-Contenthash")
	}()
	f.do("PUT", "/v1/agent/service/register", `{"Name":"web","Port":2}`)
	if got := <-done; got == hash || got == "" {
		t.Errorf("woke with %q", got)
	}
}
