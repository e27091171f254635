//go:build unix

package agentapi

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskUsage describes the file system that holds path. Free is what is free for
// users who are not root.
func diskUsage(path string) (*diskInfo, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return nil, fmt.Errorf("describe the file system of %s: %w", path, err)
	}
	size := uint64(s.Bsize)
	d := &diskInfo{
		Path:        path,
		Total:       uint64(s.Blocks) * size,
		Free:        uint64(s.Bavail) * size,
		Used:        (uint64(s.Blocks) - uint64(s.Bfree)) * size,
		InodesTotal: uint64(s.Files),
		InodesFree:  uint64(s.Ffree),
	}
	d.InodesUsed = d.InodesTotal - min(d.InodesTotal, d.InodesFree)
	d.UsedPercent = percent(d.Used, d.Used+d.Free)
	d.InodesUsedPercent = percent(d.InodesUsed, d.InodesTotal)
	return d, nil
}
