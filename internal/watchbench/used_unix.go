//go:build unix

package watchbench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// used returns this process's CPU time and resident bytes, 0 where /proc is not
// there.
func used() (time.Duration, int64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, fmt.Errorf("read CPU time: %w", err)
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return cpu, 0, nil
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return cpu, 0, nil
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return cpu, 0, nil
	}
	return cpu, pages * int64(os.Getpagesize()), nil
}
