package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sector is what a disk writes wholly or not at all.
const sector = 64 // small, so that frames span some

// disk is what of a file is on it for certain, and what may be.
type disk struct {
	mu      sync.Mutex
	certain []byte
	writes  []written
	syncs   int
	failing string // what fails next: "write" or "flush"
}

type written struct {
	at int64
	b  []byte
}

// recorded is a file whose writes are recorded.
type recorded struct {
	file
	disk *disk
}

var errDisk = errors.New("input/output error")

func (r *recorded) WriteAt(b []byte, at int64) (int, error) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	if r.disk.failing == "write" {
		r.disk.failing = ""
		n, _ := r.file.WriteAt(b[:len(b)/2], at)
		return n, errDisk
	}
	r.disk.writes = append(r.disk.writes, written{at, append([]byte(nil), b...)})
	return r.file.WriteAt(b, at)
}

// Sync flushes as far as the test is concerned; the file need not be.
func (r *recorded) Sync() error {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	r.disk.syncs++
	if r.disk.failing == "flush" {
		r.disk.failing = ""
		return errDisk
	}
	for _, w := range r.disk.writes {
		r.disk.certain = apply(r.disk.certain, w)
	}
	r.disk.writes = nil
	return nil
}

func apply(b []byte, w written) []byte {
	if missing := int(w.at) + len(w.b) - len(b); missing > 0 {
		b = append(b, make([]byte, missing)...)
	}
	copy(b[w.at:], w.b)
	return b
}

// afterPowerCut is what may be on the disk: of what was not flushed any sectors,
// and any length.
func (d *disk) afterPowerCut(r *rand.Rand) []byte {
	b := append([]byte(nil), d.certain...)
	for _, w := range d.writes {
		for at := 0; at < len(w.b); at += sector {
			if r.IntN(3) > 0 {
				b = apply(b, written{w.at + int64(at), w.b[at:min(at+sector, len(w.b))]})
			}
		}
	}
	if grown := len(b) - len(d.certain); grown > 0 && r.IntN(3) == 0 {
		b = b[:len(d.certain)+r.IntN(grown)]
	}
	return b
}

// on has the files of a Journal recorded.
func (d *disk) on(t *testing.T, j *Journal) {
	t.Helper()
	j.open = func(path string) (file, error) {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		d.certain, err = os.ReadFile(path) // it was flushed before it got its name
		d.writes = nil
		return &recorded{f, d}, err
	}
	must(t, j.f.Close())
	f, err := j.open(j.path)
	must(t, err)
	j.f = f
}

// TestPowerCut appends, flushes now and then, and cuts the power: what a Flush
// promised is there, whatever else is there is a beginning of what was appended,
// and none of it is called damage.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		j, _ := opened(t, filepath.Join(dir, "j"))
		d := &disk{}
		d.on(t, j)
		states := []map[string]string{{}}
		promised := 0
		for range 5 + r.IntN(40) {
			records, now := randomChange(r, states[len(states)-1])
			m, err := j.Append(records...)
			must(t, err)
			states = append(states, now)
			switch r.IntN(16) {
			case 0, 1, 2:
				must(t, j.Flush(m))
				promised = len(states) - 1
			case 3:
				j.flushing.Lock()
				j.mu.Lock()
				must(t, j.replace())
				j.mu.Unlock()
				j.flushing.Unlock()
				promised = len(states) - 1
			}
		}
		_, found := readFrom(d.afterPowerCut(r))
		if found.Damage != nil {
			t.Fatalf("seed %d: a power cut is called damage: %v", seed, found.Damage)
		}
		if got := texts(found.Values); !isOneOf(got, states[promised:]) {
			t.Fatalf("seed %d: got %v, promised %v", seed, got, states[promised])
		}
		must(t, j.Close())
	}
}

func isOneOf(got map[string]string, states []map[string]string) bool {
	for _, s := range states {
		if cmp.Equal(got, s) {
			return true
		}
	}
	return false
}

func randomChange(r *rand.Rand, before map[string]string) (records []Record, after map[string]string) {
	after = map[string]string{}
	maps.Copy(after, before)
	for range 1 + r.IntN(3) {
		key := string(rune('a' + r.IntN(6)))
		if delete(after, key); r.IntN(4) == 0 {
			records = append(records, remove(key))
			continue
		}
		after[key] = strconv.Itoa(r.Int()) + strings.Repeat("v", r.IntN(200))
		records = append(records, put(key, after[key]))
	}
	return records, after
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"write", "flush"} {
		t.Run("a "+failing+" that fails", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j")
			j, _ := opened(t, path)
			d := &disk{}
			d.on(t, j)
			keep(t, j, put("a", "1"))
			d.failing = failing
			m, err := j.Append(put("b", strings.Repeat("2", 100)))
			if failing == "flush" {
				must(t, err)
				if err = j.Flush(m); j.broken == nil {
					t.Error("a flush is trusted after one failed")
				}
				if again := j.Flush(m); !errors.Is(again, errDisk) {
					t.Errorf("a second flush says %v", again)
				}
			}
			if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			keep(t, j, put("c", "3")) // the disk is well again
			_, got := opened(t, path)
			want := map[string]string{"a": "1", "c": "3"}
			if failing == "flush" {
				want["b"] = strings.Repeat("2", 100)
			}
			if d := cmp.Diff(got, want); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
			must(t, j.Close())
		})
	}
}

func TestDamageIsNotCopied(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	j, _ := opened(t, path)
	keep(t, j, put("a", "first"))
	keep(t, j, put("b", "second"))
	_, err := j.f.WriteAt([]byte("x"), headSize+headerSize+3)
	must(t, err)
	j.mu.Lock()
	err = j.replace()
	j.mu.Unlock()
	if err == nil || !strings.Contains(err.Error(), "at offset 20") {
		t.Errorf("got %v", err)
	}
	keep(t, j, put("c", "third"))
	must(t, j.Close())
	j, found, err := Open(path)
	must(t, err)
	if d := cmp.Diff(texts(found.Values), map[string]string{"b": "second", "c": "third"}); d != "" || len(found.Damage) != 1 {
		t.Errorf("damage %v, got - want +:\n%s", found.Damage, d)
	}
	must(t, j.Close())
}

// TestKill kills a process that keeps one thing after the other, and finds
// everything it said it had kept.
func TestKill(t *testing.T) {
	const variable = "CTL_JOURNAL_KILL"
	if path := os.Getenv(variable); path != "" {
		j, _ := opened(t, path)
		for i := range 1_000_000 {
			keep(t, j, put(strconv.Itoa(i%50), strconv.Itoa(i)+strings.Repeat("x", 100_000)))
			fmt.Println("kept", i)
		}
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j")
	for _, patience := range []int{1, 90, 200} { // the file is replaced every 90 or so
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), variable+"="+path)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		last := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "kept %d", &last); err == nil && last >= patience {
				must(t, cmd.Process.Kill())
				break
			}
		}
		for lines.Scan() { // it said so before it died
			_, _ = fmt.Sscanf(lines.Text(), "kept %d", &last)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // it was killed
		if last < patience {
			t.Fatalf("it ended by itself at %d", last)
		}
		_, found, err := Open(path)
		must(t, err)
		for i := max(0, last-49); i <= last; i++ {
			got, _, _ := strings.Cut(string(found.Values[strconv.Itoa(i%50)]), "x")
			if n, err := strconv.Atoi(got); err != nil || n < i {
				t.Errorf("after %d: %d is %q", last, i%50, got)
			}
		}
		if found.Damage != nil {
			t.Error(found.Damage)
		}
		must(t, os.Remove(path))
	}
}

// FuzzRead reads any content: it never panics, what stays of the file reads the
// same again, and what is kept of it is what whole frames said.
func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "j")
	history(f, path)
	whole, err := os.ReadFile(path)
	must(f, err)
	f.Add(whole)
	f.Add(whole[headSize:])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, found := readFrom(b)
		if j.end < 0 || j.end > int64(len(b)) || found.Cut < 0 || found.Cut != int64(len(b))-j.end || len(j.places) != len(found.Values) {
			t.Fatalf("end %d of %d, cut %d, %d places of %d values", j.end, len(b), found.Cut, len(j.places), len(found.Values))
		}
		again, same := readFrom(b[:j.end])
		if d := cmp.Diff(texts(same.Values), texts(found.Values)); d != "" || same.Cut != 0 || again.live != j.live || len(same.Damage) != len(found.Damage) {
			t.Errorf("cut %d, %d and %d damages, again - first +:\n%s", same.Cut, len(same.Damage), len(found.Damage), d)
		}
		for key, p := range j.places {
			if value := found.Values[key]; !bytes.HasSuffix(b[p.at:p.at+p.size], value) {
				t.Errorf("%q is not at %d", key, p.at)
			}
		}
	})
}

// FuzzOpen opens any file: it never panics, what it returns it finds again in what
// it left behind, and it does not complain twice.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "j")
	history(f, path)
	whole, err := os.ReadFile(path)
	must(f, err)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte{})
	f.Add([]byte(magic))
	one, err := frameOf([]Record{put("k", "v")}, headSize, headSize)
	must(f, err)
	f.Add(append(head(headSize), one...))
	f.Add(append(append(head(headSize), "torn"...), one...))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "j")
		must(t, os.WriteFile(path, b, 0o600))
		j, found, err := Open(path)
		if err != nil {
			if !strings.Contains(err.Error(), "newer ctl") {
				t.Fatal(err)
			}
			return
		}
		keep(t, j, put("more", "x"))
		must(t, j.Close())
		j, got := opened(t, path)
		must(t, j.f.Close())
		want := texts(found.Values)
		want["more"] = "x"
		if d := cmp.Diff(got, want); d != "" {
			t.Errorf("got - want +:\n%s", d)
		}
	})
}
