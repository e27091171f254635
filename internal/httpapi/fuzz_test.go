package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzTarget feeds any path and query to the engine, directly and forwarded:
// it must not panic, must not redirect away, must hand a key on byte for byte,
// and both ways must answer alike.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"/v1/kv/a?index=1&wait=2s", "/v1/kv//a//b", "/v1/kv/%2F%00%ff%25?recurse", "/v1//kv/../x", "//e.example/\\..//", "/v1/session/info/a%2Fb",
		"/v1/query/a/execute?stale&max_stale=1h", "/v1/echo?ns=default&token=x&pretty", "/v1/kv", "/", "/%2e%2e//", "/v1/kv/a b\\", "/v1/kv/?a;b&c=%zz",
	} {
		f.Add(s)
	}
	var key string
	routes := sampleRoutes()
	routes[0].Handle = func(_ context.Context, r *Request) (*Response, error) {
		key = r.PathValue("key")
		return &Response{Raw: []byte(key), ContentType: "text/plain"}, nil
	}
	direct := newMux(f, Config{Routes: routes, AllowUnprintable: true})
	forwarded := newMux(f, Config{Routes: routes, AllowUnprintable: true, Dispatcher: nowhere{direct}})
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil || !strings.HasPrefix(uri, "/") {
			return // net/http answers these itself
		}
		answer := func(m *Mux) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			m.ServeHTTP(w, &http.Request{Method: "GET", URL: u, Header: http.Header{}, RemoteAddr: "10.0.0.1:1"})
			return w
		}
		a := answer(direct)
		if rest, ok := strings.CutPrefix(u.Path, "/v1/kv/"); ok && a.Code == 200 && key != rest {
			t.Errorf("%q: the handler got key %q, want %q", uri, key, rest)
		}
		if to := a.Header().Get("Location"); strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`) || to != "" && to[0] != '/' {
			t.Errorf("%q redirects to %q", uri, to)
		}
		b := answer(forwarded)
		if a.Code != b.Code || !bytes.Equal(a.Body.Bytes(), b.Body.Bytes()) {
			t.Errorf("%q: direct %d %q, forwarded %d %q", uri, a.Code, a.Body, b.Code, b.Body)
		}
	})
}

// FuzzWireRequest feeds any bytes as a request another agent sent.
func FuzzWireRequest(f *testing.F) {
	for _, r := range []WireRequest{
		{Method: "GET", Path: "/v1/kv/a%2Fb", RawQuery: "pretty", Header: "Accept: x\nA\n: \n", Hops: 1},
		{Method: "PUT", Path: "/v1/kv/a", Body: []byte("x"), Token: "t", Hops: 255},
		{Method: "", Path: "%zz"},
	} {
		b, err := r.MarshalMsg(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	m := newMux(f, Config{Routes: sampleRoutes()})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r WireRequest
		if _, err := r.UnmarshalMsg(b); err != nil {
			return
		}
		resp := m.ServeWire(t.Context(), &r)
		if resp.Status < 200 || resp.Status > 599 {
			t.Errorf("%+v: status %d", r, resp.Status)
		}
		if out, err := resp.MarshalMsg(nil); err != nil || len(out) == 0 {
			t.Errorf("%+v: %v", r, err)
		}
	})
}
