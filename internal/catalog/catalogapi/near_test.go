package catalogapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// spread is a state of n nodes, each with a connect proxy "web" that has a check
// of its own, and the distances of n1 to n4: n1 to n4 are 3, 1, 2 and 0 ms from
// the middle; the others have no coordinate.
func spread(t testing.TB, n int) *store.DB {
	t.Helper()
	db := storetest.Open(t, catalog.Module(), coordinate.Module())
	for i := 1; i <= n; i++ {
		storetest.Apply(t, db, uint64(i), catalog.TypeRegister, &catalog.Registration{
			Node:    catalog.Node{Node: fmt.Sprint("n", i), Address: "10.0.0.1"},
			Service: &catalog.Service{ID: "web", Service: "web", ConnectNative: true},
			Checks:  []*catalog.Check{{CheckID: "c", Name: "c", ServiceID: "web", Status: catalog.Passing}},
		})
	}
	update := &coordinate.Update{}
	for i, ms := range []float64{3, 1, 2, 0} {
		update.Entries = append(update.Entries, &coordinate.Entry{Node: fmt.Sprint("n", i+1), Coord: place(ms)})
	}
	storetest.Apply(t, db, uint64(n+1), coordinate.TypeUpdate, update)
	return db
}

func place(ms float64) coordinate.Coordinate {
	return coordinate.Coordinate{Vec: []float64{ms / 1000, 0, 0, 0, 0, 0, 0, 0}, Height: 1e-5}
}

// muxOf is the mux of the agent on a node.
func muxOf(t testing.TB, db *store.DB, node string) *httpapi.Mux {
	t.Helper()
	m, err := httpapi.NewMux(httpapi.Config{Routes: open(db).Routes(), Dispatcher: server{}, NodeName: node})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// order returns the nodes of the rows of an answer.
func order(t testing.TB, mux http.Handler, target string) string {
	t.Helper()
	w := do(mux, http.MethodGet, target, "")
	var rows []struct{ Node json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &rows); err != nil || w.Code != 200 {
		t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	var names []string
	for _, r := range rows {
		var name string
		if json.Unmarshal(r.Node, &name) != nil {
			var inside struct{ Node string }
			if err := json.Unmarshal(r.Node, &inside); err != nil {
				t.Fatal(err)
			}
			name = inside.Node
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestNearSorts(t *testing.T) {
	mux := muxOf(t, spread(t, 6), "n3")
	for _, route := range []string{
		"/v1/catalog/nodes", "/v1/catalog/service/web", "/v1/catalog/connect/web",
		"/v1/health/service/web", "/v1/health/connect/web", "/v1/health/checks/web", "/v1/health/state/any", "/v1/health/state/passing",
	} {
		for _, c := range []struct{ name, near, want string }{
			{"not asked", "", "n1 n2 n3 n4 n5 n6"},
			{"by nothing", "near=", "n1 n2 n3 n4 n5 n6"},
			{"by a node, those without a coordinate last", "near=n4", "n4 n2 n3 n1 n5 n6"},
			{"by a node in another case", "near=N1", "n1 n3 n2 n4 n5 n6"},
			{"by the agent; the same distance as they were", "near=_agent", "n3 n1 n2 n4 n5 n6"},
			{"by a node without a coordinate", "near=n5", "n1 n2 n3 n4 n5 n6"},
			{"by an unknown node", "near=nobody", "n1 n2 n3 n4 n5 n6"},
			{"with a filter", `near=n4&filter=Node+matches+".*[1-4]"`, "n4 n2 n3 n1"},
		} {
			if strings.HasPrefix(route, "/v1/health/service") || strings.HasPrefix(route, "/v1/health/connect") {
				c.near = strings.Replace(c.near, "filter=Node+", "filter=Node.Node+", 1)
			}
			t.Run(route+" "+c.name, func(t *testing.T) {
				if got := order(t, mux, route+"?"+c.near); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		}
	}
}

// TestNearTheAgentThatWasAsked hands requests on, as a client agent does.
func TestNearTheAgentThatWasAsked(t *testing.T) {
	mux := muxOf(t, spread(t, 4), "n3")
	for _, c := range []struct {
		name string
		do   func(*httpapi.WireRequest) *httpapi.WireResponse
		req  httpapi.WireRequest
		want string
	}{
		{"for another agent", nil, httpapi.WireRequest{Agent: "n1", Hops: 1}, "n1 n3 n2 n4"},
		{"for an agent that does not say who it is", nil, httpapi.WireRequest{Hops: 1}, "n1 n2 n3 n4"},
		{"for itself", func(r *httpapi.WireRequest) *httpapi.WireResponse { return mux.Do(t.Context(), r) }, httpapi.WireRequest{}, "n3 n1 n2 n4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.req.Method, c.req.Path, c.req.RawQuery = "GET", "/v1/catalog/nodes", "near=_agent"
			do := c.do
			if do == nil {
				do = func(r *httpapi.WireRequest) *httpapi.WireResponse { return mux.ServeWire(t.Context(), r) }
			}
			answered := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				resp := do(&c.req)
				w.WriteHeader(resp.Status)
				_, _ = w.Write(resp.Body)
			})
			if got := order(t, answered, "/"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestCoordinatesWakeNobodyWhoWaitsForSomethingElse(t *testing.T) {
	for _, target := range []string{"/v1/catalog/nodes", "/v1/health/service/web", "/v1/health/state/any", "/v1/catalog/service/web"} {
		synctest.Test(t, func(t *testing.T) {
			db := spread(t, 4)
			mux := muxOf(t, db, "n4")
			answered := make(chan *httptest.ResponseRecorder, 1)
			began := time.Now()
			go func() { answered <- do(mux, http.MethodGet, target+"?index=4&wait=1m&near=_agent", "") }()
			synctest.Wait()
			storetest.Apply(t, db, 9, coordinate.TypeUpdate, &coordinate.Update{Entries: []*coordinate.Entry{{Node: "n2", Coord: place(9)}}})
			w := <-answered
			if took := time.Since(began); took < time.Minute || w.Header().Get("X-Consul-Index") != "4" {
				t.Errorf("%s: after %v, index %s", target, took, w.Header().Get("X-Consul-Index"))
			}
			if got := order(t, mux, target+"?near=_agent"); got != "n4 n3 n1 n2" {
				t.Errorf("%s: asked anew, the answer is %s", target, got)
			}
		})
	}
}

func BenchmarkHealth100(b *testing.B) {
	mux := muxOf(b, spread(b, 100), "n4")
	for _, query := range []string{"", "?near=_agent"} {
		b.Run("health"+query, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := do(mux, http.MethodGet, "/v1/health/service/web"+query, ""); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
