package agent

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the heap may grow between two collections. Go's own rule, as much
// again as is live, collects a small state far too often under load and lets a
// large one take twice its size. Here a small heap gets room of a fixed size and
// a large one a third of itself.
const (
	roomBytes  = 24 << 20
	minPercent = 35
	maxPercent = 200
	tuneEvery  = 500 * time.Millisecond
)

// gcPercent returns the percentage that fits a live heap.
func gcPercent(live uint64) int {
	if live == 0 {
		return maxPercent
	}
	return int(min(max(roomBytes*100/live, minPercent), maxPercent))
}

// tuneMemory follows the live heap until ctx ends. It does nothing where the
// operator set GOGC.
func tuneMemory(ctx context.Context, ready func()) error {
	ready()
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(tuneEvery)
	defer tick.Stop()
	for now := 0; ; {
		metrics.Read(sample)
		if p := gcPercent(sample[0].Value.Uint64()); p != now {
			debug.SetGCPercent(p)
			now = p
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
