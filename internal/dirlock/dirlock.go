// Package dirlock lets one process own a directory.
//
// It is for the agent's data directory: two agents on one directory would write
// the same log. It is not a lock between goroutines, and not one between
// machines: on a network file system it is only as good as that file system's
// locks. The lock is the operating system's, so a process that dies lets go of
// it however it died; the file and the number in it stay and mean nothing by
// themselves.
package dirlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
)

// FileName is the name of the lock file inside the directory.
const FileName = "lock"

// errHeld is what tryLock returns when another process has the lock.
var errHeld = errors.New("held by another process")

// A Lock is a directory owned by this process until Unlock.
type Lock struct{ file *os.File }

// Acquire takes the lock of dir, which must exist and be writable. It never waits:
// it fails as Conflict, with the holder's process number where it is known, when
// another process, or another Lock of this one, has it.
func Acquire(dir string) (*Lock, error) {
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		holder := readHolder(f)
		_ = f.Close() // nothing was written
		if !errors.Is(err, errHeld) {
			return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		return nil, failure.Newf(failure.Conflict,
			"data directory %s is held by %s: stop it, or give this agent another data_dir", dir, holder)
	}
	if err := writeHolder(f); err != nil {
		_ = f.Close() // lets go of the lock
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &Lock{file: f}, nil
}

// Unlock lets go. The file stays, so that two processes never lock different
// files of the same name. A second call does nothing.
func (l *Lock) Unlock() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// The number stands at the start of the file; on Windows the locked byte lies
// far behind it, so that others can read it.
func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readHolder(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0) // an unreadable number is a holder unknown
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return "another process"
	}
	return fmt.Sprintf("pid %d", pid)
}
