package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// RaftLayer is Raft's half of the shared port. With A = raft.ServerAddress it
// is a raft.StreamLayer; the type parameter keeps Raft out of this package.
type RaftLayer[A ~string] struct {
	*queue
	dial Dialer
}

// NewRaftLayer returns Raft's half of m. Closing it leaves m running. There is
// one such half: two layers of one mux share its connections.
func NewRaftLayer[A ~string](m *Mux) *RaftLayer[A] {
	return &RaftLayer[A]{queue: m.raft, dial: m.cfg.Dial}
}

// Accept implements net.Listener. A connection that this side has closed ends
// with io.EOF, like one the other side closed: Raft logs everything else as an
// error, at every orderly stop.
func (l *RaftLayer[A]) Accept() (net.Conn, error) {
	c, err := l.queue.Accept()
	if err != nil {
		return nil, err
	}
	return raftConn{c}, nil
}

type raftConn struct{ net.Conn }

func (c raftConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// Dial connects to the Raft half of the server at address and announces itself,
// within timeout; zero is no bound. The dialer's error stays reachable, so that
// a refused connection can be told from one that timed out.
func (l *RaftLayer[A]) Dial(address A, timeout time.Duration) (net.Conn, error) {
	ctx := context.Background() // raft gives none, only a timeout
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := l.dial(ctx, string(address))
	if err != nil {
		return nil, fmt.Errorf("dial raft at %s: %w", address, err)
	}
	if err := announce(c, timeout); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial raft at %s: %w", address, err)
	}
	return c, nil
}

func announce(c net.Conn, timeout time.Duration) error {
	if timeout > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
	}
	if _, err := c.Write([]byte{firstByteRaft}); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}
