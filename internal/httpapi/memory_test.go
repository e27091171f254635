package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/failure"
)

// memory answers what it is told to.
type memory struct {
	recalled, rescued *Response
	err               error
	asked             []bool // elsewhere, of each request
}

func (m *memory) Recall(_ context.Context, _ *Request, elsewhere bool) (*Response, error) {
	m.asked = append(m.asked, elsewhere)
	return m.recalled, m.err
}

func (m *memory) Rescue(*Request) *Response { return m.rescued }

// far is a Dispatcher of an agent from which everything is elsewhere.
type far struct{ err error }

func (far) Here(w Where, _ string) bool { return w == Local }
func (f far) Forward(context.Context, Where, string, *WireRequest) (*WireResponse, error) {
	return &WireResponse{Status: 200, Header: "Content-Type: application/json\n", Body: []byte("far")}, f.err
}

func TestMemory(t *testing.T) {
	kept := &Response{Raw: []byte("kept"), Header: Hit("7")}
	lost := failure.New(failure.Unavailable, "lost")
	for _, c := range []struct {
		name, target, control string
		memory                memory
		dispatcher            Dispatcher
		asked                 int
		status                int
		body, cache           string
	}{
		{name: "a default read is not asked of memory", target: "/v1/a", memory: memory{recalled: kept}, dispatcher: far{}, status: 200, body: "far"},
		{name: "a blocking read that is elsewhere", target: "/v1/a?index=1", memory: memory{recalled: &Response{Raw: []byte("kept")}}, dispatcher: far{}, asked: 1, status: 200, body: "kept"},
		{name: "a blocking read that is here", target: "/v1/a?index=1", memory: memory{recalled: kept}, dispatcher: everywhere{}, status: 200, body: "here"},
		{name: "cached", target: "/v1/a?cached", memory: memory{recalled: kept}, dispatcher: everywhere{}, asked: 1, status: 200, body: "kept", cache: "HIT 7"},
		{name: "cached, but memory cannot", target: "/v1/a?cached", dispatcher: far{}, asked: 1, status: 200, body: "far", cache: "MISS "},
		{name: "a route that is never kept", target: "/v1/b?cached", memory: memory{recalled: kept}, dispatcher: far{}, status: 200, body: "far"},
		{name: "a wait that ends with its client", target: "/v1/a?index=1", memory: memory{err: context.Canceled}, dispatcher: far{}, asked: 1, status: 500, body: "context canceled"},
		{name: "nobody can answer, and an old answer will do", target: "/v1/a?cached", control: "stale-if-error=9", memory: memory{rescued: kept}, dispatcher: far{lost}, asked: 1, status: 200, body: "kept", cache: "HIT 7"},
		{name: "nobody can answer, and there is no old answer", target: "/v1/a?cached", control: "stale-if-error=9", dispatcher: far{lost}, asked: 1, status: 500, body: "lost", cache: "MISS "},
		{name: "nobody can answer, and an old answer will not do", target: "/v1/a?cached", memory: memory{rescued: kept}, dispatcher: far{lost}, asked: 1, status: 500, body: "lost", cache: "MISS "},
		{name: "a refusal is no lack of an answer", target: "/v1/a?cached", control: "stale-if-error=9", memory: memory{rescued: kept}, dispatcher: far{failure.New(failure.PermissionDenied, "no")}, asked: 1, status: 403, body: "no", cache: "MISS "},
	} {
		t.Run(c.name, func(t *testing.T) {
			here := func(context.Context, *Request) (*Response, error) { return &Response{Raw: []byte("here")}, nil }
			m := newMux(t, Config{Memory: &c.memory, Dispatcher: c.dispatcher, Routes: []Route{
				{Method: "GET", Pattern: "/v1/a", Where: Server, Kept: true, Handle: here},
				{Method: "GET", Pattern: "/v1/b", Where: Server, Handle: here},
			}})
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			if c.control != "" {
				r.Header.Set("Cache-Control", c.control)
			}
			w := httptest.NewRecorder()
			m.ServeHTTP(w, r)
			cache := ""
			if x := w.Header().Get("X-Cache"); x != "" {
				cache = x + " " + w.Header().Get("Age")
			}
			if w.Code != c.status || w.Body.String() != c.body || cache != c.cache || len(c.memory.asked) != c.asked {
				t.Errorf("got %d %s, cache %q, memory asked %d times; want %d %s, %q, %d", w.Code, w.Body, cache, len(c.memory.asked), c.status, c.body, c.cache, c.asked)
			}
			if m.Blocking() != 0 {
				t.Errorf("%d blocking reads are counted", m.Blocking())
			}
			if own := m.Do(t.Context(), &WireRequest{Method: "GET", Path: "/v1/a", RawQuery: "cached"}); string(own.Body) == "kept" {
				t.Error("memory answers itself")
			}
		})
	}
}

func TestSharedBodyIsCompressedOnce(t *testing.T) {
	body := []byte(`"` + strings.Repeat("abc ", 1000) + `"`)
	shared := NewShared(body)
	m := newMux(t, Config{Routes: []Route{{Method: "GET", Pattern: "/v1/a", Handle: func(context.Context, *Request) (*Response, error) {
		return &Response{Shared: shared}, nil
	}}}})
	ask := func(encoding, query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/v1/a"+query, nil)
		r.Header.Set("Accept-Encoding", encoding)
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		return w
	}
	if w := ask("identity", ""); !bytes.Equal(w.Body.Bytes(), body) || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("as it is: %v", w.Header())
	}
	var first *[]byte
	for range 2 {
		w := ask("gzip", "")
		zr, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(zr); err != nil || !bytes.Equal(got, body) || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("compressed: %v, %v", err, w.Header())
		}
		if first != nil && shared.gzip.Load() != first {
			t.Error("compressed again")
		}
		first = shared.gzip.Load()
	}
	w := ask("gzip", "?pretty")
	zr, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(zr); string(got) != string(body)+"\n" {
		t.Errorf("pretty: %.20q…", got)
	}
}
