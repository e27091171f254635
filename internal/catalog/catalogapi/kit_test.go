package catalogapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// log is the Applier of a cluster of one: what is proposed is applied.
type log struct {
	t  testing.TB
	db *store.DB

	mu    sync.Mutex
	index uint64
}

func (l *log) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	return storetest.TryApply(l.t, l.db, l.index, typ, body)
}

// writable is an open edge whose first write is at index 11.
func writable(t testing.TB) (*catalogapi.API, *store.DB) {
	t.Helper()
	db := storetest.Open(t, catalog.Module())
	a := open(db)
	a.Applier = &log{t: t, db: db, index: 10}
	return a, db
}

func do(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

// register makes each body a registration, the first at index 11.
func register(t testing.TB, mux http.Handler, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if w := do(mux, http.MethodPut, "/v1/catalog/register", body); w.Code != http.StatusOK || w.Body.String() != "true" {
			t.Fatalf("%s: got %d %s", body, w.Code, w.Body)
		}
	}
}

// resolver gives everybody the same rights.
type resolver struct{ authz.Authorizer }

func (r resolver) Resolve(context.Context, string) (authz.Authorizer, error) { return r, nil }
