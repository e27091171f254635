//go:build !linux

package agentproc

import (
	"os/exec"
	"time"
)

// CanShiftClock reports whether StartWithClock works here.
const CanShiftClock = false

// StartWithClock starts a program with a wall clock of its own, on Linux on
// amd64.
func StartWithClock(*exec.Cmd, time.Duration) error {
	return errNoClock
}
