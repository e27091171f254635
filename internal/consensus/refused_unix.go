//go:build !windows

package consensus

import (
	"errors"
	"syscall"
)

// connectionRefused says that a machine answered, and that nobody listens there.
func connectionRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
