package dirlock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedByte is where the lock lies: behind the holder's number, because Windows
// lets nobody read a locked range.
const lockedByte = 1 << 20

func tryLock(f *os.File) error {
	at := windows.Overlapped{Offset: lockedByte}
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errHeld
	}
	return err
}
