package view

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard takes an answer as a connection would.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkHundredInstances asks a client agent about a service of a hundred
// instances with two checks each; "handed on" is what it costs without memory,
// the server's part included, without the wire.
func BenchmarkHundredInstances(b *testing.B) {
	p := newPair(b, nil)
	end := p.run()
	defer end()
	for i := range 100 {
		p.register(fmt.Sprintf(`{"Node":"n%d","Address":"10.0.0.%d","Service":{"Service":"web","Tags":["v1"],"Port":80},"Checks":[{"CheckID":"serfHealth","Status":"passing"},{"CheckID":"tcp","ServiceID":"web","Status":"passing"}]}`, i, i))
	}
	for _, c := range []struct{ name, target, encoding string }{
		{"cached", "?cached", "identity"},
		{"cached and passing", "?cached&passing", "identity"},
		{"cached, compressed", "?cached", "gzip"},
		{"blocking", "?index=1", "identity"},
		{"handed on", "", "identity"},
		{"handed on, compressed", "", "gzip"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, onWeb+c.target, nil)
			r.Header.Set("Accept-Encoding", c.encoding)
			w := &discard{}
			b.ReportAllocs()
			for b.Loop() {
				w.h = http.Header{}
				p.client.ServeHTTP(w, r)
			}
			if w.h.Get("X-Consul-Index") != "110" {
				b.Fatalf("got %v", w.h)
			}
		})
	}
}
