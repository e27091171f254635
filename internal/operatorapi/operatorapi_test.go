package operatorapi_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/operatorapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/signal"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// server is the Dispatcher of the only server there is.
type server struct{}

func (server) Here(httpapi.Where, string) bool { return true }
func (server) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("nothing is elsewhere")
}

// raft is a configuration and what was asked of it.
type raft struct {
	servers    []consensus.Server
	leadership signal.Value[consensus.Leadership]
	asked      []string
}

func (r *raft) Configuration() ([]consensus.Server, uint64, error) { return r.servers, 12, nil }
func (r *raft) Leadership() *signal.Value[consensus.Leadership]    { return &r.leadership }
func (r *raft) TransferLeadership(_ context.Context, id string) error {
	return r.ask("transfer to " + id)
}
func (r *raft) RemoveServer(_ context.Context, id string) error { return r.ask("remove " + id) }
func (r *raft) ask(what string) error                           { r.asked = append(r.asked, what); return nil }

// state is a database that is its own applier and its reads' freshness.
type state struct {
	t       *testing.T
	db      *store.DB
	index   store.Index
	barrier error
}

func (s *state) ReadBarrier(context.Context) error { return s.barrier }
func (s *state) Contact() (bool, time.Duration)    { return true, 0 }
func (s *state) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	s.index++
	return storetest.TryApply(s.t, s.db, s.index, typ, body)
}

// fixture is a cluster of the leader n1, the voter n2 and a server that gossip
// does not know.
type fixture struct {
	raft   *raft
	state  *state
	health operatorapi.Health
	api    *operatorapi.API
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	since := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	f := &fixture{
		raft: &raft{servers: []consensus.Server{
			{ID: "id-1", Address: "10.0.0.1:8300", Voter: true},
			{ID: "id-2", Address: "10.0.0.2:8300", Voter: true},
			{ID: "id-3", Address: "10.0.0.3:8300"},
		}},
		state: &state{t: t, db: storetest.Open(t, autopilot.Module()), index: 20},
		health: operatorapi.Health{
			Healthy: true, FailureTolerance: 1, Leader: "id-1", Voters: []string{"id-1", "id-2"},
			Servers: []operatorapi.ServerHealth{
				{ID: "id-1", Name: "n1", Address: "10.0.0.1:8300", Version: "1.21.4", NodeStatus: "alive", Status: "leader", LastTerm: 2, LastIndex: 30, Healthy: true, Voter: true, Leader: true, StableSince: since, Meta: map[string]string{"consul-version": "1.21.4"}},
				{ID: "id-2", Name: "n2", Address: "10.0.0.2:8300", Version: "1.21.4", NodeStatus: "alive", Status: "voter", LastContact: 20 * time.Millisecond, LastTerm: 2, LastIndex: 28, Healthy: true, Voter: true, StableSince: since},
			},
		},
	}
	f.raft.leadership.Set(consensus.Leadership{LeaderID: "id-1", IsLeader: true})
	f.api = &operatorapi.API{
		Raft:    f.raft,
		LANKeys: &keys{},
		Reader:  query.New(query.Config{DB: f.state.db, Freshness: f.state}),
		Applier: f.state,
		Authz:   authz.Open{},
		Servers: func() []gossip.Server {
			return []gossip.Server{{ID: "id-1", Name: "n1", RaftVersion: 3}, {ID: "id-2", Name: "n2", NonVoter: true}}
		},
		Health: func(context.Context) (operatorapi.Health, error) { return f.health, nil },
		LastIndexes: func(context.Context) map[string]uint64 {
			last := map[string]uint64{}
			for _, s := range f.health.Servers {
				last[s.ID] = s.LastIndex
			}
			return last
		},
	}
	return f
}

func (f *fixture) mux(t *testing.T) *httpapi.Mux {
	t.Helper()
	m, err := httpapi.NewMux(httpapi.Config{Routes: f.api.Routes(), Dispatcher: server{}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *fixture) do(t *testing.T, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	f.mux(t).ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

const (
	raftBody = `{"Servers":[` +
		`{"ID":"id-1","Node":"n1","Address":"10.0.0.1:8300","Leader":true,"ProtocolVersion":"3","Voter":true,"LastIndex":30},` +
		`{"ID":"id-2","Node":"n2","Address":"10.0.0.2:8300","Leader":false,"ProtocolVersion":"3","Voter":true,"LastIndex":28},` +
		`{"ID":"id-3","Node":"(unknown)","Address":"10.0.0.3:8300","Leader":false,"ProtocolVersion":"3","Voter":false,"LastIndex":0}],"Index":12}`
	healthBody = `{"Healthy":true,"FailureTolerance":1,"Servers":[` +
		`{"ID":"id-1","Name":"n1","Address":"10.0.0.1:8300","SerfStatus":"alive","Version":"1.21.4","Leader":true,"LastContact":"0s","LastTerm":2,"LastIndex":30,"Healthy":true,"Voter":true,"StableSince":"2026-11-23T08:00:00Z"},` +
		`{"ID":"id-2","Name":"n2","Address":"10.0.0.2:8300","SerfStatus":"alive","Version":"1.21.4","Leader":false,"LastContact":"20ms","LastTerm":2,"LastIndex":28,"Healthy":true,"Voter":true,"StableSince":"2026-11-23T08:00:00Z"}]}`
	stateBody = `{"Healthy":true,"FailureTolerance":1,"OptimisticFailureTolerance":1,"Servers":{` +
		`"id-1":{"ID":"id-1","Name":"n1","Address":"10.0.0.1:8300","NodeStatus":"alive","Version":"1.21.4","LastContact":"0s","LastTerm":2,"LastIndex":30,"Healthy":true,"StableSince":"2026-11-23T08:00:00Z","ReadReplica":false,"Status":"leader","Meta":{"consul-version":"1.21.4"},"NodeType":"voter"},` +
		`"id-2":{"ID":"id-2","Name":"n2","Address":"10.0.0.2:8300","NodeStatus":"alive","Version":"1.21.4","LastContact":"20ms","LastTerm":2,"LastIndex":28,"Healthy":true,"StableSince":"2026-11-23T08:00:00Z","ReadReplica":true,"Status":"voter","Meta":null,"NodeType":"read-replica"}},` +
		`"Leader":"id-1","Voters":["id-1","id-2"]}`
	defaults = `{"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,"MinQuorum":0,"ServerStabilizationTime":"10s",` +
		`"RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":0,"ModifyIndex":0}`
)

func TestRoutes(t *testing.T) {
	const (
		peer     = "/v1/operator/raft/peer"
		transfer = "/v1/operator/raft/transfer-leader"
		settings = "/v1/operator/autopilot/configuration"
	)
	for _, c := range []struct {
		name, method, target, send string
		status                     int
		body, asked                string
	}{
		{"raft configuration", "GET", "/v1/operator/raft/configuration", "", 200, raftBody, ""},
		{"transfer", "POST", transfer, "", 200, `{"Success":true}`, "transfer to "},
		{"transfer to a server", "POST", transfer + "?id=id-2", "", 200, `{"Success":true}`, "transfer to id-2"},
		{"transfer to nobody known", "POST", transfer + "?id=id-9", "", 500, `id "id-9" was not found in the Raft configuration`, ""},
		{"remove by id", "DELETE", peer + "?id=id-3", "", 200, "", "remove id-3"},
		{"remove by address", "DELETE", peer + "?address=10.0.0.3:8300", "", 200, "", "remove id-3"},
		{"remove an unknown id", "DELETE", peer + "?id=id-9", "", 500, `id "id-9" was not found in the Raft configuration`, ""},
		{"remove an unknown address", "DELETE", peer + "?address=id-1", "", 500, `address "id-1" was not found in the Raft configuration`, ""},
		{"remove nothing", "DELETE", peer, "", 400, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove", ""},
		{"remove two ways", "DELETE", peer + "?id=a&address=b", "", 400, "Must specify only one of ?id or ?address", ""},

		{"settings", "GET", settings, "", 200, defaults, ""},
		{"set nothing", "PUT", settings, "{}", 200, "true", ""},
		{"set with a stale index", "PUT", settings + "?cas=3", "{}", 200, "false", ""},
		{"set with the index of what is not there", "PUT", settings + "?cas=0", "{}", 200, "true", ""},
		{"set with an index that is none", "PUT", settings + "?cas=x", "{}", 400, `Error parsing cas value: strconv.ParseUint: parsing "x": invalid syntax`, ""},
		{"set an unknown member", "PUT", settings, `{"Foo":1}`, 400, `Request decode failed: json: unknown field "Foo"`, ""},
		{"set without a body", "PUT", settings, "", 400, "Request decode failed: EOF", ""},
		{"set a bad duration", "PUT", settings, `{"LastContactThreshold":"soon"}`, 400, `Request decode failed: time: invalid duration "soon"`, ""},
		{"set a negative duration", "PUT", settings, `{"LastContactThreshold":"-1s"}`, 400, "LastContactThreshold and ServerStabilizationTime must not be negative", ""},
		{"set what there is not", "PUT", settings, `{"UpgradeVersionTag":"x"}`, 400, "UpgradeVersionTag is not supported: leave it out", ""},

		{"health", "GET", "/v1/operator/autopilot/health", "", 200, healthBody, ""},
		{"state", "GET", "/v1/operator/autopilot/state", "", 200, stateBody, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.do(t, c.method, c.target, c.send)
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			if diff := cmp.Diff(w.Body.String(), c.body); diff != "" {
				t.Errorf("body (-got +want):\n%s", diff)
			}
			if got := strings.Join(f.raft.asked, ", "); got != c.asked {
				t.Errorf("asked raft to %q, want %q", got, c.asked)
			}
			if w.Header()["X-Consul-Index"] != nil {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

func TestSettingsThatAreLeftOutTakeTheDefaults(t *testing.T) {
	const settings = "/v1/operator/autopilot/configuration"
	f := newFixture(t)
	f.do(t, "PUT", settings, `{"cleanupdeadservers":false,"MaxTrailingLogs":9,"LastContactThreshold":1000000,"ServerStabilizationTime":"1m","MinQuorum":3}`)
	want := `{"CleanupDeadServers":false,"LastContactThreshold":"1ms","MaxTrailingLogs":9,"MinQuorum":3,"ServerStabilizationTime":"1m0s",` +
		`"RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":21,"ModifyIndex":21}`
	if got := f.do(t, "GET", settings, "").Body.String(); got != want {
		t.Errorf("after setting all: got %s, want %s", got, want)
	}
	f.do(t, "PUT", settings, `{"MinQuorum":5,"LastContactThreshold":null}`)
	want = strings.NewReplacer(`"MinQuorum":0`, `"MinQuorum":5`, `"CreateIndex":0,"ModifyIndex":0`, `"CreateIndex":21,"ModifyIndex":22`).Replace(defaults)
	if got := f.do(t, "GET", settings, "").Body.String(); got != want {
		t.Errorf("after setting one: got %s, want %s", got, want)
	}
}

func TestUnhealthyIs429(t *testing.T) {
	f := newFixture(t)
	f.health = operatorapi.Health{}
	w := f.do(t, "GET", "/v1/operator/autopilot/health", "")
	if want := `{"Healthy":false,"FailureTolerance":0,"Servers":[]}`; w.Code != http.StatusTooManyRequests || w.Body.String() != want {
		t.Errorf("health: got %d %s, want 429 %s", w.Code, w.Body, want)
	}
	w = f.do(t, "GET", "/v1/operator/autopilot/state", "")
	if want := `{"Healthy":false,"FailureTolerance":0,"OptimisticFailureTolerance":0,"Servers":{},"Leader":"","Voters":[]}`; w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("state: got %d %s, want 200 %s", w.Code, w.Body, want)
	}
}

func TestTransferOfTheOnlyServer(t *testing.T) {
	f := newFixture(t)
	f.raft.servers = f.raft.servers[:1]
	w := f.do(t, "POST", "/v1/operator/raft/transfer-leader", "")
	if w.Code != http.StatusInternalServerError || w.Body.String() != "cannot find peer" || f.raft.asked != nil {
		t.Errorf("got %d %s, asked %v", w.Code, w.Body, f.raft.asked)
	}
}

func TestWithoutALeader(t *testing.T) {
	f := newFixture(t)
	f.state.barrier = failure.New(failure.NoLeader, failure.TextNoLeader)
	f.api.Health = func(context.Context) (operatorapi.Health, error) {
		return operatorapi.Health{}, failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	f.raft.leadership.Set(consensus.Leadership{})
	for _, c := range []struct {
		name, target string
		status       int
		has          string
	}{
		{"raft configuration", "/v1/operator/raft/configuration", 500, failure.TextNoLeader},
		{"stale raft configuration", "/v1/operator/raft/configuration?stale", 200, `"Node":"n1","Address":"10.0.0.1:8300","Leader":false,"ProtocolVersion":"3","Voter":true,"LastIndex":30`},
		{"settings", "/v1/operator/autopilot/configuration", 500, failure.TextNoLeader},
		{"stale settings", "/v1/operator/autopilot/configuration?stale", 200, `"MaxTrailingLogs":250`},
		{"health", "/v1/operator/autopilot/health", 500, failure.TextNoLeader},
		{"state", "/v1/operator/autopilot/state", 500, failure.TextNoLeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := f.do(t, "GET", c.target, "")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
				t.Errorf("got %d %s, want %d with %s", w.Code, w.Body, c.status, c.has)
			}
		})
	}
}

// readOnly allows reading what is the operator's.
type readOnly struct{}

func (readOnly) Resolve(context.Context, string) (authz.Authorizer, error) { return readOnly{}, nil }
func (readOnly) Allow(r authz.Resource, _ string, a authz.Access) bool {
	return (r == authz.Operator || r == authz.Keyring) && a == authz.Read
}
func (readOnly) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestChangesNeedWriteAccess(t *testing.T) {
	for _, r := range newFixture(t).api.Routes() {
		t.Run(r.Method+" "+r.Pattern, func(t *testing.T) {
			f := newFixture(t)
			f.api.Authz = readOnly{}
			want := http.StatusForbidden
			if r.Method == http.MethodGet {
				want = http.StatusOK
			}
			if w := f.do(t, r.Method, r.Pattern+"?id=id-2", "{}"); w.Code != want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, want)
			}
			if f.raft.asked != nil || f.state.index != 20 {
				t.Errorf("changed something: %v", f.raft.asked)
			}
		})
	}
}

func TestOfficialClient(t *testing.T) {
	f := newFixture(t)
	srv := httptest.NewServer(f.mux(t))
	defer srv.Close()
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	op := client.Operator()
	conf, err := op.RaftGetConfiguration(&api.QueryOptions{AllowStale: true})
	if err != nil || len(conf.Servers) != 3 || conf.Index != 12 || !conf.Servers[0].Leader || conf.Servers[1].Node != "n2" {
		t.Errorf("configuration %+v, error %v", conf, err)
	}
	if done, err := op.RaftLeaderTransfer("id-2", nil); err != nil || !done.Success {
		t.Errorf("transfer %+v, error %v", done, err)
	}
	if err := op.RaftRemovePeerByID("id-3", nil); err != nil {
		t.Error(err)
	}
	if err := op.RaftRemovePeerByAddress("10.0.0.2:8300", nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(f.raft.asked, []string{"transfer to id-2", "remove id-3", "remove id-2"}); diff != "" {
		t.Error(diff)
	}
	checkSettings(t, op)
	f.health.Healthy = false
	f.health.Servers[1].LastContact = math.MaxInt64
	health, err := op.AutopilotServerHealth(nil)
	if err != nil || health.Healthy || len(health.Servers) != 2 || health.Servers[1].LastContact.Duration() != math.MaxInt64 {
		t.Errorf("health %+v, error %v", health, err)
	}
	state, err := op.AutopilotState(nil)
	if err != nil || state.Leader != "id-1" || state.Servers["id-1"].Status != api.AutopilotServerLeader {
		t.Errorf("state %+v, error %v", state, err)
	}
}

func checkSettings(t *testing.T, op *api.Operator) {
	t.Helper()
	conf := api.NewAutopilotConfiguration()
	conf.MaxTrailingLogs = 7
	if err := op.AutopilotSetConfiguration(&conf, nil); err != nil {
		t.Error(err)
	}
	got, err := op.AutopilotGetConfiguration(nil)
	if err != nil || got.MaxTrailingLogs != 7 || got.LastContactThreshold.Duration() != 200*time.Millisecond {
		t.Errorf("settings %+v, error %v", got, err)
	}
	if ok, err := op.AutopilotCASConfiguration(got, nil); err != nil || !ok {
		t.Errorf("check-and-set with the index: %v, %v", ok, err)
	}
	if ok, err := op.AutopilotCASConfiguration(got, nil); err != nil || ok {
		t.Errorf("check-and-set with an old index: %v, %v", ok, err)
	}
}
