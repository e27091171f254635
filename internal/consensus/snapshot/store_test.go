package snapshot

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

var servers = raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a:1"}, {ID: "b", Address: "b:1"}}}

func openStore(t *testing.T, dir string, damaged *[]*durable.Damage) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, Retain: 2, Logger: slog.New(slog.DiscardHandler), Damaged: func(d *durable.Damage) {
		if damaged != nil {
			*damaged = append(*damaged, d)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trans() raft.Transport {
	_, t := raft.NewInmemTransport("")
	return t
}

func save(t *testing.T, s raft.SnapshotStore, index uint64, content string) string {
	t.Helper()
	sink, err := s.Create(1, index, 2, servers, 1, trans())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.SplitAfter(content, "\n") {
		if _, err := io.WriteString(sink, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.ID()
}

// content of a snapshot as the state machine gets it.
func load(s raft.SnapshotStore, id string) (Header, string, error) {
	_, rc, err := s.Open(id)
	if err != nil {
		return Header{}, "", err
	}
	defer rc.Close()
	h, r, err := NewReader(rc)
	if err != nil {
		return h, "", err
	}
	b, err := io.ReadAll(r)
	return h, string(b), err
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]raft.SnapshotStore{"disk": openStore(t, t.TempDir(), nil), "memory": NewMemory()} {
		for i, content := range []string{"", "x", "short\nlines\n", strings.Repeat("a longer state\n", 20_000)} {
			index := uint64(10 + i)
			id := save(t, s, index, content)
			h, got, err := load(s, id)
			if err != nil || got != content || h.Index != index || h.Term != 2 || !h.equal(Header{1, index, 2, servers, 1}) {
				t.Errorf("%s: %d bytes came back as %d, %+v, %v", name, len(content), len(got), h, err)
			}
		}
	}
}

// What one server sends is what another stores, and the length raft compares is
// that of what is sent.
func TestInstall(t *testing.T) {
	t.Parallel()
	state := strings.Repeat("state\n", 10_000)
	from := openStore(t, t.TempDir(), nil)
	id := save(t, from, 10, state)
	meta, rc, err := from.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	frame, err := io.ReadAll(rc)
	if err != nil || rc.Close() != nil || int64(len(frame)) != meta.Size {
		t.Fatalf("%d bytes, size %d, %v", len(frame), meta.Size, err)
	}
	for _, c := range []struct {
		name   string
		index  uint64
		change func(b []byte) []byte
		ok     bool
	}{
		{"as it was sent", 10, func(b []byte) []byte { return b }, true},
		{"under another index", 11, func(b []byte) []byte { return b }, false},
		{"a bit flipped on the way", 10, func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, false},
		{"a bit of the hash flipped", 10, func(b []byte) []byte { b[len(b)-1] ^= 4; return b }, false},
		{"cut short", 10, func(b []byte) []byte { return b[:len(b)-1] }, false},
		{"cut in the header", 10, func(b []byte) []byte { return b[:20] }, false},
		{"too long", 10, func(b []byte) []byte { return append(b, 0) }, false},
	} {
		for name, s := range map[string]raft.SnapshotStore{"disk": openStore(t, t.TempDir(), nil), "memory": NewMemory()} {
			sink, err := s.Create(1, c.index, 2, servers, 1, trans())
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(sink, bytes.NewReader(c.change(bytes.Clone(frame))))
			if err == nil {
				err = sink.Close()
			} else if e := sink.Cancel(); e != nil {
				t.Error(e)
			}
			if (err == nil) != c.ok {
				t.Errorf("%s, %s: %v", name, c.name, err)
			}
			kept, e := s.List()
			if e != nil || (len(kept) == 1) != c.ok {
				t.Errorf("%s, %s: %d kept, %v", name, c.name, len(kept), e)
			}
			if c.ok {
				if _, got, err := load(s, sink.ID()); got != state || err != nil {
					t.Errorf("%s, %s: another state, %v", name, c.name, err)
				}
			}
		}
	}
}

// A flip of any fifth bit of meta.json and of the state is found or changes
// nothing; the older snapshot takes the place.
func TestDamageIsSetAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := openStore(t, dir, nil)
	older := save(t, old, 10, "older state")
	newest := save(t, old, 20, "newest state")
	found := 0
	for _, name := range []string{metaName, stateName} {
		path := filepath.Join(dir, snapshotsDir, newest, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for bit := 0; bit < len(whole)*8; bit += 5 { // over time every bit of a byte
			b := bytes.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			var damaged []*durable.Damage
			s := openStore(t, dir, &damaged)
			meta, err := s.Verify()
			if err != nil || meta == nil {
				t.Fatalf("%s bit %d: %v, %v", name, bit, meta, err)
			}
			h, got, err := load(s, meta.ID)
			switch {
			case err != nil:
				t.Errorf("%s bit %d: %v", name, bit, err)
			case meta.ID == older && got == "older state" && h.Index == 10 && len(damaged) == 1:
				found++
			case meta.ID != newest || got != "newest state" || meta.Index != 20 || meta.Term != 2 || meta.Configuration.Servers[1].Address != "b:1":
				t.Errorf("%s bit %d: served %+v %q", name, bit, meta, got)
			}
			if meta.ID == older { // put it back
				aside := filepath.Join(dir, asideDir, newest)
				if err := os.Rename(aside, filepath.Join(dir, snapshotsDir, newest)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d flips were found", found)
	}
}

func TestDamageFoundWhileRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var damaged []*durable.Damage
	s := openStore(t, dir, &damaged)
	save(t, s, 10, "older state")
	newest := save(t, s, 20, "newest state")
	path := filepath.Join(dir, snapshotsDir, newest, stateName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-40] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(newest); !durable.IsDamage(err) || len(damaged) != 1 {
		t.Errorf("Open = %v, reported %v", err, damaged)
	}
	kept, err := s.List()
	if err != nil || len(kept) != 1 || kept[0].Index != 10 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestLeftoversAndFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	sink, err := s.Create(1, 5, 2, servers, 1, trans())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sink, "half"); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir, nil) // a crash happened
	if left, _ := os.ReadDir(filepath.Join(dir, snapshotsDir)); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	failed := errors.New("mark not written")
	s, err = Open(Config{Dir: dir, Retain: 2, Logger: slog.New(slog.DiscardHandler), Stored: func(uint64, uint64) error { return failed }})
	if err != nil {
		t.Fatal(err)
	}
	sink, err = s.Create(1, 5, 2, servers, 1, trans())
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); !errors.Is(err, failed) {
		t.Errorf("Close = %v", err)
	}
}

// A server alone keeps nothing in memory.
func TestMemoryDropsWhatNobodyNeeds(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	sink, err := m.Create(1, 5, 2, raft.Configuration{Servers: servers.Servers[:1]}, 1, trans())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sink, "some state"); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if kept, _ := m.List(); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}
