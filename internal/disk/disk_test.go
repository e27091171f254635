package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	u, err := UsageOf(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if u.Total == 0 || u.Free > u.Total || u.Used > u.Total || u.InodesFree > u.InodesTotal {
		t.Errorf("got %+v", u)
	}
	if _, err := UsageOf(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no directory: %v", err)
	}
}

func TestFsyncLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	took, err := Fsync(dir)
	if err != nil || took <= 0 || took > time.Minute {
		t.Errorf("took %v, %v", took, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, error %v", left, err)
	}
	if _, err := Fsync(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
}
