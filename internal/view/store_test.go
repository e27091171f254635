package view

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/failure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api is an HTTP API in memory: one body for a path, whose blocking queries
// wait for the next change.
type api struct {
	mu      sync.Mutex
	index   uint64
	bodies  map[string]string
	err     error
	status  int
	asked   []string
	changed chan struct{}
}

func newAPI() *api { return &api{index: 10, bodies: map[string]string{}, changed: make(chan struct{})} }

// change puts a body in place; an empty one takes it away.
func (a *api) change(path, body string, index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bodies[path], a.index = body, index
	a.wake()
}

func (a *api) fail(err error, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err, a.status = err, status
	a.wake()
}

func (a *api) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *api) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.asked
	a.asked = nil
	return list
}

func (a *api) Do(ctx context.Context, method, path string, query url.Values, _ []byte) (int, http.Header, []byte, error) {
	a.mu.Lock()
	a.asked = append(a.asked, fmt.Sprintf("%s %s?%s", method, path, query.Encode()))
	at, changed, fails := a.index, a.changed, a.err != nil || a.status != 0
	a.mu.Unlock()
	if asked := query.Get("index"); !fails && asked != "" && asked == strconv.FormatUint(at, 10) {
		wait, _ := time.ParseDuration(query.Get("wait"))
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return 0, nil, nil, ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return 0, nil, nil, a.err
	case a.status != 0:
		return a.status, nil, []byte("rpc error: " + failure.TextNoPath), nil
	case a.bodies[path] == "":
		return http.StatusNotFound, nil, nil, nil
	}
	return http.StatusOK, http.Header{"X-Consul-Index": {strconv.FormatUint(a.index, 10)}}, []byte(a.bodies[path]), nil
}

const webPath = "/v1/health/service/web"

func web(addresses ...string) string {
	body := "["
	for i, a := range addresses {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprintf(`{"Node":{"Node":"n%d","Address":%q},"Service":{"ID":"web","Service":"web","Port":80},"Checks":[]}`, i, a)
	}
	return body + "]"
}

func addressesOf(s *Service) []string {
	var list []string
	if s != nil {
		for _, in := range s.Instances {
			list = append(list, in.Node.Address.Text)
		}
	}
	return list
}

// inBubble runs a Store in fake time.
func inBubble(t *testing.T, change func(*Config), test func(*testing.T, *api, *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newAPI()
		c := Config{Requester: a, Datacenter: "dc1"}
		if change != nil {
			change(&c)
		}
		s := New(c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		ready := make(chan struct{})
		go func() { done <- s.Run(ctx, func() { close(ready) }) }()
		<-ready
		test(t, a, s)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := s.Views(); n != 0 {
			t.Errorf("%d views are left", n)
		}
	})
}

// want looks the service up and compares addresses.
func want(t *testing.T, s *Store, o Options, addresses ...string) {
	t.Helper()
	got, err := s.Service(t.Context(), "", "web", o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(addressesOf(got), addresses, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("got - want +:\n%s", d)
	}
}

func TestViewIsLoadedOnceAndKeptCurrent(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		if _, err := s.Service(t.Context(), "", "web", Options{}); !errors.Is(err, ErrNotHere) {
			t.Fatalf("without waiting: %v", err)
		}
		want(t, s, Options{Wait: true}, "10.0.0.1")
		synctest.Wait()
		for range 5 {
			want(t, s, Options{}, "10.0.0.1")
		}
		if d := cmp.Diff(a.requests(), []string{"GET " + webPath + "?stale=", "GET " + webPath + "?index=10&stale=&wait=2m0s"}); d != "" {
			t.Errorf("requests, got - want +:\n%s", d)
		}
		a.change(webPath, web("10.0.0.1", "10.0.0.2"), 11)
		synctest.Wait()
		want(t, s, Options{}, "10.0.0.1", "10.0.0.2")
		a.change(webPath, "[]", 12)
		synctest.Wait()
		want(t, s, Options{})
	})
}

func TestManyFirstUsersLoadOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { want(t, s, Options{Wait: true}, "10.0.0.1") })
		}
		wg.Wait()
		synctest.Wait()
		if n := len(a.requests()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestWhatDoesNotExistIsNotKept(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		want(t, s, Options{Wait: true})
		a.change(webPath, "[]", 10)
		want(t, s, Options{Wait: true})
		if n := s.Views(); n != 0 {
			t.Errorf("%d views", n)
		}
		a.change(webPath, web("10.0.0.1"), 11)
		want(t, s, Options{Wait: true}, "10.0.0.1")
	})
}

func TestUnusedViewsAreDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		want(t, s, Options{Wait: true}, "10.0.0.1")
		for range 10 { // used every minute
			time.Sleep(time.Minute)
			want(t, s, Options{}, "10.0.0.1")
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if n := s.Views(); n != 0 {
			t.Errorf("%d views", n)
		}
		a.requests()
		time.Sleep(time.Hour)
		if list := a.requests(); len(list) > 0 {
			t.Errorf("still asked: %v", list)
		}
	})
}

func TestViewOutlivesFailures(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		want(t, s, Options{Wait: true}, "10.0.0.1")
		a.fail(errors.New("no servers"), 0)
		time.Sleep(time.Minute)
		want(t, s, Options{MaxStale: time.Hour}, "10.0.0.1")
		if _, err := s.Service(t.Context(), "", "web", Options{MaxStale: 30 * time.Second}); !errors.Is(err, ErrNotHere) {
			t.Errorf("older than allowed: %v", err)
		}
		a.change(webPath, web("10.0.0.2"), 11)
		a.fail(nil, 0)
		time.Sleep(time.Minute)
		want(t, s, Options{MaxStale: time.Second}, "10.0.0.2")
	})
}

func TestIndexThatGoesBack(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		want(t, s, Options{Wait: true}, "10.0.0.1")
		synctest.Wait()
		a.change(webPath, web("10.0.0.2"), 3)
		time.Sleep(2 * time.Second)
		want(t, s, Options{}, "10.0.0.2")
		a.change(webPath, web("10.0.0.3"), 4)
		synctest.Wait()
		want(t, s, Options{}, "10.0.0.3")
	})
}

func TestFirstLoadThatFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		want   failure.Kind
	}{
		{"unknown datacenter", nil, http.StatusInternalServerError, failure.NoPath},
		{"no servers", failure.New(failure.Unavailable, "gone"), 0, failure.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
				a.fail(c.err, c.status)
				if _, err := s.Service(t.Context(), "dc9", "web", Options{Wait: true}); failure.KindOf(err) != c.want {
					t.Errorf("got %v, want the kind %v", err, c.want)
				}
				if list := a.requests(); len(list) != 1 || list[0] != "GET "+webPath+"?dc=dc9&stale=" {
					t.Errorf("requests %v", list)
				}
			})
		})
	}
}

func TestFreshAsksTheLeaderEveryTime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		if _, err := s.Service(t.Context(), "", "web", Options{Fresh: true}); !errors.Is(err, ErrNotHere) {
			t.Errorf("without waiting: %v", err)
		}
		for range 2 {
			want(t, s, Options{Wait: true, Fresh: true}, "10.0.0.1")
		}
		if d := cmp.Diff(a.requests(), []string{"GET " + webPath + "?", "GET " + webPath + "?"}); d != "" {
			t.Errorf("requests, got - want +:\n%s", d)
		}
	})
}

func TestViewsAreBounded(t *testing.T) {
	inBubble(t, func(c *Config) { c.MaxViews = 2 }, func(t *testing.T, a *api, s *Store) {
		for i := range 5 {
			name := fmt.Sprintf("s%d", i)
			a.change("/v1/health/service/"+name, web("10.0.0.1"), 10)
			got, err := s.Service(t.Context(), "", name, Options{Wait: true})
			if err != nil || len(got.Instances) != 1 {
				t.Fatal(got, err)
			}
		}
		if n := s.Views(); n != 2 {
			t.Errorf("%d views", n)
		}
	})
}

func TestInstances(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, `[
			{"Node":{"Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":{"wan":"1.2.3.4"},"Meta":{"b":"2","a":"1"}},
			 "Service":{"ID":"w1","Service":"web","Tags":["Blue"],"Address":"web.example","Port":80,"Weights":{"Passing":5,"Warning":2},"TaggedAddresses":{"wan":{"Address":"1.2.3.5","Port":81}}},
			 "Checks":[{"Status":"passing"},{"Status":"warning"}]},
			{"Node":{"Node":"n1","Address":"10.0.0.1"},"Service":{"ID":"w2","Service":"web"},"Checks":[{"Status":"critical"},{"Status":"passing"}]}]`, 10)
		got, err := s.Service(t.Context(), "dc1", "web", Options{Wait: true})
		if err != nil {
			t.Fatal(err)
		}
		ip := func(text string, port int) Address { return Address{text, netip.MustParseAddr(text), port} }
		node := &Node{Name: "n1", Datacenter: "dc1", Address: ip("10.0.0.1", 0), Tagged: map[string]Address{"wan": ip("1.2.3.4", 0)}, Meta: []Pair{{"a", "1"}, {"b", "2"}}}
		want := &Service{Instances: []Instance{
			{Node: node, ID: "w1", Service: "web", Address: Address{Text: "web.example"}, Tagged: map[string]Address{"wan": ip("1.2.3.5", 81)}, Port: 80, Tags: []string{"blue"}, Health: Warning, Weight: 2},
			{Node: node, ID: "w2", Service: "web", Tagged: map[string]Address{}, Health: Critical},
		}}
		if d := cmp.Diff(got, want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("got - want +:\n%s", d)
		}
	})
}

func TestNode(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change("/v1/catalog/node/n1", `{"Node":{"Node":"n1","Address":"10.0.0.1"},"Services":{}}`, 10)
		a.change("/v1/catalog/node/n2", `null`, 10)
		if n, err := s.Node(t.Context(), "", "n1", Options{Wait: true}); err != nil || n == nil || n.Address.Text != "10.0.0.1" {
			t.Errorf("n1 is %v, %v", n, err)
		}
		if n, err := s.Node(t.Context(), "", "n2", Options{Wait: true}); err != nil || n != nil {
			t.Errorf("n2 is %v, %v", n, err)
		}
	})
}

func TestOwner(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change("/v1/catalog/nodes", `[{"Node":"n1","Address":"10.0.0.1"}]`, 10)
		a.change("/v1/catalog/services", `{"web":[],"db":[]}`, 10)
		a.change("/v1/catalog/service/web", `[{"ServiceName":"web","ServiceAddress":"10.1.0.1"},{"ServiceName":"web","ServiceAddress":"10.0.0.1"},{"ServiceName":"web","ServiceAddress":""}]`, 10)
		a.change("/v1/catalog/service/db", `[{"ServiceName":"db","ServiceAddress":"db.example"}]`, 10)
		owner := func(ip string) Owner {
			o, err := s.Owner(t.Context(), netip.MustParseAddr(ip), Options{Wait: true})
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		got := []Owner{owner("10.0.0.1"), owner("10.1.0.1"), owner("10.9.9.9"), owner("::ffff:10.0.0.1")}
		if d := cmp.Diff(got, []Owner{{Node: "n1"}, {Service: "web"}, {}, {Node: "n1"}}); d != "" {
			t.Errorf("got - want +:\n%s", d)
		}
		if n := len(a.requests()); n != 4 {
			t.Errorf("%d requests for one look", n)
		}
		a.change("/v1/catalog/nodes", `[{"Node":"n9","Address":"10.9.9.9"}]`, 11)
		time.Sleep(2 * time.Second)
		if _, err := s.Owner(t.Context(), netip.MustParseAddr("10.0.0.1"), Options{}); err != nil {
			t.Errorf("a known address waits: %v", err)
		}
		if got := owner("10.9.9.9"); got.Node != "n9" {
			t.Errorf("a new node's address is %v", got)
		}
		if got := owner("10.0.0.1"); got != (Owner{Service: "web"}) {
			t.Errorf("the address a node no longer has is %v", got)
		}
	})
}

func TestLoadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Requester: stuck{}, Datacenter: "dc1"}) // not running: every lookup is a load
		if _, err := s.Service(t.Context(), "", "web", Options{Wait: true}); failure.KindOf(err) != failure.Timeout {
			t.Errorf("got %v", err)
		}
	})
}

type stuck struct{}

func (stuck) Do(ctx context.Context, _, _ string, _ url.Values, _ []byte) (int, http.Header, []byte, error) {
	<-ctx.Done()
	return 0, nil, nil, ctx.Err()
}
