package kvapi

import (
	"context"
	"time"

	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/store"
)

// How long the deletion of a key is remembered, in steps of reapStep. A watcher
// that asks again within that time learns exactly what was deleted; after it,
// that something may have been.
const (
	tombstoneTime = 15 * time.Minute
	reapStep      = 30 * time.Second
)

// Reaper returns the leader's duty to forget tombstones. applied returns the
// index of the newest applied entry.
func (a *API) Reaper(db *store.DB, applied func() uint64) leader.Duty {
	return leader.Duty{Name: "kv tombstones", Run: func(ctx context.Context) error {
		return a.reap(ctx, db, applied)
	}}
}

// reap notes the applied index every step, and forgets what is older than the
// note it took one tombstone time ago. A new leader starts without notes, so
// tombstones may live longer, never shorter.
func (a *API) reap(ctx context.Context, db *store.DB, applied func() uint64) error {
	notes := make([]uint64, 0, tombstoneTime/reapStep)
	tick := time.NewTicker(reapStep)
	defer tick.Stop()
	for {
		notes = append(notes, applied())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if len(notes) < cap(notes) {
			continue
		}
		index := notes[0]
		notes = append(notes[:0], notes[1:]...)
		if tx, _ := db.Read(); !kv.HasTombstones(tx, index) {
			continue
		}
		if _, err := a.Applier.Apply(ctx, kv.TypeReap, &kv.Reap{Index: index}); err != nil {
			return err
		}
	}
}
