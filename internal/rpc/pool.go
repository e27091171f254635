package rpc

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Transport constants, both sides. Static windows above 64 KiB turn off gRPC's
// bandwidth estimation, whose pings cost more than they give on a LAN. The
// stream window holds the largest value; the connection window lets several
// large answers travel at once.
const (
	streamWindow     = 1 << 20
	connWindow       = 8 << 20
	bufferBytes      = 32 << 10
	keepaliveTime    = 10 * time.Second // gRPC's minimum for clients
	keepaliveTimeout = 5 * time.Second
)

// Dialer opens a connection to host:port, honouring ctx.
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// PoolMetrics are a pool's counters; nil ones are not counted.
type PoolMetrics struct {
	Calls  Counter // calls begun
	Failed Counter // calls that ended in an error, whoever made it
}

// PoolConfig is what a [Pool] needs; zero limits stand for the defaults named.
type PoolConfig struct {
	// Dial opens connections; nil is a plain TCP dial.
	Dial    Dialer
	Metrics PoolMetrics
	// ConnsPerServer is the number of HTTP/2 connections to one address;
	// zero is 1.
	ConnsPerServer int
	// MaxResponseBytes bounds one answer; zero is 256 MiB, since a listing
	// has no limit of its own.
	MaxResponseBytes int
	// MaxRequestBytes bounds one request before it leaves; zero is the
	// default server's limit. It should equal that of the servers.
	MaxRequestBytes int
	// DialTimeout bounds one attempt to connect; zero is 5 s.
	DialTimeout time.Duration
	// KeepaliveInterval is how long a connection may be silent before it is
	// probed, at least and by default 10 s; KeepaliveTimeout how long the
	// probe may stay unanswered, by default 5 s.
	KeepaliveInterval, KeepaliveTimeout time.Duration
}

func (c PoolConfig) withDefaults() PoolConfig {
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if c.ConnsPerServer == 0 {
		c.ConnsPerServer = 1
	}
	if c.MaxResponseBytes == 0 {
		c.MaxResponseBytes = 256 << 20
	}
	if c.MaxRequestBytes == 0 {
		c.MaxRequestBytes = DefaultServerConfig().MaxRequestBytes
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 5 * time.Second
	}
	c.Metrics.Calls = counterOr(c.Metrics.Calls)
	c.Metrics.Failed = counterOr(c.Metrics.Failed)
	c.KeepaliveInterval = max(c.KeepaliveInterval, keepaliveTime)
	if c.KeepaliveTimeout == 0 {
		c.KeepaliveTimeout = keepaliveTimeout
	}
	return c
}

// Pool holds the connections to other servers, dialled when first used. Every
// method may be called by any number of goroutines. Close it after the last
// call.
type Pool struct {
	cfg     PoolConfig
	options []grpc.DialOption

	mu      sync.RWMutex
	closed  bool
	servers map[string]*serverConns
}

// serverConns are the connections to one address, used in turn.
type serverConns struct {
	next  atomic.Uint32
	conns []*grpc.ClientConn
}

// NewPool returns an empty pool. It dials nothing.
func NewPool(cfg PoolConfig) *Pool {
	cfg = cfg.withDefaults()
	return &Pool{cfg: cfg, options: dialOptions(cfg), servers: make(map[string]*serverConns)}
}

func dialOptions(cfg PoolConfig) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(cfg.Dial),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(newCodec()),
			grpc.MaxCallRecvMsgSize(cfg.MaxResponseBytes),
			grpc.MaxCallSendMsgSize(cfg.MaxRequestBytes),
		),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: cfg.KeepaliveInterval, Timeout: cfg.KeepaliveTimeout, PermitWithoutStream: true,
		}),
		// A restarted server must be found again at once, not after gRPC's
		// two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: time.Second},
			MinConnectTimeout: cfg.DialTimeout,
		}),
		grpc.WithDisableRetry(), // who may be asked again is decided above
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
	}
}

// conn returns a connection to addr, in whatever state it is.
func (p *Pool) conn(addr string) (*grpc.ClientConn, error) {
	p.mu.RLock()
	s := p.servers[addr]
	p.mu.RUnlock()
	if s == nil {
		var err error
		if s, err = p.add(addr); err != nil {
			return nil, err
		}
	}
	if len(s.conns) == 1 {
		return s.conns[0], nil
	}
	return s.conns[int(s.next.Add(1))%len(s.conns)], nil
}

func (p *Pool) add(addr string) (*serverConns, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, failure.New(failure.Unavailable, "call "+addr+": this agent is shutting down")
	}
	if s := p.servers[addr]; s != nil {
		return s, nil
	}
	s := &serverConns{}
	for range p.cfg.ConnsPerServer {
		cc, err := grpc.NewClient("passthrough:///"+addr, p.options...)
		if err != nil {
			return nil, errors.Join(failure.Newf(failure.Unavailable, "connect to %s: %w", addr, err), s.close())
		}
		s.conns = append(s.conns, cc)
	}
	p.servers[addr] = s
	return s, nil
}

func (s *serverConns) close() error {
	var errs []error
	for _, cc := range s.conns {
		errs = append(errs, cc.Close())
	}
	return errors.Join(errs...)
}

// Drop closes the connections to addr; calls in flight on them fail. A later
// call dials anew.
func (p *Pool) Drop(addr string) {
	p.mu.Lock()
	s := p.servers[addr]
	delete(p.servers, addr)
	p.mu.Unlock()
	if s != nil {
		_ = s.close() // only says that it was closed before
	}
}

// Retain closes the connections to every address that is not in addrs: the
// servers that are gone.
func (p *Pool) Retain(addrs []string) {
	p.mu.Lock()
	var gone []*serverConns
	for addr, s := range p.servers {
		if !slices.Contains(addrs, addr) {
			gone = append(gone, s)
			delete(p.servers, addr)
		}
	}
	p.mu.Unlock()
	for _, s := range gone {
		_ = s.close() // only says that it was closed before
	}
}

// Close closes every connection; later calls fail with failure.Unavailable.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	servers := p.servers
	p.servers = make(map[string]*serverConns)
	p.mu.Unlock()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}
