package raftlog

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// store is what raft wants of both.
type store interface {
	raft.LogStore
	raft.MonotonicLogStore
	raft.StableStore
}

// TestSuite holds every store to what raft relies on.
func TestSuite(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name string
		open func(t *testing.T) store
	}{
		{"disk", func(t *testing.T) store {
			d := open(t, t.TempDir())
			t.Cleanup(func() { closeDisk(t, d) })
			return d
		}},
		{"memory", func(*testing.T) store { return &Memory{} }},
	} {
		for _, c := range []struct {
			name string
			run  func(t *testing.T, s store)
		}{
			{"empty", suiteEmpty},
			{"append and read", suiteAppend},
			{"entries keep their own extensions", suiteExtensions},
			{"the caller's entries are not changed", suiteUntouched},
			{"a gap is refused", suiteGap},
			{"an empty log begins anywhere", suiteBeginsAnywhere},
			{"delete at the head", suiteDelete(1, 60, 61, 200)},
			{"delete at the end", suiteDelete(151, 200, 1, 150)},
			{"delete all", suiteDelete(1, 200, 0, 0)},
			{"delete beyond both ends", suiteDelete(0, 900, 0, 0)},
			{"delete beside the log", suiteDelete(300, 400, 1, 200)},
			{"an end is written anew", suiteRewrite},
			{"readers beside a writer", suiteConcurrent},
			{"stable values", suiteStable},
		} {
			t.Run(s.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, s.open(t))
			})
		}
	}
}

func mustSpan(t *testing.T, s store, first, last uint64) {
	t.Helper()
	f, err1 := s.FirstIndex()
	l, err2 := s.LastIndex()
	if f != first || l != last || err1 != nil || err2 != nil {
		t.Fatalf("log %d..%d, %v, %v; want %d..%d", f, l, err1, err2, first, last)
	}
}

func mustHold(t *testing.T, s store, index, term uint64, data string) {
	t.Helper()
	var l raft.Log
	if err := s.GetLog(index, &l); err != nil || l.Index != index || l.Term != term || string(l.Data) != data || l.Extensions != nil {
		t.Fatalf("entry %d = %+v, %v", index, l, err)
	}
}

func mustMiss(t *testing.T, s store, index uint64) {
	t.Helper()
	if err := s.GetLog(index, new(raft.Log)); err != raft.ErrLogNotFound { //nolint:errorlint // raft compares by identity
		t.Fatalf("entry %d: %v, want ErrLogNotFound itself", index, err)
	}
}

func suiteEmpty(t *testing.T, s store) {
	mustSpan(t, s, 0, 0)
	mustMiss(t, s, 0)
	mustMiss(t, s, 1)
	if !s.IsMonotonic() {
		t.Error("not monotonic")
	}
	if err := s.DeleteRange(1, 10); err != nil {
		t.Error(err)
	}
	if err := s.StoreLogs(nil); err != nil {
		t.Error(err)
	}
}

func suiteAppend(t *testing.T, s store) {
	fill(t, s, 1, 200, 3)
	mustSpan(t, s, 1, 200)
	for i := uint64(1); i <= 200; i++ {
		mustHold(t, s, i, 3, content(i))
	}
	mustMiss(t, s, 0)
	mustMiss(t, s, 201)
}

func suiteExtensions(t *testing.T, s store) {
	l := entry(1, 1, "")
	l.Extensions, l.Type = []byte("abc"), raft.LogConfiguration
	if err := s.StoreLog(l); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 2, 2*recentEntries, 1) // out of the recent ones
	var got raft.Log
	if err := s.GetLog(1, &got); err != nil || string(got.Extensions) != "abc" || got.Type != raft.LogConfiguration {
		t.Errorf("entry = %+v, %v", got, err)
	}
}

func suiteUntouched(t *testing.T, s store) {
	l := entry(1, 1, "data")
	l.Extensions = append(make([]byte, 0, 64), "ext"...)
	before := *l
	if err := s.StoreLogs([]*raft.Log{l}); err != nil {
		t.Fatal(err)
	}
	if l.Index != before.Index || string(l.Extensions) != "ext" || !slices.Equal(l.Extensions[:cap(l.Extensions)][3:8], make([]byte, 5)) {
		t.Errorf("the caller's entry became %+v", l)
	}
}

func suiteGap(t *testing.T, s store) {
	fill(t, s, 1, 10, 1)
	if err := s.StoreLog(entry(12, 1, "x")); err == nil {
		t.Error("a gap was stored")
	}
	mustSpan(t, s, 1, 10)
	fill(t, s, 11, 12, 1)
}

func suiteBeginsAnywhere(t *testing.T, s store) {
	fill(t, s, 500, 520, 4)
	mustSpan(t, s, 500, 520)
	if err := s.DeleteRange(500, 520); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 900, 910, 4)
	mustSpan(t, s, 900, 910)
	mustHold(t, s, 905, 4, content(905))
}

func suiteDelete(from, to, first, last uint64) func(*testing.T, store) {
	return func(t *testing.T, s store) {
		fill(t, s, 1, 200, 1)
		if err := s.DeleteRange(from, to); err != nil {
			t.Fatal(err)
		}
		mustSpan(t, s, first, last)
		if last > 0 {
			mustHold(t, s, first, 1, content(first))
			mustHold(t, s, last, 1, content(last))
		}
		mustMiss(t, s, first-min(first, 1))
		mustMiss(t, s, last+1)
	}
}

func suiteRewrite(t *testing.T, s store) {
	fill(t, s, 1, 100, 1)
	if err := s.DeleteRange(51, 100); err != nil {
		t.Fatal(err)
	}
	for i := uint64(51); i <= 70; i++ {
		if err := s.StoreLog(entry(i, 2, "new")); err != nil {
			t.Fatal(err)
		}
	}
	mustSpan(t, s, 1, 70)
	mustHold(t, s, 50, 1, content(50))
	mustHold(t, s, 51, 2, "new")
}

func suiteConcurrent(t *testing.T, s store) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				last, _ := s.LastIndex()
				var l raft.Log
				if last > 0 {
					if err := s.GetLog(last, &l); err != nil || string(l.Data) != content(last) {
						t.Errorf("entry %d = %q, %v", last, l.Data, err)
						return
					}
				}
			}
		})
	}
	fill(t, s, 1, 300, 1)
	close(done)
	wg.Wait()
}

func suiteStable(t *testing.T, s store) {
	key := []byte("k")
	if v, err := s.Get(key); v != nil || err != nil {
		t.Errorf("absent = %q, %v", v, err)
	}
	if v, err := s.GetUint64(key); v != 0 || err != nil {
		t.Errorf("absent = %d, %v", v, err)
	}
	value := []byte("v1")
	if err := s.Set(key, value); err != nil {
		t.Fatal(err)
	}
	value[1] = '9' // ours again
	if v, err := s.Get(key); string(v) != "v1" || err != nil {
		t.Errorf("value = %q, %v", v, err)
	}
	if _, err := s.GetUint64(key); err == nil {
		t.Error("a value of two bytes was read as a number")
	}
	for _, n := range []uint64{7, 0, 1 << 63} {
		if err := s.SetUint64([]byte("n"), n); err != nil {
			t.Fatal(err)
		}
		if v, err := s.GetUint64([]byte("n")); v != n || err != nil {
			t.Errorf("number = %d, %v; want %d", v, err, n)
		}
	}
}

func TestRecentIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	var r recent
	for i := uint64(1); i <= 40; i++ {
		r.add([]*raft.Log{entry(i, 1, string(make([]byte, 1<<20)))})
	}
	held := 0
	for i := uint64(1); i <= 40; i++ {
		var l raft.Log
		if r.get(i, &l) {
			held++
		}
	}
	if held < 10 || held > recentBytes>>20 {
		t.Errorf("%d MiB are held", held)
	}
	var l raft.Log
	if !r.get(40, &l) {
		t.Error("the newest is not held")
	}
	r.add([]*raft.Log{entry(99, 1, "behind a gap")})
	if r.get(40, &l) || !r.get(99, &l) {
		t.Error("a gap did not empty it")
	}
}

// A mark torn by a power cut leaves the one before it.
func TestMarkSurvivesATornWrite(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/mark"
	m, found, err := openMark(path)
	if err != nil || found {
		t.Fatal(found, err)
	}
	for i := range uint64(5) {
		if err := m.set(func(x *Mark) { x.LogIndex, x.LogTerm = 10+i, 2 }); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []int64{0, markSlotGap} {
		b := read(t, path)
		copy(b[slot+20:], "torn")
		m := &markFile{path: path, f: tempFile(t, b)}
		if err := m.load(); err != nil || m.cur.LogIndex < 13 {
			t.Errorf("slot at %d torn: %+v, %v", slot, m.cur, err)
		}
	}
	// Lowered, no older mark comes back, whichever slot is lost.
	m, _, err = openMark(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.setFlushed(func(x *Mark) { x.LogIndex = 3 }); err != nil {
		t.Fatal(err)
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []int64{0, markSlotGap} {
		b := read(t, path)
		copy(b[slot+20:], "torn")
		m := &markFile{path: path, f: tempFile(t, b)}
		if err := m.load(); err != nil || m.cur.LogIndex != 3 {
			t.Errorf("slot at %d torn: %+v, %v", slot, m.cur, err)
		}
	}
}

func TestStableIsDamagedNotWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	setTerm(t, d, 5)
	closeDisk(t, d)
	path := fmt.Sprintf("%s/%s/%s", dir, logDir, metaName)
	whole := read(t, path)
	for bit := 0; bit < len(whole)*8; bit += 7 {
		flip(t, path, bit)
		if d, err := tryOpen(dir); err == nil {
			closeDisk(t, d)
			t.Fatalf("bit %d went unnoticed", bit)
		}
		flip(t, path, bit)
	}
	closeDisk(t, open(t, dir))
}
