package dirlock

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/failure"
)

func TestSecondHolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(dir)
	if !failure.Is(err, failure.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d:", os.Getpid())) {
		t.Errorf("second Acquire = %v, want a Conflict naming this process", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Errorf("second Unlock = %v", err)
	}
	again, err := Acquire(dir)
	if err != nil {
		t.Fatalf("Acquire after Unlock = %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestLeftOverFileIsNoLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("123456789\nrubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil || string(b) != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("file holds %q, %v; want this process", b, err)
	}
}

func TestMissingDirectory(t *testing.T) {
	t.Parallel()
	if _, err := Acquire(filepath.Join(t.TempDir(), "absent")); !os.IsNotExist(err) && !strings.Contains(fmt.Sprint(err), "no such") {
		t.Errorf("Acquire of an absent directory = %v", err)
	}
}
