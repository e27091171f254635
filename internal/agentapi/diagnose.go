package agentapi

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// diagnosis is what only the agent itself can measure, as /v1/ctl/diagnose
// answers it. Consul has no such route.
type diagnosis struct {
	Time time.Time
	// DataDir is null for an agent that keeps nothing on disk.
	DataDir *dataDirInfo
}

type dataDirInfo struct {
	Path string
	// FreeBytes is what is free for the agent's user.
	FreeBytes, TotalBytes uint64
	// FsyncSeconds is how long it took to write a block of 4 KiB and to have
	// it on disk; null where that failed.
	FsyncSeconds *float64
	// Error says what could not be measured; empty for nothing.
	Error string
}

// fsyncTurn lets one request measure at a time: two would measure each other.
type fsyncTurn struct{ sync.Mutex }

func (a *API) diagnose(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", authz.Read); err != nil {
		return nil, err
	}
	d := diagnosis{Time: time.Now()}
	if a.DataDir != "" {
		a.fsync.Lock()
		defer a.fsync.Unlock()
		d.DataDir = describeDataDir(a.DataDir)
	}
	return &httpapi.Response{Body: d}, nil
}

// describeDataDir measures the file system of dir. It writes and removes one
// small file.
func describeDataDir(dir string) *dataDirInfo {
	info := &dataDirInfo{Path: dir}
	disk, err := diskUsage(dir)
	if err == nil {
		info.FreeBytes, info.TotalBytes = disk.Free, disk.Total
	}
	took, fsyncErr := measureFsync(dir)
	if fsyncErr == nil {
		seconds := took.Seconds()
		info.FsyncSeconds = &seconds
	}
	if err := cmp.Or(err, fsyncErr); err != nil {
		info.Error = err.Error()
	}
	return info
}

// measureFsync writes a block to a file of its own in dir and returns how long
// it took until the disk had it.
func measureFsync(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".diagnose-*")
	if err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	begun := time.Now()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	return time.Since(begun), nil
}
