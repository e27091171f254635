// Package connlimit counts connections per client address.
//
// It only counts: what a refused client is told is the listener's business.
// Connections that do not come over IP (unix sockets, in-memory ones) are never
// counted: who may open those is decided by the file system.
package connlimit

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Limiter bounds the connections that one IP address holds at a time. Its
// methods may be called by any number of goroutines.
type Limiter struct {
	limit atomic.Int64

	mu   sync.Mutex
	held map[netip.Addr]int
}

// New returns a Limiter of limit connections an address; zero is no limit.
func New(limit int) *Limiter {
	l := &Limiter{held: make(map[netip.Addr]int)}
	l.limit.Store(int64(limit))
	return l
}

// SetLimit changes the limit for connections to come. Those held stay.
func (l *Limiter) SetLimit(limit int) { l.limit.Store(int64(limit)) }

// Limit returns the limit in force.
func (l *Limiter) Limit() int { return int(l.limit.Load()) }

// Acquire counts a connection from addr and reports whether it is within the
// limit. If it is, the caller must call release once when the connection has
// been closed; further calls do nothing. If not, nothing is held.
func (l *Limiter) Acquire(addr net.Addr) (release func(), ok bool) {
	ip, counted := addrOf(addr)
	if !counted {
		return func() {}, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit := l.Limit(); limit > 0 && l.held[ip] >= limit {
		return nil, false
	}
	// Counted even without a limit, so that one set later knows what is held.
	l.held[ip]++
	return sync.OnceFunc(func() { l.release(ip) }), true
}

func (l *Limiter) release(ip netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[ip]--; l.held[ip] <= 0 {
		delete(l.held, ip)
	}
}

// Held returns the number of counted connections, for tests and metrics.
func (l *Limiter) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, h := range l.held {
		n += h
	}
	return n
}

func addrOf(addr net.Addr) (netip.Addr, bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	return ip.Unmap(), ok
}

// Conn is a connection that gives its place back when it is closed.
type Conn struct {
	net.Conn
	release func()
}

// NewConn wraps c; release is what [Limiter.Acquire] returned.
func NewConn(c net.Conn, release func()) *Conn { return &Conn{Conn: c, release: release} }

// Close closes the connection and releases its place, once.
func (c *Conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
