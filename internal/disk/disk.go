// Package disk measures the file system that holds a directory: how much room it
// has, and how fast it is.
//
// It is for reports, not for decisions: what is free now may be gone when it is
// written to.
package disk

import (
	"fmt"
	"os"
	"time"
)

// Usage is the room of a file system. Sizes are in bytes.
type Usage struct {
	Total uint64
	// Free is what is free for users who are not root; Used is what is used by
	// anybody.
	Free, Used uint64
	// InodesTotal and InodesFree are 0 where there are no inodes.
	InodesTotal, InodesFree uint64
}

// fsyncBytes is about one entry of a log.
const fsyncBytes = 4096

// Fsync writes a block of 4 KiB to a file of its own in dir, which it removes
// again, and returns how long it took until the disk had it. It fails where dir
// cannot be written: no room, no right, no directory, read-only.
func Fsync(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".diagnose-*")
	if err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	begun := time.Now()
	if _, err := f.Write(make([]byte, fsyncBytes)); err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	return time.Since(begun), nil
}
