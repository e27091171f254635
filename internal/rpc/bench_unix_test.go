//go:build unix

package rpc

import (
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/tlsconf"
)

// cpu returns the processor time this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCall measures a 128 B echo with 64 callers, client and server in
// this process over loopback; cpu-µs/op is the cost of both.
func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name    string
		callers int
		conns   int
		size    int
	}{
		{"c=1", 1, 1, 128}, {"c=64", 64, 1, 128}, {"c=64/2conns", 64, 2, 128}, {"c=8/64KiB", 8, 1, 64 << 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			addr, _ := serve(b, ServerConfig{}, Handle(echo, echoHandler))
			measure(b, newPool(b, PoolConfig{ConnsPerServer: c.conns}), addr, c.callers, c.size)
		})
	}
}

// BenchmarkCallAtThePort is a 128 B echo with 64 callers at the cluster port, in
// plain text and over TLS.
func BenchmarkCallAtThePort(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "TLS"}[secure], func(b *testing.B) {
			var own *tlsconf.Store
			var cfg PoolConfig
			if secure {
				own = newPKI(b).store(slog.New(slog.DiscardHandler), nil)
				cfg.Dial = own.Dialer(tlsconf.ProtocolRPC, tcp)
			}
			p := startPort(b, own, slog.New(slog.DiscardHandler), nil)
			measure(b, newPool(b, cfg), p.addr, 64, 128)
		})
	}
}

// measure has callers share b.N echoes of size bytes.
func measure(b *testing.B, p *Pool, addr string, callers, size int) {
	req := &note{ID: 1, Body: make([]byte, size)}
	if _, err := Call(b.Context(), p, addr, echo, req); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range b.N/callers + min(1, max(0, b.N%callers-i)) {
				if _, err := Call(b.Context(), p, addr, echo, req); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}
