package consensus

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// dialTimeout bounds a connection attempt. raft's own bound of ten seconds would
// keep a healed network waiting.
const dialTimeout = 3 * time.Second

// stream is the stream layer given to raft's transport. It hears when another
// server's connection ends, which is the first sign of that server's death, and
// it can end all connections at once: raft's transport leaves the ones it
// accepted open until the other side closes them.
type stream struct {
	raft.StreamLayer
	ended chan struct{} // size one: a connection from another server ended

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

func newStream(inner raft.StreamLayer) *stream {
	return &stream{StreamLayer: inner, ended: make(chan struct{}, 1), conns: map[*conn]struct{}{}}
}

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	c, err := s.StreamLayer.Accept()
	if err != nil {
		return nil, err
	}
	return s.track(c, true)
}

// Dial implements raft.StreamLayer.
func (s *stream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 || timeout > dialTimeout {
		timeout = dialTimeout
	}
	c, err := s.StreamLayer.Dial(to, timeout)
	if err != nil {
		return nil, err
	}
	return s.track(c, false)
}

func (s *stream) track(c net.Conn, inbound bool) (net.Conn, error) {
	t := &conn{Conn: c, stream: s, inbound: inbound}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	s.conns[t] = struct{}{}
	return t, nil
}

// closeAll ends every connection and allows no new one.
func (s *stream) closeAll() {
	s.mu.Lock()
	open := s.conns
	s.conns, s.closed = map[*conn]struct{}{}, true
	s.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close() // it is given up
	}
}

type conn struct {
	net.Conn
	stream  *stream
	inbound bool
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && c.inbound && !errors.Is(err, os.ErrDeadlineExceeded) {
		poke(c.stream.ended)
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.stream.mu.Lock()
	delete(c.stream.conns, c)
	c.stream.mu.Unlock()
	return c.Conn.Close()
}
