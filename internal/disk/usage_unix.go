//go:build unix

package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// UsageOf describes the file system that holds path.
func UsageOf(path string) (Usage, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Usage{}, fmt.Errorf("describe the file system of %s: %w", path, err)
	}
	size := uint64(s.Bsize)
	return Usage{
		Total: uint64(s.Blocks) * size, Free: uint64(s.Bavail) * size, Used: (uint64(s.Blocks) - uint64(s.Bfree)) * size,
		InodesTotal: uint64(s.Files), InodesFree: uint64(s.Ffree),
	}, nil
}
