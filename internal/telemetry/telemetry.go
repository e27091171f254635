// Package telemetry counts and measures what the agent does, and renders it as
// Prometheus text, as the JSON of /v1/agent/metrics and as statsd lines.
//
// It is not for logs or traces. Rules that keep it right: a metric's name, kind
// and help are data, in one table (definitions.go); whoever records resolves
// its series once, at construction, and then records with a few atomic
// operations, without look-up or allocation; a series never expires; every
// metric of the table without labels is exported from the first moment; the
// number of series is bounded. The text form is written here rather than by
// prometheus/client_golang: both renderings come from the same atomics, nothing
// is counted twice, and half a megabyte of code stays out of the binary (the
// tests read the text with Prometheus' own parser).
//
// Names and shapes follow the public description of Consul's telemetry. Two
// differences: Prometheus is always on and its names never hold the host (that
// is what the instance label is for), and summaries do not reset every 10
// seconds.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Interval is the length of the intervals that the JSON form is about.
const Interval = 10 * time.Second

// DefaultPrefix begins every name unless the configuration says otherwise.
const DefaultPrefix = "consul"

const (
	// maxSeries bounds the label combinations of one metric. Later ones are
	// counted together in a series whose label values are all "other".
	maxSeries = 500
	// maxMetrics bounds the names that are not in the table: serf makes names
	// from user events, which anybody may send. Later ones are not exported.
	maxMetrics = 500
)

// Config says how metrics are named and where they go. The zero value works.
type Config struct {
	// Prefix begins every name; empty is DefaultPrefix.
	Prefix string
	// Hostname stands between prefix and name of gauges, in JSON and statsd.
	// Empty, as with disable_hostname, leaves it out.
	Hostname string
	// Filter says which metrics are exported; the zero Filter says all.
	Filter Filter
	// StatsdAddress is a host:port that gets every interval by UDP; empty is
	// nowhere.
	StatsdAddress string
	// Logger hears of a statsd address that does not work. Nil is silence.
	Logger *slog.Logger
}

// A Label is one dimension of a series.
type Label struct{ Name, Value string }

// Metrics is a set of series. Its methods may be called from any goroutine.
type Metrics struct {
	prefix, hostname string
	statsd           *statsd // nil without an address
	filter           atomic.Pointer[Filter]
	interval         atomic.Uint32 // number of the current interval

	mu         sync.Mutex // guards the rest; not held while recording
	families   map[string]*family
	undeclared int
	began      time.Time // when the current interval began
	previous   time.Time // when the last complete one began; zero if none did
	collect    runtimeStats
	refused    *Counter
	spare      series // takes what is not exported
}

// family is all series of one metric.
type family struct {
	def    Definition
	text   string // the name in Prometheus' alphabet, with the prefix
	series map[string]*series
}

// series is one family's values for one set of labels. Exactly one of counter,
// gauge and sample is set, but for Metrics.spare.
type series struct {
	labels  []Label // sorted by name
	start   bool    // made from the table, before anybody asked for it
	counter *Counter
	gauge   *Gauge
	sample  *Sample
}

// New returns a set in which every metric of the table without labels already
// has its series. It starts no goroutine: see Run.
func New(c Config) *Metrics {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	m := &Metrics{prefix: c.Prefix, hostname: c.Hostname, families: map[string]*family{}}
	m.SetFilter(c.Filter)
	m.began = time.Now().Truncate(Interval)
	m.spare = series{counter: newCounter(&m.interval), gauge: new(Gauge), sample: newSample(&m.interval)}
	if c.StatsdAddress != "" {
		m.statsd = &statsd{address: c.StatsdAddress, log: c.Logger}
	}
	for _, d := range definitions {
		f := m.family(d.Name, d.Kind)
		if len(d.Labels) == 0 {
			f.add(m, nil).start = true
		}
	}
	m.refused = m.Counter("telemetry.refused")
	return m
}

// SetFilter replaces the filter, from the next export on.
func (m *Metrics) SetFilter(f Filter) { m.filter.Store(&f) }

// Run keeps the intervals and the runtime metrics until ctx ends, then returns
// nil. Without it recording and Prometheus work, but the JSON form stays in its
// first interval.
func (m *Metrics) Run(ctx context.Context, ready func()) error {
	m.collectRuntime()
	ready()
	for {
		t := time.NewTimer(time.Until(m.nextTick()))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case now := <-t.C:
			m.collectRuntime()
			m.rotate(now)
			if m.statsd != nil {
				m.statsd.send(ctx, m.Snapshot())
			}
		}
	}
}

func (m *Metrics) nextTick() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.began.Add(Interval)
}

// rotate ends the current interval.
func (m *Metrics) rotate(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.interval.Load() + 1
	for _, f := range m.families {
		for _, s := range f.series {
			s.rotate(next)
		}
	}
	m.spare.rotate(next)
	m.interval.Store(next)
	m.previous, m.began = m.began, now.Truncate(Interval)
}

func (s *series) rotate(next uint32) {
	if s.counter != nil {
		s.counter.rotate(next)
	}
	if s.sample != nil {
		s.sample.rotate(next)
	}
}

// Counter returns the series of a counter, making it if need be. Resolve it
// once and keep it. A name that the table knows as another kind is a
// programming error and panics; one that it does not know is exported without
// help.
func (m *Metrics) Counter(name string, labels ...Label) *Counter {
	return m.resolve(name, CounterKind, labels).counter
}

// Gauge is like Counter, for a gauge.
func (m *Metrics) Gauge(name string, labels ...Label) *Gauge {
	return m.resolve(name, GaugeKind, labels).gauge
}

// Sample is like Counter, for a sample.
func (m *Metrics) Sample(name string, labels ...Label) *Sample {
	return m.resolve(name, SampleKind, labels).sample
}

func (m *Metrics) resolve(name string, k Kind, labels []Label) *series {
	s, err := m.lookUp(name, k, labels)
	if err != nil {
		panic("telemetry: " + err.Error())
	}
	return s
}

// lookUp returns the series, or the spare one when there are too many. It fails
// when the name has another kind.
func (m *Metrics) lookUp(name string, k Kind, labels []Label) (*series, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.family(name, k)
	if f == nil {
		m.refused.Inc()
		return &m.spare, nil
	}
	if f.def.Kind != k {
		return nil, fmt.Errorf("%s is a %s, not a %s", name, f.def.Kind, k)
	}
	labels = normalized(labels)
	if s := f.series[seriesKey(labels)]; s != nil {
		return s, nil
	}
	if len(labels) > 0 && len(f.series) >= maxSeries {
		for i := range labels {
			labels[i].Value = "other"
		}
		m.refused.Inc()
		if s := f.series[seriesKey(labels)]; s != nil {
			return s, nil
		}
	}
	return f.add(m, labels), nil
}

// family returns the family of a name, making it if there is room; m.mu is held
// or m not yet shared. Names that are one in Prometheus' alphabet are one.
func (m *Metrics) family(name string, k Kind) *family {
	text := textName(m.prefix + "." + name)
	if f := m.families[text]; f != nil {
		return f
	}
	def, ok := declared(name)
	if !ok {
		if m.undeclared >= maxMetrics {
			return nil
		}
		m.undeclared++
		def = Definition{Name: name, Kind: k}
	}
	f := &family{def: def, text: text, series: map[string]*series{}}
	m.families[text] = f
	return f
}

func (f *family) add(m *Metrics, labels []Label) *series {
	s := &series{labels: labels}
	switch f.def.Kind {
	case CounterKind:
		s.counter = newCounter(&m.interval)
	case GaugeKind:
		s.gauge = newGauge(f.def.Unknown)
	case SampleKind:
		s.sample = newSample(&m.interval)
	}
	f.series[seriesKey(labels)] = s
	return s
}

// normalized returns a sorted copy without repeated names, the last one of
// which counts.
func normalized(labels []Label) []Label {
	if len(labels) == 0 {
		return nil
	}
	out := slices.Clone(labels)
	slices.Reverse(out)
	slices.SortStableFunc(out, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b Label) bool { return a.Name == b.Name })
}

func seriesKey(labels []Label) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(l.Name)
		b.WriteByte(0)
		b.WriteString(l.Value)
		b.WriteByte(0)
	}
	return b.String()
}

// exported is one family with its series in a fixed order.
type exported struct {
	*family
	list []*series
}

// export calls fn, under the lock, for every family that passes the filter and
// has series, in the order of names.
func (m *Metrics) export(fn func(exported)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	filter := m.filter.Load()
	names := make([]string, 0, len(m.families))
	for name := range m.families {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := m.families[name]
		if !filter.allows(m.prefix + "." + f.def.Name) {
			continue
		}
		if list := f.visible(); len(list) > 0 {
			fn(exported{f, list})
		}
	}
}

// visible returns the series in the order of their labels. The one made from
// the table stands in only until a series with labels turns up.
func (f *family) visible() []*series {
	keys := make([]string, 0, len(f.series))
	for k, s := range f.series {
		if s.start && len(f.series) > 1 && s.untouched() {
			continue
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	list := make([]*series, len(keys))
	for i, k := range keys {
		list[i] = f.series[k]
	}
	return list
}

func (s *series) untouched() bool {
	switch {
	case s.counter != nil:
		return s.counter.Total() == 0
	case s.sample != nil:
		return s.sample.stats.count.Load() == 0
	default:
		return !s.gauge.set.Load()
	}
}
