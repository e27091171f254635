package kvapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/kv/kvapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// single is a cluster of one without a log: what is proposed is applied.
type single struct {
	t      testing.TB
	db     *store.DB
	index  uint64
	writes int
	err    error
}

func (s *single) ReadBarrier(context.Context) error { return nil }
func (s *single) Contact() (bool, time.Duration)    { return true, 0 }
func (s *single) Here(httpapi.Where, string) bool   { return true }
func (s *single) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	return nil, failure.New(failure.NoLeader, failure.TextNoLeader)
}

func (s *single) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.index++
	s.writes++
	return storetest.TryApply(s.t, s.db, s.index, typ, body)
}

// deny refuses everything about keys below "secret".
type deny struct{}

func (deny) Resolve(context.Context, string) (authz.Authorizer, error) { return deny{}, nil }
func (deny) Allow(_ authz.Resource, name string, _ authz.Access) bool {
	return !strings.HasPrefix(name, "secret")
}
func (deny) AllowPrefix(_ authz.Resource, prefix string, _ authz.Access) bool {
	return prefix != "" && !strings.HasPrefix(prefix, "secret")
}

func serve(t testing.TB, auth authz.Resolver) (*single, http.Handler) {
	t.Helper()
	s := &single{t: t, db: storetest.Open(t, kv.Module()), index: 10}
	a := &kvapi.API{Reader: query.New(query.Config{DB: s.db, Freshness: s}), Applier: s, Authz: auth, MaxValueBytes: 32}
	mux, err := httpapi.NewMux(httpapi.Config{Routes: a.Routes(), Dispatcher: s})
	if err != nil {
		t.Fatal(err)
	}
	return s, mux
}

func TestRoutes(t *testing.T) {
	// Before each case: a/1=one (flags 7) at 11, a/2= at 12, b at 13.
	const a1 = `{"LockIndex":0,"Key":"a/1","Flags":7,"Value":"b25l","CreateIndex":11,"ModifyIndex":11}`
	const a2 = `{"LockIndex":0,"Key":"a/2","Flags":0,"Value":null,"CreateIndex":12,"ModifyIndex":12}`
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string
		index                    string
		writes                   int
	}{
		{"get", "GET", "a/1", "", 200, "[" + a1 + "]", "11", 0},
		{"get an empty value", "GET", "a/2", "", 200, "[" + a2 + "]", "12", 0},
		{"get raw", "GET", "a/1?raw", "", 200, "one", "11", 0},
		{"get a missing key", "GET", "nope", "", 404, "", "13", 0},
		{"get an odd missing key", "GET", "%C3%A7%25%20x", "", 404, "", "13", 0},
		{"get no key", "GET", "", "", 400, "Missing key name", "", 0},
		{"recurse", "GET", "a/?recurse", "", 200, "[" + a1 + "," + a2 + "]", "12", 0},
		{"recurse, raw is ignored", "GET", "a/1?recurse&raw", "", 200, "[" + a1 + "]", "11", 0},
		{"recurse below nothing", "GET", "nope?recurse", "", 404, "", "13", 0},
		{"keys", "GET", "?keys", "", 200, `["a/1","a/2","b"]`, "13", 0},
		{"keys cut at a separator", "GET", "?keys&separator=/", "", 200, `["a/","b"]`, "13", 0},
		{"keys, the separator misspelt", "GET", "?keys&seperator=/", "", 200, `["a/","b"]`, "13", 0},
		{"keys below nothing", "GET", "nope?keys", "", 404, "", "13", 0},
		{"put", "PUT", "new?flags=3", "v", 200, "true", "", 1},
		{"put an empty value", "PUT", "new", "", 200, "true", "", 1},
		{"put no key", "PUT", "", "v", 400, "Missing key name", "", 0},
		{"put with bad flags", "PUT", "new?flags=abc", "v", 500, `strconv.ParseUint: parsing "abc": invalid syntax`, "", 0},
		{"put with a bad cas", "PUT", "new?cas=-1", "v", 500, `strconv.ParseUint: parsing "-1": invalid syntax`, "", 0},
		{"put with an empty cas", "PUT", "new?cas=", "v", 500, `strconv.ParseUint: parsing "": invalid syntax`, "", 0},
		{"put cas that fits", "PUT", "a/1?cas=11", "v", 200, "true", "", 1},
		{"put cas that does not", "PUT", "a/1?cas=12", "v", 200, "false", "", 1},
		{"put cas 0 on a key", "PUT", "a/1?cas=0", "v", 200, "false", "", 1},
		{"put cas and acquire", "PUT", "a/1?cas=0&acquire=x", "v", 400, "Conflicting flags: acquire=x&cas=0\n", "", 0},
		{"put to lock with an unknown session", "PUT", "a/1?acquire=x", "v", 500, `raft apply failed: invalid session "x"`, "", 0},
		{"put to lock with no session", "PUT", "a/1?acquire=", "v", 500, "raft apply failed: missing session", "", 0},
		{"put to unlock", "PUT", "a/1?release=x", "v", 200, "false", "", 0},
		{"put the longest value", "PUT", "new", strings.Repeat("x", 32), 200, "true", "", 1},
		{"delete", "DELETE", "a/1", "", 200, "true", "", 1},
		{"delete a missing key", "DELETE", "nope", "", 200, "true", "", 1},
		{"delete no key", "DELETE", "", "", 400, "Missing key name", "", 0},
		{"delete a tree", "DELETE", "a/?recurse", "", 200, "true", "", 1},
		{"delete everything", "DELETE", "?recurse", "", 200, "true", "", 1},
		{"delete cas that does not fit", "DELETE", "a/1?cas=9", "", 200, "false", "", 1},
		{"delete cas and recurse", "DELETE", "a/1?cas=9&recurse", "", 400, "Conflicting flags: cas=9&recurse=\n", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, h := serve(t, authz.Open{})
			for _, seed := range []kv.Change{
				{Op: kv.Set, Key: "a/1", Value: []byte("one"), Flags: 7}, {Op: kv.Set, Key: "a/2"}, {Op: kv.Set, Key: "b"},
			} {
				if _, err := s.Apply(t.Context(), kv.TypeChange, &seed); err != nil {
					t.Fatal(err)
				}
			}
			s.writes = 0
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(c.method, "/v1/kv/"+c.path, strings.NewReader(c.body)))
			if w.Code != c.status || w.Body.String() != c.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.want)
			}
			if got := w.Header().Get("X-Consul-Index"); got != c.index {
				t.Errorf("index %q, want %q", got, c.index)
			}
			if s.writes != c.writes {
				t.Errorf("%d writes, want %d", s.writes, c.writes)
			}
		})
	}
}

func TestValueAboveTheLimit(t *testing.T) {
	s, h := serve(t, authz.Open{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("PUT", "/v1/kv/a", strings.NewReader(strings.Repeat("x", 33))))
	if w.Code != 413 || !strings.Contains(w.Body.String(), "33 bytes") || !strings.Contains(w.Body.String(), "32 bytes") || !strings.Contains(w.Body.String(), "kv_max_value_size") {
		t.Errorf("got %d %q: it must name size, limit and key", w.Code, w.Body)
	}
	if s.writes != 0 {
		t.Error("it was written")
	}
}

func TestRawAnswersAreNoPages(t *testing.T) {
	s, h := serve(t, authz.Open{})
	if _, err := s.Apply(t.Context(), kv.TypeChange, &kv.Change{Op: kv.Set, Key: "a", Value: []byte("<script>")}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/kv/a?raw", nil))
	for k, want := range map[string]string{"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"} {
		if got := w.Header().Get(k); got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
}

func TestAuthorization(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "secret/a", 403, ""},
		{"GET", "secret/a?raw", 403, ""},
		{"GET", "?keys", 200, `["open"]`},
		{"GET", "secret?keys", 404, ""},
		{"GET", "secret?recurse", 404, ""},
		{"PUT", "secret/a", 403, ""},
		{"PUT", "secret/a?cas=0", 403, ""},
		{"DELETE", "secret/a", 403, ""},
		{"DELETE", "secret/?recurse", 403, ""},
		{"DELETE", "?recurse", 403, ""},
		{"DELETE", "open", 200, "true"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			s, h := serve(t, deny{})
			for _, key := range []string{"secret/a", "open"} {
				if _, err := s.Apply(t.Context(), kv.TypeChange, &kv.Change{Op: kv.Set, Key: key, Value: []byte("v")}); err != nil {
					t.Fatal(err)
				}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(c.method, "/v1/kv/"+c.path, nil))
			if w.Code != c.status || c.status < 400 && w.Body.String() != c.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.want)
			}
		})
	}
}

func TestAnUnknownOutcomeIsMarked(t *testing.T) {
	s, h := serve(t, authz.Open{})
	s.err = failure.New(failure.OutcomeUnknown, "leadership was lost")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("PUT", "/v1/kv/a", strings.NewReader("v")))
	if w.Code != 503 || w.Header().Get("X-Ctl-Outcome") != "unknown" {
		t.Errorf("got %d with the mark %q", w.Code, w.Header().Get("X-Ctl-Outcome"))
	}
}

// TestOfficialClient drives every call of the official client's KV part.
func TestOfficialClient(t *testing.T) {
	_, h := serve(t, authz.Open{})
	srv := httptest.NewServer(h)
	defer srv.Close()
	client, err := api.NewClient(&api.Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := client.KV()
	must := func(ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	if _, err := c.Put(&api.KVPair{Key: "a/b ç", Value: []byte{0, 255}, Flags: 9}, nil); err != nil {
		t.Fatal(err)
	}
	p, meta, err := c.Get("a/b ç", nil)
	must(err == nil && string(p.Value) == "\x00\xff" && p.Flags == 9 && meta.LastIndex == p.ModifyIndex && meta.KnownLeader, err)
	ok, _, err := c.CAS(&api.KVPair{Key: "a/b ç", Value: []byte("2"), ModifyIndex: p.ModifyIndex}, nil)
	must(ok, err)
	ok, _, err = c.CAS(&api.KVPair{Key: "a/b ç", Value: []byte("3"), ModifyIndex: p.ModifyIndex}, nil)
	must(!ok, err)
	ok, _, err = c.DeleteCAS(&api.KVPair{Key: "a/b ç", ModifyIndex: p.ModifyIndex}, nil)
	must(!ok, err)
	keys, _, err := c.Keys("a/", "", nil)
	must(len(keys) == 1 && keys[0] == "a/b ç", err)
	list, _, err := c.List("", &api.QueryOptions{RequireConsistent: true})
	must(len(list) == 1, err)
	_, err = c.DeleteTree("a", nil)
	must(true, err)
	p, meta, err = c.Get("a/b ç", &api.QueryOptions{AllowStale: true})
	must(p == nil && meta.LastIndex > 0, err)
}

func TestReaperForgetsOldDeletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &single{t: t, db: storetest.Open(t, kv.Module()), index: 10}
		a := &kvapi.API{Applier: s}
		apply := func(c kv.Change) {
			if _, err := s.Apply(t.Context(), kv.TypeChange, &c); err != nil {
				t.Error(err)
			}
		}
		apply(kv.Change{Op: kv.Set, Key: "a"})
		apply(kv.Change{Op: kv.Delete, Key: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Reaper(s.db, func() uint64 { return s.index }).Run(ctx) }()
		remembered := func() bool {
			synctest.Wait()
			tx, _ := s.db.Read()
			return kv.HasTombstones(tx, 1<<62)
		}
		time.Sleep(14 * time.Minute)
		if !remembered() {
			t.Error("forgotten before its time")
		}
		time.Sleep(2 * time.Minute)
		if remembered() {
			t.Error("still remembered after its time")
		}
		writes := s.writes
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.writes != writes {
			t.Errorf("%d writes although there was nothing to forget", s.writes-writes)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s, h := serve(b, authz.Open{})
	if _, err := s.Apply(b.Context(), kv.TypeChange, &kv.Change{Op: kv.Set, Key: "key", Value: make([]byte, 128)}); err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest("GET", "/v1/kv/key", nil)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, req)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d *discard) WriteHeader(int)             {}
