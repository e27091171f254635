package checks

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// nobody hears nothing.
type nobody struct{ done chan struct{} }

func (n nobody) Update(string, string, string) { n.done <- struct{}{} }

// BenchmarkTCPCheck runs a TCP check again and again as the schedule does, the
// server's side of the connection included.
func BenchmarkTCPCheck(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	benchmark(b, &Definition{TCP: l.Addr().String()})
}

// BenchmarkHTTPCheck is the same with a service that answers over HTTP.
func BenchmarkHTTPCheck(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok") // the check would say that it failed
	}))
	defer srv.Close()
	benchmark(b, &Definition{HTTP: srv.URL})
}

func benchmark(b *testing.B, d *Definition) {
	r := New(Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx, func() {}) }()
	n := nobody{make(chan struct{}, 1)}
	d.Interval = Duration(time.Hour)
	r.Start("c", d, n)
	r.mu.Lock()
	s := r.checks["c"]
	r.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		r.mu.Lock()
		r.push(s, time.Now())
		r.mu.Unlock()
		<-n.done
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
