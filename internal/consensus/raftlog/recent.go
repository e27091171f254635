package raftlog

import (
	"sync"

	"github.com/hashicorp/raft"
)

// The bounds of recent: replication reads what was just appended, a batch or two
// behind; whoever lags further reads the disk.
const (
	recentEntries = 1024
	recentBytes   = 16 << 20
)

// recent keeps the newest entries in memory. It differs from raft's LogCache in
// that bytes are bounded too, and that errors of the log pass through unchanged.
type recent struct {
	mu        sync.RWMutex
	ring      [recentEntries]raft.Log // by index modulo its length
	low, high uint64                  // what it holds; high 0: nothing
	bytes     int
}

func entryBytes(l *raft.Log) int { return len(l.Data) + len(l.Extensions) }

func (r *recent) get(index uint64, out *raft.Log) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.high == 0 || index < r.low || index > r.high {
		return false
	}
	*out = r.ring[index%recentEntries]
	return true
}

// add takes entries that follow each other; a gap to what it holds empties it.
func (r *recent) add(logs []*raft.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range logs {
		if r.high == 0 || l.Index != r.high+1 {
			r.empty()
			r.low = l.Index
		}
		if l.Index-r.low >= recentEntries {
			r.dropLow()
		}
		r.ring[l.Index%recentEntries] = *l
		r.high = l.Index
		r.bytes += entryBytes(l)
		for r.bytes > recentBytes && r.low < r.high {
			r.dropLow()
		}
	}
}

func (r *recent) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.empty()
}

// dropLow and empty run under mu.
func (r *recent) dropLow() {
	slot := &r.ring[r.low%recentEntries]
	r.bytes -= entryBytes(slot)
	*slot = raft.Log{}
	r.low++
}

func (r *recent) empty() {
	clear(r.ring[:])
	r.low, r.high, r.bytes = 0, 0, 0
}
