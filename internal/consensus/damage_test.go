package consensus_test

import (
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/consensus/durable"
	"github.com/ctl-sh/ctl/internal/failure"
)

// onDisk keeps every server's state under root, in small files.
func onDisk(root string) func(*consensus.Config) {
	return func(c *consensus.Config) {
		c.Dir = filepath.Join(root, c.ID, "raft")
		c.SegmentBytes = 16 << 10
		c.Reloadable.TrailingLogs = 40
	}
}

func soleOnDisk(t testing.TB, c *cluster, root string, change ...func(*consensus.Config)) *server {
	t.Helper()
	s := c.start("s1", append([]func(*consensus.Config){onDisk(root)}, change...)...)
	if !s.HasState() {
		if err := s.Bootstrap([]consensus.Server{{ID: "s1", Address: "s1", Voter: true}}); err != nil {
			t.Fatal(err)
		}
	}
	c.leader()
	return s
}

func TestRestartKeepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		var want []string
		for round := range 4 {
			c := newCluster(t)
			s := soleOnDisk(t, c, root)
			s.mustSee(t, want...)
			for i := range 60 {
				cmd := fmt.Sprintf("%d-%d", round, i)
				s.apply(t, cmd)
				want = append(want, cmd)
			}
			if round%2 == 0 {
				if err := s.Snapshot(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			c.stopAll()
		}
		mustBePrivate(t, root)
	})
}

// mustBePrivate fails if anybody but the owner may read what was stored.
func mustBePrivate(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "s1", "raft"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNothingDamagedIsServed flips bits in, and cuts, every kind of file of a
// stopped server: it either says so, or serves exactly what it had.
func TestNothingDamagedIsServed(t *testing.T) {
	trials := 300
	if testing.Short() {
		trials = 40
	}
	root := t.TempDir()
	var want []string
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s := soleOnDisk(t, c, root)
		for i := range 260 {
			cmd := fmt.Sprintf("command %d %s", i, strings.Repeat("y", i%150))
			s.apply(t, cmd)
			want = append(want, cmd)
			if i == 80 || i == 160 {
				if err := s.Snapshot(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.stopAll()
	})
	files := stateFiles(t, root)
	r := rand.New(rand.NewSource(1))
	detected, harmless := 0, map[string]int{}
	for i := range trials {
		path := files[i%len(files)]
		where := damageCopy(t, r, root, path)
		got, err := serveAlone(t, where.root)
		switch {
		case durable.IsDamage(err):
			detected++
		case err != nil:
			t.Errorf("%s: %v", where, err)
		case !slices.Equal(got, want):
			t.Errorf("%s: silently wrong: %d commands instead of %d", where, len(got), len(want))
		default:
			harmless[filepath.Base(path)]++
		}
	}
	t.Logf("%d files, %d trials: %d detected, harmless %v", len(files), trials, detected, harmless)
	if detected < trials/3 {
		t.Errorf("only %d of %d were detected: the damage does not reach the data", detected, trials)
	}
}

func stateFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(root, path) // both are absolute
			files = append(files, rel)
		}
		return err
	})
	if err != nil || len(files) < 8 {
		t.Fatalf("files %v, %v", files, err)
	}
	return files
}

type damagePlace struct {
	root, file, what string
}

func (p damagePlace) String() string { return p.file + ", " + p.what }

// damageCopy copies the state and flips a bit of the file, or cuts it.
func damageCopy(t *testing.T, r *rand.Rand, root, file string) damagePlace {
	t.Helper()
	to, err := os.MkdirTemp(t.TempDir(), "") //nolint:usetesting // the name tells its copies apart
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	what := ""
	if r.Intn(4) == 0 {
		n := r.Intn(len(b))
		b, what = b[:n], fmt.Sprintf("cut to %d bytes", n)
	} else {
		bit := r.Intn(len(b) * 8)
		b[bit/8] ^= 1 << (bit % 8)
		what = fmt.Sprintf("bit %d of byte %d", bit%8, bit/8)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return damagePlace{to, file, what}
}

// serveAlone starts the server on root and returns what it serves.
func serveAlone(t *testing.T, root string) (got []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var s *server
		s, err = c.tryStart("s1", onDisk(root), func(c *consensus.Config) { c.OnDamage = consensus.Refuse })
		if err != nil {
			return
		}
		defer c.stopAll()
		c.leader()
		if _, e := s.ReadBarrier(t.Context()); e != nil {
			t.Error(e)
		}
		got = s.machine.Commands()
	})
	return got, err
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		c := newCluster(t)
		s := soleOnDisk(t, c, root)
		s.apply(t, "x")
		c.stopAll()
		spoil(t, root, "s1")
		_, err := c.tryStart("s1", onDisk(root), func(c *consensus.Config) { c.OnDamage = consensus.Refuse })
		if !durable.IsDamage(err) {
			t.Fatalf("start = %v", err)
		}
		for _, want := range []string{"wal", "index", "backup", "move"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(root, "s1", "*")); len(left) != 1 {
			t.Errorf("the refusal left %q", left)
		}
	})
}

// spoil flips a bit of the newest entry in a stopped server's log.
func spoil(t *testing.T, root, id string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(root, id, "raft", "wal", "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	path := logs[len(logs)-1]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := len(b) - 1
	for b[n] == 0 {
		n--
	}
	b[n-12] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedFollowerStartsEmptyAndCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		c := three(t, onDisk(root))
		defer c.stopAll()
		l := c.leader()
		for i := range 50 {
			l.apply(t, fmt.Sprint(i))
		}
		f := c.others(l)[0]
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		spoil(t, root, f.id)
		f = c.start(f.id, onDisk(root))
		if !f.HasState() {
			t.Error("a server that lost its state claims it had none")
		}
		if err := f.Bootstrap(nil); !failure.Is(err, failure.Conflict) {
			t.Errorf("Bootstrap on probation = %v", err)
		}
		if aside, _ := filepath.Glob(filepath.Join(root, f.id, "raft.damaged-*")); len(aside) != 1 {
			t.Errorf("set aside: %q", aside)
		}
		f.mustSee(t, l.machine.Commands()...)
		time.Sleep(3 * time.Second)
		if f.OnProbation() {
			t.Error("still on probation after it caught up")
		}
	})
}

// TestNoVoteBeforeItHasWhatItLost is the reason for the probation: s3 and s1
// alone hold an acknowledged write, s3 loses it, and s2 and s3 together are a
// majority.
func TestNoVoteBeforeItHasWhatItLost(t *testing.T) {
	for _, c := range []struct {
		name    string
		forgets bool // the planted fault: nobody keeps the probation
	}{{"on probation", false}, {"probation removed", true}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { amnesia(t, c.forgets) })
		})
	}
}

func amnesia(t *testing.T, forgets bool) {
	root := t.TempDir()
	c := three(t, onDisk(root))
	c.leader().apply(t, "everywhere")
	if l := c.leader(); l.id != "s1" {
		t.Fatalf("%s leads", l.id)
	}
	time.Sleep(time.Second)
	c.net.Isolate("s2", true)
	c.servers["s1"].apply(t, "on s1 and s3")
	c.servers["s3"].mustSee(t, "everywhere", "on s1 and s3")
	c.stopAll()
	c.net.Isolate("s2", false)
	spoil(t, root, "s3")
	if forgets {
		// The damage is found once, and the server stopped before it learned anything.
		c.start("s3", onDisk(root))
		if err := c.servers["s3"].stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(root, "s3", "raft", "probation")); err != nil {
			t.Fatal(err)
		}
	}
	delete(c.servers, "s1")
	c.start("s2", onDisk(root))
	c.start("s3", onDisk(root))
	defer c.stopAll()
	time.Sleep(20 * time.Second)
	if !forgets { // and a restart changes nothing
		if err := c.servers["s3"].stop(); err != nil {
			t.Fatal(err)
		}
		c.start("s3", onDisk(root))
		time.Sleep(20 * time.Second)
	}
	elected := c.servers["s2"].Leadership().Get().Ready || c.servers["s3"].Leadership().Get().Ready
	if elected != forgets {
		t.Fatalf("without s1 a leader was elected: %v", elected)
	}
	if forgets {
		return // the acknowledged write is lost, as it must be without the probation
	}
	if !c.servers["s3"].OnProbation() {
		t.Error("the probation did not survive a restart")
	}
	c.start("s1", onDisk(root))
	c.leader()
	for _, s := range c.servers {
		s.mustSee(t, "everywhere", "on s1 and s3")
	}
	time.Sleep(3 * time.Second)
	if c.servers["s3"].OnProbation() {
		t.Error("still on probation after it caught up")
	}
}

// A crash between the two renames of a quarantine is finished by the next start.
func TestQuarantineSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		c := three(t, onDisk(root))
		defer c.stopAll()
		l := c.leader()
		l.apply(t, "x")
		f := c.others(l)[0]
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		spoil(t, root, f.id)
		isolated := onDisk(root)
		c.net.Isolate(f.id, true)
		f = c.start(f.id, isolated)
		if err := f.stop(); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(root, f.id, "raft")
		if err := os.Rename(dir, dir+".new"); err != nil {
			t.Fatal(err)
		}
		f = c.start(f.id, isolated)
		if !f.OnProbation() {
			t.Error("the probation was lost")
		}
		c.net.Isolate(f.id, false)
		f.mustSee(t, "x")
	})
}

// A damaged newest snapshot is made good by the older one and the log.
func TestOlderSnapshotAndLogStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		keepAll := func(c *consensus.Config) { c.Reloadable.TrailingLogs = 10240 }
		c := newCluster(t)
		s := soleOnDisk(t, c, root, keepAll)
		for i := range 100 {
			s.apply(t, fmt.Sprint(i))
			if i == 30 || i == 60 {
				if err := s.Snapshot(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := s.machine.Commands()
		c.stopAll()
		states, err := filepath.Glob(filepath.Join(root, "s1", "raft", "snapshots", "*", "state.bin"))
		if err != nil || len(states) != 2 {
			t.Fatalf("snapshots %v, %v", states, err)
		}
		newest := states[1]
		if err := os.Truncate(newest, 100); err != nil {
			t.Fatal(err)
		}
		c = newCluster(t)
		s = soleOnDisk(t, c, root, keepAll, func(c *consensus.Config) { c.OnDamage = consensus.Refuse })
		defer c.stopAll()
		s.mustSee(t, want...)
		time.Sleep(3 * time.Second) // the loss of a snapshot calls for a new one
		if left, _ := filepath.Glob(filepath.Join(root, "s1", "raft", "snapshots", "*")); len(left) != 2 {
			t.Errorf("snapshots are now %q", left)
		}
	})
}

// TestALongLogIsSnapshotAfterTheStart holds a server that is restarted before
// raft's own interval has passed to not replaying everything for ever.
func TestALongLogIsSnapshotAfterTheStart(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries int
		want    bool
	}{
		{"long", 60, true},
		{"short", 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := t.TempDir()
				threshold := func(c *consensus.Config) {
					c.Reloadable.SnapshotThreshold, c.Reloadable.SnapshotInterval = 40, time.Hour
				}
				first := newCluster(t)
				s := soleOnDisk(t, first, root, threshold)
				for i := range c.entries {
					s.apply(t, fmt.Sprint(i))
				}
				first.stopAll()
				second := newCluster(t)
				s = soleOnDisk(t, second, root, threshold)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if got := s.Stats()["last_snapshot_index"] != "0"; got != c.want {
					t.Errorf("took a snapshot: %v, want %v", got, c.want)
				}
				second.stopAll()
			})
		})
	}
}
