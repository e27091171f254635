package agentapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/agentapi"
	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nowhere is the Dispatcher of an agent that sees no server: local routes must
// do without.
type nowhere struct{}

func (nowhere) Here(w httpapi.Where, _ string) bool { panic("asked for a " + w.String()) }
func (nowhere) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("handed on")
}

// agent notes what it is asked to do, and fails at it with err.
type agent struct {
	self     agentapi.Self
	lan, wan []gossip.Member
	asked    []string
	err      error
	probes   []gossip.Probe
	refusals []gossip.Refusal
}

func (a *agent) Self() agentapi.Self { return a.self }

func (a *agent) Members(wan bool) []gossip.Member {
	if wan {
		return a.wan
	}
	return a.lan
}

func (a *agent) ask(ctx context.Context, format string, args ...any) error {
	a.asked = append(a.asked, fmt.Sprintf(format, args...))
	return errors.Join(a.err, ctx.Err())
}

func (a *agent) Join(ctx context.Context, addrs []string, wan bool) (int, error) {
	return len(addrs), a.ask(ctx, "join %q wan=%v", addrs, wan)
}

func (a *agent) ForceLeave(ctx context.Context, node string, prune, wan bool) error {
	return a.ask(ctx, "force-leave %s prune=%v wan=%v", node, prune, wan)
}
func (a *agent) Leave(ctx context.Context) error  { return a.ask(ctx, "leave") }
func (a *agent) Reload(ctx context.Context) error { return a.ask(ctx, "reload") }

func (a *agent) Encrypted() bool            { return true }
func (a *agent) Refusals() []gossip.Refusal { return a.refusals }
func (a *agent) Probe(ctx context.Context, names ...string) ([]gossip.Probe, error) {
	return a.probes, a.ask(ctx, "probe %q", names)
}

// metrics are two texts.
type metrics struct{}

func (metrics) WriteJSON(w io.Writer) error {
	_, err := io.WriteString(w, `{"Timestamp":"now","Gauges":[{"Name":"consul.up","Value":1,"Labels":{}}]}`+"\n")
	return err
}

func (metrics) WritePrometheus(w io.Writer) error {
	_, err := io.WriteString(w, "consul_up 1\n")
	return err
}

// fixture is the agent n1 that sees n1 and the client n2.
type fixture struct {
	agent *agent
	logs  *logging.Logs
	api   *agentapi.API
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	logs, err := logging.Open(logging.Config{Level: "WARN"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { logs.Close() })
	n1 := gossip.Member{Name: "n1", Addr: "10.0.0.1", Port: 8301, Tags: map[string]string{"role": "consul", "segment": ""}, Status: gossip.StatusAlive, ProtocolMax: 5}
	n2 := gossip.Member{Name: "n2", Addr: "10.0.0.2", Port: 8301, Tags: map[string]string{"role": "node", "segment": "alpha"}, Status: gossip.StatusFailed}
	f := &fixture{logs: logs, agent: &agent{
		self: agentapi.Self{
			Config:      agentapi.Config{Datacenter: "dc1", PrimaryDatacenter: "dc1", NodeName: "n1", NodeID: "id-1", Server: true},
			DebugConfig: map[string]any{"GRPCPort": 8502},
			Coord:       &gossip.Coordinate{Vec: make([]float64, 8), Error: 1.5, Height: 1e-5},
			Member:      n1,
			Stats:       map[string]map[string]string{"agent": {"checks": "3"}, "raft": {"state": "Leader"}},
		},
		lan: []gossip.Member{n1, n2},
		wan: []gossip.Member{{Name: "n1.dc1"}},
	}}
	f.api = &agentapi.API{Agent: f.agent, Gossip: f.agent, Logs: logs, Metrics: metrics{}, Authz: authz.Open{}, NodeName: "n1", DataDir: t.TempDir(), EnableDebug: func() bool { return true }}
	return f
}

func (f *fixture) mux(t *testing.T) *httpapi.Mux {
	t.Helper()
	m, err := httpapi.NewMux(httpapi.Config{Routes: f.api.Routes(), Dispatcher: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *fixture) do(t *testing.T, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.mux(t).ServeHTTP(w, r)
	return w
}

const (
	memberN1 = `{"Name":"n1","Addr":"10.0.0.1","Port":8301,"Tags":{"role":"consul","segment":""},"Status":1,"ProtocolMin":0,"ProtocolMax":5,"ProtocolCur":0,"DelegateMin":0,"DelegateMax":0,"DelegateCur":0}`
	memberN2 = `{"Name":"n2","Addr":"10.0.0.2","Port":8301,"Tags":{"role":"node","segment":"alpha"},"Status":4,"ProtocolMin":0,"ProtocolMax":0,"ProtocolCur":0,"DelegateMin":0,"DelegateMax":0,"DelegateCur":0}`
	memberW1 = `{"Name":"n1.dc1","Addr":"","Port":0,"Tags":null,"Status":0,"ProtocolMin":0,"ProtocolMax":0,"ProtocolCur":0,"DelegateMin":0,"DelegateMax":0,"DelegateCur":0}`
	metricsJ = `{"Timestamp":"now","Gauges":[{"Name":"consul.up","Value":1,"Labels":{}}]}`
)

func TestRoutes(t *testing.T) {
	const members = "/v1/agent/members"
	for _, c := range []struct {
		name, method, target string
		status               int
		body, asked          string
	}{
		{"members", "GET", members, 200, "[" + memberN1 + "," + memberN2 + "]", ""},
		{"members of the wan", "GET", members + "?wan=1", 200, "[" + memberW1 + "]", ""},
		{"members of an empty wan", "GET", members + "?wan=", 200, "[" + memberN1 + "," + memberN2 + "]", ""},
		{"members of all segments", "GET", members + "?segment=_all", 200, "[" + memberN1 + "," + memberN2 + "]", ""},
		{"members of a segment", "GET", members + "?segment=alpha", 200, "[" + memberN2 + "]", ""},
		{"members of a segment that is none", "GET", members + "?segment=beta", 200, "[]", ""},
		{"members of a segment of the wan", "GET", members + "?segment=alpha&wan=1", 400, "Cannot provide a segment with wan=true", ""},
		{"members filtered", "GET", members + "?filter=Tags.role+%3D%3D+node+and+Status+%3D%3D+4", 200, "[" + memberN2 + "]", ""},
		{"members filtered by nothing known", "GET", members + "?filter=Nope+is+empty", 500, `Failed to create boolean expression evaluator: Selector "Nope" is not valid`, ""},

		{"join", "PUT", "/v1/agent/join/10.0.0.9", 200, "", `join ["10.0.0.9"] wan=false`},
		{"join an address with a port", "PUT", "/v1/agent/join/[::1]:8301", 200, "", `join ["[::1]:8301"] wan=false`},
		{"join the wan", "PUT", "/v1/agent/join/10.0.0.9?wan=1", 200, "", `join ["10.0.0.9"] wan=true`},
		{"join nobody", "PUT", "/v1/agent/join/", 400, "Missing address to join", ""},
		{"join by reading", "GET", "/v1/agent/join/10.0.0.9", 405, "method GET not allowed", ""},
		{"force-leave", "PUT", "/v1/agent/force-leave/n2", 200, "", "force-leave n2 prune=false wan=false"},
		{"force-leave and prune", "PUT", "/v1/agent/force-leave/n2?prune&wan", 200, "", "force-leave n2 prune=true wan=true"},
		{"force-leave of nobody", "PUT", "/v1/agent/force-leave/", 400, "Missing node name", ""},
		{"leave", "PUT", "/v1/agent/leave", 200, "", "leave"},
		{"reload", "PUT", "/v1/agent/reload", 200, "", "reload"},

		{"metrics", "GET", "/v1/agent/metrics", 200, metricsJ, ""},
		{"metrics for people", "GET", "/v1/agent/metrics?format=prometheus", 200, "consul_up 1\n", ""},
		{"metrics for a scraper", "GET", "/metrics", 200, "consul_up 1\n", ""},
		{"monitor at no level", "GET", "/v1/agent/monitor?loglevel=loud", 400, "Unknown log level: loud", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.do(t, c.method, c.target)
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			if diff := cmp.Diff(w.Body.String(), c.body); diff != "" {
				t.Errorf("body (-got +want):\n%s", diff)
			}
			if got := strings.Join(f.agent.asked, ", "); got != c.asked {
				t.Errorf("asked the agent to %q, want %q", got, c.asked)
			}
		})
	}
}

func TestSelf(t *testing.T) {
	f := newFixture(t)
	w := f.do(t, "GET", "/v1/agent/self")
	build := buildinfo.Get()
	config := fmt.Sprintf(`{"Config":{"Datacenter":"dc1","PrimaryDatacenter":"dc1","NodeName":"n1","NodeID":"id-1","Revision":%q,"Server":true,"Version":"1.21.4","BuildDate":%q,"CtlVersion":%q},`+
		`"DebugConfig":{"GRPCPort":8502},"Coord":{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.00001},"Member":%s,"Stats":`, build.Commit, build.Date, build.Version, memberN1)
	if !strings.HasPrefix(w.Body.String(), config) || !strings.HasSuffix(w.Body.String(), `,"Meta":{}}`) {
		t.Errorf("got %s\nwant %s… and Meta {}", w.Body, config)
	}
	var self agentapi.Self
	if err := json.Unmarshal(w.Body.Bytes(), &self); err != nil {
		t.Fatal(err)
	}
	for _, s := range [][3]string{{"agent", "checks", "3"}, {"raft", "state", "Leader"}, {"build", "version", "1.21.4"}, {"build", "ctl_version", build.Version}} {
		if got := self.Stats[s[0]][s[1]]; got != s[2] {
			t.Errorf("stats %s.%s = %q, want %q", s[0], s[1], got, s[2])
		}
	}
	if self.Stats["runtime"]["goroutines"] == "" {
		t.Errorf("runtime stats %v", self.Stats["runtime"])
	}
	f.agent.self.Coord = nil
	if w := f.do(t, "GET", "/v1/agent/self"); !strings.Contains(w.Body.String(), `"Coord":null,`) {
		t.Errorf("without coordinates: %s", w.Body)
	}
}

func TestVersion(t *testing.T) {
	build := buildinfo.Get()
	want := fmt.Sprintf(`{"SHA":%q,"BuildDate":%q,"HumanVersion":"1.21.4","FIPS":"","CtlVersion":%q}`, build.Commit, build.Date, build.Version)
	if got := newFixture(t).do(t, "GET", "/v1/agent/version").Body.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFailures(t *testing.T) {
	join := "1 error occurred:\n\t* Failed to join 10.0.0.9: connection refused\n\n"
	for _, c := range []struct {
		name, target string
		err          error
		status       int
	}{
		{"join", "/v1/agent/join/10.0.0.9", errors.New(join), 500},
		{"join before gossip runs", "/v1/agent/join/10.0.0.9", failure.New(failure.Unavailable, "the pool does not run yet"), 503},
		{"force-leave", "/v1/agent/force-leave/n9", failure.New(failure.Invalid, "agent: No node found with name 'n9'"), 500},
		{"leave", "/v1/agent/leave", errors.New("nobody hears"), 500},
		{"reload", "/v1/agent/reload", errors.New("server.json:3: no"), 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.agent.err = c.err
			if w := f.do(t, "PUT", c.target); w.Code != c.status || w.Body.String() != c.err.Error() {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.err)
			}
		})
	}
}

func TestLeavingOutlivesTheRequest(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	f.mux(t).ServeHTTP(w, httptest.NewRequest("PUT", "/v1/agent/leave", nil).WithContext(ctx))
	if w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestMetricsByAccept(t *testing.T) {
	const text, json = "text/plain; version=0.0.4; charset=utf-8", "application/json"
	for _, c := range []struct{ name, accept, contentType, body string }{
		{"none", "", json, metricsJ},
		{"anything", "*/*", json, metricsJ},
		{"JSON", "application/json", json, metricsJ},
		{"any text", "text/plain", json, metricsJ},
		{"garbage", ";;,/", json, metricsJ},
		{"text format", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", text, "consul_up 1\n"},
		{"OpenMetrics", "application/openmetrics-text;version=1.0.0;q=0.6", text, "consul_up 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFixture(t).do(t, "GET", "/v1/agent/metrics", "Accept", c.accept)
			if got := w.Header().Get("Content-Type"); got != c.contentType || w.Body.String() != c.body {
				t.Errorf("got %s %s, want %s %s", got, w.Body, c.contentType, c.body)
			}
		})
	}
}

// rules allows what is in it: "agent:read" or "node:read n1".
type rules map[string]bool

func (r rules) Resolve(context.Context, string) (authz.Authorizer, error) { return r, nil }
func (r rules) Allow(res authz.Resource, name string, a authz.Access) bool {
	return r[strings.TrimSuffix(fmt.Sprintf("%s:%s %s", res, a, name), " ")]
}
func (rules) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestPermissions(t *testing.T) {
	for _, c := range []struct{ method, target, need string }{
		{"GET", "/v1/agent/self", "agent:read n1"},
		{"GET", "/v1/agent/version", ""},
		{"GET", "/v1/agent/host", "operator:read"},
		{"GET", "/v1/ctl/diagnose", "operator:read"},
		{"GET", "/v1/agent/metrics", "agent:read n1"},
		{"GET", "/metrics", "agent:read n1"},
		{"PUT", "/v1/agent/join/a", "agent:write n1"},
		{"PUT", "/v1/agent/leave", "agent:write n1"},
		{"PUT", "/v1/agent/reload", "agent:write n1"},
		{"PUT", "/v1/agent/force-leave/n2", "operator:write"},
		{"GET", "/debug/pprof/", "operator:read"},
		{"GET", "/debug/pprof/cmdline", "operator:read"},
		{"POST", "/debug/pprof/symbol", "operator:read"},
		{"GET", "/debug/pprof/goroutine", "operator:read"},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			f := newFixture(t)
			f.api.Authz = rules{c.need: true}
			if w := f.do(t, c.method, c.target); w.Code != http.StatusOK {
				t.Errorf("with %s: %d %s", c.need, w.Code, w.Body)
			}
			f.agent.asked = nil
			f.api.Authz = rules{}
			if w := f.do(t, c.method, c.target); (w.Code == http.StatusForbidden) != (c.need != "") || f.agent.asked != nil {
				t.Errorf("without: %d %s, asked %v", w.Code, w.Body, f.agent.asked)
			}
		})
	}
	t.Run("members", func(t *testing.T) {
		f := newFixture(t)
		f.api.Authz = rules{"node:read n2": true}
		if got := f.do(t, "GET", "/v1/agent/members").Body.String(); got != "["+memberN2+"]" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("monitor", func(t *testing.T) {
		f := newFixture(t)
		f.api.Authz = rules{}
		if w := f.do(t, "GET", "/v1/agent/monitor"); w.Code != http.StatusForbidden {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestMonitor(t *testing.T) {
	for _, c := range []struct{ name, query, want, not string }{
		{"info", "", "[INFO]", "[DEBUG]"},
		{"debug", "?loglevel=debug", "[DEBUG]", "[TRACE]"},
		{"json", "?logjson&loglevel=warn", `"@level":"warn"`, "["},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			srv := httptest.NewServer(f.mux(t))
			defer srv.Close()
			defer http.DefaultClient.CloseIdleConnections()
			resp, err := http.Get(srv.URL + "/v1/agent/monitor" + c.query)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			log := f.logs.Logger()
			log.Debug("one")
			log.Info("two")
			log.Warn("three")
			line, err := bufio.NewReader(resp.Body).ReadString('\n')
			if err != nil || !strings.Contains(line, c.want) || strings.Contains(line, c.not) {
				t.Errorf("first line %q, error %v", line, err)
			}
			if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestProfiles(t *testing.T) {
	for _, c := range []struct {
		name, target string
		status       int
		has          string
	}{
		{"index", "/debug/pprof/", 200, "goroutine\t"},
		{"command line", "/debug/pprof/cmdline", 200, "agentapi.test"},
		{"goroutines as text", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile: total"},
		{"heap", "/debug/pprof/heap?gc=1", 200, "\x1f\x8b"},
		{"unknown", "/debug/pprof/nope", 404, `Unknown profile "nope"`},
		{"heap over time", "/debug/pprof/heap?seconds=1", 400, "?seconds is only for"},
		{"cpu", "/debug/pprof/profile?seconds=0.01", 200, "\x1f\x8b"},
		{"cpu for no time", "/debug/pprof/profile?seconds=0", 400, "Invalid value for ?seconds"},
		{"cpu for ever", "/debug/pprof/profile?seconds=1e9", 400, "Invalid value for ?seconds"},
		{"cpu for an odd time", "/debug/pprof/profile?seconds=NaN", 400, "Invalid value for ?seconds"},
		{"trace", "/debug/pprof/trace?seconds=0.01", 200, "go 1."},
		{"are there symbols", "/debug/pprof/symbol", 200, "num_symbols: 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFixture(t).do(t, "GET", c.target)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
				t.Errorf("got %d %.80q, want %d with %q", w.Code, w.Body, c.status, c.has)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		f := newFixture(t)
		f.api.EnableDebug = func() bool { return false }
		for _, target := range []string{"/debug/pprof/", "/debug/pprof/profile"} {
			if w := f.do(t, "GET", target); w.Code != http.StatusNotFound {
				t.Errorf("%s: got %d %s", target, w.Code, w.Body)
			}
		}
	})
	t.Run("client gone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		newFixture(t).mux(t).ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/profile", nil).WithContext(ctx))
		if w.Code == http.StatusOK {
			t.Errorf("got %d", w.Code)
		}
	})
}

func TestOfficialClient(t *testing.T) {
	f := newFixture(t)
	srv := httptest.NewServer(f.mux(t))
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := api.NewClient(&api.Config{Address: srv.URL, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	a := client.Agent()
	if self, err := a.Self(); err != nil || self["Config"]["Version"] != "1.21.4" || self["DebugConfig"]["GRPCPort"] != 8502.0 {
		t.Errorf("self %v, error %v", self, err)
	}
	if name, err := a.NodeName(); err != nil || name != "n1" {
		t.Errorf("node name %q, error %v", name, err)
	}
	if host, err := a.Host(); err != nil || host["Host"] == nil || host["Disk"] == nil {
		t.Errorf("host %v, error %v", host, err)
	}
	if v, err := a.Version(); err != nil || v["HumanVersion"] != "1.21.4" {
		t.Errorf("version %v, error %v", v, err)
	}
	if ms, err := a.MembersOpts(api.MembersOpts{Segment: api.AllSegments, Filter: `Name == n2`}); err != nil || len(ms) != 1 || ms[0].Status != 4 {
		t.Errorf("members %v, error %v", ms, err)
	}
	if ms, err := a.Members(true); err != nil || len(ms) != 1 {
		t.Errorf("members of the wan %v, error %v", ms, err)
	}
	if m, err := a.Metrics(); err != nil || len(m.Gauges) != 1 || m.Gauges[0].Value != 1 {
		t.Errorf("metrics %+v, error %v", m, err)
	}
	err = errors.Join(a.Join("10.0.0.9:8301", true), a.ForceLeavePrune("n2"), a.Reload(), a.Leave())
	if err != nil {
		t.Error(err)
	}
	want := []string{`join ["10.0.0.9:8301"] wan=true`, "force-leave n2 prune=true wan=false", "reload", "leave"}
	if diff := cmp.Diff(f.agent.asked, want); diff != "" {
		t.Error(diff)
	}
}
