package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// soon makes a server take snapshots after few writes and keep a short log.
func soon() map[string]any {
	return map[string]any{
		"raft_snapshot_threshold": 150, "raft_snapshot_interval": "100ms", "raft_trailing_logs": 60,
		"raft_logstore": map[string]any{"wal": map[string]any{"segment_size_mb": 1}},
	}
}

const damagePrefix = "damage/"

// damageValue is what the n-th write of a key stores: a reader can tell a value
// that nobody wrote.
func damageValue(key string, n int) string {
	return fmt.Sprintf("%s=%d;%s", key, n, strings.Repeat("v", 100+n%50))
}

// wrongEntry returns an entry that was never written, if there is one.
func wrongEntry(entries map[string]Entry) (string, bool) {
	for key, e := range entries {
		var n int
		rest, _ := strings.CutPrefix(e.Value, key+"=")
		if _, err := fmt.Sscanf(rest, "%d;", &n); err != nil || e.Value != damageValue(key, n) {
			return fmt.Sprintf("%s is %q", key, e.Value), true
		}
	}
	return "", false
}

// write writes keys numbered from..to through server i, several at a time.
func (c *Cluster) write(t *testing.T, i, from, to int) {
	t.Helper()
	const writers = 8
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			cl := client{cluster: c, server: i, clock: func() time.Duration { return 0 }}
			for n := from + w; n < to; n += writers {
				key := fmt.Sprintf("%s%03d", damagePrefix, n%200)
				if op := cl.put(t.Context(), key, damageValue(key, n)); op.Outcome != Done {
					t.Errorf("write %d: %+v", n, op)
				}
			}
		})
	}
	wg.Wait()
}

func (c *Cluster) entries(ctx context.Context, i int, query string) (map[string]Entry, error) {
	cl := client{cluster: c, server: i, clock: func() time.Duration { return 0 }}
	got, _, err := cl.read(ctx, damagePrefix, query)
	return got, err
}

// damage flips a bit of a file, or cuts it short.
func damage(r *rand.Rand, path string) (what string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	// A log file is mostly room for what comes: hit what is written.
	used := len(bytes.TrimRight(b, "\x00"))
	if used == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	if r.IntN(4) == 0 {
		n := r.IntN(used)
		b, what = b[:n], fmt.Sprintf("cut to %d of %d bytes", n, len(b))
	} else {
		bit := r.IntN(used * 8)
		b[bit/8] ^= 1 << (bit % 8)
		what = fmt.Sprintf("bit %d of byte %d", bit%8, bit/8)
	}
	return filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path) + ", " + what, os.WriteFile(path, b, 0o600)
}

// raftFiles returns the files of each kind below a server's directory.
func raftFiles(t *testing.T, dir string) (kinds [][]string) {
	t.Helper()
	raft := filepath.Join(dir, "data", "raft")
	for _, pattern := range []string{"wal/*.wal", "wal/meta", "mark", "snapshots/*/state.bin", "snapshots/*/meta.json"} {
		found, err := filepath.Glob(filepath.Join(raft, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, found)
	}
	return kinds
}

func pickFile(t *testing.T, r *rand.Rand, dir string, kind int) string {
	t.Helper()
	kinds := raftFiles(t, dir)
	files := kinds[kind%len(kinds)]
	if len(files) == 0 {
		var all []string
		_ = filepath.WalkDir(dir, func(p string, _ fs.DirEntry, _ error) error { all = append(all, p); return nil })
		t.Fatalf("no file of kind %d below %s: %q", kind%len(kinds), dir, all)
	}
	return files[r.IntN(len(files))]
}

// TestDamagedFiles damages one file of a stopped server, each time another, and
// starts it again: it says so and learns everything anew from the others, or
// nothing was lost. It never serves anything else. Package consensus does the
// same 300 times below the process.
func TestDamagedFiles(t *testing.T) {
	const cases = 12
	fabric := loopbackFabric(t)
	dir := t.TempDir()
	binary, err := agentproc.Build(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	c := NewCluster(ClusterConfig{Binary: binary, Dir: dir, Servers: 3, Extra: soon()}, fabric)
	defer c.Close()
	for i := range c.Len() {
		if err := c.Start(i); err != nil {
			t.Fatal(err)
		}
	}
	leader := c.awaitLeader(t)
	c.write(t, leader, 0, 800)
	victim := (leader + 1) % c.Len()
	r := rand.New(rand.NewPCG(1, 2))
	detected, harmless := 0, 0
	for n := range cases {
		c.write(t, leader, 800+n*100, 900+n*100)
		c.awaitSame(t, leader, victim) // it has no more to write to its disk
		c.Kill(victim)
		what, err := damage(r, pickFile(t, r, c.specs[victim].Dir, n))
		if err != nil {
			t.Fatal(err)
		}
		before := logSize(t, c, victim)
		if err := c.Start(victim); err != nil {
			t.Fatal(err)
		}
		c.awaitSame(t, leader, victim)
		log := c.proc(victim).LogTail(1 << 20)
		log = log[min(len(log), before):]
		if strings.Contains(log, "panic:") || strings.Contains(log, "\ngoroutine ") {
			t.Fatalf("%s: a panic\n%s", what, log)
		}
		if strings.Contains(log, "damaged") {
			detected++
		} else {
			harmless++
		}
		t.Logf("%s: detected: %t", what, strings.Contains(log, "damaged"))
		if err := c.CheckRunning(); err != nil {
			t.Fatal(err)
		}
	}
	if detected < cases/3 {
		t.Errorf("%d detected, %d harmless: the damage does not reach the data", detected, harmless)
	}
}

func logSize(t *testing.T, c *Cluster, i int) int {
	t.Helper()
	info, err := os.Stat(c.proc(i).LogPath())
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// awaitLeader waits until the cluster has a leader that takes writes.
// awaitSnapshot waits until server i has a snapshot on disk.
func (c *Cluster) awaitSnapshot(t *testing.T, i int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := c.proc(i).Await(ctx, 20*time.Millisecond, func(context.Context) bool {
		found, err := filepath.Glob(filepath.Join(c.specs[i].Dir, "data", "raft", "snapshots", "*", "meta.json"))
		return err == nil && len(found) > 0
	})
	if err != nil {
		t.Fatalf("server%d took no snapshot: %v", i, err)
	}
}

func (c *Cluster) awaitLeader(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	leader := -1
	err := c.proc(0).Await(ctx, 20*time.Millisecond, func(ctx context.Context) bool {
		i, err := c.Leader(ctx)
		leader = i
		return err == nil && c.proc(i).Put(ctx, c.clients[i], "ready", "1")
	})
	if err != nil {
		t.Fatal(err)
	}
	return leader
}

// awaitSame waits until stale reads at a server show exactly what the cluster
// has. What they show on the way must have been written.
func (c *Cluster) awaitSame(t *testing.T, leader, i int) {
	t.Helper()
	want, err := c.entries(t.Context(), leader, "recurse")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got map[string]Entry
	err = c.proc(i).Await(ctx, 5*time.Millisecond, func(ctx context.Context) bool {
		got, err = c.entries(ctx, i, "recurse&stale")
		if err != nil {
			return false // not serving yet, or told that it cannot know
		}
		if wrong, ok := wrongEntry(got); ok {
			t.Errorf("server%d serves what was never written: %s", i, wrong)
			return true
		}
		return maps.Equal(got, want)
	})
	if err != nil {
		t.Fatalf("server%d has %d entries, the cluster %d: %v", i, len(got), len(want), err)
	}
}

// TestDamagedServerAlone damages copies of a server that has nobody to learn
// from: it does not start and says what is damaged and what to do, or it has
// everything.
func TestDamagedServerAlone(t *testing.T) {
	const cases = 10
	fabric := loopbackFabric(t)
	dir := t.TempDir()
	binary, err := agentproc.Build(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	config := ClusterConfig{Binary: binary, Dir: filepath.Join(dir, "first"), Servers: 1, Extra: soon()}
	first := NewCluster(config, fabric)
	defer first.Close()
	if err := first.Start(0); err != nil {
		t.Fatal(err)
	}
	first.awaitLeader(t)
	first.write(t, 0, 0, 500)
	first.awaitSnapshot(t, 0)
	want, err := first.entries(t.Context(), 0, "recurse")
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	r := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for n := range cases {
		config.Dir = filepath.Join(dir, fmt.Sprint("copy", n))
		c := NewCluster(config, fabric)
		if err := os.CopyFS(c.specs[0].Dir, os.DirFS(first.specs[0].Dir)); err != nil {
			t.Fatal(err)
		}
		path := pickFile(t, r, c.specs[0].Dir, n)
		what, err := damage(r, path)
		if err != nil {
			t.Fatal(err)
		}
		if c.refuses(t, what, path, want) {
			refused++
		}
	}
	t.Logf("%d of %d refused", refused, cases)
	if refused == 0 {
		t.Error("the damage does not reach the data")
	}
}

// refuses starts the only server and reports whether it refused as it should.
func (c *Cluster) refuses(t *testing.T, what, path string, want map[string]Entry) bool {
	t.Helper()
	defer c.Close()
	if err := os.Remove(filepath.Join(c.specs[0].Dir, "agent.log")); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := c.proc(0)
	err := p.Await(ctx, 5*time.Millisecond, func(ctx context.Context) bool {
		got, err := c.entries(ctx, 0, "recurse")
		if err == nil && !maps.Equal(got, want) {
			t.Errorf("%s: serves %d entries of %d", what, len(got), len(want))
		}
		return err == nil
	})
	log := p.LogTail(1 << 20)
	if strings.Contains(log, "panic:") || strings.Contains(log, "\ngoroutine ") {
		t.Errorf("%s: a panic\n%s", what, log)
	}
	if err == nil {
		t.Logf("%s: harmless", what)
		return false
	}
	if !errors.Is(err, agentproc.ErrEnded) || p.Err() == nil {
		t.Fatalf("%s: %v", what, err)
	}
	last := log[strings.LastIndex(strings.TrimRight(log, "\n"), "\n")+1:]
	t.Logf("%s: %s", what, strings.TrimSpace(last))
	for _, part := range []string{filepath.Base(path), "backup", "move", c.specs[0].Dir} {
		if !strings.Contains(log, part) {
			t.Errorf("%s: the refusal does not say %q:\n%s", what, part, log)
		}
	}
	return true
}
