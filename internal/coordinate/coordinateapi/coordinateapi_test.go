package coordinateapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/coordinate/coordinateapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a cluster of one server with the nodes n0 to n9.
type site struct {
	t   testing.TB
	db  *store.DB
	api *coordinateapi.API
	mux http.Handler

	mu      sync.Mutex
	index   uint64
	batches []int // entries of each update that was applied
	refuse  error // what Apply answers instead
}

// Apply is the log of a cluster of one: what is proposed is applied.
func (s *site) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.index++
	s.batches = append(s.batches, len(body.(*coordinate.Update).Entries))
	return storetest.TryApply(s.t, s.db, s.index, typ, body)
}

func (s *site) written() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int{}, s.batches...)
}

// everywhere is the Dispatcher of the only server there is.
type everywhere struct{}

func (everywhere) Here(httpapi.Where, string) bool { return true }
func (everywhere) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	panic("nothing is elsewhere")
}

// leading is the query.Freshness of a leader.
type leading struct{}

func (leading) ReadBarrier(context.Context) error { return nil }
func (leading) Contact() (bool, time.Duration)    { return true, 0 }

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, db: storetest.Open(t, catalog.Module(), coordinate.Module())}
	for i := range 10 {
		s.index++
		storetest.Apply(t, s.db, s.index, catalog.TypeRegister, &catalog.Registration{Node: catalog.Node{Node: fmt.Sprint("n", i), Address: "10.0.0.1"}})
	}
	s.api = &coordinateapi.API{
		Reader: query.New(query.Config{DB: s.db, Freshness: leading{}}), Applier: s, Authz: authz.Open{},
		Datacenters: func() []coordinateapi.Datacenter { return nil },
	}
	s.serve()
	return s
}

func (s *site) serve() {
	m, err := httpapi.NewMux(httpapi.Config{Routes: s.api.Routes(), Dispatcher: everywhere{}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.mux = m
}

// lead runs the writer until the returned stop is called.
func (s *site) lead() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.api.Writer(s.db).Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the writer ended with %v", err)
		}
	}
}

func (s *site) do(method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func body(node string, x float64) string {
	return fmt.Sprintf(`{"Node":%q,"Coord":{"Vec":[%g,0,0,0,0,0,0,0],"Error":0.5,"Adjustment":0.001,"Height":0.002}}`, node, x)
}

// tell sends an update, which must be taken.
func (s *site) tell(node string, x float64) {
	s.t.Helper()
	if w := s.do("PUT", "/v1/coordinate/update", body(node, x)); w.Code != 200 || w.Body.Len() != 0 {
		s.t.Errorf("%s: got %d %s", node, w.Code, w.Body)
	}
}

func entry(node string, x float64) string {
	return fmt.Sprintf(`{"Node":%q,"Segment":"","Coord":{"Vec":[%g,0,0,0,0,0,0,0],"Error":0.5,"Adjustment":0.001,"Height":0.002}}`, node, x)
}

func TestUpdatesAreReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.lead()()
		s.tell("n2", 3)
		s.tell("N1", 1)
		s.tell("nobody", 1)
		s.tell("n2", 2)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range []struct {
			name, target string
			status       int
			index, body  string
		}{
			{"all", "/v1/coordinate/nodes", 200, "11", "[" + entry("n1", 1) + "," + entry("n2", 2) + "]"},
			{"all of the segment", "/v1/coordinate/nodes?segment=", 200, "11", "[" + entry("n1", 1) + "," + entry("n2", 2) + "]"},
			{"all of another segment", "/v1/coordinate/nodes?segment=x", 200, "11", "[]"},
			{"one", "/v1/coordinate/node/n2", 200, "11", "[" + entry("n2", 2) + "]"},
			{"one in another case", "/v1/coordinate/node/N2", 200, "11", "[" + entry("n2", 2) + "]"},
			{"one without", "/v1/coordinate/node/n3", 404, "11", ""},
			{"one in another segment", "/v1/coordinate/node/n2?segment=x", 404, "11", ""},
			{"an unknown one", "/v1/coordinate/node/nobody", 404, "11", ""},
			{"none", "/v1/coordinate/node/", 400, "", "Missing node name"},
			{"datacenters", "/v1/coordinate/datacenters", 200, "", "[]"},
		} {
			w := s.do("GET", c.target, "")
			if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("X-Consul-Index") != c.index {
				t.Errorf("%s: got %d, index %s, %s", c.name, w.Code, w.Header().Get("X-Consul-Index"), w.Body)
			}
			if got := w.Header().Get("X-Consul-Effective-Consistency"); got != "" {
				t.Errorf("%s: it names a consistency: %s", c.name, got)
			}
		}
	})
}

func TestBadUpdatesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.lead()()
		for _, c := range []struct {
			body   string
			status int
			want   string
		}{
			{``, 400, "Request decode failed: EOF"},
			{`{"Node":"n1"}`, 400, "Missing coordinate of node n1: give Coord with Vec, Error, Adjustment and Height"},
			{`{"Node":"n1","Coord":null}`, 400, "Missing coordinate of node n1: give Coord with Vec, Error, Adjustment and Height"},
			{body("", 1), 400, "Missing node name"},
			{`{"Node":"n1","Coord":{"Vec":[1,2,3]}}`, 500, "node n1: invalid coordinate: Vec has 3 dimensions, want 8"},
			{`{"Node":"n1","Coord":{"Vec":[1e999,0,0,0,0,0,0,0]}}`, 400, "Request decode failed: json: cannot unmarshal number 1e999"},
			{`{"Node":"n1","Coord":{"Vec":[0,0,0,0,0,0,0,0],"Depth":1}}`, 400, `Request decode failed: json: unknown field "Depth"`},
			{`{"Node":"n1","Place":1}`, 400, `Request decode failed: json: unknown field "Place"`},
			{`{"Node":1}`, 400, "Request decode failed: json: cannot unmarshal number"},
		} {
			if w := s.do("PUT", "/v1/coordinate/update", c.body); w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.want) {
				t.Errorf("%s: got %d %s, want %d %s", c.body, w.Code, w.Body, c.status, c.want)
			}
		}
		time.Sleep(time.Minute)
		if got := s.written(); len(got) != 0 {
			t.Errorf("written: %v", got)
		}
	})
}

func TestUpdatesShareFewLogEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for i := 10; i < 800; i++ {
			s.index++
			storetest.Apply(t, s.db, s.index, catalog.TypeRegister, &catalog.Registration{Node: catalog.Node{Node: fmt.Sprint("n", i), Address: "10.0.0.1"}})
		}
		defer s.lead()()
		refused := 0
		for i := range 700 {
			if w := s.do("PUT", "/v1/coordinate/update", body(fmt.Sprint("n", i), 1)); w.Code == http.StatusTooManyRequests {
				refused++
			}
		}
		s.tell("n0", 2) // one that waits can still be replaced
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if got := fmt.Sprint(s.written()); got != "[128 128 128 128 128]" || refused != 60 {
			t.Errorf("batches %s, %d refused", got, refused)
		}
		s.tell("n700", 1)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := len(s.written()); got != 5 {
			t.Errorf("%d batches: the next round came too early", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := s.written(); len(got) != 6 || got[5] != 1 {
			t.Errorf("batches %v: the next round did not come", got)
		}
	})
}

func TestNothingIsWrittenWhenNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.lead()()
		s.tell("n1", 1)
		time.Sleep(time.Minute)
		for range 40 {
			s.tell("n1", 1)
			s.tell("nobody", 1)
			time.Sleep(15 * time.Second)
		}
		if got := s.written(); len(got) != 1 {
			t.Errorf("written %v", got)
		}
	})
}

func TestUpdatesBelongToOneLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		if w := s.do("PUT", "/v1/coordinate/update", body("n1", 1)); w.Code != 500 || w.Body.String() != failure.TextNoLeader {
			t.Errorf("before anybody leads: %d %s", w.Code, w.Body)
		}
		stop := s.lead()
		s.tell("n1", 1)
		stop()
		if w := s.do("PUT", "/v1/coordinate/update", body("n1", 1)); w.Code != 500 {
			t.Errorf("after the end of leadership: %d %s", w.Code, w.Body)
		}
		defer s.lead()()
		s.tell("n2", 2)
		time.Sleep(time.Minute)
		if w := s.do("GET", "/v1/coordinate/nodes", ""); w.Body.String() != "["+entry("n2", 2)+"]" {
			t.Errorf("the next leadership wrote what the last was told: %s", w.Body)
		}
	})
}

func TestWhatIsNotWrittenKeepsNothingElseFromIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.lead()()
		s.refuse = failure.New(failure.OutcomeUnknown, "nobody knows")
		s.tell("n1", 1)
		time.Sleep(time.Second)
		synctest.Wait()
		s.mu.Lock()
		s.refuse = nil
		s.mu.Unlock()
		s.tell("n2", 2)
		time.Sleep(time.Minute)
		if w := s.do("GET", "/v1/coordinate/nodes", ""); w.Body.String() != "["+entry("n2", 2)+"]" {
			t.Errorf("got %s", w.Body)
		}
	})
}

func TestBlockingReads(t *testing.T) {
	for _, c := range []struct {
		name, target string
		tell         string
		wakes        bool
	}{
		{"all, one moves", "/v1/coordinate/nodes", "n2", true},
		{"a node, it moves", "/v1/coordinate/node/n1", "n1", true},
		{"a node, another moves", "/v1/coordinate/node/n1", "n2", false},
		{"a node without, it gets one", "/v1/coordinate/node/n3", "n3", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				defer s.lead()()
				s.tell("n1", 1)
				time.Sleep(10 * time.Second)
				began := time.Now()
				done := make(chan time.Duration, 1)
				go func() {
					s.do("GET", c.target+"?index=11&wait=1m", "")
					done <- time.Since(began)
				}()
				synctest.Wait()
				s.tell(c.tell, 5)
				if took := <-done; (took < time.Minute) != c.wakes {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// readable lets everybody read nodes whose name is that of the test, and write
// none.
type readable string

func (r readable) Resolve(context.Context, string) (authz.Authorizer, error) { return r, nil }
func (r readable) Allow(res authz.Resource, name string, a authz.Access) bool {
	return res == authz.Node && name == string(r) && a == authz.Read
}
func (readable) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestRightsAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		stop := s.lead()
		s.tell("n1", 1)
		s.tell("n2", 2)
		time.Sleep(time.Second)
		stop()
		s.api.Authz = readable("n2")
		defer s.lead()()
		if w := s.do("GET", "/v1/coordinate/nodes", ""); w.Body.String() != "["+entry("n2", 2)+"]" {
			t.Errorf("all: %s", w.Body)
		}
		if w := s.do("GET", "/v1/coordinate/node/n1", ""); w.Code != 404 || w.Body.Len() != 0 {
			t.Errorf("a hidden node: %d %s", w.Code, w.Body)
		}
		if w := s.do("PUT", "/v1/coordinate/update", body("n2", 1)); w.Code != 403 {
			t.Errorf("an update: %d %s", w.Code, w.Body)
		}
	})
}

func TestDisabled(t *testing.T) {
	s := newSite(t)
	s.api.Disabled = true
	s.serve()
	for _, r := range s.api.Routes() {
		if r.Where != httpapi.Local {
			t.Errorf("%s is not answered by the agent that was asked", r.Pattern)
		}
		w := s.do(r.Method, strings.Replace(r.Pattern, "{node}", "n1", 1), body("n1", 1))
		if w.Code != 401 || w.Body.String() != "Coordinate support disabled" {
			t.Errorf("%s: got %d %s", r.Pattern, w.Code, w.Body)
		}
	}
}
