package consensus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus"
)

// layer is a plain TCP stream layer on loopback that can die like a process.
type layer struct {
	net.Listener

	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func listen(t testing.TB) *layer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &layer{Listener: l}
}

func (l *layer) Accept() (net.Conn, error) { return l.keep(l.Listener.Accept()) }

func (l *layer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return l.keep(net.DialTimeout("tcp", string(to), timeout))
}

func (l *layer) keep(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	l.conns = append(l.conns, c)
	return c, nil
}

// kill does to the network what kill -9 does.
func (l *layer) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	_ = l.Close()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// overTCP is three servers on loopback sockets.
func overTCP(t testing.TB, change func(*consensus.Config)) (*cluster, map[string]*layer) {
	t.Helper()
	c := newCluster(t)
	layers := map[string]*layer{}
	var list []consensus.Server
	for i := range 3 {
		id := fmt.Sprint("s", i+1)
		l := listen(t)
		layers[id] = l
		addr := l.Addr().String()
		s := c.start(id, func(cfg *consensus.Config) {
			cfg.Stream = l
			_, cfg.Peers = c.net.Join(addr)
			change(cfg)
		})
		c.net.Serve(addr, s.Node)
		list = append(list, consensus.Server{ID: id, Address: addr, Voter: true})
	}
	if err := c.servers["s1"].Bootstrap(list); err != nil {
		t.Fatal(err)
	}
	return c, layers
}

func (c *cluster) stopForReal() {
	c.t.Helper()
	for id, s := range c.servers {
		if err := s.stop(); err != nil {
			c.t.Errorf("stop %s: %v", id, err)
		}
	}
}

// slowTimers lets nothing move but for another reason: a test waits for less, and
// a busy machine misses no heartbeat.
func slowTimers(cfg *consensus.Config) {
	cfg.Reloadable.HeartbeatTimeout, cfg.Reloadable.ElectionTimeout, cfg.LeaderLease = time.Hour, time.Hour, time.Hour
}

func TestDeadLeaderIsNoticedByItsRefusedPort(t *testing.T) {
	c, layers := overTCP(t, slowTimers)
	defer c.stopForReal()
	l := c.leader()
	l.apply(t, "x")
	for _, s := range c.others(l) {
		s.mustSee(t, "x")
	}
	start := time.Now()
	layers[l.id].kill()
	next := c.leader(l.id)
	t.Logf("new leader after %s", time.Since(start))
	next.apply(t, "y")
	next.mustSee(t, "x", "y")
}

// A connection that ends for another reason moves nothing.
func TestEndedConnectionsAloneMoveNothing(t *testing.T) {
	c, layers := overTCP(t, slowTimers)
	defer c.stopForReal()
	l := c.leader()
	l.apply(t, "x")
	term := l.Leadership().Get().Term
	for range 5 {
		layers[l.id].mu.Lock()
		for _, conn := range layers[l.id].conns {
			_ = conn.Close()
		}
		layers[l.id].mu.Unlock()
		l.apply(t, "again")
	}
	if now := l.Leadership().Get(); !now.IsLeader || now.Term != term {
		t.Errorf("leadership moved: %+v", now)
	}
}

func BenchmarkApply(b *testing.B) {
	for _, clients := range []int{1, 64} {
		for _, max := range []int{64, 512} {
			b.Run(fmt.Sprintf("clients=%d/batch=%d", clients, max), func(b *testing.B) {
				root := b.TempDir()
				c, _ := overTCP(b, func(cfg *consensus.Config) {
					cfg.Dir, cfg.MaxAppendEntries = filepath.Join(root, cfg.ID), max
				})
				l := c.leader()
				cmd := append([]byte{'!'}, make([]byte, 128)...) // refused, so that the machine keeps none
				b.ReportAllocs()
				inParallel(b, clients, func() {
					if _, index, err := l.Apply(b.Context(), cmd); index == 0 {
						b.Error(err)
					}
				})
				b.StopTimer()
				c.stopForReal()
			})
		}
	}
}

// BenchmarkRestart is from Run to serving, with 100,000 entries in the log and
// no snapshot.
func BenchmarkRestart(b *testing.B) {
	root := b.TempDir()
	run := func() *cluster {
		c := newCluster(b)
		c.start("s1", func(cfg *consensus.Config) {
			cfg.Dir, cfg.Reloadable.SnapshotThreshold = filepath.Join(root, "raft"), 1<<40
		})
		return c
	}
	c := run()
	s := c.servers["s1"]
	if err := s.Bootstrap([]consensus.Server{{ID: "s1", Address: "s1", Voter: true}}); err != nil {
		b.Fatal(err)
	}
	c.leader()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for range 500 {
				s.apply(b, string(make([]byte, 128)))
			}
		})
	}
	wg.Wait()
	c.stopForReal()
	for b.Loop() {
		c := run()
		c.leader()
		b.StopTimer()
		if n := len(c.servers["s1"].machine.Commands()); n != 100_000 {
			b.Fatal(n)
		}
		c.stopForReal()
		b.StartTimer()
	}
}

func BenchmarkReadIndex(b *testing.B) {
	c, _ := overTCP(b, func(*consensus.Config) {})
	l := c.leader()
	l.apply(b, "x")
	for name, s := range map[string]*server{"leader": l, "follower": c.others(l)[0]} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				b.ReportAllocs()
				inParallel(b, clients, func() {
					if _, err := s.ReadBarrier(context.Background()); err != nil {
						b.Error(err)
					}
				})
			})
		}
	}
	c.stopForReal()
}

// inParallel shares b.N calls between clients.
func inParallel(b *testing.B, clients int, call func()) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				call()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
