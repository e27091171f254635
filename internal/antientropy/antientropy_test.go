package antientropy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/antientropy"
	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/local"
)

// catalog is the servers' side: what they have of node n1, and what they were
// asked to write.
type catalog struct {
	mu       sync.Mutex
	node     *local.RemoteNode
	services map[string]*local.Service
	checks   map[string]*local.Check
	writes   []string
	reads    int
	fail     error  // of every request
	leader   string // as any agent knows it; it needs no catalog
	refuse   string // id whose registration is refused
	status   int    // of that refusal
	old      bool   // they take one change at a time
	requests []int  // how many changes came together
	busy     func() // is called with each write
}

func newCatalog() *catalog {
	return &catalog{services: map[string]*local.Service{}, checks: map[string]*local.Check{}}
}

func (c *catalog) Do(_ context.Context, method, path string, _ url.Values, body []byte) (int, http.Header, []byte, error) {
	if method == http.MethodPut && c.busy != nil {
		c.busy()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if path == "/v1/status/leader" && c.leader != "away" {
		return 200, nil, fmt.Appendf(nil, "%q", c.leader), nil
	}
	if c.fail != nil {
		return 0, nil, nil, c.fail
	}
	switch {
	case method == http.MethodGet:
		return c.read(path)
	case path == "/v1/ctl/catalog":
		return c.several(body)
	}
	return c.write(path, body)
}

// several makes changes that come in one request.
func (c *catalog) several(body []byte) (int, http.Header, []byte, error) {
	if c.old {
		return 404, nil, []byte("404 page not found"), nil
	}
	var changes []struct{ Register, Deregister json.RawMessage }
	if err := json.Unmarshal(body, &changes); err != nil {
		return 400, nil, []byte(err.Error()), nil
	}
	c.requests = append(c.requests, len(changes))
	type refused struct {
		Status int
		Text   string
	}
	answer := make([]*refused, len(changes))
	for i, change := range changes {
		path, body := "/v1/catalog/register", change.Register
		if change.Deregister != nil {
			path, body = "/v1/catalog/deregister", change.Deregister
		}
		if status, _, text, _ := c.write(path, body); status != 200 {
			answer[i] = &refused{status, string(text)}
		}
	}
	b, err := json.Marshal(answer)
	return 200, nil, b, err
}

func (c *catalog) write(path string, body []byte) (int, http.Header, []byte, error) {
	var m struct {
		ID, Node, Address  string
		TaggedAddresses    map[string]string
		NodeMeta           map[string]string
		Service            *local.Service
		Checks             []*local.Check
		SkipNodeUpdate     bool
		ServiceID, CheckID string
		Datacenter         string
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return 400, nil, []byte(err.Error()), nil
	}
	if path == "/v1/catalog/deregister" {
		c.writes = append(c.writes, "deregister "+m.ServiceID+m.CheckID)
		delete(c.services, m.ServiceID)
		delete(c.checks, m.CheckID)
		for id, k := range c.checks {
			if k.ServiceID == m.ServiceID && m.ServiceID != "" {
				delete(c.checks, id)
			}
		}
		return 200, nil, []byte("true"), nil
	}
	what := "register"
	if c.node == nil || !m.SkipNodeUpdate {
		what += " node"
		c.node = &local.RemoteNode{ID: m.ID, Address: m.Address, TaggedAddresses: m.TaggedAddresses, Meta: m.NodeMeta}
	}
	if m.Service != nil {
		if m.Service.ID == c.refuse {
			return c.status, nil, []byte("no"), nil
		}
		what += " " + m.Service.ID
		c.services[m.Service.ID] = m.Service
	}
	for _, k := range m.Checks {
		what += " " + k.CheckID
		c.checks[k.CheckID] = k
	}
	c.writes = append(c.writes, what)
	return 200, nil, []byte("true"), nil
}

func (c *catalog) read(path string) (int, http.Header, []byte, error) {
	c.reads++
	var v any
	switch path {
	case "/v1/catalog/node/n1":
		if c.node != nil {
			v = map[string]any{"Node": c.node, "Services": c.services}
		}
	case "/v1/health/node/n1":
		list := []*local.Check{}
		for _, k := range c.checks {
			list = append(list, k)
		}
		v = list
	default:
		return 404, nil, []byte("unexpected " + path), nil
	}
	b, err := json.Marshal(v)
	return 200, nil, b, err
}

func (c *catalog) took() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.writes
	c.writes = nil
	slices.Sort(w)
	return w
}

func (c *catalog) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// world is an agent with its state and its syncer in a bubble.
type world struct {
	catalog *catalog
	state   *local.State
	syncer  *antientropy.Syncer
	blocked []string
}

func live(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{catalog: newCatalog()}
		w.state = local.New(local.Config{
			Node:                local.Node{ID: "id-1", Name: "n1", Address: "10.0.0.1", Datacenter: "dc1", TaggedAddresses: map[string]string{"lan": "10.0.0.1"}, Meta: map[string]string{"rack": "r1"}},
			CheckUpdateInterval: 5 * time.Minute,
		}, checks.New(checks.Config{}))
		w.syncer = antientropy.New(antientropy.Config{Blocked: func(what string) { w.blocked = append(w.blocked, what) }}, w.state, w.catalog)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.syncer.Run(ctx, func() {}) }()
		synctest.Wait()
		f(t, w)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) register(t *testing.T, definition string) {
	t.Helper()
	d, err := local.ParseService([]byte(definition))
	if err == nil {
		err = d.Validate()
	}
	if err == nil {
		err = w.state.RegisterService(d, local.FromAPI, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// settle waits until what changed is told.
func settle() {
	time.Sleep(20 * time.Millisecond)
	synctest.Wait()
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	settle()
	if got := w.catalog.took(); !slices.Equal(got, want) {
		t.Errorf("written %q, want %q", got, want)
	}
}

func TestChangesAreToldAtOnceAndQuietStaysQuiet(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		w.register(t, `{"name":"web","port":80,"checks":[{"ttl":"10h"},{"name":"b","checkid":"b","ttl":"10h"}]}`)
		w.expect(t, "register web b service:web:1")
		if err := w.state.UpdateTTL("b", checks.Passing, "ok"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "register b")
		w.catalog.set(func() { w.catalog.reads = 0 })
		time.Sleep(10 * time.Minute)
		w.expect(t)
		if w.catalog.reads < 8 || w.catalog.reads > 20 {
			t.Errorf("%d reads in ten minutes, want two each one to two minutes", w.catalog.reads)
		}
		if err := w.state.DeregisterService("web", nil); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "deregister b", "deregister service:web:1", "deregister web")
	})
}

func TestFullSyncCorrects(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.register(t, `{"name":"web","tags":["a"]}`)
		w.register(t, `{"name":"free","tags":["a"],"enable_tag_override":true,"check":{"ttl":"10h"}}`)
		settle()
		w.catalog.took()
		w.catalog.set(func() {
			c := w.catalog
			other := *c.services["web"]
			other.Port = 9
			c.services["web"] = &other
			tagged := *c.services["free"]
			tagged.Tags = []string{"b"}
			tagged.TaggedAddresses = map[string]local.Address{"consul-virtual": {Address: "240.0.0.1"}}
			c.services["free"] = &tagged
			c.services["stray"] = &local.Service{ID: "stray", Service: "stray"}
			c.services["consul"] = &local.Service{ID: "consul", Service: "consul"}
			c.checks["serfHealth"] = &local.Check{CheckID: "serfHealth"}
			c.checks["of-stray"] = &local.Check{CheckID: "of-stray", ServiceID: "stray"}
			c.checks["alone"] = &local.Check{CheckID: "alone"}
			c.node = &local.RemoteNode{ID: "id-1", Address: "10.0.0.1", Meta: map[string]string{"x": "y"}}
		})
		time.Sleep(2 * time.Minute)
		w.expect(t, "deregister alone", "deregister stray", "register node", "register web")
		if free := w.state.Service("free"); !slices.Equal(free.Tags, []string{"b"}) || free.TaggedAddresses["consul-virtual"].Address != "240.0.0.1" {
			t.Errorf("the catalog's part of a service was not taken over: %+v", free)
		}
		w.catalog.set(func() { w.catalog.services["free"].TaggedAddresses = nil })
		w.register(t, `{"name":"free","tags":["a"],"enable_tag_override":true,"check":{"ttl":"10h"}}`)
		if free := w.state.Service("free"); !slices.Equal(free.Tags, []string{"b"}) {
			t.Errorf("the same definition again took the tags back: %v", free.Tags)
		}
	})
}

func TestOutputAloneWaits(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.register(t, `{"name":"web","check":{"ttl":"10h","status":"passing"}}`)
		settle()
		w.catalog.took()
		start := time.Now()
		if err := w.state.UpdateTTL("service:web", checks.Passing, "new"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(149 * time.Second)
		w.expect(t)
		time.Sleep(302 * time.Second)
		w.expect(t, "register service:web")
		if took := time.Since(start); took < 150*time.Second {
			t.Errorf("told after %s", took)
		}
		if err := w.state.UpdateTTL("service:web", checks.Critical, "newer"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "register service:web")
	})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		w.catalog.set(func() { w.catalog.fail = errors.New("no leader") })
		w.register(t, `{"name":"web"}`)
		synctest.Wait()
		if err := w.syncer.Push(t.Context()); err == nil {
			t.Error("a push while the catalog is away did not fail")
		}
		time.Sleep(time.Hour)
		w.expect(t)
		w.catalog.set(func() { w.catalog.fail = nil })
		time.Sleep(15 * time.Second)
		w.expect(t, "register web")
		if err := w.syncer.Push(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestPushAfterAFailure pushes while Run waits to try again: what has no leader
// fails at once, and what has one again is told at once, with all that follows.
func TestPushAfterAFailure(t *testing.T) {
	for _, leader := range []string{"", "away"} {
		live(t, func(t *testing.T, w *world) {
			w.expect(t, "register node")
			w.catalog.set(func() { w.catalog.fail, w.catalog.leader = errors.New("no leader"), leader })
			w.register(t, `{"name":"web"}`)
			time.Sleep(time.Minute)
			began := time.Now()
			if err := w.syncer.Push(t.Context()); err == nil || time.Since(began) > 0 {
				t.Errorf("without a leader: %v after %v", err, time.Since(began))
			}
			w.catalog.set(func() { w.catalog.fail, w.catalog.leader = nil, "10.0.0.2:8300" })
			if err := w.syncer.Push(t.Context()); err != nil || time.Since(began) > 0 {
				t.Errorf("with a leader: %v after %v", err, time.Since(began))
			}
			if got := w.catalog.took(); !slices.Equal(got, []string{"register web"}) {
				t.Errorf("written %q", got)
			}
			w.register(t, `{"name":"db"}`)
			w.expect(t, "register db")
		})
	}
}

func TestServerTrigger(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		w.catalog.set(func() { w.catalog.fail = errors.New("no servers") })
		w.register(t, `{"name":"web"}`)
		time.Sleep(time.Hour)
		w.catalog.set(func() { w.catalog.fail = nil })
		w.syncer.Trigger()
		time.Sleep(3 * time.Second)
		w.expect(t, "register web")
	})
}

func TestRefusalsHoldNothingUp(t *testing.T) {
	for _, c := range []struct {
		status int
		old    bool
	}{{403, false}, {500, false}, {403, true}} {
		status := c.status
		live(t, func(t *testing.T, w *world) {
			w.expect(t, "register node")
			w.catalog.set(func() { w.catalog.refuse, w.catalog.status, w.catalog.old = "bad", status, c.old })
			w.register(t, `{"name":"bad"}`)
			w.register(t, `{"name":"good"}`)
			w.expect(t, "register good")
			if blocked := strings.Join(w.blocked, " "); (status == 403) != (blocked == "service.registration") {
				t.Errorf("%d: blocked %q", status, blocked)
			}
			w.catalog.set(func() { w.catalog.refuse = "" })
			time.Sleep(2 * time.Minute)
			w.expect(t, "register bad")
		})
	}
}

func TestScale(t *testing.T) {
	for nodes, want := range map[int]int{0: 1, 1: 1, 128: 1, 129: 2, 256: 2, 512: 3, 1024: 4, 8192: 7} {
		if got := antientropy.Scale(nodes); got != want {
			t.Errorf("%d nodes: %d, want %d", nodes, got, want)
		}
	}
}

func TestManyAreToldTogether(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		var names []string
		for i := range 200 {
			w.register(t, fmt.Sprintf(`{"name":"s%03d","check":{"ttl":"10h"}}`, i))
			names = append(names, fmt.Sprintf("register s%03[1]d service:s%03[1]d", i))
		}
		w.register(t, `{"name":"other","token":"x"}`)
		w.expect(t, append([]string{"register other"}, names...)...)
		slices.Sort(w.catalog.requests)
		if want := []int{8, 64, 64, 64}; !slices.Equal(w.catalog.requests, want) {
			t.Errorf("requests with %v changes, want %v", w.catalog.requests, want)
		}
		w.catalog.requests = nil
		for i := range 100 {
			if err := w.state.DeregisterService(fmt.Sprintf("s%03d", i), nil); err != nil {
				t.Error(err)
			}
		}
		settle()
		if got := len(w.catalog.took()); got != 200 {
			t.Errorf("%d removals, want 100 services and their checks", got)
		}
		if slices.Sort(w.catalog.requests); !slices.Equal(w.catalog.requests, []int{8, 64, 64, 64}) {
			t.Errorf("requests with %v removals", w.catalog.requests)
		}
	})
}

func TestPushDoesNotWaitForMore(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		w.register(t, `{"name":"web"}`)
		began := time.Now()
		if err := w.syncer.Push(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 0 || len(w.catalog.took()) != 1 {
			t.Errorf("told after %s", took)
		}
	})
}

// TestPushesShare has many push while the catalog is busy: those whose changes went
// with the next request do not make one of their own.
func TestPushesShare(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		slow := func() { time.Sleep(time.Second) }
		w.catalog.set(func() { w.catalog.busy = slow })
		var group sync.WaitGroup
		push := func() {
			if err := w.syncer.Push(t.Context()); err != nil {
				t.Error(err)
			}
		}
		w.register(t, `{"name":"first"}`)
		group.Go(push)
		synctest.Wait()
		for i := range 20 {
			w.register(t, fmt.Sprintf(`{"name":"s%d"}`, i))
			group.Go(push)
		}
		began := time.Now()
		group.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("20 pushes took %s, want the rest of one request and one more", took)
		}
		if !slices.Equal(w.catalog.requests, []int{20}) {
			t.Errorf("requests with %v changes, want 20 in one", w.catalog.requests)
		}
	})
}

// TestQuietTimeHidesNothing changes the catalog behind the agent's back after long
// times in which every comparison was the same.
func TestQuietTimeHidesNothing(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.register(t, `{"name":"web","check":{"ttl":"100h"}}`)
		w.expect(t, "register node", "register web service:web")
		for _, step := range []struct {
			name   string
			change func(c *catalog)
			want   []string
		}{
			{"a service is lost", func(c *catalog) { delete(c.services, "web"); delete(c.checks, "service:web") }, []string{"register web service:web"}},
			{"a check differs", func(c *catalog) {
				row := *c.checks["service:web"]
				row.Status = checks.Passing
				c.checks["service:web"] = &row
			}, []string{"register service:web"}},
			{"something strange is there", func(c *catalog) { c.services["stray"] = &local.Service{ID: "stray", Service: "stray"} }, []string{"deregister stray"}},
			{"the node is lost", func(c *catalog) {
				c.node, c.services, c.checks = nil, map[string]*local.Service{}, map[string]*local.Check{}
			}, []string{"register node", "register web service:web"}},
		} {
			time.Sleep(time.Hour)
			w.expect(t)
			w.catalog.set(func() { step.change(w.catalog) })
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if got := w.catalog.took(); !slices.Equal(got, step.want) {
				t.Errorf("%s: written %q, want %q", step.name, got, step.want)
			}
		}
	})
}

// TestRefusalIsTriedAgainInQuietTimes is refused with nothing else ever changing.
func TestRefusalIsTriedAgainInQuietTimes(t *testing.T) {
	live(t, func(t *testing.T, w *world) {
		w.expect(t, "register node")
		w.catalog.set(func() { w.catalog.refuse, w.catalog.status = "bad", 403 })
		w.register(t, `{"name":"bad"}`)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(w.blocked); n < 25 {
			t.Errorf("tried %d times in an hour, want with every comparison", n)
		}
		w.catalog.set(func() { w.catalog.refuse = "" })
		time.Sleep(2 * time.Minute)
		w.expect(t, "register bad")
	})
}
