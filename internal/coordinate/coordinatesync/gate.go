package coordinatesync

import (
	"time"

	"github.com/ctl-sh/ctl/internal/coordinate"
)

// The threshold. A distance made of two coordinates that are each off by less
// than it is off by less than twice as much.
const (
	leastMove = 500 * time.Microsecond
	// doublings bounds the threshold, at 128 ms: the width of a continent.
	doublings = 8
	// settling is how long a new agent's coordinate takes to find its place.
	settling = 3 * time.Minute
	// calm is the time without a telling that halves the threshold.
	calm = time.Hour
)

// unmeasured is the Error of a coordinate that no measurement has gone into.
const unmeasured = 1.5

// gate decides what is worth telling. It belongs to one goroutine.
type gate struct {
	settled time.Time // when the threshold begins to double
	last    time.Time // when something was told, or the threshold was halved
	steps   int       // doublings of the threshold now
}

func newGate(now time.Time) *gate { return &gate{settled: now.Add(settling), last: now} }

// threshold returns how far the node must have moved to be told about.
func (g *gate) threshold(now time.Time) time.Duration {
	for g.steps > 0 && now.Sub(g.last) >= calm {
		g.steps--
		g.last = g.last.Add(calm)
	}
	return leastMove << g.steps
}

// tell reports whether the servers, who know one place, are to be told another.
func (g *gate) tell(now time.Time, known, here *coordinate.Coordinate) bool {
	return here.Error < unmeasured && coordinate.Shift(known, here) >= g.threshold(now)
}

// told notes that they were.
func (g *gate) told(now time.Time) {
	g.last = now
	if now.After(g.settled) {
		g.steps = min(g.steps+1, doublings)
	}
}
