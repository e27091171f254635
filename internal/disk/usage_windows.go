package disk

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// UsageOf describes the volume that holds path. Free is what is free for this
// user.
func UsageOf(path string) (Usage, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Usage{}, fmt.Errorf("describe the volume of %s: %w", path, err)
	}
	var u Usage
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &u.Free, &u.Total, &free); err != nil {
		return Usage{}, fmt.Errorf("describe the volume of %s: %w", path, err)
	}
	u.Used = u.Total - min(u.Total, free)
	return u, nil
}
