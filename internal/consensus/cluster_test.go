package consensus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/consensus/consensustest"
	"github.com/ctl-sh/ctl/internal/failure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is one Node of a test with what belongs to it.
type server struct {
	*consensus.Node
	id      string
	machine *consensustest.Machine
	stop    func() error
}

// cluster is several servers on a network in memory.
type cluster struct {
	t       testing.TB
	net     *consensustest.Network
	servers map[string]*server
	logger  *slog.Logger
	prepare func(*server) // called before a server runs; may be nil
}

func newCluster(t testing.TB) *cluster {
	var w io.Writer = io.Discard
	if os.Getenv("CTL_TEST_LOG") != "" {
		w = os.Stderr
	}
	return &cluster{t: t, net: consensustest.NewNetwork(), servers: map[string]*server{}, logger: slog.New(slog.NewTextHandler(w, nil))}
}

// start runs a server and waits until it is ready.
func (c *cluster) start(id string, change ...func(*consensus.Config)) *server {
	c.t.Helper()
	s, err := c.tryStart(id, change...)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *cluster) tryStart(id string, change ...func(*consensus.Config)) (*server, error) {
	c.t.Helper()
	s := &server{id: id, machine: &consensustest.Machine{}}
	cfg := consensus.DefaultConfig()
	cfg.ID, cfg.Machine = id, s.machine
	cfg.Logger = c.logger.With("server", id)
	cfg.Transport, cfg.Peers = c.net.Join(id)
	for _, f := range change {
		f(&cfg)
	}
	if cfg.Stream != nil {
		cfg.Transport = nil
	}
	var err error
	if s.Node, err = consensus.New(cfg); err != nil {
		return nil, err
	}
	if c.prepare != nil {
		c.prepare(s)
	}
	c.net.Serve(id, s.Node)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	s.stop = func() error { cancel(); err := <-done; done <- err; return err }
	select {
	case <-ready:
	case err := <-done:
		cancel()
		return nil, err
	}
	c.servers[id] = s
	return s, nil
}

// stopAll ends every server; a failure to stop fails the test.
func (c *cluster) stopAll() {
	c.t.Helper()
	for id, s := range c.servers {
		if err := s.stop(); err != nil {
			c.t.Errorf("stop %s: %v", id, err)
		}
		time.Sleep(time.Second) // fake: let the others notice
	}
	time.Sleep(time.Minute) // fake: raft's transport in memory waits for answers that never come
}

// three starts and bootstraps s1, s2, s3.
func three(t testing.TB, change ...func(*consensus.Config)) *cluster {
	t.Helper()
	c := newCluster(t)
	bootstrap3(t, c, change...)
	return c
}

func bootstrap3(t testing.TB, c *cluster, change ...func(*consensus.Config)) {
	t.Helper()
	var list []consensus.Server
	for i := range 3 {
		id := fmt.Sprint("s", i+1)
		c.start(id, change...)
		list = append(list, consensus.Server{ID: id, Address: id, Voter: true})
	}
	for _, s := range c.servers {
		if err := s.Bootstrap(list); err != nil && !failure.Is(err, failure.Conflict) {
			t.Fatal(err)
		}
	}
}

// patience bounds waits for what must happen. Most are in fake time.
const patience = time.Minute

// leader waits for a server that leads and is ready, other than those named.
func (c *cluster) leader(not ...string) *server {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		for id, s := range c.servers {
			if l := s.Leadership().Get(); l.Ready && !slices.Contains(not, id) {
				return s
			}
		}
		s := c.servers["s1"]
		for _, s = range c.servers {
			break
		}
		_, changed := s.Leadership().Watch()
		select {
		case <-changed:
		case <-time.After(5 * time.Millisecond):
		}
	}
	c.t.Fatalf("no leader within %s", patience)
	return nil
}

func (c *cluster) others(of *server) []*server {
	var out []*server
	for _, s := range c.servers {
		if s != of {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *server) int { return int(a.id[1]) - int(b.id[1]) })
	return out
}

func (s *server) apply(t testing.TB, cmd string) uint64 {
	t.Helper()
	_, index, err := s.Apply(t.Context(), []byte(cmd))
	if err != nil {
		t.Fatalf("apply %q on %s: %v", cmd, s.id, err)
	}
	return index
}

func (s *server) mustSee(t testing.TB, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.ReadBarrier(ctx); err != nil {
		t.Errorf("read on %s: %v", s.id, err)
	}
	if got := s.machine.Commands(); !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", s.id, got, want)
	}
}

func TestElectsReplicatesAndSurvivesItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("the first election took %s", took)
		}
		if l.id != "s1" {
			t.Errorf("%s leads, want the lowest ID", l.id)
		}
		for i := range 10 {
			l.apply(t, fmt.Sprint(i))
		}
		want := l.machine.Commands()
		for _, s := range c.servers {
			s.mustSee(t, want...)
		}
		c.net.Isolate(l.id, true)
		n := c.leader(l.id)
		n.apply(t, "after")
		want = append(want, "after")
		c.net.Isolate(l.id, false)
		for _, s := range c.servers {
			s.mustSee(t, want...)
		}
		if l.Leadership().Get().IsLeader {
			t.Error("the old leader still leads")
		}
	})
}

func TestSoleServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stopAll()
		s := c.start("s1")
		if s.HasState() {
			t.Error("an empty server has state")
		}
		start := time.Now()
		if err := s.Bootstrap([]consensus.Server{{ID: "s1", Address: "s1", Voter: true}}); err != nil {
			t.Fatal(err)
		}
		c.leader()
		if took := time.Since(start); took > 20*time.Millisecond {
			t.Errorf("led after %s", took)
		}
		s.apply(t, "x")
		s.mustSee(t, "x")
		if _, _, err := s.Apply(t.Context(), []byte("!")); !errors.Is(err, consensustest.ErrRefused) {
			t.Errorf("a refusal came back as %v", err)
		}
		if err := s.Bootstrap([]consensus.Server{{ID: "s1", Address: "s1", Voter: true}}); !failure.Is(err, failure.Conflict) {
			t.Errorf("second Bootstrap = %v", err)
		}
		if !s.HasState() {
			t.Error("no state after bootstrap")
		}
	})
}

func TestApplyErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		for _, s := range c.others(l) {
			if _, _, err := s.Apply(t.Context(), []byte("x")); !failure.Is(err, failure.NoLeader) {
				t.Errorf("Apply on a follower = %v", err)
			}
		}
		// Cut off, the entry is in the leader's log and nowhere else: it may
		// still become true, or not.
		c.net.Isolate(l.id, true)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, _, err := l.Apply(ctx, []byte("gone")); !failure.Is(err, failure.OutcomeUnknown) {
			t.Errorf("Apply whose caller gave up = %v", err)
		}
		if _, _, err := l.Apply(t.Context(), []byte("gone too")); !failure.Is(err, failure.OutcomeUnknown) {
			t.Errorf("Apply whose leader was deposed = %v", err)
		}
		if _, _, err := l.Apply(t.Context(), []byte("x")); !failure.Is(err, failure.NoLeader) {
			t.Errorf("Apply after that = %v", err)
		}
		c.leader(l.id)
		c.net.Isolate(l.id, false)
		l.mustSee(t)
		big := make([]byte, 64<<20+1)
		if _, _, err := c.leader().Apply(t.Context(), big); !failure.Is(err, failure.RateLimited) {
			t.Errorf("Apply above the bytes in flight = %v", err)
		}
	})
}

func TestStoppedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		l := c.leader()
		l.apply(t, "x")
		start := time.Now()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("the leader's stop took %s", took)
		}
		next := c.leader(l.id)
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a stopped leader left no other for %s", took)
		}
		next.apply(t, "y")
		if _, _, err := l.Apply(t.Context(), []byte("z")); !failure.Is(err, failure.Unavailable) {
			t.Errorf("Apply on a stopped node = %v", err)
		}
		if _, err := l.ReadIndex(t.Context()); !failure.Is(err, failure.Unavailable) {
			t.Errorf("ReadIndex on a stopped node = %v", err)
		}
		if l.Leadership().Get().IsLeader {
			t.Error("a stopped node leads")
		}
		c.stopAll()
	})
}

func TestMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		l.apply(t, "x")
		c.start("s4")
		if err := l.AddNonvoter(t.Context(), "s4", "s4"); err != nil {
			t.Fatal(err)
		}
		c.servers["s4"].mustSee(t, "x")
		if err := l.AddVoter(t.Context(), "s4", "s4"); err != nil {
			t.Fatal(err)
		}
		mustHave(t, l, "s1+ s2+ s3+ s4+")
		if err := l.DemoteVoter(t.Context(), "s4"); err != nil {
			t.Fatal(err)
		}
		mustHave(t, l, "s1+ s2+ s3+ s4-")
		if err := l.RemoveServer(t.Context(), "s4"); err != nil {
			t.Fatal(err)
		}
		mustHave(t, l, "s1+ s2+ s3+")
		if err := l.TransferLeadership(t.Context(), "s3"); err != nil {
			t.Fatal(err)
		}
		if n := c.leader(l.id); n.id != "s3" {
			t.Errorf("%s leads, want s3", n.id)
		}
		if err := l.RemoveServer(t.Context(), "s2"); !failure.Is(err, failure.NoLeader) {
			t.Errorf("change on a follower = %v", err)
		}
		if err := c.leader().TransferLeadership(t.Context(), "s9"); !failure.Is(err, failure.Invalid) {
			t.Errorf("transfer to a stranger = %v", err)
		}
	})
}

func mustHave(t *testing.T, s *server, want string) {
	t.Helper()
	list, index, err := s.Configuration()
	if err != nil || index == 0 {
		t.Fatalf("configuration at index %d, %v", index, err)
	}
	got := ""
	for _, m := range list {
		got += map[bool]string{true: m.ID + "+ ", false: m.ID + "- "}[m.Voter]
	}
	if got != want+" " {
		t.Errorf("configuration %q, want %q", got, want)
	}
}

// A follower that was away longer than the log reaches back gets a snapshot.
func TestSnapshotCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t, func(c *consensus.Config) { c.Reloadable.TrailingLogs = 4 })
		defer c.stopAll()
		l := c.leader()
		away := c.others(l)[0]
		c.net.Isolate(away.id, true)
		for i := range 50 {
			l.apply(t, fmt.Sprint(i))
		}
		if err := l.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if index := lastSnapshot(l); index < 40 {
			t.Fatalf("the snapshot covers %d", index)
		}
		want := l.machine.Commands()
		c.net.Isolate(away.id, false)
		away.mustSee(t, want...)
	})
}

func lastSnapshot(s *server) (index uint64) {
	fmt.Sscan(s.Stats()["last_snapshot_index"], &index)
	return index
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		l.apply(t, "x")
		st := l.Stats()
		for _, k := range []string{
			"applied_index", "commit_index", "fsm_pending", "last_contact", "last_log_index", "last_log_term",
			"last_snapshot_index", "last_snapshot_term", "latest_configuration", "latest_configuration_index",
			"num_peers", "protocol_version", "protocol_version_max", "protocol_version_min",
			"snapshot_version_max", "snapshot_version_min", "state", "term",
		} {
			if _, ok := st[k]; !ok {
				t.Errorf("no %s", k)
			}
		}
		if st["state"] != "Leader" || st["num_peers"] != "2" || st["applied_index"] != st["commit_index"] {
			t.Errorf("stats %v", st)
		}
		time.Sleep(time.Second) // one follower is enough for the entry; the other hears of its leader, too
		if l.LastContact() != 0 || c.others(l)[0].LastContact() > time.Second {
			t.Error("last contact is off")
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(t)
		defer c.stopAll()
		l := c.leader()
		r := consensus.DefaultConfig().Reloadable
		r.SnapshotThreshold, r.HeartbeatTimeout, r.ElectionTimeout = 7, 3*time.Second, 3*time.Second
		if err := l.Reload(r); err != nil {
			t.Fatal(err)
		}
		if got := l.Raft().ReloadableConfig(); got.SnapshotThreshold != 7 || got.HeartbeatTimeout != 3*time.Second {
			t.Errorf("reloaded to %+v", got)
		}
		r.HeartbeatTimeout = 100 * time.Millisecond // below the lease
		if err := l.Reload(r); !failure.Is(err, failure.Invalid) {
			t.Errorf("Reload below the lease = %v", err)
		}
	})
}

// A log in memory is cut without being asked, and a peer that comes later still
// gets what was in it.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stopAll()
		s := c.start("s1")
		if err := s.Bootstrap([]consensus.Server{{ID: "s1", Address: "s1", Voter: true}}); err != nil {
			t.Fatal(err)
		}
		c.leader()
		for range 20 {
			_, _, _ = s.Apply(t.Context(), append([]byte{'!'}, make([]byte, 1<<20)...)) // the machine keeps none of it
		}
		time.Sleep(3 * time.Second)
		if index := lastSnapshot(s); index == 0 {
			t.Error("20 MiB of log and no snapshot")
		}
		for range 600 { // further than the trailing entries reach
			s.apply(t, "x")
		}
		if err := s.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.start("s2")
		if err := s.AddVoter(t.Context(), "s2", "s2"); err != nil {
			t.Fatal(err)
		}
		c.servers["s2"].mustSee(t, s.machine.Commands()...)
	})
}

var _ raft.BatchingFSM = (*consensustest.Machine)(nil)
