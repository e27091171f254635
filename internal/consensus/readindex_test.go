package consensus_test

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/failure"
)

// slowToDoubt gives s1 timers by which it believes itself leader long after the
// others have elected another: what a paused process does when it wakes.
func slowToDoubt(c *consensus.Config) {
	if c.ID == "s1" {
		c.Reloadable.HeartbeatTimeout, c.Reloadable.ElectionTimeout, c.LeaderLease = 100*time.Second, 100*time.Second, 100*time.Second
	}
}

// staleRead deposes s1 behind its back and reports whether it still answers a
// read with an index from before the new leader's write.
func staleRead(t *testing.T, planted bool) bool {
	c := newCluster(t)
	if planted {
		c.prepare = func(s *server) { s.TrustLeadership() }
	}
	defer c.stopAll()
	bootstrap3(t, c, slowToDoubt)
	old := c.leader()
	if old.id != "s1" {
		t.Fatalf("%s leads, want s1", old.id)
	}
	old.apply(t, "before")
	c.net.Isolate("s1", true)
	next := c.leader("s1")
	written := next.apply(t, "after")
	if !old.Leadership().Get().IsLeader {
		t.Fatal("the old leader noticed: the test shows nothing")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	index, err := old.ReadIndex(ctx)
	c.net.Isolate("s1", false)
	if err != nil {
		return false
	}
	return index < written
}

func TestDeposedLeaderAnswersNoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if staleRead(t, false) {
			t.Error("a deposed leader answered a read with an old index")
		}
	})
}

func TestPlantedStaleReadIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if !staleRead(t, true) {
			t.Error("the planted fault went unnoticed")
		}
	})
}

func TestHandleReadIndexCountsOnlyFreshEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		term := l.Leadership().Get().Term
		c.net.Isolate(l.id, true) // so that only the asker's term can confirm
		for _, q := range []struct {
			name string
			req  consensus.ReadIndexRequest
			ok   bool
		}{
			{"a voter of the same term", consensus.ReadIndexRequest{ID: "s3", Term: term}, true},
			{"a voter that is behind", consensus.ReadIndexRequest{ID: "s3", Term: term - 1}, true},
			{"a voter of a newer term", consensus.ReadIndexRequest{ID: "s3", Term: term + 1}, false},
			{"a voter that lost its state", consensus.ReadIndexRequest{ID: "s3", Term: term, NoEvidence: true}, false},
			{"a stranger", consensus.ReadIndexRequest{ID: "s9", Term: term}, false},
			{"the leader itself", consensus.ReadIndexRequest{ID: l.id, Term: term}, false},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			resp, err := l.HandleReadIndex(ctx, q.req)
			cancel()
			if (err == nil) != q.ok {
				t.Errorf("%s: %+v, %v", q.name, resp, err)
			}
		}
		if _, err := c.others(l)[0].HandleReadIndex(t.Context(), consensus.ReadIndexRequest{ID: "s3"}); !failure.Is(err, failure.NoLeader) {
			t.Errorf("a follower answered: %v", err)
		}
	})
}

func TestReadIndexWaitsForALeaderButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		l.apply(t, "x")
		c.net.Isolate(l.id, true)
		start := time.Now()
		if _, err := c.others(l)[0].ReadBarrier(t.Context()); err != nil {
			t.Errorf("a read during an election failed: %v", err)
		}
		t.Log("read answered after", time.Since(start))
		start = time.Now()
		_, err := l.ReadIndex(t.Context())
		if took := time.Since(start); !failure.Is(err, failure.NoLeader) || took < 7*time.Second || took > 8*time.Second {
			t.Errorf("an isolated server gave up with %v after %s", err, took)
		}
	})
}

// One question to the leader serves all who wait.
func TestReadersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stopAll()
		var asked atomic.Int64
		bootstrap3(t, c, func(cfg *consensus.Config) { cfg.Peers = slowPeers{cfg.Peers, &asked} })
		l := c.leader()
		l.apply(t, "x")
		asked.Store(0)
		f := c.others(l)[0]
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if _, err := f.ReadIndex(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := asked.Load(); n > 2 {
			t.Errorf("1000 readers asked the leader %d times", n)
		}
	})
}

type slowPeers struct {
	consensus.Peers
	asked *atomic.Int64
}

func (p slowPeers) ReadIndex(ctx context.Context, addr string, r consensus.ReadIndexRequest) (consensus.ReadIndexResponse, error) {
	p.asked.Add(1)
	time.Sleep(time.Millisecond)
	return p.Peers.ReadIndex(ctx, addr, r)
}

// chaos writes and reads on all servers while links are cut and mended by
// chance, and counts reads that miss a write acknowledged before they began.
func chaos(t *testing.T, seed int64, planted bool) (stale, reads, writes int64) {
	c := newCluster(t)
	if planted {
		c.prepare = func(s *server) { s.TrustLeadership() }
	}
	defer c.stopAll()
	bootstrap3(t, c, slowToDoubt)
	c.leader()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var acked atomic.Uint64
	var nStale, nReads, nWrites atomic.Int64
	var wg sync.WaitGroup
	for id, s := range c.servers {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				call, done := context.WithTimeout(ctx, 2*time.Second)
				_, index, err := s.Apply(call, fmt.Appendf(nil, "%s-%d", id, i))
				done()
				if err == nil {
					nWrites.Add(1)
					for old := acked.Load(); index > old && !acked.CompareAndSwap(old, index); old = acked.Load() {
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					floor := acked.Load()
					call, done := context.WithTimeout(ctx, 2*time.Second)
					index, err := s.ReadBarrier(call)
					done()
					if err == nil {
						nReads.Add(1)
						if index < floor || s.machine.Applied() < floor {
							nStale.Add(1)
						}
					}
					time.Sleep(30 * time.Millisecond)
				}
			})
		}
	}
	wg.Go(func() { cutAndMend(ctx, c, rand.New(rand.NewSource(seed))) })
	wg.Wait()
	return nStale.Load(), nReads.Load(), nWrites.Load()
}

func cutAndMend(ctx context.Context, c *cluster, r *rand.Rand) {
	ids := []string{"s1", "s2", "s3"}
	for ctx.Err() == nil {
		a, b := ids[r.Intn(3)], ids[r.Intn(3)]
		switch r.Intn(4) {
		case 0:
			c.net.Isolate(a, true)
		case 1:
			c.net.Cut(a, b)
		default:
			for _, id := range ids {
				c.net.Isolate(id, false)
			}
		}
		time.Sleep(time.Duration(r.Intn(8000)) * time.Millisecond)
	}
	for _, id := range ids {
		c.net.Isolate(id, false)
	}
}

func TestReadsAreFreshUnderPartitions(t *testing.T) {
	for seed := range int64(4) {
		synctest.Test(t, func(t *testing.T) {
			stale, reads, writes := chaos(t, seed, false)
			t.Logf("seed %d: %d reads, %d writes", seed, reads, writes)
			if stale > 0 || reads < 1000 || writes < 500 {
				t.Errorf("seed %d: %d of %d reads were stale, %d writes", seed, stale, reads, writes)
			}
		})
	}
}

func TestPlantedStaleReadIsFoundUnderPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stale, reads, writes := chaos(t, 1, true)
		t.Logf("%d stale of %d reads, %d writes", stale, reads, writes)
		if stale == 0 {
			t.Error("the planted fault went unnoticed")
		}
	})
}
