// Package disk measures the file system that holds a directory: how much room it
// has, and how fast it is.
//
// It is for reports, not for decisions: what is free now may be gone when it is
// written to.
package disk

import (
	"fmt"
	"os"
	"slices"
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

// fsyncBytes is about one entry of a log; fsyncRounds is odd, so that there is a
// median.
const (
	fsyncBytes  = 4096
	fsyncRounds = 3
)

// Fsync writes a block of 4 KiB to a file of its own in dir, three times, and
// returns how long it took until the disk had it: the median, because one write
// may have to wait for somebody else's. The file is removed again. It fails where
// dir cannot be written: no room, no right, no directory, read-only.
func Fsync(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".diagnose-*")
	if err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took [fsyncRounds]time.Duration
	for i := range took {
		begun := time.Now()
		if _, err := f.Write(make([]byte, fsyncBytes)); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took[:])
	return took[fsyncRounds/2], nil
}
