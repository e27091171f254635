//go:build unix

package rpc

import (
	"sync"
	"syscall"
	"testing"
	"time"
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
			p := newPool(b, PoolConfig{ConnsPerServer: c.conns})
			req := &note{ID: 1, Body: make([]byte, c.size)}
			if _, err := Call(b.Context(), p, addr, echo, req); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			var wg sync.WaitGroup
			for i := range c.callers {
				wg.Go(func() {
					for range b.N/c.callers + min(1, max(0, b.N%c.callers-i)) {
						if _, err := Call(b.Context(), p, addr, echo, req); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}
