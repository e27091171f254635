package catalogapi_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// counting is a Reader that counts how often reads are evaluated, by the path
// that is watched; those of nobody who watches are not counted.
type counting struct {
	catalogapi.Reader
	mu        sync.Mutex
	evaluated map[string]int
}

// watched is where the context of a request has its path.
type watched struct{}

func (c *counting) Read(ctx context.Context, o query.Options, read query.ReadFunc) (query.Meta, error) {
	path, isWatch := ctx.Value(watched{}).(string)
	return c.Reader.Read(ctx, o, func(ws store.WatchSet, tx *store.Txn) (query.Result, error) {
		if isWatch {
			c.mu.Lock()
			c.evaluated[path]++
			c.mu.Unlock()
		}
		return read(ws, tx)
	})
}

// take returns how often each was evaluated since it was last called.
func (c *counting) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.evaluated
	c.evaluated = map[string]int{}
	return out
}

// watchers are blocking requests that are answered once each.
type watchers struct {
	wg       sync.WaitGroup
	mu       sync.Mutex
	answered map[string]string // the index each was answered with
}

func (w *watchers) watch(ctx context.Context, h http.Handler, path, index string) {
	ctx = context.WithValue(ctx, watched{}, path)
	w.wg.Go(func() {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, path+"?wait=10m&index="+index, nil))
		w.mu.Lock()
		defer w.mu.Unlock()
		if ctx.Err() == nil {
			w.answered[path] = rec.Header().Get("X-Consul-Index")
		}
	})
}

// take returns who was answered since it was last called.
func (w *watchers) take() map[string]string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.answered
	w.answered = map[string]string{}
	return out
}

// TestExactlyTheWatchersOfAChange has a thousand services of three instances,
// and a watcher of each.
func TestExactlyTheWatchersOfAChange(t *testing.T) {
	const services, nodes = 1000, 30
	synctest.Test(t, func(t *testing.T) {
		a, _ := writable(t)
		reader := &counting{Reader: a.Reader, evaluated: map[string]int{}}
		a.Reader = reader
		mux := newMux(t, a)
		for i := range nodes {
			register(t, mux, fmt.Sprintf(`{"Node":"n%d","Address":"10.0.0.%d"}`, i, i))
		}
		for i := range services {
			for j := range 3 {
				register(t, mux, fmt.Sprintf(`{"Node":"n%d","SkipNodeUpdate":true,"Service":{"Service":"s%d"},"Check":{"CheckID":"s%d","ServiceID":"s%d","Status":"passing"}}`, (i+j)%nodes, i, i, i))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &watchers{answered: map[string]string{}}
		of := func(i int) string { return fmt.Sprintf("/v1/health/service/s%d", i) }
		for i := range services {
			w.watch(ctx, mux, of(i), "99999")
		}
		others := []string{"/v1/health/state/any", "/v1/catalog/services", "/v1/catalog/node/n0", "/v1/catalog/node/n1", "/v1/health/node/n0", "/v1/health/node/n1", "/v1/health/checks/s30", "/v1/catalog/service/s31", "/v1/catalog/nodes", "/v1/ctl/services"}
		for _, path := range others {
			w.watch(ctx, mux, path, "99999")
		}
		synctest.Wait()
		// Services with an instance on n1.
		var onN1 []string
		for i := range services {
			if (nodes+1-i%nodes)%nodes < 3 {
				onN1 = append(onN1, of(i))
			}
		}
		// They wait for an index nothing has, so that each evaluates anew
		// with every change that concerns it and none is answered.
		reader.take()
		for _, c := range []struct {
			name, body string
			wakes      []string // these once, and nobody else
		}{
			{"a check of an instance", `{"Node":"n0","SkipNodeUpdate":true,"Check":{"CheckID":"s30","ServiceID":"s30","Status":"critical"}}`,
				[]string{of(30), "/v1/health/state/any", "/v1/health/node/n0", "/v1/health/checks/s30", "/v1/ctl/services"}},
			{"the same again", `{"Node":"n0","SkipNodeUpdate":true,"Check":{"CheckID":"s30","ServiceID":"s30","Status":"critical"}}`, nil},
			{"an instance", `{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"s31","Port":1}}`,
				[]string{of(31), "/v1/catalog/service/s31", "/v1/catalog/services", "/v1/catalog/node/n1", "/v1/ctl/services"}},
			{"a check of a node", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"disk","Status":"passing"}}`,
				append(onN1, "/v1/health/state/any", "/v1/health/node/n1", "/v1/health/checks/s30", "/v1/catalog/service/s31", "/v1/ctl/services")},
		} {
			if rec := do(mux, http.MethodPut, "/v1/catalog/register", c.body); rec.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", c.name, rec.Code, rec.Body)
			}
			if answered := w.take(); len(answered) != 0 {
				t.Errorf("%s: answered %v", c.name, answered)
			}
			want := map[string]int{}
			for _, path := range c.wakes {
				want[path] = 1
			}
			if got := reader.take(); !maps.Equal(got, want) {
				t.Errorf("%s: evaluated %v, want %v", c.name, got, want)
			}
		}
		// And those who wait for less are answered, once each.
		cancel()
		w.wg.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		index := do(mux, http.MethodGet, "/v1/catalog/nodes", "").Header().Get("X-Consul-Index")
		if highest := do(mux, http.MethodGet, "/v1/health/state/any", "").Header().Get("X-Consul-Index"); len(highest) > len(index) || len(highest) == len(index) && highest > index {
			index = highest
		}
		for i := range services {
			w.watch(ctx, mux, of(i), index)
		}
		w.watch(ctx, mux, "/v1/health/state/any", index)
		if answered := w.take(); len(answered) != 0 {
			t.Fatalf("answered before anything happened: %v", answered)
		}
		register(t, mux, `{"Node":"n20","SkipNodeUpdate":true,"Check":{"CheckID":"s500","ServiceID":"s500","Status":"critical"}}`)
		if answered := w.take(); len(answered) != 2 || answered[of(500)] == "" || answered["/v1/health/state/any"] == "" {
			t.Errorf("answered %v, want the watchers of s500 and of all checks", answered)
		}
		cancel()
		w.wg.Wait()
	})
}

// TestWatchersAreAnswered changes what each watches and looks at who answers.
func TestWatchersAreAnswered(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		want             []string
	}{
		{"a check of an instance", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"tcp","ServiceID":"web-1","Status":"critical"}}`,
			[]string{"/v1/health/service/web", "/v1/health/checks/web", "/v1/catalog/service/web", "/v1/health/node/n1", "/v1/health/state/any"}},
		{"a check of a node", "register", `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"ping","Status":"critical"}}`,
			[]string{"/v1/health/service/web", "/v1/health/checks/web", "/v1/catalog/service/web", "/v1/health/node/n1", "/v1/health/state/any", "/v1/health/connect/web"}},
		{"a service elsewhere", "register", `{"Node":"n3","SkipNodeUpdate":true,"Service":{"Service":"new"}}`,
			[]string{"/v1/catalog/services", "/v1/health/service/new", "/v1/catalog/node/n3"}},
		{"a node elsewhere", "register", `{"Node":"n4","Address":"10.0.0.4"}`, []string{"/v1/catalog/nodes"}},
		{"the last instance", "deregister", `{"Node":"n3","ServiceID":"db"}`,
			[]string{"/v1/catalog/services", "/v1/health/service/db", "/v1/catalog/node/n3"}},
		{"the last check", "deregister", `{"Node":"n2","CheckID":"tcp"}`,
			[]string{"/v1/health/service/web", "/v1/health/checks/web", "/v1/catalog/service/web", "/v1/health/state/any"}},
		{"the proxy", "deregister", `{"Node":"n1","ServiceID":"web-1-proxy"}`, []string{"/v1/catalog/services", "/v1/health/connect/web"}},
		{"a node with all on it", "deregister", `{"Node":"n3"}`,
			[]string{"/v1/catalog/nodes", "/v1/catalog/services", "/v1/health/service/db", "/v1/catalog/node/n3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := writable(t)
				mux := newMux(t, a)
				register(t, mux, mesh...)
				ctx, cancel := context.WithCancel(t.Context())
				w := &watchers{answered: map[string]string{}}
				for _, path := range []string{
					"/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web", "/v1/catalog/node/n3", "/v1/health/node/n1",
					"/v1/health/service/web", "/v1/health/service/db", "/v1/health/service/new", "/v1/health/connect/web", "/v1/health/checks/web", "/v1/health/state/any",
				} {
					w.watch(ctx, mux, path, do(mux, http.MethodGet, path, "").Header().Get("X-Consul-Index"))
				}
				if early := w.take(); len(early) != 0 {
					t.Errorf("answered before anything happened: %v", early)
				}
				if rec := do(mux, http.MethodPut, "/v1/catalog/"+c.path, c.body); rec.Code != http.StatusOK {
					t.Fatalf("%d %s", rec.Code, rec.Body)
				}
				got := w.take()
				for _, path := range c.want {
					if got[path] != "15" {
						t.Errorf("%s was answered with index %q, want 15", path, got[path])
					}
					delete(got, path)
				}
				for path, index := range got {
					t.Errorf("%s was woken with index %s", path, index)
				}
				cancel()
				w.wg.Wait()
			})
		})
	}
}

// TestIdleWatcherOfNothing waits for a service that never comes, while others
// come and go.
func TestIdleWatcherOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := writable(t)
		mux := newMux(t, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := &watchers{answered: map[string]string{}}
		w.watch(ctx, mux, "/v1/health/service/never", "1")
		synctest.Wait()
		register(t, mux, mesh...)
		for _, body := range []string{`{"Node":"n3"}`, `{"Node":"n1"}`} {
			do(mux, http.MethodPut, "/v1/catalog/deregister", body)
			if got := w.take(); len(got) != 0 {
				t.Errorf("answered %v", got)
			}
		}
		cancel()
		w.wg.Wait()
	})
}
