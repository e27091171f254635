package telemetry

import (
	"math"
	"sync/atomic"
	"time"
)

// A Counter counts upwards. Made by Metrics.Counter; recording never blocks or
// allocates and may be done from any goroutine.
type Counter struct {
	ones  atomic.Uint64 // calls of Inc since the start
	stats stats         // calls of Add

	mark, last uint64 // ones when this interval began, and how many in the last; under Metrics.mu
}

func newCounter(interval *atomic.Uint32) *Counter {
	c := &Counter{}
	c.stats.init(interval)
	return c
}

// Inc adds one.
func (c *Counter) Inc() { c.ones.Add(1) }

// Add adds n. What is negative, infinite or not a number is ignored.
func (c *Counter) Add(n float64) {
	if n == 1 {
		c.ones.Add(1)
		return
	}
	if n >= 0 && n <= math.MaxFloat64 {
		c.stats.observe(n)
	}
}

// Total returns the count since the start.
func (c *Counter) Total() float64 { return float64(c.ones.Load()) + c.stats.sum.load() }

func (c *Counter) rotate(next uint32) {
	now := c.ones.Load()
	c.last, c.mark = now-c.mark, now
	c.stats.rotate(next)
}

// aggregate sums up an interval, the current one or the last.
func (c *Counter) aggregate(complete bool) aggregate {
	ones := c.last
	if !complete {
		ones = c.ones.Load() - c.mark
	}
	a := c.stats.aggregate(complete)
	if ones == 0 {
		return a
	}
	n := float64(ones)
	if a.count == 0 {
		a.min, a.max = 1, 1
	}
	return aggregate{a.count + ones, a.sum + n, a.squares + n, min(a.min, 1), max(a.max, 1)}
}

// A Gauge holds a value. Made by Metrics.Gauge; recording never blocks or
// allocates and may be done from any goroutine.
type Gauge struct {
	value float
	set   atomic.Bool
}

// newGauge returns a gauge of zero, or of NaN if nothing is known at the start.
func newGauge(unknown bool) *Gauge {
	g := &Gauge{}
	if unknown {
		g.value.store(math.NaN())
	}
	return g
}

// Set replaces the value. NaN says it is not known here; JSON leaves it out.
func (g *Gauge) Set(v float64) {
	g.value.store(v)
	if !g.set.Load() {
		g.set.Store(true)
	}
}

// Add changes the value by d.
func (g *Gauge) Add(d float64) {
	g.value.add(d)
	if !g.set.Load() {
		g.set.Store(true)
	}
}

// Value returns the value.
func (g *Gauge) Value() float64 { return g.value.load() }

// A Sample sums up observations, most of them times in milliseconds. Made by
// Metrics.Sample; recording never blocks or allocates and may be done from any
// goroutine.
type Sample struct {
	stats   stats
	buckets buckets // since the start, each modulo 2³²

	// What buckets held when the last two quantile windows began; nil is
	// nothing. Under Metrics.mu.
	older, newer *[bucketCount]uint32
	age          int // intervals since newer was taken
}

func newSample(interval *atomic.Uint32) *Sample {
	s := &Sample{}
	s.stats.init(interval)
	return s
}

// Observe records one value, a time in milliseconds unless the metric's help
// says otherwise. What is infinite or not a number is ignored.
func (s *Sample) Observe(v float64) {
	if !(v >= -math.MaxFloat64 && v <= math.MaxFloat64) {
		return
	}
	s.buckets.observe(v)
	s.stats.observe(v)
}

// Since records the time since start.
func (s *Sample) Since(start time.Time) {
	s.Observe(float64(time.Since(start)) / float64(time.Millisecond))
}

// quantileWindow is how many intervals pass between two marks of the buckets:
// quantiles are about the last one to two minutes.
const quantileWindow = 6

func (s *Sample) rotate(next uint32) {
	s.stats.rotate(next)
	if s.age++; s.age < quantileWindow {
		return
	}
	s.age = 0
	if s.stats.count.Load() == 0 {
		return // most samples of most agents stay empty: no memory for them
	}
	mark := s.older
	if mark == nil {
		mark = new([bucketCount]uint32)
	}
	for i := range mark {
		mark[i] = s.buckets[i].Load()
	}
	s.older, s.newer = s.newer, mark
}

// quantiles returns the values below which the shares of observations lie, of
// the last one to two minutes, exact to about 6 %. All are NaN when there were
// none.
func (s *Sample) quantiles(shares []float64) []float64 {
	var counts [bucketCount]uint32
	for i := range counts {
		counts[i] = s.buckets[i].Load()
		if s.older != nil {
			counts[i] -= s.older[i]
		}
	}
	return quantiles(&counts, shares)
}

// aggregate is what an interval held.
type aggregate struct {
	count        uint64
	sum, squares float64
	min, max     float64 // zero when count is
}

func (a aggregate) mean() float64 {
	if a.count == 0 {
		return 0
	}
	return a.sum / float64(a.count)
}

// stddev is the standard deviation of the sample.
func (a aggregate) stddev() float64 {
	if a.count < 2 {
		return 0
	}
	n := float64(a.count)
	v := (n*a.squares - a.sum*a.sum) / (n * (n - 1))
	return math.Sqrt(max(v, 0)) // rounding may push it below
}

// slots is how many intervals are told apart: the current one, the last
// complete one, and one that is reset, ready to be next. So a recorder held up
// for a whole interval still writes to a slot that is its own.
const slots = 3

// stats sums observations up. Count, sum and squares run on from the start and
// are told apart by marks; extremes cannot be, and have a slot an interval.
type stats struct {
	interval      *atomic.Uint32 // Metrics.interval
	count         atomic.Uint64
	sum, squares  float
	least, most   [slots]float
	mark, current aggregate // when the last interval began, when this one did; under Metrics.mu
}

func (s *stats) init(interval *atomic.Uint32) {
	s.interval = interval
	for i := range slots {
		s.reset(i)
	}
}

func (s *stats) reset(slot int) {
	s.least[slot].store(math.Inf(1))
	s.most[slot].store(math.Inf(-1))
}

func (s *stats) observe(v float64) {
	i := s.interval.Load() % slots
	s.least[i].lower(v)
	s.most[i].raise(v)
	s.sum.add(v)
	s.squares.add(v * v)
	s.count.Add(1)
}

func (s *stats) now() aggregate {
	return aggregate{count: s.count.Load(), sum: s.sum.load(), squares: s.squares.load()}
}

// rotate makes next the current interval.
func (s *stats) rotate(next uint32) {
	s.mark, s.current = s.current, s.now()
	s.reset(int((next + 1) % slots))
}

// aggregate sums up an interval, the current one or the last.
func (s *stats) aggregate(complete bool) aggregate {
	from, to, i := s.current, s.now(), s.interval.Load()
	if complete {
		from, to, i = s.mark, s.current, i+slots-1
	}
	a := aggregate{count: to.count - from.count, sum: to.sum - from.sum, squares: to.squares - from.squares}
	if a.count > 0 {
		a.min, a.max = s.least[i%slots].load(), s.most[i%slots].load()
		if a.min > a.max { // its recorder fell between two intervals
			a.min, a.max = a.mean(), a.mean()
		}
	}
	return a
}

// float is a float64 for concurrent use.
type float struct{ bits atomic.Uint64 }

func (f *float) load() float64   { return math.Float64frombits(f.bits.Load()) }
func (f *float) store(v float64) { f.bits.Store(math.Float64bits(v)) }

func (f *float) add(d float64) {
	for {
		old := f.bits.Load()
		if f.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+d)) {
			return
		}
	}
}

func (f *float) lower(v float64) {
	for {
		old := f.bits.Load()
		if math.Float64frombits(old) <= v || f.bits.CompareAndSwap(old, math.Float64bits(v)) {
			return
		}
	}
}

func (f *float) raise(v float64) {
	for {
		old := f.bits.Load()
		if math.Float64frombits(old) >= v || f.bits.CompareAndSwap(old, math.Float64bits(v)) {
			return
		}
	}
}
