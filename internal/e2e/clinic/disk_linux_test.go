package clinic

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// smallDisk mounts a file system of 192 MiB at dir.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("clinic", dir, "tmpfs", 0, "size=192m,mode=0700"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// fill leaves no room on the disk at dir.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "somebody-else"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		switch _, err := f.Write(block); {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			t.Fatal(err)
		}
	}
}

// TestFullDisk has a follower whose disk somebody else fills. The agent stays,
// and the cluster goes on with the other two: what it cannot write it does not
// acknowledge. (A leader on a full disk steps down, and its agent ends.)
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("mounting a small disk takes root")
	}
	t.Parallel()
	w := newWard(t, 3)
	small := func(i int) agentproc.Spec {
		s := w.server(i, 2) // the third joins later, so that it does not lead
		s.Extra["raft_logstore"] = map[string]any{"wal": map[string]any{"segment_size_mb": 1}}
		return s
	}
	w.start(0, small(0))
	w.start(1, small(1))
	w.healthy()
	s := small(2)
	data := filepath.Join(s.Dir, "data")
	smallDisk(t, data)
	w.start(2, s)
	w.finds(sick{found: "critical disk/s3", text: []string{"  disk: The disk of s3 is nearly full.\n"}, fix: []string{"before it is full"}})
	fill(t, data)
	for i := range 12 {
		w.must("kv", "put", "-http-addr", w.api[i%2], "key", strings.Repeat("x", 100_000))
	}
	w.finds(sick{
		found:    "critical disk/s3",
		evidence: []string{"s3 (" + w.api[2] + "): ", "no space left on device", "has 0.0 MiB of 0.2 GiB free at " + data},
		fix:      []string{"Make room there", "acknowledges nothing"},
		text:     []string{"  disk: The disk of s3 is full: its data directory cannot be written.\n"},
	})
	if !w.procs[2].Running() {
		t.Error("the agent on the full disk ended")
	}
	w.procs[2].Kill() // who looks at that machine finds the disk without it
	w.finds(sick{
		found:    "critical disk/s3, note config/bootstrap_expect, note config/bootstrap_expect",
		evidence: []string{"this machine: ", "no space left on device"},
		fix:      []string{"Make room there"},
	}, "-config-dir", filepath.Join(s.Dir, "config"))
}
