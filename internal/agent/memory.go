package agent

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the heap may grow between two collections. Go's own rule, as much
// again as is live, collects a small state far too often under load and lets a
// large one take twice its size. Here a small heap gets room of a fixed size and
// a large one a quarter of itself. When the load is over, what it needed goes
// back to the system.
const (
	roomBytes  = 24 << 20
	minPercent = 25
	maxPercent = 200
	tuneEvery  = 500 * time.Millisecond
	// quietTicks is for how many looks the agent must have been quiet before
	// memory is given back, and idleBytes how much it must be to be worth it.
	quietTicks = 2
	idleBytes  = 8 << 20
	// busyBytes allocated between two looks is not quiet; and nor is the end of
	// goroutines that held idleBytes, each about goroutineBytes with its
	// connection's buffers, which no collection has counted as free yet.
	busyBytes      = 1 << 20
	goroutineBytes = 8 << 10
	// startTime is how long a starting agent, which may replay a large log,
	// is not held back by collections.
	startTime = 3 * time.Second
)

// gcPercent returns the percentage that fits a live heap.
func gcPercent(live uint64) int {
	if live == 0 {
		return maxPercent
	}
	return int(min(max(roomBytes*100/live, minPercent), maxPercent))
}

// memoryTuner follows the heap from look to look.
type memoryTuner struct {
	percent int
	cycles  uint64 // collections so far
	objects uint64 // bytes of objects at the last look
	last    uint64 // goroutines at the last look
	most    uint64 // and at the most since memory was given back
	quiet   int    // looks without a load
}

// heap is what a look at the heap shows, in bytes but for cycles and goroutines.
type heap struct{ live, objects, free, unused, cycles, goroutines uint64 }

// step decides on one look: the percentage to set, and whether to give memory
// back.
func (t *memoryTuner) step(h heap) (percent int, release bool) {
	t.quiet++
	if h.cycles != t.cycles || h.objects > t.objects+busyBytes || h.goroutines*goroutineBytes+idleBytes < t.last*goroutineBytes {
		t.quiet = 0
	}
	t.cycles, t.objects, t.last = h.cycles, h.objects, h.goroutines
	t.most = max(t.most, h.goroutines)
	garbage := h.objects - min(h.live, h.objects)
	ended := (t.most - h.goroutines) * goroutineBytes
	release = t.quiet == quietTicks && garbage+h.free+h.unused+ended > idleBytes
	if release {
		t.most = h.goroutines
	}
	return gcPercent(h.live), release
}

// tuneMemory follows the heap until ctx ends. It does nothing where the operator
// set GOGC.
func tuneMemory(ctx context.Context, ready func()) error {
	ready()
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	var t memoryTuner
	debug.SetGCPercent(maxPercent)
	t.percent = maxPercent
	tick := time.NewTicker(tuneEvery)
	defer tick.Stop()
	select {
	case <-time.After(startTime):
	case <-ctx.Done():
		return nil
	}
	for {
		percent, release := t.step(readHeap())
		if percent != t.percent {
			debug.SetGCPercent(percent)
			t.percent = percent
		}
		if release {
			giveBack()
			t.cycles = readHeap().cycles // its own collection is no load
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// giveBack returns to the system what is free. It takes two collections: the
// first leaves what pools hold, the buffers of every connection of the load.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(samples)
	v := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heap{live: v(0), objects: v(1), free: v(2), unused: v(3), cycles: v(4), goroutines: v(5)}
}
