package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Counter is what this package needs of a metric.
type Counter interface{ Inc() }

type noCounter struct{}

func (noCounter) Inc() {}

func counterOr(c Counter) Counter {
	if c == nil {
		return noCounter{}
	}
	return c
}

// ServerMetrics are the server's counters; nil ones are not counted.
type ServerMetrics struct {
	Requests Counter // calls begun
	Errors   Counter // calls answered with an error
}

// ServerConfig is what a [Server] needs. The limits' zero values are replaced
// by those of [DefaultServerConfig].
type ServerConfig struct {
	// Listener yields gRPC connections only: [Mux.GRPC], or any listener in
	// tests. The server closes it.
	Listener net.Listener
	Logger   *slog.Logger
	Metrics  ServerMetrics
	// MaxRequestBytes bounds one request. It must leave room above the
	// largest value the HTTP edge lets through.
	MaxRequestBytes int
	// MaxConcurrentStreams bounds the calls in flight on one connection;
	// further ones wait at the caller. Forwarded blocking queries hold one
	// each, so it is far above what a busy agent needs.
	MaxConcurrentStreams uint32
	// HandshakeTimeout bounds the time until a connection has said hello.
	HandshakeTimeout time.Duration
	// DrainTimeout is how long a stopping server waits for calls in flight
	// before it cancels them.
	DrainTimeout time.Duration
}

// DefaultServerConfig returns the limits used where a field is zero.
func DefaultServerConfig() ServerConfig {
	return ServerConfig{
		MaxRequestBytes:      4 << 20,
		MaxConcurrentStreams: 65536,
		HandshakeTimeout:     5 * time.Second,
		DrainTimeout:         time.Second,
	}
}

func (c ServerConfig) withDefaults() ServerConfig {
	d := DefaultServerConfig()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxRequestBytes == 0 {
		c.MaxRequestBytes = d.MaxRequestBytes
	}
	if c.MaxConcurrentStreams == 0 {
		c.MaxConcurrentStreams = d.MaxConcurrentStreams
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = d.HandshakeTimeout
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = d.DrainTimeout
	}
	c.Metrics.Requests = counterOr(c.Metrics.Requests)
	c.Metrics.Errors = counterOr(c.Metrics.Errors)
	return c
}

// Server answers calls. Build it with [NewServer], let it live in Run.
type Server struct {
	cfg     ServerConfig
	log     *slog.Logger
	metrics ServerMetrics
	grpc    *grpc.Server
}

// NewServer checks that every method is registered once and prepares the
// server. It starts nothing.
func NewServer(cfg ServerConfig, regs ...Registration) (*Server, error) {
	cfg = cfg.withDefaults()
	if cfg.Listener == nil {
		return nil, errors.New("rpc server: no listener")
	}
	s := &Server{cfg: cfg, log: cfg.Logger, metrics: cfg.Metrics}
	desc := &grpc.ServiceDesc{ServiceName: serviceName}
	seen := make(map[string]bool, len(regs))
	for _, r := range regs {
		if r.name == "" || seen[r.name] {
			return nil, fmt.Errorf("rpc server: method %q is registered twice or has no name", r.name)
		}
		seen[r.name] = true
		if r.stream != nil {
			desc.Streams = append(desc.Streams, r.streamDesc(s))
			continue
		}
		desc.Methods = append(desc.Methods, r.desc(s))
	}
	s.grpc = grpc.NewServer(serverOptions(cfg)...)
	s.grpc.RegisterService(desc, nil)
	return s, nil
}

func serverOptions(cfg ServerConfig) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.Creds(peerCredentials{}),
		grpc.MaxRecvMsgSize(cfg.MaxRequestBytes),
		grpc.MaxConcurrentStreams(cfg.MaxConcurrentStreams),
		grpc.ConnectionTimeout(cfg.HandshakeTimeout),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
	}
}

// Run serves until ctx ends, then stops taking calls, gives those in flight
// the drain timeout, cancels the rest and returns when every handler has
// returned. It returns nil after a stop, and the listener's error otherwise.
func (s *Server) Run(ctx context.Context, ready func()) error {
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(s.cfg.Listener) }()
	ready()
	select {
	case err := <-served:
		s.grpc.Stop()
		return fmt.Errorf("rpc server: %w", err)
	case <-ctx.Done():
	}
	s.drain()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		s.log.Debug("listener ended", "error", err)
	}
	return nil
}

func (s *Server) drain() {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.grpc.GracefulStop()
	}()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		s.grpc.Stop()
		<-drained
	}
}
