package httpapi

import (
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// secureListener speaks TLS on what a listener accepts. The handshake runs on
// the connection's own goroutine, in net/http.
type secureListener struct {
	*limitedListener
	config  *tls.Config
	timeout time.Duration
}

// Accept implements net.Listener.
func (l *secureListener) Accept() (net.Conn, error) {
	c, err := l.limitedListener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&handshakeConn{Conn: c, timeout: l.timeout}, l.config), nil
}

// handshakeConn replaces the first deadline net/http sets, which is that of the
// handshake, by the one that is configured.
type handshakeConn struct {
	net.Conn
	timeout     time.Duration
	read, write atomic.Bool // the first deadline was set
}

// SetReadDeadline implements net.Conn.
func (c *handshakeConn) SetReadDeadline(t time.Time) error {
	if !c.read.Swap(true) && !t.IsZero() {
		t = time.Now().Add(c.timeout)
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *handshakeConn) SetWriteDeadline(t time.Time) error {
	if !c.write.Swap(true) && !t.IsZero() {
		t = time.Now().Add(c.timeout)
	}
	return c.Conn.SetWriteDeadline(t)
}

// recordHandshake is the first byte of a TLS connection.
const recordHandshake = 0x16

var errTLSOnPlain = errors.New("it speaks TLS on a port of plain HTTP: use http:// there, or the port of HTTPS (ports.https)")

// plainConn notices a client that speaks TLS where nobody does.
type plainConn struct {
	net.Conn
	refused func(peer string, err error)
	begun   bool // a byte came; only Read uses it, and one goroutine at a time reads
}

// Read implements net.Conn.
func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.begun {
		c.begun = true
		if b[0] == recordHandshake {
			c.refused(c.RemoteAddr().String(), errTLSOnPlain)
		}
	}
	return n, err
}

// errorLog takes what net/http has to say: failed handshakes are told to
// Refused, the rest is of interest only to who looks for it.
func (s *HTTPServer) errorLog() *log.Logger {
	debug := slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug)
	return log.New(errorWriter{s, debug}, "", 0)
}

type errorWriter struct {
	s     *HTTPServer
	debug *log.Logger
}

// handshakePrefix begins the line net/http writes about a failed handshake.
const handshakePrefix = "http: TLS handshake error from "

// Write implements io.Writer.
func (w errorWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	rest, handshake := strings.CutPrefix(text, handshakePrefix)
	peer, reason, ok := strings.Cut(rest, ": ")
	switch {
	case !handshake || !ok || reason == "EOF": // a look whether anybody listens
		w.debug.Print(text)
	default:
		w.s.cfg.Refused(peer, errors.New(reason))
	}
	return len(line), nil
}
