package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/raft"
)

var _ raft.StreamLayer = (*RaftLayer[raft.ServerAddress])(nil)

type counter struct{ n atomic.Int64 }

func (c *counter) Inc() { c.n.Add(1) }

type signalCounter chan struct{}

func (c signalCounter) Inc() { close(c) }

func startMux(t testing.TB, cfg MuxConfig) (*Mux, func()) {
	t.Helper()
	cfg.Listener = listen(t)
	m, err := NewMux(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, run(t, m.Run)
}

func TestOnePortForRaftAndGRPC(t *testing.T) {
	m, _ := startMux(t, MuxConfig{})
	s, err := NewServer(ServerConfig{Listener: m.GRPC()}, Handle(echo, echoHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.Run)
	layer := NewRaftLayer[raft.ServerAddress](m)
	addr := m.cfg.Listener.Addr().String()

	if got, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, echo, &note{ID: 3}); err != nil || got.ID != 3 {
		t.Fatalf("gRPC over the shared port: %+v, %v", got, err)
	}
	out, err := layer.Dial(raft.ServerAddress(addr), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := layer.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.Write([]byte("PRI")); err != nil { // looks like gRPC, but is past the first byte
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "PRI" {
		t.Errorf("raft read %q, %v", got, err)
	}
	if got := layer.Addr().String(); got != addr {
		t.Errorf("raft's address is %s, want %s", got, addr)
	}
}

func TestRaftConnectionClosedHereEnds(t *testing.T) {
	m, _ := startMux(t, MuxConfig{})
	layer := NewRaftLayer[raft.ServerAddress](m)
	out, err := layer.Dial(raft.ServerAddress(m.cfg.Listener.Addr().String()), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := layer.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	if _, err := in.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // raft compares, too
		t.Errorf("got %v, want io.EOF", err)
	}
}

func TestRefusedDialStaysReachable(t *testing.T) {
	m, stop := startMux(t, MuxConfig{})
	addr := m.cfg.Listener.Addr().String()
	stop()
	_, err := NewRaftLayer[raft.ServerAddress](m).Dial(raft.ServerAddress(addr), time.Minute)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want a refused connection", err)
	}
}

// ended waits for the other side to close c.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	var ne net.Error
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUnwantedConnectionsAreClosed(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string
	}{
		{"unknown first byte", "GET / HTTP/1.1\r\n\r\n"},
		{"TLS before it is spoken", "\x16\x03\x01"},
		{"silence", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var unknown counter
			m, stop := startMux(t, MuxConfig{HandshakeTimeout: 20 * time.Millisecond, Metrics: MuxMetrics{Unknown: &unknown}})
			conn := dial(t, m.cfg.Listener.Addr().String())
			if _, err := conn.Write([]byte(c.bytes)); err != nil {
				t.Fatal(err)
			}
			ended(t, conn)
			stop()
			if got := unknown.n.Load(); got != 1 {
				t.Errorf("counted %d, want 1", got)
			}
			if got := m.limiter.Held(); got != 0 {
				t.Errorf("%d places still held", got)
			}
		})
	}
}

func TestConnectionsPerClientAreBounded(t *testing.T) {
	var refused counter
	m, _ := startMux(t, MuxConfig{MaxConnsPerClient: 1, Metrics: MuxMetrics{Refused: &refused}})
	addr := m.cfg.Listener.Addr().String()
	layer := NewRaftLayer[raft.ServerAddress](m)
	if _, err := layer.Dial(raft.ServerAddress(addr), time.Minute); err != nil {
		t.Fatal(err)
	}
	first, err := layer.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended(t, dial(t, addr))
	if got := refused.n.Load(); got != 1 {
		t.Errorf("refused %d, want 1", got)
	}
	m.SetMaxConnsPerClient(2)
	second := dial(t, addr)
	second.Write([]byte{firstByteRaft})
	in, err := layer.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	first.Close()
	if got := m.limiter.Held(); got != 0 {
		t.Errorf("%d places still held", got)
	}
}

func TestSilentConnectionsAreBounded(t *testing.T) {
	m, _ := startMux(t, MuxConfig{MaxSilent: 1})
	addr := m.cfg.Listener.Addr().String()
	silent := dial(t, addr)
	ended(t, dial(t, addr))
	silent.Write([]byte{firstByteRaft})
	in, err := m.raft.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
}

func TestStopClosesWhatWasNotHandedOver(t *testing.T) {
	handedOver := make(signalCounter)
	m, stop := startMux(t, MuxConfig{Metrics: MuxMetrics{Raft: handedOver}})
	addr := m.cfg.Listener.Addr().String()
	silent, unaccepted := dial(t, addr), dial(t, addr)
	unaccepted.Write([]byte{firstByteRaft})
	<-handedOver // and nobody accepts: it waits in the queue
	stop()
	ended(t, silent)
	ended(t, unaccepted)
	if _, err := m.raft.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after the stop: %v", err)
	}
	if _, err := Call(context.Background(), newPool(t, PoolConfig{}), addr, echo, &note{}); !failure.Is(err, failure.Unavailable) {
		t.Errorf("call after the stop: %v", err)
	}
}
