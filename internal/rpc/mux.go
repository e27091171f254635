package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/connlimit"
	"github.com/ctl-sh/ctl/internal/tlsconf"
)

// First bytes of a connection. HTTP/2's preface begins with 'P', a TLS record
// that holds a hello with 0x16.
const (
	firstByteRaft = 0x01
	firstByteGRPC = 'P'
	firstByteTLS  = 0x16
)

// Security is TLS on the shared port: a tlsconf.Store.
type Security interface {
	// Incoming answers a hello; nil refuses it.
	Incoming() *tls.Config
	// Required refuses connections in plain text.
	Required() bool
	// Peer says who the other side is; nil is a connection in plain text.
	Peer(*tls.ConnectionState) tlsconf.Peer
	// Journal takes refused connections.
	Journal() *tlsconf.Journal
}

// plain is a port without TLS: everybody may do everything.
type plain struct{ journal *tlsconf.Journal }

func (plain) Incoming() *tls.Config                  { return nil }
func (plain) Required() bool                         { return false }
func (plain) Peer(*tls.ConnectionState) tlsconf.Peer { return tlsconf.Peer{Server: true} }
func (p plain) Journal() *tlsconf.Journal            { return p.journal }

// MuxMetrics are a mux's counters; nil ones are not counted.
type MuxMetrics struct {
	Accepted Counter // connections accepted
	Raft     Counter // connections handed to Raft
	Refused  Counter // over a limit
	Unknown  Counter // unknown first byte, silent until the timeout, or refused by TLS
}

// MuxConfig is what a [Mux] needs.
type MuxConfig struct {
	// Listener is the shared port. The mux closes it.
	Listener net.Listener
	Logger   *slog.Logger
	Metrics  MuxMetrics
	// Advertise is the address other servers reach this one at; nil is the
	// listener's own.
	Advertise net.Addr
	// Dial opens Raft connections to other servers; nil is a plain TCP dial.
	Dial Dialer
	// Security is TLS on the port; nil is none.
	Security Security
	// HandshakeTimeout bounds the time until the first byte, and that of a TLS
	// handshake; zero is 5 s.
	HandshakeTimeout time.Duration
	// MaxConnsPerClient bounds connections per IP address; zero is no limit.
	MaxConnsPerClient int
	// MaxSilent bounds the connections that have not said anything yet;
	// zero is 512. Further ones are closed at once.
	MaxSilent int
}

func (c MuxConfig) withDefaults() MuxConfig {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Advertise == nil {
		c.Advertise = c.Listener.Addr()
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 5 * time.Second
	}
	if c.MaxSilent == 0 {
		c.MaxSilent = 512
	}
	if c.Security == nil {
		c.Security = plain{tlsconf.NewJournal(c.Logger)}
	}
	c.Dial = PoolConfig{Dial: c.Dial}.withDefaults().Dial
	c.Metrics.Accepted = counterOr(c.Metrics.Accepted)
	c.Metrics.Raft = counterOr(c.Metrics.Raft)
	c.Metrics.Refused = counterOr(c.Metrics.Refused)
	c.Metrics.Unknown = counterOr(c.Metrics.Unknown)
	return c
}

// Mux shares one listener between Raft and gRPC, by a connection's first byte,
// and over TLS also by the protocol that the hello names (ALPN). Connections it
// has handed over belong to their receiver.
type Mux struct {
	cfg     MuxConfig
	log     *slog.Logger
	limiter *connlimit.Limiter
	silent  chan struct{} // one token for each connection being classified
	raft    *queue
	grpc    *queue
	sign    *queue

	mu      sync.Mutex
	pending map[net.Conn]struct{} // being classified; closed at stop
}

// NewMux returns a mux over cfg.Listener. It accepts nothing before Run.
func NewMux(cfg MuxConfig) (*Mux, error) {
	if cfg.Listener == nil {
		return nil, errors.New("rpc mux: no listener")
	}
	cfg = cfg.withDefaults()
	return &Mux{
		cfg:     cfg,
		log:     cfg.Logger,
		limiter: connlimit.New(cfg.MaxConnsPerClient),
		silent:  make(chan struct{}, cfg.MaxSilent),
		raft:    newQueue(cfg.Advertise),
		grpc:    newQueue(cfg.Listener.Addr()),
		sign:    newQueue(cfg.Listener.Addr()),
		pending: make(map[net.Conn]struct{}),
	}, nil
}

// GRPC returns the listener that yields gRPC connections.
func (m *Mux) GRPC() net.Listener { return m.grpc }

// Sign returns the listener that yields connections of agents that have no
// certificate and may only ask for one. Somebody must accept them where TLS
// allows them, and only there.
func (m *Mux) Sign() net.Listener { return m.sign }

// SetMaxConnsPerClient changes the limit for connections to come.
func (m *Mux) SetMaxConnsPerClient(n int) { m.limiter.SetLimit(n) }

// Run accepts connections until ctx ends or the listener fails. Before it
// returns it closes the listener, both sub-listeners and every connection that
// was not handed over.
func (m *Mux) Run(ctx context.Context, ready func()) error {
	var classifying sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { m.cfg.Listener.Close() })
	defer stop()
	ready()
	err := m.accept(ctx, &classifying)
	m.cfg.Listener.Close()
	for _, l := range []net.Listener{m.raft, m.grpc, m.sign} {
		l.Close()
	}
	m.closePending()
	classifying.Wait()
	m.raft.discard()
	m.grpc.discard()
	m.sign.discard()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("rpc mux: %w", err)
}

func (m *Mux) accept(ctx context.Context, classifying *sync.WaitGroup) error {
	var pause time.Duration
	for {
		c, err := m.cfg.Listener.Accept()
		if err != nil {
			var ne net.Error
			if ctx.Err() != nil || !errors.As(err, &ne) || errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors, for instance: connections being
			// closed elsewhere make it pass.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			m.log.Warn("accept failed, pausing", "error", err, "pause", pause)
			backoff.Pause(ctx, pause)
			continue
		}
		pause = 0
		m.cfg.Metrics.Accepted.Inc()
		m.admit(ctx, c, classifying)
	}
}

// admit applies the limits and starts the classification of c.
func (m *Mux) admit(ctx context.Context, c net.Conn, classifying *sync.WaitGroup) {
	release, ok := m.limiter.Acquire(c.RemoteAddr())
	if !ok {
		m.cfg.Metrics.Refused.Inc()
		m.log.Warn("connection refused: too many from this address", "from", c.RemoteAddr().String(), "limit", m.limiter.Limit())
		c.Close()
		return
	}
	c = connlimit.NewConn(c, release)
	select {
	case m.silent <- struct{}{}:
	default:
		m.cfg.Metrics.Refused.Inc()
		c.Close()
		return
	}
	m.mu.Lock()
	m.pending[c] = struct{}{}
	m.mu.Unlock()
	classifying.Go(func() {
		defer func() { <-m.silent }()
		m.handOver(ctx, c)
	})
}

func (m *Mux) closePending() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.pending {
		c.Close()
	}
}

// handOver finds out what c speaks and gives it to its listener.
func (m *Mux) handOver(ctx context.Context, c net.Conn) {
	to, conn, err := m.classify(ctx, c)
	m.mu.Lock()
	delete(m.pending, c)
	m.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			m.cfg.Metrics.Unknown.Inc()
			m.complain(c, err)
		}
		c.Close()
		return
	}
	if to == m.raft {
		m.cfg.Metrics.Raft.Inc()
	}
	if !to.push(conn) {
		c.Close()
	}
}

// refusal is a connection that an operator should know was refused: somebody
// without the right certificate, or without any.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func (m *Mux) complain(c net.Conn, err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		m.cfg.Security.Journal().Refused("a connection to the cluster port was refused", c.RemoteAddr(), r.err)
		return
	}
	m.log.Debug("connection closed before it was known what it speaks", "from", c.RemoteAddr().String(), "error", err)
}

// classify reads the first byte of c, and over TLS that of what is inside.
// Raft's is consumed; gRPC's is given back.
func (m *Mux) classify(ctx context.Context, c net.Conn) (*queue, net.Conn, error) {
	if err := c.SetDeadline(time.Now().Add(m.cfg.HandshakeTimeout)); err != nil {
		return nil, nil, err
	}
	first, err := firstByte(c)
	if err != nil {
		return nil, nil, err
	}
	if first == firstByteTLS {
		to, conn, err := m.classifyTLS(ctx, &unreadConn{Conn: c, first: first, unread: true})
		if err != nil {
			return nil, nil, err
		}
		return to, conn, c.SetDeadline(time.Time{})
	}
	to := m.speaks(first)
	switch {
	case to == nil:
		return nil, nil, fmt.Errorf("unknown first byte 0x%02x", first)
	case m.cfg.Security.Required():
		return nil, nil, &refusal{fmt.Errorf("it speaks %s in plain text, and tls.internal_rpc.verify_incoming demands TLS: set verify_outgoing there", speakers[first])}
	}
	conn := c
	if to == m.grpc {
		conn = &unreadConn{Conn: c, first: first, unread: true}
	}
	return to, &peerConn{conn, m.cfg.Security.Peer(nil)}, c.SetDeadline(time.Time{})
}

var speakers = map[byte]string{firstByteRaft: "Raft", firstByteGRPC: "RPC"}

// speaks returns who takes a connection with that first byte, nil for nobody.
func (m *Mux) speaks(first byte) *queue {
	switch first {
	case firstByteRaft:
		return m.raft
	case firstByteGRPC:
		return m.grpc
	}
	return nil
}

func firstByte(c net.Conn) (byte, error) {
	var first [1]byte
	_, err := c.Read(first[:])
	return first[0], err
}

// classifyTLS answers a hello. What the hello names and what is then spoken must
// be the same, so that a role demanded of the one holds for the other.
func (m *Mux) classifyTLS(ctx context.Context, c net.Conn) (*queue, net.Conn, error) {
	conf := m.cfg.Security.Incoming()
	if conf == nil {
		return nil, nil, &refusal{errors.New("it speaks TLS, and this server has no certificate to answer with: set tls.internal_rpc.cert_file and key_file here, or let that agent speak plain text (verify_outgoing)")}
	}
	conn := tls.Server(c, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, &refusal{err}
	}
	state := conn.ConnectionState()
	var want *queue
	switch state.NegotiatedProtocol {
	case tlsconf.ProtocolRaft:
		want = m.raft
	case tlsconf.ProtocolRPC:
		want = m.grpc
	case tlsconf.ProtocolSign:
		return m.sign, conn, nil
	default:
		return nil, nil, &refusal{errors.New("it speaks TLS, but names none of the protocols of agents (ALPN)")}
	}
	first, err := firstByte(conn)
	if err != nil {
		return nil, nil, err
	}
	if m.speaks(first) != want {
		return nil, nil, &refusal{fmt.Errorf("it announced %s and speaks something else", state.NegotiatedProtocol)}
	}
	var inner net.Conn = conn
	if want == m.grpc {
		inner = &unreadConn{Conn: conn, first: first, unread: true}
	}
	return want, &peerConn{inner, m.cfg.Security.Peer(&state)}, nil
}

// peerConn is a connection with what is known of its other side.
type peerConn struct {
	net.Conn
	peer tlsconf.Peer
}

// unreadConn gives a byte that was read back to the first Read. Read is called
// by one goroutine at a time.
type unreadConn struct {
	net.Conn
	first  byte
	unread bool
}

// Read implements net.Conn.
func (c *unreadConn) Read(b []byte) (int, error) {
	if c.unread && len(b) > 0 {
		c.unread = false
		b[0] = c.first
		return 1, nil
	}
	return c.Conn.Read(b)
}

// queue is a net.Listener fed by the mux.
type queue struct {
	addr   net.Addr
	conns  chan net.Conn // size 1: the mux need not meet Accept exactly
	closed chan struct{}
	once   sync.Once
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn, 1), closed: make(chan struct{})}
}

// push hands c to Accept; it waits for it, and reports false once closed.
func (q *queue) push(c net.Conn) bool {
	select {
	case <-q.closed:
		return false
	default:
	}
	select {
	case q.conns <- c:
		return true
	case <-q.closed:
		return false
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case <-q.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The shared listener stays open.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.addr }

// discard closes what was pushed and never accepted.
func (q *queue) discard() {
	for {
		select {
		case c := <-q.conns:
			c.Close()
		default:
			return
		}
	}
}
