package agent

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		name string
		live uint64
		want int
	}{
		{"before the first collection", 0, 200},
		{"idle", 8 << 20, 200},
		{"small", 16 << 20, 150},
		{"100,000 keys", 68 << 20, 35},
		{"large", 4 << 30, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := gcPercent(c.live); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestMemoryGoesBackOnceAfterALoad(t *testing.T) {
	var m memoryTuner
	for i, c := range []struct {
		name string
		h    heap
		want bool
	}{
		{"under load", heap{live: 60 << 20, objects: 70 << 20, free: 10 << 20, cycles: 3}, false},
		{"still", heap{live: 60 << 20, objects: 70 << 20, free: 10 << 20, cycles: 4}, false},
		{"quiet", heap{live: 60 << 20, objects: 71 << 20, free: 10 << 20, cycles: 4}, false},
		{"quiet for long enough", heap{live: 60 << 20, objects: 71 << 20, free: 10 << 20, cycles: 4}, true},
		{"quiet on", heap{live: 60 << 20, objects: 61 << 20, cycles: 4}, false},
		{"load again", heap{live: 60 << 20, objects: 61 << 20, cycles: 5}, false},
		{"quiet again", heap{live: 60 << 20, objects: 61 << 20, cycles: 5}, false},
		{"nothing worth giving back", heap{live: 60 << 20, objects: 61 << 20, cycles: 5}, false},
	} {
		if _, got := m.step(c.h); got != c.want {
			t.Errorf("look %d, %s: gives back %v, want %v", i, c.name, got, c.want)
		}
	}
}

// Connections that end make garbage that nothing counts before the next
// collection, which an idle agent may not have for two minutes.
func TestMemoryGoesBackAfterConnectionsEnd(t *testing.T) {
	var m memoryTuner
	parked := heap{live: 200 << 20, objects: 201 << 20, cycles: 9, goroutines: 20_000}
	burst := heap{live: 200 << 20, objects: 220 << 20, cycles: 9, goroutines: 20_000}
	closing := heap{live: 200 << 20, objects: 201 << 20, cycles: 9, goroutines: 9_000}
	closed := heap{live: 200 << 20, objects: 201 << 20, cycles: 9, goroutines: 80}
	freed := heap{live: 20 << 20, objects: 21 << 20, free: 1 << 20, cycles: 9, goroutines: 80}
	for i, c := range []struct {
		name string
		h    heap
		want bool
	}{
		{"parked", parked, false}, {"parked", parked, false}, {"parked", parked, false},
		{"a burst of answers", burst, false}, {"over", burst, false}, {"quiet after it", burst, true},
		{"quiet on", parked, false},
		{"half have gone", closing, false}, {"all have gone", closed, false},
		{"quiet", closed, false}, {"quiet for long enough", closed, true},
		{"given back", freed, false}, {"quiet on", freed, false}, {"quiet on", freed, false},
	} {
		if _, got := m.step(c.h); got != c.want {
			t.Errorf("look %d, %s: gives back %v, want %v", i, c.name, got, c.want)
		}
	}
}

func TestGiveBackEmptiesPools(t *testing.T) {
	var pool sync.Pool
	freed := make(chan struct{})
	buffer := new([1 << 20]byte)
	runtime.AddCleanup(buffer, func(c chan struct{}) { close(c) }, freed)
	pool.Put(buffer)
	buffer = nil //nolint:ineffassign // or the collector would find it here
	giveBack()
	select {
	case <-freed:
	case <-time.After(time.Minute):
		t.Error("a pooled buffer survived")
	}
	runtime.KeepAlive(&pool)
}
