package consensus

import (
	"errors"

	"golang.org/x/sys/windows"
)

// connectionRefused says that a machine answered, and that nobody listens there.
func connectionRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
