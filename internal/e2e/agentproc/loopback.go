package agentproc

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// Loopback returns n addresses of 127.0.0.0/8 that no other call of this allocator
// returns, and most likely no other process: the process id chooses the
// first. Agents on them can all use the standard ports. Linux answers on the
// whole block; macOS and FreeBSD only on addresses added to lo0.
func (a *Allocator) Loopback(n int) []string {
	block := (os.Getpid()*7 + int(a.next.Add(1))) % (120 * 250)
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("127.%d.%d.%d", 100+block/250, 1+block%250, 2+i)
	}
	return out
}

// Allocator hands out loopback addresses. The zero value is ready. Safe for
// concurrent use.
type Allocator struct{ next atomic.Int64 }

// CanListen reports whether this machine lets a process listen on the address.
func CanListen(host string) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	return l.Close()
}
