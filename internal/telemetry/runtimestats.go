package telemetry

import (
	"runtime"
	"sync"
)

// runtimeStats feeds the runtime.* metrics.
type runtimeStats struct {
	mu    sync.Mutex // one collection at a time
	gcs   uint32     // garbage collections already recorded
	stats runtime.MemStats
}

// collectRuntime records the state of the Go runtime. Reading it stops the
// process for some ten microseconds, once an interval.
func (m *Metrics) collectRuntime() {
	r := &m.collect
	r.mu.Lock()
	defer r.mu.Unlock()
	runtime.ReadMemStats(&r.stats)
	s := &r.stats
	for name, v := range map[string]float64{
		"runtime.num_goroutines":    float64(runtime.NumGoroutine()),
		"runtime.alloc_bytes":       float64(s.Alloc),
		"runtime.sys_bytes":         float64(s.Sys),
		"runtime.malloc_count":      float64(s.Mallocs),
		"runtime.free_count":        float64(s.Frees),
		"runtime.heap_objects":      float64(s.HeapObjects),
		"runtime.total_gc_pause_ns": float64(s.PauseTotalNs),
		"runtime.total_gc_runs":     float64(s.NumGC),
	} {
		m.Gauge(name).Set(v)
	}
	pauses := m.Sample("runtime.gc_pause_ns")
	first := r.gcs
	if held := uint32(len(s.PauseNs)); s.NumGC > held { // older ones are overwritten
		first = max(first, s.NumGC-held)
	}
	for n := first; n < s.NumGC; n++ {
		pauses.Observe(float64(s.PauseNs[n%uint32(len(s.PauseNs))]))
	}
	r.gcs = s.NumGC
}
