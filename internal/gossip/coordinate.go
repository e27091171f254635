package gossip

import (
	"math"

	"github.com/hashicorp/serf/coordinate"
)

// Coordinate is a position in the network, estimated from round trips (Vivaldi
// with height and adjustment). All values are seconds, but for Error, which has
// no unit. The fields are the public JSON.
type Coordinate struct {
	Vec        []float64
	Error      float64
	Adjustment float64
	Height     float64
}

// Coordinate returns where this agent is. It is the origin while the pool does
// not run or measures nothing, and when the estimate is not a finite number.
func (p *Pool) Coordinate() Coordinate {
	if s := p.serf.Load(); s != nil {
		if c, err := s.GetCoordinate(); err == nil {
			return finite(c)
		}
	}
	return origin()
}

// CachedCoordinate returns where the member was when it last answered a probe
// of this agent. It reports false if it never did.
func (p *Pool) CachedCoordinate(member string) (Coordinate, bool) {
	s := p.serf.Load()
	if s == nil {
		return Coordinate{}, false
	}
	c, ok := s.GetCachedCoordinate(member)
	if !ok {
		return Coordinate{}, false
	}
	return finite(c), true
}

func origin() Coordinate {
	c := coordinate.NewCoordinate(coordinate.DefaultConfig())
	return Coordinate{Vec: c.Vec, Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
}

// finite copies c. A peer can send NaN or infinity, which would spoil every
// distance it takes part in and cannot be written as JSON: such a coordinate
// counts as unknown.
func finite(c *coordinate.Coordinate) Coordinate {
	out := Coordinate{Vec: make([]float64, len(c.Vec)), Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
	copy(out.Vec, c.Vec)
	for _, f := range append([]float64{c.Error, c.Adjustment, c.Height}, c.Vec...) {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return origin()
		}
	}
	return out
}
