package agentapi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataDirIsMeasuredAndLeftAsItWas(t *testing.T) {
	dir := t.TempDir()
	d := describeDataDir(dir)
	if d.Path != dir || d.Error != "" || d.TotalBytes == 0 || d.FreeBytes > d.TotalBytes {
		t.Errorf("got %+v", d)
	}
	if d.FsyncSeconds == nil || *d.FsyncSeconds <= 0 || *d.FsyncSeconds > 60 {
		t.Errorf("fsync took %v s", d.FsyncSeconds)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, error %v", left, err)
	}
}

func TestDataDirThatCannotBeWritten(t *testing.T) {
	d := describeDataDir(filepath.Join(t.TempDir(), "gone"))
	if d.FsyncSeconds != nil || !strings.Contains(d.Error, "gone") {
		t.Errorf("got %+v", d)
	}
}
