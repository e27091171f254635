// Package memnet is a network in memory for tests of gossip pools. It works
// inside testing/synctest: no sockets, no real time.
//
// It is not a model of a particular network: packets and streams arrive at once
// and in order, unless the way is cut. A receiver that does not read loses
// packets, as with UDP, so a dead member blocks nobody.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	packetBuffer  = 1024 // packets a receiver may be behind before they drop
	streamBacklog = 64   // connections a receiver may be behind
)

// Network connects transports. The zero Network is ready to use; its methods
// may be called by any number of goroutines.
type Network struct {
	mu    sync.Mutex
	hosts map[netip.AddrPort]*Transport
	cut   map[[2]netip.Addr]bool // from, to
}

// Listen returns a transport at addr ("127.0.0.2:8301"). It fails with
// EADDRINUSE if another one is there. The pool that gets it shuts it down.
func (n *Network) Listen(addr string) (*Transport, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[ap] != nil {
		return nil, fmt.Errorf("listen %s: %w", addr, syscall.EADDRINUSE)
	}
	t := &Transport{
		net:     n,
		addr:    ap,
		packets: make(chan *memberlist.Packet, packetBuffer),
		streams: make(chan net.Conn, streamBacklog),
	}
	if n.hosts == nil {
		n.hosts = make(map[netip.AddrPort]*Transport)
	}
	n.hosts[ap] = t
	return t, nil
}

// Cut stops everything sent from one IP address to another. It is one-way.
// Streams that are open stay open.
func (n *Network) Cut(from, to string) { n.setCut(from, to, true) }

// Heal undoes [Network.Cut].
func (n *Network) Heal(from, to string) { n.setCut(from, to, false) }

// Part cuts both ways between every address of a and every address of b.
func (n *Network) Part(a, b []string) {
	for _, x := range a {
		for _, y := range b {
			n.Cut(x, y)
			n.Cut(y, x)
		}
	}
}

// HealAll undoes all cuts.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

func (n *Network) setCut(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut == nil {
		n.cut = make(map[[2]netip.Addr]bool)
	}
	n.cut[[2]netip.Addr{netip.MustParseAddr(from), netip.MustParseAddr(to)}] = cut
}

// way returns the transport at addr, and whether the way there is open.
func (n *Network) way(from netip.AddrPort, addr string) (t *Transport, open bool) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[to], !n.cut[[2]netip.Addr{from.Addr(), to.Addr()}]
}

// Transport is one host's end of a [Network]. It implements memberlist's
// NodeAwareTransport.
type Transport struct {
	net     *Network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// Addr returns the transport's address.
func (t *Transport) Addr() netip.AddrPort { return t.addr }

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *Transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		return t.addr.Addr().AsSlice(), int(t.addr.Port()), nil
	}
	parsed, err := netip.ParseAddr(ip)
	return parsed.AsSlice(), port, err
}

// WriteTo implements memberlist.Transport. A packet nobody takes is lost.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	if peer, open := t.net.way(t.addr, addr); open && peer != nil {
		p := &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(t.addr), Timestamp: now}
		select {
		case peer.packets <- p:
		default: // the receiver is behind: lost, as on a real network
		}
	}
	return now, nil
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// DialContext opens a stream. A host that does not exist refuses at once; one
// behind a cut is silent until ctx ends.
func (t *Transport) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	peer, open := t.net.way(t.addr, addr)
	if back, backOpen := t.net.way(t.peerAddr(addr), t.addr.String()); back != nil && !backOpen {
		open = false
	}
	switch {
	case !open:
		<-ctx.Done()
		return nil, fmt.Errorf("dial tcp %s: %w", addr, errors.Join(os.ErrDeadlineExceeded, ctx.Err()))
	case peer == nil:
		return nil, fmt.Errorf("dial tcp %s: connect: %w", addr, syscall.ECONNREFUSED)
	}
	near, far := net.Pipe()
	select {
	case peer.streams <- remoteConn{Conn: far, remote: net.TCPAddrFromAddrPort(t.addr)}:
		return remoteConn{Conn: near, remote: net.TCPAddrFromAddrPort(peer.addr)}, nil
	default:
		return nil, fmt.Errorf("dial tcp %s: backlog full: %w", addr, syscall.ECONNREFUSED)
	}
}

func (t *Transport) peerAddr(addr string) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(addr) // the zero value finds nobody
	return ap
}

// DialTimeout implements memberlist.Transport.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return t.DialContext(ctx, addr)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

// Shutdown implements memberlist.Transport: the host is gone from the network.
func (t *Transport) Shutdown() error {
	t.net.mu.Lock()
	if t.net.hosts[t.addr] == t {
		delete(t.net.hosts, t.addr)
	}
	t.net.mu.Unlock()
	for {
		select {
		case conn := <-t.streams: // nobody will read it any more
			_ = conn.Close()
		default:
			return nil
		}
	}
}

// remoteConn is a pipe that knows who is at the other end.
type remoteConn struct {
	net.Conn
	remote net.Addr
}

// RemoteAddr implements net.Conn.
func (c remoteConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn. As with TCP, it does not matter here that
// the other end has closed already.
func (c remoteConn) SetDeadline(t time.Time) error {
	if err := c.Conn.SetDeadline(t); !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}
