package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// small segments, so that a short log has several.
const testSegment = 16 << 10

func open(t testing.TB, dir string) *Disk {
	t.Helper()
	d, err := tryOpen(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tryOpen(dir string) (*Disk, error) {
	return Open(Config{Dir: dir, SegmentBytes: testSegment, Logger: slog.New(slog.DiscardHandler)})
}

func entry(index, term uint64, data string) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: []byte(data), AppendedAt: time.Unix(1700000000, int64(index))}
}

// fill stores entries from..to of the term in batches of seven.
func fill(t testing.TB, s raft.LogStore, from, to, term uint64) {
	t.Helper()
	for from <= to {
		var batch []*raft.Log
		for ; from <= to && len(batch) < 7; from++ {
			batch = append(batch, entry(from, term, content(from)))
		}
		if err := s.StoreLogs(batch); err != nil {
			t.Fatal(err)
		}
	}
}

func content(i uint64) string {
	return fmt.Sprintf("entry %d %s", i, bytes.Repeat([]byte{'x'}, int(i*37%300)))
}

func setTerm(t testing.TB, d *Disk, term uint64) {
	t.Helper()
	if err := d.SetUint64([]byte(keyCurrentTerm), term); err != nil {
		t.Fatal(err)
	}
}

func closeDisk(t testing.TB, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReopenGivesBackEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	setTerm(t, d, 3)
	if err := d.Set([]byte("LastVoteCand"), []byte("10.0.0.1:8300")); err != nil {
		t.Fatal(err)
	}
	fill(t, d, 1, 400, 3)
	ext := entry(401, 3, "with extensions")
	ext.Extensions = []byte("chunk 1/2")
	exact := entry(402, 3, string(make([]byte, guessSize-24))) // frame of exactly guessSize around here
	big := entry(403, 3, string(make([]byte, 3*guessSize)))
	if err := d.StoreLogs([]*raft.Log{ext, exact, big}); err != nil {
		t.Fatal(err)
	}
	closeDisk(t, d)

	d = open(t, dir)
	defer closeDisk(t, d)
	r, err := d.Check(Point{})
	if err != nil || r.First != 1 || r.Last != 403 || r.MarkMissing {
		t.Fatalf("Check = %+v, %v", r, err)
	}
	for i := uint64(1); i <= 400; i++ {
		var l raft.Log
		if err := d.GetLog(i, &l); err != nil || string(l.Data) != content(i) || l.Extensions != nil {
			t.Fatalf("entry %d = %+v, %v", i, l, err)
		}
	}
	for _, want := range []*raft.Log{ext, exact, big} {
		var l raft.Log
		if err := d.GetLog(want.Index, &l); err != nil || !bytes.Equal(l.Data, want.Data) ||
			!bytes.Equal(l.Extensions, want.Extensions) || !l.AppendedAt.Equal(want.AppendedAt) {
			t.Errorf("entry %d came back different: %v", want.Index, err)
		}
	}
	if v, err := d.Get([]byte("LastVoteCand")); err != nil || string(v) != "10.0.0.1:8300" {
		t.Errorf("vote = %q, %v", v, err)
	}
	if m := d.Mark(); m.LogIndex != 403 || m.Term != 3 {
		t.Errorf("mark = %+v", m)
	}
}

// An entry whose frame is as long as raft-wal's guess is read in two steps; walk
// over all sizes near it.
func TestSizesAroundTheGuess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	setTerm(t, d, 1)
	var i uint64
	for n := guessSize - 80; n < guessSize+16; n++ {
		i++
		if err := d.StoreLog(entry(i, 1, string(bytes.Repeat([]byte{byte(n)}, n)))); err != nil {
			t.Fatal(err)
		}
	}
	closeDisk(t, d)
	d = open(t, dir)
	defer closeDisk(t, d)
	if r, err := d.Check(Point{}); err != nil || r.Last != i {
		t.Errorf("Check = %+v, %v", r, err)
	}
}

func TestTruncations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		from, to    uint64
		first, last uint64
		mark        uint64
	}{
		{"the head goes", 1, 150, 151, 400, 400},
		{"the end goes, and the mark with it", 301, 400, 1, 300, 300},
		{"all goes", 1, 400, 0, 0, 0},
		{"all goes, by a range that is too long", 1, 1000, 0, 0, 0},
		{"a range beside the log", 500, 600, 1, 400, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := open(t, dir)
			setTerm(t, d, 2)
			fill(t, d, 1, 400, 2)
			if err := d.DeleteRange(c.from, c.to); err != nil {
				t.Fatal(err)
			}
			for range 2 { // as it stands, and after a restart
				first, _ := d.FirstIndex()
				last, _ := d.LastIndex()
				if first != c.first || last != c.last || d.Mark().LogIndex != c.mark {
					t.Errorf("log %d..%d, mark %d; want %d..%d, %d", first, last, d.Mark().LogIndex, c.first, c.last, c.mark)
				}
				closeDisk(t, d)
				d = open(t, dir)
				if _, err := d.Check(Point{Index: c.first - min(c.first, 1), Term: 2}); err != nil {
					t.Errorf("Check: %v", err)
				}
			}
			var l raft.Log
			if err := d.GetLog(c.last+1, &l); err != raft.ErrLogNotFound { //nolint:errorlint // raft compares by identity
				t.Errorf("GetLog behind the end = %v", err)
			}
			fill(t, d, c.last+1, c.last+20, 2)
			closeDisk(t, d)
		})
	}
}

func TestCheckAgainstSnapshot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		snap   Point
		change func(t *testing.T, d *Disk)
		damage bool
		first  uint64
		last   uint64
	}{
		{name: "log and snapshot overlap", snap: Point{200, 2}, first: 1, last: 400},
		{name: "log begins behind the snapshot", snap: Point{200, 2}, first: 201, last: 400,
			change: func(t *testing.T, d *Disk) { mustDelete(t, d, 1, 200) }},
		{name: "gap between snapshot and log", snap: Point{199, 2}, damage: true,
			change: func(t *testing.T, d *Disk) { mustDelete(t, d, 1, 200) }},
		{name: "no snapshot where one was needed", damage: true,
			change: func(t *testing.T, d *Disk) { mustDelete(t, d, 1, 200) }},
		{name: "log that ends below the snapshot is left over", snap: Point{900, 5}},
		{name: "log that parts from the snapshot is left over", snap: Point{300, 9}},
		{name: "noted snapshot is gone, log is empty", damage: true,
			change: func(t *testing.T, d *Disk) { mustNote(t, d, 400, 2); mustDelete(t, d, 1, 400) }},
		{name: "noted snapshot is gone, an older one and the log reach as far", snap: Point{100, 2}, first: 101, last: 400,
			change: func(t *testing.T, d *Disk) { mustNote(t, d, 400, 2); mustDelete(t, d, 1, 100) }},
		{name: "noted snapshot is gone, the older one is too old", snap: Point{100, 2}, damage: true,
			change: func(t *testing.T, d *Disk) { mustNote(t, d, 400, 2); mustDelete(t, d, 1, 150) }},
		{name: "current term below a term of the log", damage: true,
			change: func(t *testing.T, d *Disk) { fill(t, d, 401, 401, 7) }},
		{name: "terms that fall", damage: true, change: func(t *testing.T, d *Disk) { fill(t, d, 401, 401, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := open(t, t.TempDir())
			defer closeDisk(t, d)
			setTerm(t, d, 2)
			fill(t, d, 1, 400, 2)
			if c.change != nil {
				c.change(t, d)
			}
			r, err := d.Check(c.snap)
			if durable.IsDamage(err) != c.damage || err != nil && !c.damage {
				t.Fatalf("Check = %v, want damage %v", err, c.damage)
			}
			if err == nil && (r.First != c.first || r.Last != c.last) {
				t.Errorf("log %d..%d, want %d..%d", r.First, r.Last, c.first, c.last)
			}
		})
	}
}

func mustDelete(t *testing.T, d *Disk, from, to uint64) {
	t.Helper()
	if err := d.DeleteRange(from, to); err != nil {
		t.Fatal(err)
	}
}

func mustNote(t *testing.T, d *Disk, index, term uint64) {
	t.Helper()
	if err := d.NoteSnapshot(index, term); err != nil {
		t.Fatal(err)
	}
}

func TestRemovedMarkIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	setTerm(t, d, 2)
	fill(t, d, 1, 50, 2)
	closeDisk(t, d)
	if err := os.Remove(filepath.Join(dir, markName)); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir)
	if r, err := d.Check(Point{}); err != nil || !r.MarkMissing {
		t.Fatalf("Check = %+v, %v", r, err)
	}
	if m := d.Mark(); m.LogIndex != 50 || m.LogTerm != 2 || m.Term != 2 {
		t.Errorf("mark = %+v", m)
	}
	closeDisk(t, d)
	d = open(t, dir)
	defer closeDisk(t, d)
	if r, err := d.Check(Point{}); err != nil || r.MarkMissing {
		t.Errorf("second Check = %+v, %v", r, err)
	}
}

// A damaged entry that the snapshot covers does no harm: it is dropped.
func TestDamageBelowTheSnapshotIsTrimmed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	setTerm(t, d, 2)
	fill(t, d, 1, 400, 2)
	closeDisk(t, d)
	segments, err := filepath.Glob(filepath.Join(dir, logDir, "*.wal"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	flip(t, segments[0], bytes.Index(read(t, segments[0]), []byte("entry 5 "))*8)
	d = open(t, dir)
	defer closeDisk(t, d)
	r, err := d.Check(Point{Index: 100, Term: 2})
	if err != nil || r.First != 6 || r.Last != 400 || r.Trimmed != 5 {
		t.Errorf("Check = %+v, %v; want the log to begin at 6", r, err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flip(t testing.TB, path string, bit int) {
	t.Helper()
	b := read(t, path)
	b[bit/8] ^= 1 << (bit % 8)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironmentIsNotDamage(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		// Root opens anything; a directory in the file's place fails for it too.
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, logDir, metaName, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := tryOpen(dir); err == nil || durable.IsDamage(err) {
			t.Errorf("Open = %v, want an error that is no damage", err)
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(dir); !errors.Is(err, os.ErrPermission) || durable.IsDamage(err) {
		t.Errorf("Open = %v, want a permission error", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	d, err := Open(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	setTerm(b, d, 1)
	for i := uint64(1); i <= 100_000; {
		var batch []*raft.Log
		for range 500 {
			batch = append(batch, entry(i, 1, string(make([]byte, 128))))
			i++
		}
		if err := d.StoreLogs(batch); err != nil {
			b.Fatal(err)
		}
	}
	closeDisk(b, d)
	for b.Loop() {
		d, err := Open(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if r, err := d.Check(Point{}); err != nil || r.Last != 100_000 {
			b.Fatal(r, err)
		}
		closeDisk(b, d)
	}
}

func BenchmarkStoreLogs(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("batch=", n), func(b *testing.B) {
			d, err := Open(Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var i uint64
			for b.Loop() {
				var batch []*raft.Log
				for range n {
					i++
					batch = append(batch, entry(i, 1, string(make([]byte, 128))))
				}
				if err := d.StoreLogs(batch); err != nil {
					b.Fatal(err)
				}
			}
			closeDisk(b, d)
		})
	}
}

func tempFile(t testing.TB, content []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}
