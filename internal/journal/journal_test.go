package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// texts is the values of a file, as texts.
func texts(values map[string][]byte) map[string]string {
	m := map[string]string{}
	for key, value := range values {
		m[key] = string(value)
	}
	return m
}

func put(key, value string) Record { return Record{Key: key, Value: []byte(value)} }

func remove(key string) Record { return Record{Key: key} }

// opened opens a file that must be neither damaged nor cut.
func opened(t testing.TB, path string) (*Journal, map[string]string) {
	t.Helper()
	j, found, err := Open(path)
	must(t, err)
	if found.Cut != 0 || found.Damage != nil {
		t.Fatalf("cut %d, damage %v", found.Cut, found.Damage)
	}
	return j, texts(found.Values)
}

func keep(t testing.TB, j *Journal, records ...Record) {
	t.Helper()
	m, err := j.Append(records...)
	must(t, err)
	must(t, j.Flush(m))
}

// step is what was appended at once, and what the file holds after it.
type step struct {
	records []Record
	end     int64
	holds   map[string]string
}

// history is steps of every kind: several at once, the same key again, removed,
// empty values, keys and values that look like frames.
func history(t testing.TB, path string) []step {
	t.Helper()
	j, _ := opened(t, path)
	steps := []step{{end: j.end, holds: map[string]string{}}}
	for _, records := range [][]Record{
		{put("a", "one")}, {put("b", "two"), put("c", ""), put("", "no key")}, {put("a", "three"), remove("b")}, {remove("never"), put("f", "six"), remove("not")},
		{put("d", string(marker)+strings.Repeat("x", 60)), put(string(marker), "k")}, {put("d", "short"), remove("c"), put("c", "again")}, {put("e", strings.Repeat("long", 40))},
	} {
		keep(t, j, records...)
		holds := maps.Clone(steps[len(steps)-1].holds)
		for _, r := range records {
			if delete(holds, r.Key); r.Value != nil {
				holds[r.Key] = string(r.Value)
			}
		}
		steps = append(steps, step{records, j.end, holds})
	}
	before := j.end
	keep(t, j, remove("never"), remove("not"))
	if j.end != before {
		t.Error("removing what is not there was written")
	}
	must(t, j.f.Close()) // as a process that is killed does
	return steps
}

func TestWhatIsKeptIsThereAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	steps := history(t, path)
	want := steps[len(steps)-1].holds
	for range 3 { // a close adds a frame each time
		j, got := opened(t, path)
		if d := cmp.Diff(got, want); d != "" {
			t.Errorf("got - want +:\n%s", d)
		}
		must(t, j.Close())
		must(t, j.Close())
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %o", info.Mode().Perm())
	}
}

// readFrom reads the content of a file.
func readFrom(b []byte) (*Journal, *Found) {
	j := &Journal{path: "file", places: map[string]place{}}
	return j, j.read(b)
}

func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "j")
	steps := history(t, path)
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := headSize; n <= len(whole); n++ {
		last := steps[0]
		for _, s := range steps {
			if s.end <= int64(n) {
				last = s
			}
		}
		j, found := readFrom(whole[:n])
		if d := cmp.Diff(texts(found.Values), last.holds); d != "" || found.Damage != nil || found.Cut != int64(n)-last.end || j.end != last.end {
			t.Fatalf("cut at %d: end %d, cut %d, damage %v, got - want +:\n%s", n, j.end, found.Cut, found.Damage, d)
		}
		if n%37 != 0 {
			continue
		}
		cut := filepath.Join(dir, strconv.Itoa(n))
		must(t, os.WriteFile(cut, whole[:n], 0o600))
		j, _, err = Open(cut)
		must(t, err)
		keep(t, j, put("after", "x"))
		must(t, j.Close())
		_, got := opened(t, cut)
		if got["after"] != "x" || len(got) != len(last.holds)+1 {
			t.Fatalf("cut at %d: after it %v", n, got)
		}
	}
}

// TestEveryFlippedBit flips each bit of a file that was closed, all of which was
// flushed for certain: it is said where, and nothing else is lost.
func TestEveryFlippedBit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	steps := history(t, path)
	j, _ := opened(t, path)
	flushed := j.end
	must(t, j.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	for bit := range len(whole) * 8 {
		flipped := bytes.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		_, found := readFrom(flipped)
		at := int64(bit / 8)
		if at >= flushed { // in the frame of the end
			if found.Cut == 0 || found.Damage != nil {
				t.Fatalf("bit %d at the end: %+v", bit, found)
			}
			continue
		}
		if len(found.Damage) != 1 || !durable.IsDamage(found.Damage[0]) {
			t.Fatalf("bit %d: %v", bit, found.Damage)
		}
		if d := cmp.Diff(texts(found.Values), without(steps, at)); d != "" {
			t.Fatalf("bit %d: got - want +:\n%s", bit, d)
		}
	}
}

func TestDamageIsPutAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	steps := history(t, path)
	whole, err := os.ReadFile(path)
	must(t, err)
	at := steps[2].end + headerSize + 1
	whole[at]++
	must(t, os.WriteFile(path, whole, 0o600))
	j, found, err := Open(path)
	must(t, err)
	must(t, j.Close())
	want := fmt.Sprintf("damaged %s: at offset %d: %d bytes are not what was written", path, steps[2].end, steps[3].end-steps[2].end)
	if len(found.Damage) != 1 || found.Damage[0].Error() != want {
		t.Errorf("got %v, want %s", found.Damage, want)
	}
	if aside, err := os.ReadFile(found.Aside); err != nil || !bytes.Equal(aside, whole) {
		t.Errorf("the damaged file is not at %q: %v", found.Aside, err)
	}
	_, got := opened(t, path)
	if d := cmp.Diff(got, without(steps, at)); d != "" {
		t.Errorf("in the new file - want +:\n%s", d)
	}
}

// without is what steps leave of which the one at an offset is missing.
func without(steps []step, at int64) map[string]string {
	holds := map[string]string{}
	begin := int64(headSize)
	for _, s := range steps[1:] {
		if at < begin || at >= s.end {
			for _, r := range s.records {
				if delete(holds, r.Key); r.Value != nil {
					holds[r.Key] = string(r.Value)
				}
			}
		}
		begin = s.end
	}
	return holds
}

func TestReplacing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := opened(t, path)
	want := map[string]string{}
	value := strings.Repeat("v", 1000)
	for i := range 12_000 {
		key := strconv.Itoa(i % 500)
		want[key] = value + strconv.Itoa(i)
		_, err := j.Append(put(key, want[key]))
		must(t, err)
		if i%7 == 0 {
			_, err := j.Append(put("gone", value), remove("gone"))
			must(t, err)
		}
		if j.Tidy(); i%1000 == 0 {
			keep(t, j, put("flushed", strconv.Itoa(i)))
		}
	}
	want["flushed"] = "11000"
	size, live := j.Size()
	if most := live + slack + 10_000; size > most || live < 500*1000 {
		t.Errorf("%d bytes for %d that matter, want at most %d", size, live, most)
	}
	must(t, j.Close())
	_, got := opened(t, path)
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("got - want +:\n%s", d)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer")
	must(t, os.WriteFile(newer, append([]byte(magic), version+1, 0, 0), 0o600))
	if _, _, err := Open(newer); err == nil || !strings.Contains(err.Error(), "newer ctl") {
		t.Errorf("a file of a later version: %v", err)
	}
	if _, _, err := Open(dir); err == nil {
		t.Error("a directory was opened")
	}
	foreign := filepath.Join(dir, "foreign")
	must(t, os.WriteFile(foreign, []byte("something else, and longer than a head"), 0o600))
	_, found, err := Open(foreign)
	must(t, err)
	if len(found.Damage) == 0 || found.Aside == "" {
		t.Errorf("a file of somebody else: %+v", found)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	j, _ := opened(t, filepath.Join(t.TempDir(), "j"))
	m, err := j.Append(put("a", "b"))
	must(t, err)
	must(t, j.Close())
	if _, err := j.Append(put("a", "c")); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := j.Flush(m); err != nil {
		t.Errorf("flush of what closing flushed: %v", err)
	}
	if err := j.Flush(m + 1); !errors.Is(err, ErrClosed) {
		t.Errorf("flush: %v", err)
	}
}

// TestTogether has one flush last until others have appended: these share the next.
func TestTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := opened(t, path)
	slow := &slowFlush{file: j.f, began: make(chan struct{}, 2), end: make(chan struct{})}
	j.f = slow
	const others = 20
	done := make(chan error, others+1)
	start := func(key string) {
		m, err := j.Append(put(key, "x"))
		must(t, err)
		go func() { done <- j.Flush(m) }() // awaited below
	}
	start("first")
	<-slow.began
	for i := range others {
		start(strconv.Itoa(i))
	}
	close(slow.end)
	for range others + 1 {
		must(t, <-done)
	}
	if len(slow.began) != 1 {
		t.Errorf("%d flushes for %d changes while one was on its way, want 1", len(slow.began), others)
	}
	must(t, j.f.Close())
	if _, got := opened(t, path); len(got) != others+1 {
		t.Errorf("%d are there, want %d", len(got), others+1)
	}
}

// slowFlush is a file whose flushes say when they begin and wait for an end.
type slowFlush struct {
	file
	began, end chan struct{}
}

func (s *slowFlush) Sync() error {
	s.began <- struct{}{}
	<-s.end
	return s.file.Sync()
}

func BenchmarkKeep(b *testing.B) {
	j, _ := opened(b, filepath.Join(b.TempDir(), "j"))
	value := bytes.Repeat([]byte("v"), 600)
	b.Run("one after the other", func(b *testing.B) {
		for i := range b.N {
			keep(b, j, Record{Key: strconv.Itoa(rand.IntN(1000) + i%2), Value: value})
		}
	})
	b.Run("16 at once", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				keep(b, j, Record{Key: strconv.Itoa(rand.IntN(1000)), Value: value})
			}
		})
	})
	b.Run("not flushed", func(b *testing.B) {
		for b.Loop() {
			if _, err := j.Append(Record{Key: strconv.Itoa(rand.IntN(1000)), Value: value}); err != nil {
				b.Fatal(err)
			}
			j.Tidy()
		}
	})
}
