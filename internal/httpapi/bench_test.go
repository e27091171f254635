package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ctl-sh/ctl/internal/query"
)

// constant is a route that answers as a read of one key does.
func constant() Route {
	body := []byte(`[{"LockIndex":0,"Key":"bench","Flags":0,"Value":"eHh4eHh4eHh4eHh4eHh4eA==","CreateIndex":10,"ModifyIndex":10}]`)
	return Route{
		Method: "GET", Pattern: "/v1/kv/{key...}", Where: Server,
		Handle: func(context.Context, *Request) (*Response, error) {
			return &Response{Raw: body, Meta: &query.Meta{Index: 123456, KnownLeader: true}}, nil
		},
	}
}

// discardWriter is a ResponseWriter that costs next to nothing.
type discardWriter struct{ h http.Header }

func (d *discardWriter) Header() http.Header         { return d.h }
func (d *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (d *discardWriter) WriteHeader(int)             {}

// BenchmarkMux is the engine alone, without a connection.
func BenchmarkMux(b *testing.B) {
	m := newMux(b, Config{Routes: []Route{constant()}})
	for _, c := range []struct{ name, url string }{
		{"get", "/v1/kv/bench"}, {"stale", "/v1/kv/bench?stale"}, {"pretty", "/v1/kv/bench?pretty"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", c.url, nil)
			w := &discardWriter{h: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				m.ServeHTTP(w, r)
			}
		})
	}
	b.Run("forwarded", func(b *testing.B) {
		w := &WireRequest{Method: "GET", Path: "/v1/kv/bench", Hops: 1}
		b.ReportAllocs()
		for b.Loop() {
			if resp := m.ServeWire(b.Context(), w); resp.Status != 200 {
				b.Fatal(resp.Status)
			}
		}
	})
}

// BenchmarkServer compares the engine behind net/http with net/http alone,
// over one loopback connection.
func BenchmarkServer(b *testing.B) {
	route := constant()
	resp, _ := route.Handle(b.Context(), nil)
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(resp.Raw) })
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"mux", newMux(b, Config{Routes: []Route{route}})}} {
		b.Run(c.name, func(b *testing.B) {
			l := listen(b)
			s := NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: c.h})
			run(b, s.Run)
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			req, _ := http.NewRequest("GET", "/v1/kv/bench", nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(conn, "GET /v1/kv/bench HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				got, err := http.ReadResponse(in, req)
				if err != nil {
					b.Fatal(err)
				}
				n, _ := io.Copy(io.Discard, got.Body)
				if n != int64(len(resp.Raw)) {
					b.Fatal(fmt.Errorf("read %d bytes", n))
				}
			}
		})
	}
}
