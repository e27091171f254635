package view

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// pair is a server and a client agent that keeps views, with a wire between them
// that counts.
type pair struct {
	t      testing.TB
	db     *store.DB
	server *httpapi.Mux
	client *httpapi.Mux
	store  *Store

	mu       sync.Mutex
	index    uint64
	lost     error // why no server can be reached
	leader   bool
	upstream []string
}

func newPair(t testing.TB, change func(*Config, *httpapi.Config)) *pair {
	t.Helper()
	p := &pair{t: t, db: storetest.Open(t, catalog.Module()), index: 10, leader: true}
	api := &catalogapi.API{
		Reader: query.New(query.Config{DB: p.db, Freshness: p}), Applier: p, Authz: authz.Open{},
		Datacenter: "dc1", Datacenters: func() []string { return []string{"dc1"} },
	}
	mux := func(c httpapi.Config) *httpapi.Mux {
		m, err := httpapi.NewMux(c)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	p.server = mux(httpapi.Config{Routes: api.Routes(), Dispatcher: everywhere{}})
	views := Config{Requester: requester{p}, Datacenter: "dc1"}
	edge := httpapi.Config{Routes: (&catalogapi.API{}).Routes(), Dispatcher: wire{p}}
	if change != nil {
		change(&views, &edge)
	}
	p.store = New(views)
	edge.Memory = p.store
	p.client = mux(edge)
	return p
}

// run runs the views until the test calls end.
func (p *pair) run() (end func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- p.store.Run(ctx, func() { close(ready) }) }()
	<-ready
	return func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("Run: %v", err)
		}
		if n, bytes := p.store.Views(), p.store.bytes; n != 0 || bytes != 0 {
			p.t.Errorf("%d views of %d bytes are left", n, bytes)
		}
	}
}

// inPair runs a test with a running pair in fake time.
func inPair(t *testing.T, change func(*Config, *httpapi.Config), test func(*testing.T, *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, change)
		end := p.run()
		test(t, p)
		end()
	})
}

func (p *pair) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index++
	return storetest.TryApply(p.t, p.db, p.index, typ, body)
}

// ReadBarrier implements query.Freshness.
func (p *pair) ReadBarrier(context.Context) error {
	if known, _ := p.Contact(); !known {
		return failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	return nil
}

// Contact implements query.Freshness.
func (p *pair) Contact() (bool, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leader, 0
}

func (p *pair) lose(err error, leader bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost, p.leader = err, leader
}

// asked returns what servers were asked since it was last called.
func (p *pair) asked() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.upstream
	p.upstream = nil
	return list
}

func (p *pair) register(bodies ...string) {
	p.t.Helper()
	for _, body := range bodies {
		p.put("register", body)
	}
}

func (p *pair) put(what, body string) {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/v1/catalog/"+what, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		p.t.Fatalf("%s %s: %d %s", what, body, w.Code, w.Body)
	}
}

func get(ctx context.Context, h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// get asks the client agent.
func (p *pair) get(target string, header ...string) *httptest.ResponseRecorder {
	return get(p.t.Context(), p.client, target, header...)
}

// want asks and compares X-Cache, Age and the body, which is the server's for "".
func (p *pair) want(target, cache, age, body string, header ...string) {
	p.t.Helper()
	if body == "" {
		body = get(p.t.Context(), p.server, strings.ReplaceAll(target, "cached", "stale")).Body.String()
	}
	w := p.get(target, header...)
	if got := w.Header().Get("X-Cache"); got != cache || w.Header().Get("Age") != age {
		p.t.Errorf("%s: %s of age %q, want %s of age %q", target, got, w.Header().Get("Age"), cache, age)
	}
	if w.Body.String() != body {
		p.t.Errorf("%s: got %d %s\nwant %s", target, w.Code, w.Body, body)
	}
}

type everywhere struct{}

func (everywhere) Here(httpapi.Where, string) bool { return true }
func (everywhere) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("nothing is elsewhere")
}

// wire is the client agent's way to the server.
type wire struct{ p *pair }

func (w wire) Here(where httpapi.Where, _ string) bool { return where == httpapi.Local }
func (w wire) Forward(ctx context.Context, _ httpapi.Where, _ string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	w.p.mu.Lock()
	w.p.upstream = append(w.p.upstream, req.Path+"?"+req.RawQuery)
	lost := w.p.lost
	w.p.mu.Unlock()
	if lost != nil {
		return nil, lost
	}
	resp := w.p.server.ServeWire(ctx, req)
	if ctx.Err() != nil {
		return nil, failure.Wrap(failure.Unavailable, ctx.Err())
	}
	return resp, nil
}

// requester is the client agent's way to itself.
type requester struct{ p *pair }

func (r requester) Do(ctx context.Context, method, path string, query url.Values, body []byte) (int, http.Header, []byte, error) {
	resp := r.p.client.Do(ctx, &httpapi.WireRequest{Method: method, Path: path, RawQuery: query.Encode(), Body: body, Token: query.Get("token")})
	header := http.Header{}
	for line := range strings.SplitSeq(resp.Header, "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok {
			header.Add(key, value)
		}
	}
	if ctx.Err() != nil {
		return 0, nil, nil, ctx.Err()
	}
	return resp.Status, header, resp.Body, nil
}

const (
	onWeb  = "/v1/health/service/web"
	webOne = `{"Node":"n1","Address":"10.0.0.1","Service":{"Service":"web","Port":1},"Check":{"CheckID":"tcp","ServiceID":"web","Status":"passing"}}`
	webTwo = `{"Node":"n2","Address":"10.0.0.2","Service":{"Service":"web","Port":2},"Check":{"CheckID":"tcp","ServiceID":"web","Status":"passing"}}`
)

// rich has all that answers differ in.
var rich = []string{
	`{"Node":"n1","Address":"10.0.0.1","NodeMeta":{"rack":"r1"},"TaggedAddresses":{"wan":"1.2.3.4"},"Service":{"ID":"web-1","Service":"web","Tags":["v1","Blue<&>"],"Port":80,"Meta":{"a":"b"},"TaggedAddresses":{"wan":{"Address":"192.0.2.1","Port":8080}}},
		"Checks":[{"CheckID":"ping","Name":"Ping","Status":"passing"},{"CheckID":"tcp","Name":"TCP","Status":"passing","ServiceID":"web-1","Output":"a \"quote\" \u2028","Definition":{"TCP":"10.0.0.1:80","Interval":10000000000,"Header":{"x":["y<"]}}}]}`,
	`{"Node":"n1","SkipNodeUpdate":true,"Service":{"Kind":"connect-proxy","ID":"web-1-proxy","Service":"web-proxy","Port":20000,"Proxy":{"DestinationServiceName":"web","Config":{"b":1,"a":[1,2,{"z":null}]},"Upstreams":[{"DestinationName":"db","LocalBindPort":1234}]}}}`,
	`{"Node":"n2","Address":"10.0.0.2","Service":{"Service":"Web","Tags":["v1"],"Meta":{},"EnableTagOverride":true,"SocketPath":"/x","Weights":{"Passing":5,"Warning":2}},"Check":{"Name":"tcp","Status":"warning","ServiceID":"Web"}}`,
	`{"Node":"n3","Address":"db.example","Service":{"Service":"web","ID":"w3","Address":"::1","Port":3306,"Connect":{"Native":true}}}`,
}

func TestMemoryAnswersAsTheServerWould(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		compare := func() {
			t.Helper()
			for _, path := range []string{"/v1/health/service/web", "/v1/health/service/WEB", "/v1/health/connect/web", "/v1/catalog/service/web", "/v1/catalog/connect/web", "/v1/health/service/web-proxy", "/v1/health/service/none", "/v1/catalog/service/none"} {
				for _, selection := range []string{
					"", "&passing", "&passing=false", "&tag=V1", "&tag=v1&tag=blue%3C%26%3E", "&tag=none", "&node-meta=rack:r1", "&node-meta=rack:r2", "&filter=Service.Port+%3D%3D+80",
					"&filter=ServicePort+!%3D+80", "&filter=Checks.Status+%3D%3D+warning", "&filter=Node.Meta.rack+%3D%3D+r1", "&passing&tag=v1&filter=Service.Meta.a+%3D%3D+b",
					"&filter=)", "&passing=maybe", "&near=_agent", "&merge-central-config", "&pretty", "&wait=1s", "&dc=DC1",
				} {
					server := get(t.Context(), p.server, path+"?stale"+selection)
					for range 2 {
						client := p.get(path + "?cached" + selection)
						// Of what does not exist the index is that of what went last, whatever it was.
						index := strings.HasSuffix(path, "/none") || server.Header().Get("X-Consul-Index") == client.Header().Get("X-Consul-Index")
						if server.Code != client.Code || server.Body.String() != client.Body.String() || !index {
							t.Errorf("%s%s: got %d %s %s\nwant %d %s %s", path, selection, client.Code, client.Header().Get("X-Consul-Index"), client.Body, server.Code, server.Header().Get("X-Consul-Index"), server.Body)
						}
					}
				}
			}
			for _, target := range []string{"/v1/catalog/services?cached", "/v1/catalog/services?cached&filter=ServicePort+%3D%3D+80", "/v1/catalog/services?cached&node-meta=rack:r1", "/v1/catalog/datacenters?cached"} {
				p.get(target)
				p.want(target, "HIT", "0", "")
			}
		}
		p.register(rich...)
		compare()
		for _, change := range []struct{ what, body string }{
			{"register", `{"Node":"n1","Address":"10.0.0.9","NodeMeta":{"rack":"r2"}}`},
			{"register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"ping","Status":"critical"}}`},
			{"register", `{"Node":"n2","SkipNodeUpdate":true,"Check":{"Name":"tcp","Status":"passing","ServiceID":"Web","Output":"changed"}}`},
			{"deregister", `{"Node":"n3"}`},
			{"deregister", `{"Node":"n1","ServiceID":"web-1-proxy"}`},
			{"register", rich[1]},
		} {
			p.put(change.what, change.body)
			synctest.Wait()
			compare()
		}
	})
}

func TestCachedAsksOnce(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		p.want(onWeb+"?cached", "MISS", "", "")
		p.asked()
		for range 3 {
			time.Sleep(time.Minute)
			p.want(onWeb+"?cached", "HIT", "0", "")
			p.want("/v1/catalog/service/web?cached&tag=x", "HIT", "0", "[]")
			p.want(onWeb+"?cached&passing", "HIT", "0", "", "Cache-Control", "max-age=1")
		}
		if got := p.asked(); len(got) > 2 { // its blocking query runs out each two minutes
			t.Errorf("asked %v", got)
		}
		if svc, err := p.store.Service(t.Context(), "", "web", Options{}); err != nil || len(svc.Instances) != 1 {
			t.Errorf("DNS finds %v, %v in the same view", svc, err)
		}
		p.register(webTwo)
		synctest.Wait()
		p.want(onWeb+"?cached", "HIT", "0", "")
	})
}

func TestDefaultReadsNeverComeFromMemory(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		p.get(onWeb + "?cached")
		p.asked()
		for _, target := range []string{onWeb, onWeb + "?stale", onWeb + "?consistent", onWeb + "?leader", onWeb + "?max_stale=1h", onWeb + "?consistent&index=1&wait=1s", onWeb + "?cached&max_stale=1h", "/v1/catalog/services", "/v1/catalog/nodes?cached"} {
			w := p.get(target)
			if n := len(p.asked()); n != 1 {
				t.Errorf("%s: %d requests to servers", target, n)
			}
			if got := w.Header().Get("X-Cache"); got != "" && !strings.Contains(target, "cached") {
				t.Errorf("%s: X-Cache %s", target, got)
			}
		}
	})
}

func TestCacheThatIsOff(t *testing.T) {
	inPair(t, func(_ *Config, c *httpapi.Config) { c.NoCache = true }, func(t *testing.T, p *pair) {
		p.register(webOne)
		for range 2 {
			p.want(onWeb+"?cached", "", "", get(t.Context(), p.server, onWeb).Body.String())
		}
		if n := p.store.Views(); n != 0 {
			t.Errorf("%d views", n)
		}
	})
}

// watch asks n times in the background. answered counts answers by index.
func (p *pair) watch(ctx context.Context, n int, target string) *watchers {
	a := &watchers{byIndex: map[string]int{}}
	for range n {
		a.wg.Go(func() {
			w := get(ctx, p.client, target)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.byIndex[fmt.Sprintf("%d %s", w.Code, w.Header().Get("X-Consul-Index"))]++
			a.last = w
		})
	}
	synctest.Wait()
	return a
}

type watchers struct {
	wg      sync.WaitGroup
	mu      sync.Mutex
	byIndex map[string]int
	last    *httptest.ResponseRecorder
}

func (a *watchers) want(t *testing.T, when, what string, n int) {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	total := 0
	for _, count := range a.byIndex {
		total += count
	}
	if total != n || n > 0 && a.byIndex[what] != n {
		t.Errorf("%s: answered %v, want %d times %q", when, a.byIndex, n, what)
	}
}

func TestThousandWatchersCostOneQuery(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne, `{"Node":"n9","Address":"10.0.0.9","Service":{"Service":"other"}}`)
		const n = 1000
		watchers := p.watch(t.Context(), n/2, onWeb+"?index=11&wait=10m")
		passing := p.watch(t.Context(), n/4, onWeb+"?index=11&passing&wait=10m")
		flat := p.watch(t.Context(), n/4, "/v1/catalog/service/web?stale&index=11&wait=10m")
		// The first read, the one that confirms it, and the one that waits.
		if got := p.asked(); len(got) != 3 {
			t.Errorf("asked %v", got)
		}
		p.register(`{"Node":"n9","SkipNodeUpdate":true,"Service":{"Service":"other","Port":7}}`, `{"Node":"n8","Address":"10.0.0.8"}`)
		watchers.want(t, "another service changed", "", 0)
		passing.want(t, "another service changed", "", 0)
		if got := p.asked(); len(got) != 0 {
			t.Errorf("asked %v", got)
		}
		p.register(webTwo)
		watchers.want(t, "an instance came", "200 15", n/2)
		passing.want(t, "an instance came", "200 15", n/4)
		flat.want(t, "an instance came", "200 15", n/4)
		if got := p.asked(); len(got) != 1 {
			t.Errorf("asked %v", got)
		}
		server := get(t.Context(), p.server, onWeb)
		if got := watchers.last; got.Body.String() != server.Body.String() || got.Header().Get("X-Consul-Knownleader") != "true" ||
			got.Header().Get("X-Consul-Lastcontact") != "0" || got.Header().Get("X-Consul-Effective-Consistency") != "leader" || got.Header().Get("X-Cache") != "" {
			t.Errorf("got %v %s", got.Header(), got.Body)
		}
		// Who is behind is answered at once, who is ahead waits.
		p.watch(t.Context(), 1, onWeb+"?index=14").want(t, "behind", "200 15", 1)
		ahead := p.watch(t.Context(), 1, onWeb+"?index=999&wait=1m")
		ahead.want(t, "ahead", "", 0)
		time.Sleep(2 * time.Minute)
		ahead.want(t, "ahead for too long", "200 15", 1)
	})
}

func TestWatchersOfOtherAnswersShareThem(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		for _, target := range []string{"/v1/catalog/services?index=11", "/v1/health/state/any?index=11", "/v1/catalog/node/n1?index=11", "/v1/health/checks/web?filter=Status+%3D%3D+passing&index=11", "/v1/catalog/nodes?index=11"} {
			w := p.watch(t.Context(), 50, target+"&wait=1m")
			w.want(t, target, "", 0)
			if got := p.asked(); len(got) != 3 {
				t.Errorf("%s: asked %v", target, got)
			}
			time.Sleep(2 * time.Minute)
			w.want(t, target, "200 11", 50)
			p.asked()
		}
		apart := p.watch(t.Context(), 5, "/v1/catalog/nodes?near=_agent&index=11&wait=1m")
		if got := p.asked(); len(got) != 5 {
			t.Errorf("by distance: asked %v", got)
		}
		time.Sleep(2 * time.Minute)
		apart.wg.Wait()
	})
}

func TestWatchersOfNothing(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		w := p.watch(t.Context(), 100, "/v1/health/service/later?index=1&wait=10m")
		if got := p.asked(); len(got) > 4 {
			t.Errorf("asked %v", got)
		}
		for range 3 { // others come and go, and the upstream query runs out
			p.register(webTwo)
			p.put("deregister", `{"Node":"n2"}`)
			time.Sleep(130 * time.Second)
			w.want(t, "others", "", 0)
		}
		p.register(`{"Node":"n3","Address":"10.0.0.3","Service":{"Service":"later"}}`)
		w.want(t, "it came", "200 18", 100)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := p.store.Views(); n != 0 {
			t.Errorf("%d views", n)
		}
	})
}

func TestServersThatAreLost(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		body := p.get(onWeb + "?cached").Body.String()
		watchers := p.watch(t.Context(), 10, onWeb+"?index=11&wait=10m")
		gone := failure.New(failure.Unavailable, "no server")
		p.lose(gone, true)
		time.Sleep(3 * time.Minute) // the query that was on its way ran out
		watchers.want(t, "servers lost", "200 11", 10)
		if h := watchers.last.Header(); h.Get("X-Consul-Knownleader") != "false" {
			t.Errorf("got %v", h)
		}
		w := p.get(onWeb + "?cached")
		if age := w.Header().Get("Age"); w.Body.String() != body || w.Header().Get("X-Cache") != "HIT" || age == "0" || age == "" {
			t.Errorf("cached: %v %s", w.Header(), w.Body)
		}
		for _, c := range []struct {
			name, target, control string
			status                int
		}{
			{"old enough", onWeb + "?cached", "max-age=3600", 200},
			{"too old", onWeb + "?cached", "max-age=10", 500},
			{"too old, but better than nothing", onWeb + "?cached", "max-age=10, stale-if-error=3600", 200},
			{"too old for that, too", onWeb + "?cached", "max-age=10,stale-if-error=20", 500},
			{"must be fresh", onWeb + "?cached", "must-revalidate", 500},
			{"must be fresh, if it can be", onWeb + "?cached", "max-age=0, stale-if-error=3600", 200},
			{"blocking", onWeb + "?index=11&wait=1s", "", 500},
			{"default", onWeb, "stale-if-error=3600", 500},
			{"never asked before", "/v1/health/service/x?cached", "stale-if-error=3600", 500},
		} {
			w := p.get(c.target, "Cache-Control", c.control)
			if w.Code != c.status || c.status == 200 && w.Body.String() != body {
				t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			}
		}
		p.lose(nil, false) // a server, but no leader
		p.register(webTwo)
		time.Sleep(2 * time.Minute)
		p.want(onWeb+"?cached&passing", "HIT", p.get(onWeb+"?cached").Header().Get("Age"), "")
		if w := p.get(onWeb + "?index=12&wait=1s"); w.Code != 500 {
			t.Errorf("blocking without a leader: %d %s", w.Code, w.Body)
		}
		p.lose(nil, true)
		time.Sleep(time.Minute)
		p.want(onWeb+"?cached", "HIT", "0", "")
		p.asked()
		again := p.watch(t.Context(), 1, onWeb+"?index=12&wait=1m")
		if got := p.asked(); len(got) != 0 {
			t.Errorf("asked %v", got)
		}
		time.Sleep(2 * time.Minute)
		again.want(t, "nothing changed", "200 12", 1)
	})
}

func TestViewsLiveAsLongAsTheyAreUsed(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		w := p.watch(t.Context(), 1, onWeb+"?index=11&wait=10m")
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if n := p.store.Views(); n != 1 {
			t.Errorf("%d views while somebody waits", n)
		}
		time.Sleep(20 * time.Minute)
		w.want(t, "its time is over", "200 11", 1)
		if n := p.store.Views(); n != 0 {
			t.Errorf("%d views", n)
		}
		p.asked()
		time.Sleep(time.Hour)
		if got := p.asked(); len(got) != 0 {
			t.Errorf("still asked: %v", got)
		}
	})
}

func TestTokensHaveViewsOfTheirOwn(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		p.want(onWeb+"?cached", "MISS", "", "")
		p.want(onWeb+"?cached", "MISS", "", "", "X-Consul-Token", "secret")
		p.want(onWeb+"?cached", "HIT", "0", "", "X-Consul-Token", "secret")
		if n := p.store.Views(); n != 2 {
			t.Errorf("%d views", n)
		}
	})
}

// TestWhoBeginsAViewMisses has a view that is loaded before its first reader
// looks: what it gets was asked for it all the same.
func TestWhoBeginsAViewMisses(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		k := key{kind: services, name: "web"}
		_, here := p.store.begin(k, true, false)
		synctest.Wait()
		_, then := p.store.begin(k, true, false)
		if here || !then {
			t.Errorf("in memory at first: %t, then: %t", here, then)
		}
	})
}

// TestWhatIsToBeConfirmedIsAskedOnce has a view that is loaded before its first
// reader, a watcher, looks: there is no round to interrupt.
func TestWhatIsToBeConfirmedIsAskedOnce(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		p.store.begin(key{kind: services, name: "web"}, true, true)
		if d := cmp.Diff(p.asked(), []string{onWeb + "?stale=", onWeb + "?", onWeb + "?index=11&wait=2m0s"}); d != "" {
			t.Errorf("asked, got - want +:\n%s", d)
		}
	})
}

func TestBytesAreBounded(t *testing.T) {
	inPair(t, func(c *Config, _ *httpapi.Config) { c.MaxBytes = 1500 }, func(t *testing.T, p *pair) {
		for i := range 5 {
			name := fmt.Sprintf("s%d", i)
			p.register(`{"Node":"n1","Address":"10.0.0.1","Service":{"Service":"` + name + `"}}`)
			p.want("/v1/health/service/"+name+"?cached", "MISS", "", "")
		}
		synctest.Wait()
		if n := p.store.Views(); n < 2 || n > 4 || p.store.bytes > 1500 {
			t.Errorf("%d views of %d bytes", n, p.store.bytes)
		}
		// One that grows beyond the bound goes, and its watchers are served.
		w := p.watch(t.Context(), 3, "/v1/health/service/s0?index=11&wait=1m")
		for i := range 9 {
			p.register(fmt.Sprintf(`{"Node":"m%d","Address":"10.0.0.1","Service":{"Service":"s0"}}`, i))
		}
		w.wg.Wait()
	})
}

func TestIndexThatGoesBackWakesWatchers(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, a *api, s *Store) {
		a.change(webPath, web("10.0.0.1"), 10)
		done := make(chan *httpapi.Response, 1)
		go func() {
			resp, err := s.Recall(t.Context(), &httpapi.Request{Path: webPath, Options: query.Options{MinIndex: 10, MaxWait: time.Hour}}, true)
			if err != nil {
				t.Error(err)
			}
			done <- resp
		}()
		synctest.Wait()
		a.change(webPath, web("10.0.0.2"), 3)
		if resp := <-done; resp == nil || resp.Meta.Index != 3 || !strings.Contains(string(resp.Shared.Bytes()), "10.0.0.2") {
			t.Errorf("got %v", resp)
		}
	})
}

func TestWatchersThatGoAway(t *testing.T) {
	inPair(t, nil, func(t *testing.T, p *pair) {
		p.register(webOne)
		ctx, cancel := context.WithCancel(t.Context())
		w := p.watch(ctx, 10, onWeb+"?index=11&wait=10m")
		cancel()
		w.wg.Wait()
		p.store.mu.Lock()
		defer p.store.mu.Unlock()
		for _, e := range p.store.views {
			if n := e.waiting.Load(); n != 0 {
				t.Errorf("%d still wait", n)
			}
		}
	})
}
