//go:build !unix

package watchbench

import (
	"errors"
	"time"
)

// used is not built here.
func used() (time.Duration, int64, error) {
	return 0, 0, errors.New("CPU time is measured on Unix only")
}
