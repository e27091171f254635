package loadgen

import (
	"os"
	"syscall"
	"testing"
)

// raiseFileLimit lets this process, and the agents it starts, open n files.
func raiseFileLimit(t *testing.T, n uint64) {
	t.Helper()
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	if now.Cur >= n {
		return
	}
	want := syscall.Rlimit{Cur: n, Max: max(now.Max, n)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("this machine allows %d open files, and raising that: %v", now.Max, err)
	}
}
