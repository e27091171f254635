package antientropy_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/antientropy"
	"github.com/ctl-sh/ctl/internal/authz"
	servers "github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/journal"
	"github.com/ctl-sh/ctl/internal/local"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// town is the real catalog and an agent of node n1 that can be restarted, in
// fake time.
type town struct {
	t     *testing.T
	db    *store.DB
	api   *catalogapi.API
	mux   *httpapi.Mux
	dir   string
	files []*local.ServiceDefinition // of the agent's configuration

	mu    sync.Mutex
	index uint64
	away  bool

	state  *local.State
	syncer *antientropy.Syncer
	stop   func()
}

func (w *town) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	return storetest.TryApply(w.t, w.db, w.index, typ, body)
}

func (*town) ReadBarrier(context.Context) error { return nil }
func (*town) Contact() (bool, time.Duration)    { return true, 0 }
func (*town) Here(httpapi.Where, string) bool   { return true }
func (*town) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("nothing is elsewhere")
}

// Do is the agent's way to the catalog.
func (w *town) Do(ctx context.Context, method, path string, q url.Values, body []byte) (int, http.Header, []byte, error) {
	w.mu.Lock()
	away := w.away
	w.mu.Unlock()
	if away {
		return 0, nil, nil, failure.New(failure.Unavailable, "away")
	}
	resp := w.mux.Do(ctx, &httpapi.WireRequest{Method: method, Path: path, RawQuery: q.Encode(), Body: body})
	return resp.Status, nil, resp.Body, nil
}

func (w *town) setAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
}

func inTown(t *testing.T, f func(*testing.T, *town)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, db: storetest.Open(t, servers.Module()), dir: dir, index: 10}
		w.api = &catalogapi.API{
			Reader: query.New(query.Config{DB: w.db, Freshness: w}), Applier: w, Authz: authz.Open{}, Datacenter: "dc1",
			Hint: func(node string) {
				if strings.EqualFold(node, "n1") && w.syncer != nil {
					w.syncer.Recheck()
				}
			},
		}
		var err error
		if w.mux, err = httpapi.NewMux(httpapi.Config{Routes: w.api.Routes(), Dispatcher: w}); err != nil {
			t.Fatal(err)
		}
		w.put("register", `{"ID":"5b1a4e3c-6c0a-4d3b-9b0e-0123456789ab","Node":"n1","Address":"10.0.0.1","Check":{"CheckID":"serfHealth","Status":"passing"}}`)
		w.start()
		f(t, w)
		w.stop()
	})
}

// start starts the agent with what its directory and its files hold.
func (w *town) start() {
	w.t.Helper()
	runner := checks.New(checks.Config{})
	w.state = local.New(local.Config{Node: local.Node{ID: "5b1a4e3c-6c0a-4d3b-9b0e-0123456789ab", Name: "n1", Address: "10.0.0.1", Datacenter: "dc1"}, Dir: w.dir}, runner)
	if err := w.state.Load(); err != nil {
		w.t.Fatal(err)
	}
	w.reload()
	w.syncer = antientropy.New(antientropy.Config{}, w.state, w)
	ctx, cancel := context.WithCancel(w.t.Context())
	var group sync.WaitGroup
	for _, run := range []func(context.Context, func()) error{runner.Run, w.state.Run, w.syncer.Run} {
		group.Go(func() { _ = run(ctx, func() {}) })
	}
	state := w.state
	w.stop = func() {
		cancel()
		group.Wait()
		if err := state.Close(); err != nil {
			w.t.Error(err)
		}
	}
	synctest.Wait()
}

func (w *town) reload() {
	w.t.Helper()
	if err := w.state.Reload(w.files, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) put(what, body string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodPut, "/v1/catalog/"+what, strings.NewReader(body)))
	if rec.Code != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", what, body, rec.Code, rec.Body)
	}
}

func definition(t *testing.T, text string) *local.ServiceDefinition {
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

const webText = `{"Name":"web","Port":80,"Checks":[{"CheckID":"alive","TTL":"1000h","Status":"passing"},{"CheckID":"ready","TTL":"1000h","Status":"passing"}]}`

// register registers as the agent's HTTP API does.
func (w *town) register(text string) {
	w.t.Helper()
	if err := w.state.RegisterService(definition(w.t, text), local.FromAPI, false, nil); err != nil {
		w.t.Fatal(err)
	}
	if w.syncer.Push(w.t.Context()) != nil {
		if err := w.state.KeepUntold(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// want compares what the catalog and the agent have, now and after some full
// syncs: names of services and checks, sorted.
func (w *town) want(when string, names ...string) {
	w.t.Helper()
	for _, later := range []time.Duration{0, 10 * time.Minute} {
		time.Sleep(later)
		settle()
		if got := w.there(); !slices.Equal(got, names) {
			w.t.Errorf("%s, after %v: the catalog has %v, want %v", when, later, got, names)
		}
		here := slices.Concat(slices.Collect(maps.Keys(w.state.Services())), slices.Collect(maps.Keys(w.state.Checks())))
		slices.Sort(here)
		if !slices.Equal(here, names) {
			w.t.Errorf("%s, after %v: the agent has %v, want %v", when, later, here, names)
		}
	}
}

func (w *town) there() []string {
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/health/node/n1", nil))
	var list []struct{ CheckID string }
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil {
		w.t.Fatal(err)
	}
	names := []string{}
	for _, c := range list {
		if c.CheckID != "serfHealth" {
			names = append(names, c.CheckID)
		}
	}
	rec = httptest.NewRecorder()
	w.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/catalog/node/n1", nil))
	var node *struct{ Services map[string]any }
	if err := json.Unmarshal(rec.Body.Bytes(), &node); err != nil {
		w.t.Fatal(err)
	}
	if node != nil {
		names = append(names, slices.Collect(maps.Keys(node.Services))...)
	}
	slices.Sort(names)
	return names
}

// kept returns how many registrations the data directory holds.
func (w *town) kept() int {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "registrations"))
	path := filepath.Join(w.t.TempDir(), "copy")
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	file, found, err := journal.Open(path)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return len(found.Values)
}

const (
	removeWeb   = `{"Node":"n1","ServiceID":"web"}`
	removeReady = `{"Node":"N1","CheckID":"ready"}`
)

func TestServiceThatIsRemovedStaysRemoved(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.register(webText)
		w.register(`{"Name":"other","Port":1}`)
		w.want("registered", "alive", "other", "ready", "web")
		w.put("deregister", removeReady)
		w.want("a check is removed", "alive", "other", "web")
		w.put("deregister", removeWeb)
		w.want("the service is removed", "other")
		if n := w.kept(); n != 1 {
			t.Errorf("%d registrations are kept", n)
		}
		w.stop()
		w.start()
		w.want("restarted", "other")
		w.register(webText)
		w.want("registered again", "alive", "other", "ready", "web")
		w.stop()
		w.start()
		w.want("and restarted", "alive", "other", "ready", "web")
	})
}

func TestRemovedWhileTheAgentIsDown(t *testing.T) {
	for _, c := range []struct {
		name string
		down time.Duration
		want []string
	}{
		{"for a day", 24 * time.Hour, []string{}},
		{"for longer than it is remembered", 80 * time.Hour, []string{"alive", "ready", "web"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTown(t, func(t *testing.T, w *town) {
				duties, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- w.api.Forgetter(w.db).Run(duties) }()
				w.register(webText)
				w.want("registered", "alive", "ready", "web")
				w.stop()
				w.put("deregister", removeWeb)
				time.Sleep(c.down)
				w.start()
				w.want(c.name, c.want...)
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRegisteredAgainAfterItWasRemoved(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		all := []string{"alive", "ready", "web"}
		w.api.Hint = nil // the agent does not hear of it at once
		w.register(webText)
		w.want("registered", all...)
		for range 3 {
			w.put("deregister", removeWeb)
			w.register(webText)
			if got := w.there(); !slices.Equal(got, all) {
				t.Errorf("registered again before the agent looked: the catalog has %v", got)
			}
			w.want("the same again", all...)
		}
		w.put("deregister", removeReady)
		w.register(webText)
		w.want("a check with its service", all...)
		before := w.index
		w.register(webText)
		if w.index != before {
			t.Error("registering what is there was written")
		}
		w.put("deregister", removeWeb)
		time.Sleep(3 * time.Minute)
		w.want("removed for good") // a registration before that does not count
	})
}

func TestRegisteredWhileTheCatalogIsAway(t *testing.T) {
	for _, restart := range []bool{false, true} {
		inTown(t, func(t *testing.T, w *town) {
			all := []string{"alive", "ready", "web"}
			w.register(webText)
			w.want("registered", all...)
			w.setAway(true)
			w.put("deregister", removeWeb)
			time.Sleep(5 * time.Minute)
			w.register(webText)
			if restart {
				w.stop()
				w.start()
			}
			w.setAway(false)
			time.Sleep(5 * time.Minute)
			w.want("back", all...)
			// That it was not told does not stick.
			w.stop()
			w.put("deregister", removeWeb)
			w.start()
			w.want("removed")
		})
	}
}

func TestServiceOfAFileThatIsRemoved(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		all := []string{"alive", "ready", "web"}
		w.files = []*local.ServiceDefinition{definition(t, webText)}
		w.reload()
		w.want("defined", all...)
		w.put("deregister", removeWeb)
		w.want("removed")
		w.reload()
		w.want("reloaded", all...)
		w.reload()
		w.put("deregister", removeWeb)
		w.want("removed again")
		w.stop()
		w.start()
		w.want("restarted", all...)
	})
}

func TestWholeNodeComesBack(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.register(webText)
		w.want("registered", "alive", "ready", "web")
		w.put("deregister", `{"Node":"n1"}`)
		time.Sleep(3 * time.Minute)
		w.want("its node was removed", "alive", "ready", "web")
	})
}

// TestRemovedBeforeTheLeaderWroteThatTheAgentIsThere removes what an agent
// registered right after it joined.
func TestRemovedBeforeTheLeaderWroteThatTheAgentIsThere(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.api.Member = func(node string) bool { return node == "n1" }
		w.put("deregister", `{"Node":"n1","CheckID":"serfHealth"}`)
		w.register(webText)
		w.want("registered", "alive", "ready", "web")
		w.put("deregister", removeWeb)
		w.want("removed")
	})
}

func TestOnlyAgentsAreRemembered(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		removed := func(node string) string {
			rec := httptest.NewRecorder()
			w.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/ctl/removed/"+node, nil))
			return rec.Body.String()
		}
		w.put("register", `{"Node":"external","Address":"db","Service":{"Service":"db"}}`)
		w.put("deregister", `{"Node":"external","ServiceID":"db"}`)
		w.put("deregister", `{"Node":"n1","ServiceID":"never"}`)
		w.register(webText)
		if err := w.state.DeregisterService("web", nil); err != nil {
			t.Fatal(err)
		}
		w.want("deregistered at the agent")
		if a, b := removed("external"), removed("n1"); a != "[]" || b != "[]" {
			t.Errorf("remembered: %s and %s", a, b)
		}
		w.stop()
		w.put("register", `{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"web"}}`)
		w.put("deregister", removeWeb)
		if got := removed("N1"); !strings.HasPrefix(got, `[{"ServiceID":"web","Removed":"2000-01-01T`) {
			t.Errorf("remembered: %s", got)
		}
		w.put("register", `{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"web"}}`)
		if got := removed("n1"); got != "[]" {
			t.Errorf("remembered though it is back: %s", got)
		}
	})
}
