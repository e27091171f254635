//go:build !windows

package durable

import (
	"errors"
	"fmt"
	"os"
)

// SyncDir flushes the names in dir: a created, renamed or removed file is only
// then sure to stay so after a power cut.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("flush directory %s: %w", dir, err)
	}
	return nil
}
