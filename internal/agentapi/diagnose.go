package agentapi

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/disk"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// diagnosis is what only the agent itself can measure, as /v1/ctl/diagnose
// answers it. Consul has no such route.
type diagnosis struct {
	Time time.Time
	// DataDir is null for an agent that keeps nothing on disk.
	DataDir *dataDirInfo
	// Gossip is null while gossip does not run yet.
	Gossip *gossipInfo
}

type dataDirInfo struct {
	Path string
	// FreeBytes is what is free for the agent's user.
	FreeBytes, TotalBytes uint64
	// FsyncSeconds is how long it took to write a block of 4 KiB and to have
	// it on disk, the median of three; null where that failed.
	FsyncSeconds *float64
	// Error says what could not be measured; empty for nothing.
	Error string
}

// turn lets one request measure at a time: two would measure each other, and
// many would be a load on other agents. The zero turn is ready.
type turn struct {
	once sync.Once
	c    chan struct{}
}

// take waits for the turn, or for the end of ctx. give ends the turn.
func (t *turn) take(ctx context.Context) (give func(), err error) {
	t.once.Do(func() { t.c = make(chan struct{}, 1) })
	select {
	case t.c <- struct{}{}:
		return func() { <-t.c }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// diagnose answers with the disk and with gossip: with ?member=, which may be
// repeated, as these members are reached, or else a sample.
func (a *API) diagnose(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", authz.Read); err != nil {
		return nil, err
	}
	members := r.Query["member"]
	if len(members) > gossip.MaxProbes {
		return nil, failure.Newf(failure.BadRequest, "member: %d names are too many: at most %d in one request", len(members), gossip.MaxProbes)
	}
	give, err := a.measuring.take(ctx)
	if err != nil {
		return nil, err
	}
	defer give()
	d := diagnosis{Time: time.Now()}
	if a.DataDir != "" {
		d.DataDir = describeDataDir(a.DataDir)
	}
	if d.Gossip, err = a.describeGossip(ctx, members); err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: d}, nil
}

// describeDataDir measures the file system of dir. It writes and removes one
// small file.
func describeDataDir(dir string) *dataDirInfo {
	info := &dataDirInfo{Path: dir}
	usage, err := disk.UsageOf(dir)
	if err == nil {
		info.FreeBytes, info.TotalBytes = usage.Free, usage.Total
	}
	took, fsyncErr := disk.Fsync(dir)
	if fsyncErr == nil {
		seconds := took.Seconds()
		info.FsyncSeconds = &seconds
	}
	if err := cmp.Or(err, fsyncErr); err != nil {
		info.Error = err.Error()
	}
	return info
}
