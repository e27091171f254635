package telemetry

import (
	"encoding/json"
	"io"
	"math"
)

// A Snapshot is the JSON of /v1/agent/metrics: what happened in the last
// complete interval, or in the current one while there is no other. Its slices
// are never nil. Gauges and counters are all there; a sample is there if it was
// observed in the interval, because a mean of nothing is not zero.
type Snapshot struct {
	Timestamp string // when the interval began
	Gauges    []GaugeValue
	Points    []PointValue // always empty; part of the shape
	Counters  []SampledValue
	Samples   []SampledValue
}

// A GaugeValue is one series of a gauge.
type GaugeValue struct {
	Name   string
	Value  float64
	Labels map[string]string
}

// A PointValue is part of the shape that clients decode.
type PointValue struct {
	Name   string
	Points []float64
}

// A SampledValue is one series of a counter or a sample over an interval.
type SampledValue struct {
	Name   string
	Count  uint64  // observations; for a counter how often it was counted
	Rate   float64 // Sum a second
	Sum    float64
	Min    float64
	Max    float64
	Mean   float64
	Stddev float64
	Labels map[string]string
}

// Snapshot returns the last complete interval.
func (m *Metrics) Snapshot() *Snapshot {
	s := &Snapshot{Gauges: []GaugeValue{}, Points: []PointValue{}, Counters: []SampledValue{}, Samples: []SampledValue{}}
	m.mu.Lock()
	complete, at := !m.previous.IsZero(), m.previous
	if !complete {
		at = m.began
	}
	m.mu.Unlock()
	s.Timestamp = at.UTC().String()
	m.export(func(f exported) {
		name := m.prefix + "." + f.def.Name
		for _, x := range f.list {
			switch f.def.Kind {
			case CounterKind:
				s.Counters = append(s.Counters, sampled(name, x.labels, x.counter.aggregate(complete)))
			case GaugeKind:
				if v := x.gauge.Value(); !math.IsNaN(v) && !math.IsInf(v, 0) {
					s.Gauges = append(s.Gauges, GaugeValue{m.gaugeName(f.def.Name), v, labelMap(x.labels)})
				}
			case SampleKind:
				if a := x.sample.stats.aggregate(complete); a.count > 0 {
					s.Samples = append(s.Samples, sampled(name, x.labels, a))
				}
			}
		}
	})
	return s
}

// WriteJSON writes the Snapshot as JSON.
func (m *Metrics) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(m.Snapshot()) }

// gaugeName puts the host into a gauge's name, where Consul has it.
func (m *Metrics) gaugeName(name string) string {
	if m.hostname == "" {
		return m.prefix + "." + name
	}
	return m.prefix + "." + m.hostname + "." + name
}

func sampled(name string, labels []Label, a aggregate) SampledValue {
	return SampledValue{
		Name: name, Count: a.count, Rate: a.sum / Interval.Seconds(), Sum: a.sum,
		Min: a.min, Max: a.max, Mean: a.mean(), Stddev: a.stddev(), Labels: labelMap(labels),
	}
}

func labelMap(labels []Label) map[string]string {
	out := make(map[string]string, len(labels))
	for _, l := range labels {
		out[l.Name] = l.Value
	}
	return out
}
