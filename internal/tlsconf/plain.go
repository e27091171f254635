package tlsconf

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// plainly is dial with connections that notice a server which takes no plain text.
func plainly(dial Dial) Dial {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		return &plainConn{Conn: c}, nil
	}
}

// plainConn is a connection in plain text to a server. One that takes TLS only
// can say so to its own log alone: here the connection just ends before anything
// came.
type plainConn struct {
	net.Conn
	begun atomic.Bool // something came
}

// Read implements net.Conn.
func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.begun.Load() {
		c.begun.Store(true)
	}
	return n, c.suspect(err)
}

// Write implements net.Conn.
func (c *plainConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.suspect(err)
}

// suspect says what the end of a connection may mean on which nothing came.
func (c *plainConn) suspect(err error) error {
	if err == nil || c.begun.Load() {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return &explained{"the server ended the connection before it said anything: it may take TLS only, and this agent speaks plain text (tls.internal_rpc.verify_outgoing)", err}
	}
	return err
}
