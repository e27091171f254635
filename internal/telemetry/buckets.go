package telemetry

import (
	"math"
	"sync/atomic"
)

// Buckets grow by an eighth of a power of two: from 2⁻¹⁰ (a microsecond, where
// values are milliseconds) to 2³⁴ (sixteen gigabytes, where they are bytes).
// What lies beyond falls into the first or the last.
const (
	lowestExponent  = -10
	highestExponent = 34
	perOctave       = 8
	bucketCount     = (highestExponent-lowestExponent)*perOctave + 1
)

// buckets counts observations by size, each modulo 2³².
type buckets [bucketCount]atomic.Uint32

func (b *buckets) observe(v float64) { b[bucketOf(v)].Add(1) }

// bucketOf returns the bucket of v. Exponent and top three bits of the fraction
// of a float64 are its place on the scale.
func bucketOf(v float64) int {
	if v < 1.0/(1<<-lowestExponent) {
		return 0
	}
	const first = (1023 + lowestExponent) * perOctave
	return min(int(math.Float64bits(v)>>49)-first+1, bucketCount-1)
}

// lowerBound returns the least value of a bucket but the first, which is zero.
func lowerBound(bucket int) float64 {
	if bucket == 0 {
		return 0
	}
	const first = (1023 + lowestExponent) * perOctave
	return math.Float64frombits(uint64(bucket-1+first) << 49)
}

// quantiles returns, for each share, the value in the middle of the bucket
// below which that share of the counted observations lies, or NaN for none.
func quantiles(counts *[bucketCount]uint32, shares []float64) []float64 {
	var total uint64
	for _, n := range counts {
		total += uint64(n)
	}
	out := make([]float64, len(shares))
	for i, share := range shares {
		out[i] = quantile(counts, total, share)
	}
	return out
}

func quantile(counts *[bucketCount]uint32, total uint64, share float64) float64 {
	if total == 0 {
		return math.NaN()
	}
	rank := max(uint64(math.Ceil(share*float64(total))), 1)
	var seen uint64
	for i, n := range counts {
		if seen += uint64(n); seen >= rank {
			return (lowerBound(i) + lowerBound(i+1)) / 2
		}
	}
	return math.NaN() // counts changed under us; cannot happen, they are copies
}
