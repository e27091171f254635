package local_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newState(t *testing.T, dir string) *local.State {
	t.Helper()
	s := local.New(local.Config{Node: local.Node{Name: "n1"}, Dir: dir}, checks.New(checks.Config{}))
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	return s
}

func service(t *testing.T, text string) *local.ServiceDefinition {
	t.Helper()
	d, err := local.ParseService([]byte(text))
	if err == nil {
		err = d.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func check(t *testing.T, text string) *checks.Definition {
	t.Helper()
	d, err := local.ParseCheck([]byte(text))
	if err == nil {
		err = local.ValidateCheck(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// states is the checks in a line: id=status.
func states(s *local.State) string {
	var list []string
	for id, c := range s.Checks() {
		list = append(list, id+"="+c.Status)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestBothSpellings(t *testing.T) {
	camel := service(t, `{"Name":"w","ID":"1","TaggedAddresses":{"lan":{"Address":"a","Port":1}},"EnableTagOverride":true,"Weights":{"Passing":2,"Warning":1},
		"Check":{"CheckID":"c","ScriptArgs":["x"],"Interval":"5s","DeregisterCriticalServiceAfter":"90m","TLSSkipVerify":true,"OutputMaxSize":9},"Kind":"typical"}`)
	snake := service(t, `{"name":"w","serviceid":"1","tagged_addresses":{"lan":{"address":"a","port":1}},"enable_tag_override":true,"weights":{"passing":2,"warning":1},
		"check":{"check_id":"c","args":["x"],"interval":5000000000,"deregister_critical_service_after":"90m","tlsskipverify":true,"output_max_size":9},"kind":"typical"}`)
	if d := cmp.Diff(camel, snake); d != "" {
		t.Errorf("camel - snake +:\n%s", d)
	}
}

// TestProxyIsShownInOneSpelling registers a proxy as files write one, and as the
// HTTP API does.
func TestProxyIsShownInOneSpelling(t *testing.T) {
	const want = `{"DestinationServiceName":"w","LocalServicePort":1,"Mode":"transparent","Config":{"as_it_is":1},` +
		`"Upstreams":[{"DestinationType":"service","DestinationName":"db","Datacenter":"","LocalBindPort":5,"Config":{"as_it_is":2},"MeshGateway":{"Mode":"none"}},` +
		`{"DestinationType":"prepared_query","DestinationName":"q","Datacenter":"dc2","MeshGateway":{}}],` +
		`"MeshGateway":{"Mode":"local"},"Expose":{"Checks":true,"Paths":[{"ListenerPort":1,"Path":"/h","LocalPathPort":2,"Protocol":"http"}]},` +
		`"TransparentProxy":{"OutboundListenerPort":9},"AccessLogs":{"Enabled":true,"JSONFormat":"{}"}}`
	for _, text := range []string{
		`{"name":"p","kind":"connect-proxy","port":1,"proxy":{"destination_service_name":"w","local_service_port":1,"mode":"transparent","config":{"as_it_is":1},
			"upstreams":[{"destination_name":"db","local_bind_port":5,"config":{"as_it_is":2},"mesh_gateway":{"mode":"none"}},{"destination_type":"prepared_query","destination_name":"q","datacenter":"dc2"}],
			"mesh_gateway":{"mode":"local"},"expose":{"checks":true,"paths":[{"listener_port":1,"path":"/h","local_path_port":2,"protocol":"http"}]},
			"transparent_proxy":{"outbound_listener_port":9},"access_logs":{"enabled":true,"json_format":"{}"}}}`,
		`{"Name":"p","Kind":"connect-proxy","Port":1,"Proxy":` + want + `}`,
	} {
		s := newState(t, t.TempDir())
		must(t, s.RegisterService(service(t, text), local.FromAPI, false, nil))
		got, err := json.Marshal(s.Service("p").Proxy)
		if err != nil || string(got) != want {
			t.Errorf("got %s %v, want %s", got, err, want)
		}
	}
	for _, text := range []string{
		`{"upstreams":[{"destination":"db"}]}`, `{"expose":{"paths":[{"prt":1}]}}`, `{"access_logs":{"on":true}}`, `{"transparent_proxy":{"port":1}}`,
	} {
		if _, err := local.ParseService([]byte(`{"name":"p","proxy":` + text + `}`)); err == nil || !strings.Contains(err.Error(), "unknown field") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestEmptyCheckIsNone registers a service as clients do that always send a Check.
func TestEmptyCheckIsNone(t *testing.T) {
	s := newState(t, "")
	must(t, s.RegisterService(service(t, `{"Name":"w","Check":{"Name":"","TTL":"","Header":null,"TLSSkipVerify":false},"Checks":[{"TTL":"1h"}]}`), local.FromAPI, false, nil))
	if got, want := states(s), "service:w=critical"; got != want {
		t.Errorf("checks %s, want %s", got, want)
	}
	d, err := local.ParseService([]byte(`{"Name":"w","Checks":[{}]}`))
	if err == nil {
		err = d.Validate()
	}
	if err == nil {
		t.Error("an empty one of Checks was taken")
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := newState(t, dir)
	must(t, s.RegisterService(service(t, `{"name":"web","tags":["a"],"token":"s","checks":[{"ttl":"1h"},{"tcp":":1","interval":"1h","status":"passing"}]}`), local.FromAPI, false, nil))
	must(t, s.RegisterService(service(t, `{"name":"gone"}`), local.FromAPI, false, nil))
	must(t, s.RegisterService(service(t, `{"name":"file","check":{"ttl":"1h"}}`), local.FromFile, false, nil))
	must(t, s.RegisterCheck(check(t, `{"name":"disk","ttl":"1h"}`), local.FromAPI, nil))
	must(t, s.UpdateTTL("service:web:1", checks.Passing, "fine"))
	must(t, s.SetNodeMaintenance(true, "why", nil))
	must(t, s.DeregisterService("gone", nil))
	must(t, s.Close())

	for _, what := range []string{"registered", "loaded"} {
		scripts := local.New(local.Config{Node: local.Node{Name: "n1"}, Dir: dir, AllowScripts: true}, checks.New(checks.Config{}))
		must(t, scripts.Load())
		if what == "registered" {
			must(t, scripts.RegisterCheck(check(t, `{"name":"script","args":["true"],"interval":"1h"}`), local.FromAPI, nil))
		}
		if scripts.Check("script") == nil {
			t.Error("a check that may run a program was left out")
		}
		must(t, scripts.Close())
	}

	again := newState(t, dir) // where none may
	if got, want := states(again), "_node_maintenance=critical disk=critical service:web:1=passing service:web:2=passing"; got != want {
		t.Errorf("checks %s, want %s", got, want)
	}
	if d := cmp.Diff(again.Services(), map[string]*local.Service{"web": s.Service("web")}); d != "" {
		t.Errorf("services, got - want +:\n%s", d)
	}
	if c := again.Check("service:web:1"); c.Output != "fine" || c.ServiceName != "web" {
		t.Errorf("TTL check %+v", c)
	}
	if items := again.Drift(); len(items) != 3 || items[0].Token != "s" || len(items[0].Checks) != 2 {
		t.Errorf("to tell: %+v", items)
	}
}

func TestReRegistration(t *testing.T) {
	s := newState(t, "")
	must(t, s.RegisterService(service(t, `{"name":"web","checks":[{"ttl":"1h","checkid":"a"},{"ttl":"1h","checkid":"b"}]}`), local.FromAPI, false, nil))
	must(t, s.UpdateTTL("a", checks.Passing, ""))
	must(t, s.SetServiceMaintenance("web", true, "", nil))
	must(t, s.RegisterService(service(t, `{"name":"web","check":{"ttl":"2h","checkid":"a"}}`), local.FromAPI, false, nil))
	if got, want := states(s), "_service_maintenance:web=critical a=passing b=critical"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, s.RegisterService(service(t, `{"name":"web","tags":["x"],"check":{"ttl":"2h","checkid":"a"}}`), local.FromAPI, true, nil))
	if got, want := states(s), "_service_maintenance:web=critical a=passing"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c := s.Check("a"); !slices.Equal(c.ServiceTags, []string{"x"}) {
		t.Errorf("tags of a check: %v", c.ServiceTags)
	}
}

func TestReload(t *testing.T) {
	s := newState(t, t.TempDir())
	load := func(services, list []string) error {
		var defs []*local.ServiceDefinition
		var single []*checks.Definition
		for _, text := range services {
			d, err := local.ParseService([]byte(text))
			must(t, err)
			defs = append(defs, d)
		}
		for _, text := range list {
			d, err := local.ParseCheck([]byte(text))
			must(t, err)
			single = append(single, d)
		}
		return s.Reload(defs, single)
	}
	must(t, s.RegisterService(service(t, `{"name":"api","check":{"ttl":"1h"}}`), local.FromAPI, false, nil))
	must(t, load([]string{`{"name":"web","checks":[{"ttl":"1h"},{"ttl":"1h"}]}`, `{"name":"db"}`}, []string{`{"name":"disk","ttl":"1h"}`, `{"name":"extra","ttl":"1h","service_id":"web"}`}))
	must(t, s.UpdateTTL("service:web:1", checks.Passing, ""))
	if got, want := states(s), "disk=critical extra=critical service:api=critical service:web:1=passing service:web:2=critical"; got != want {
		t.Errorf("first: %s, want %s", got, want)
	}
	before := s.Changed().Get()
	must(t, load([]string{`{"name":"web","checks":[{"ttl":"1h"},{"ttl":"1h"}]}`, `{"name":"db"}`}, []string{`{"name":"disk","ttl":"1h"}`, `{"name":"extra","ttl":"1h","service_id":"web"}`}))
	if after := s.Changed().Get(); after != before {
		t.Errorf("a reload of the same told %d changes", after-before)
	}
	must(t, load([]string{`{"name":"web","port":1,"check":{"ttl":"1h","id":"service:web:1"}}`}, nil))
	if got, want := states(s), "service:api=critical service:web:1=passing"; got != want || len(s.Services()) != 2 {
		t.Errorf("second: %s, want %s; services %v", got, want, s.Services())
	}
	for name, bad := range map[string][]string{"no name": {`{"name":""}`}, "twice": {`{"name":"x"}`, `{"name":"x"}`}, "bad check": {`{"name":"x","check":{"http":"y"}}`}} {
		if err := load(bad, nil); err == nil || len(s.Services()) != 2 {
			t.Errorf("%s: %v, services %v", name, err, s.Services())
		}
	}
	if err := load(nil, []string{`{"name":"c","ttl":"1s","service_id":"no"}`}); err == nil {
		t.Error("a check of a service that is not here was taken")
	}
}

func TestAlias(t *testing.T) {
	s := newState(t, "")
	must(t, s.RegisterService(service(t, `{"name":"front","check":{"alias_service":"web"}}`), local.FromAPI, false, nil))
	step := func(what, want string) {
		t.Helper()
		if got := s.Check("service:front").Status; got != want {
			t.Errorf("%s: %s, want %s (%s)", what, got, want, s.Check("service:front").Output)
		}
	}
	step("unknown service", checks.Critical)
	must(t, s.RegisterService(service(t, `{"name":"web"}`), local.FromAPI, false, nil))
	step("no checks", checks.Passing)
	must(t, s.RegisterCheck(check(t, `{"name":"w","ttl":"1h","service_id":"web","status":"passing"}`), local.FromAPI, nil))
	must(t, s.UpdateTTL("w", checks.Warning, "hm"))
	step("warning", checks.Warning)
	must(t, s.UpdateTTL("w", checks.Passing, ""))
	step("passing", checks.Passing)
	must(t, s.RegisterCheck(check(t, `{"name":"node","ttl":"1h"}`), local.FromAPI, nil))
	step("a check of the node", checks.Critical)
	must(t, s.DeregisterCheck("node", nil))
	step("without it", checks.Passing)
	must(t, s.DeregisterService("web", nil))
	step("gone", checks.Critical)
}

func TestCriticalServicesAreDeregistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newState(t, "")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx, func() {}) }()
		for _, text := range []string{
			`{"name":"fast","check":{"ttl":"1h","deregister_critical_service_after":"1s"}}`,
			`{"name":"slow","check":{"ttl":"1h","deregister_critical_service_after":"10m"}}`,
			`{"name":"well","check":{"ttl":"1h","deregister_critical_service_after":"1s","status":"passing"}}`,
			`{"name":"never","check":{"ttl":"1h"}}`,
		} {
			must(t, s.RegisterService(service(t, text), local.FromAPI, false, nil))
		}
		names := func() string {
			var list []string
			for id := range s.Services() {
				list = append(list, id)
			}
			slices.Sort(list)
			return strings.Join(list, " ")
		}
		for _, step := range []struct {
			wait time.Duration
			want string
		}{{59 * time.Second, "fast never slow well"}, {32 * time.Second, "never slow well"}, {8 * time.Minute, "never slow well"}, {2 * time.Minute, "never well"}} {
			time.Sleep(step.wait)
			synctest.Wait()
			if got := names(); got != step.want {
				t.Errorf("after %s: %s, want %s", step.wait, got, step.want)
			}
		}
		cancel()
		must(t, <-done)
	})
}

func TestMaintenance(t *testing.T) {
	s := newState(t, "")
	must(t, s.RegisterService(service(t, `{"name":"web"}`), local.FromAPI, false, nil))
	must(t, s.SetServiceMaintenance("web", true, "first", nil))
	must(t, s.SetServiceMaintenance("web", true, "second", nil))
	want := &local.Check{
		Node: "n1", CheckID: "_service_maintenance:web", Name: "Service Maintenance Mode", Status: checks.Critical, Notes: "first",
		ServiceID: "web", ServiceName: "web", ServiceTags: []string{}, Type: "maintenance",
	}
	if d := cmp.Diff(s.Check("_service_maintenance:web"), want); d != "" {
		t.Errorf("got - want +:\n%s", d)
	}
	must(t, s.SetServiceMaintenance("web", false, "", nil))
	must(t, s.SetServiceMaintenance("web", false, "", nil))
	must(t, s.SetNodeMaintenance(false, "", nil))
	if len(s.Checks()) != 0 {
		t.Errorf("left %s", states(s))
	}
	if err := s.SetServiceMaintenance("no", true, "", nil); err == nil {
		t.Error("an unknown service was taken out")
	}
}

// FuzzService feeds definitions: none may panic, and what is accepted can be
// registered, kept and read again.
func FuzzService(f *testing.F) {
	for _, seed := range []string{
		`{"Name":"web","Checks":[{"HTTP":"http://x","Interval":"1s"}]}`, `{"name":"w","check":{"ttl":1},"weights":{},"connect":{"native":true}}`,
		`{"Name":"p","Kind":"connect-proxy","Port":1,"Proxy":{"destination_service_name":"w","config":{"a":1}}}`, `{"name":"x","meta":{"":""}}`, `null`, `{"check":null}`, `[]`, `{"Name":"a","name":"b"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := local.ParseService([]byte(text))
		if err != nil || d.Validate() != nil {
			return
		}
		s := local.New(local.Config{Node: local.Node{Name: "n1"}}, checks.New(checks.Config{}))
		must(t, s.RegisterService(d, local.FromAPI, true, nil))
		if row := s.Service(d.ID); row == nil || row.Service != d.Name {
			t.Errorf("%q is not there", d.ID)
		}
		must(t, s.DeregisterService(d.ID, nil))
		if len(s.Checks()) != 0 {
			t.Errorf("checks left: %s", states(s))
		}
	})
}

// FuzzCheck is FuzzService for a check alone.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{"Name":"c","TTL":"1s"}`, `{"name":"c","args":["x"],"interval":"1s"}`, `{"id":"c","name":"c","alias_service":"c"}`, `{"name":"c","tcp":"x","interval":1e9}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := local.ParseCheck([]byte(text))
		if err != nil || local.ValidateCheck(d) != nil {
			return
		}
		s := local.New(local.Config{Node: local.Node{Name: "n1"}}, checks.New(checks.Config{}))
		if err := s.RegisterCheck(d, local.FromAPI, nil); err == nil {
			must(t, s.DeregisterCheck(d.ID, nil))
		}
	})
}

func BenchmarkParseService(b *testing.B) {
	for _, text := range []string{
		`{"Name":"web","Port":8080,"Tags":["bench"],"Check":{"TTL":"1h","Status":"passing"}}`,
		`{"name":"web","port":8080,"tags":["bench"],"enable_tag_override":true,"check":{"tcp":"127.0.0.1:1","interval":"10s","success_before_passing":2}}`,
	} {
		b.Run(text[2:6], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := local.ParseService([]byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
