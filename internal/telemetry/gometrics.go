package telemetry

import (
	"sync"
	"time"

	gometrics "github.com/hashicorp/go-metrics"
)

// BridgeGoMetrics makes m the receiver of what raft, serf and memberlist record
// through the global of hashicorp/go-metrics, which is the only global metrics
// state in ctl. It is called once by the process; the last call wins, so that
// several agents in one test process share the last one's Metrics.
func BridgeGoMetrics(m *Metrics) error {
	_, err := gometrics.NewGlobal(
		&gometrics.Config{TimerGranularity: time.Millisecond, FilterDefault: true},
		newBridge(m))
	return err
}

// maxBridged bounds the keys a bridge remembers: some hold the names of user
// events, which anybody may send. Later ones are exported only if the table
// knows them.
const maxBridged = 2000

// bridge is the sink. It finds a series by one look-up, without allocation.
type bridge struct {
	counters bridged[*Counter]
	gauges   bridged[*Gauge]
	samples  bridged[*Sample]
}

func newBridge(m *Metrics) *bridge {
	return &bridge{
		counters: bridged[*Counter]{m: m, kind: CounterKind, pick: func(s *series) *Counter { return s.counter }},
		gauges:   bridged[*Gauge]{m: m, kind: GaugeKind, pick: func(s *series) *Gauge { return s.gauge }},
		samples:  bridged[*Sample]{m: m, kind: SampleKind, pick: func(s *series) *Sample { return s.sample }},
	}
}

// bridged remembers the series of one kind by go-metrics' keys.
type bridged[T any] struct {
	m    *Metrics
	kind Kind
	pick func(*series) T

	mu    sync.RWMutex
	known map[string]T
}

func (b *bridged[T]) find(key []string, labels []gometrics.Label) T {
	var room [256]byte
	k := appendKey(room[:0], key, labels)
	b.mu.RLock()
	t, ok := b.known[string(k)]
	b.mu.RUnlock()
	if ok {
		return t
	}
	return b.learn(string(k), key, labels)
}

// learn resolves a key for the first time. A name that is known as another kind
// is not exported: a library's choice must not stop the agent.
func (b *bridged[T]) learn(k string, key []string, labels []gometrics.Label) T {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.known[k]; ok {
		return t
	}
	name := dotted(key)
	if _, ok := declared(name); !ok && len(b.known) >= maxBridged {
		b.m.refused.Inc()
		return b.pick(&b.m.spare)
	}
	own := make([]Label, len(labels))
	for i, l := range labels {
		own[i] = Label(l)
	}
	s, err := b.m.lookUp(name, b.kind, own)
	if err != nil {
		b.m.refused.Inc()
		s = &b.m.spare
	}
	if b.known == nil {
		b.known = map[string]T{}
	}
	t := b.pick(s)
	b.known[k] = t
	return t
}

func appendKey(b []byte, key []string, labels []gometrics.Label) []byte {
	for _, part := range key {
		b = append(append(b, part...), '.')
	}
	for _, l := range labels {
		b = append(append(append(append(b, 0), l.Name...), 0), l.Value...)
	}
	return b
}

// dotted joins the parts of a key, cutting what no name of ours is as long as.
func dotted(key []string) string {
	b := appendKey(nil, key, nil)
	b = b[:max(len(b)-1, 0)]
	return string(b[:min(len(b), maxNameBytes)])
}

const maxNameBytes = 200

// SetGauge implements go-metrics' sink, as do the methods below.
func (b *bridge) SetGauge(key []string, v float32) { b.gauges.find(key, nil).Set(float64(v)) }

// SetGaugeWithLabels is part of the sink.
func (b *bridge) SetGaugeWithLabels(key []string, v float32, l []gometrics.Label) {
	b.gauges.find(key, l).Set(float64(v))
}

// SetPrecisionGauge is part of the sink.
func (b *bridge) SetPrecisionGauge(key []string, v float64) { b.gauges.find(key, nil).Set(v) }

// SetPrecisionGaugeWithLabels is part of the sink.
func (b *bridge) SetPrecisionGaugeWithLabels(key []string, v float64, l []gometrics.Label) {
	b.gauges.find(key, l).Set(v)
}

// EmitKey is part of the sink; no library in use emits points.
func (b *bridge) EmitKey([]string, float32) {}

// IncrCounter is part of the sink.
func (b *bridge) IncrCounter(key []string, v float32) { b.counters.find(key, nil).Add(float64(v)) }

// IncrCounterWithLabels is part of the sink.
func (b *bridge) IncrCounterWithLabels(key []string, v float32, l []gometrics.Label) {
	b.counters.find(key, l).Add(float64(v))
}

// AddSample is part of the sink.
func (b *bridge) AddSample(key []string, v float32) { b.samples.find(key, nil).Observe(float64(v)) }

// AddSampleWithLabels is part of the sink.
func (b *bridge) AddSampleWithLabels(key []string, v float32, l []gometrics.Label) {
	b.samples.find(key, l).Observe(float64(v))
}
