package agentapi

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// diskUsage describes the volume that holds path. Free is what is free for this
// user; there are no inodes.
func diskUsage(path string) (*diskInfo, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("describe the volume of %s: %w", path, err)
	}
	d := &diskInfo{Path: path}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &d.Free, &d.Total, &free); err != nil {
		return nil, fmt.Errorf("describe the volume of %s: %w", path, err)
	}
	d.Used = d.Total - min(d.Total, free)
	d.UsedPercent = percent(d.Used, d.Used+d.Free)
	return d, nil
}
