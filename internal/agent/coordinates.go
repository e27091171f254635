package agent

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/coordinate/coordinateapi"
	"github.com/ctl-sh/ctl/internal/coordinate/coordinatesync"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
)

// coordinatesPart keeps the servers told where this node is in the network.
func (a *Agent) coordinatesPart(rt *config.Runtime) lifecycle.Part {
	s := coordinatesync.New(coordinatesync.Config{
		Node:       rt.NodeName,
		Here:       func() coordinate.Coordinate { return coordinate.Coordinate(a.lan.Coordinate()) },
		Nodes:      func() int { return len(a.lan.Members()) },
		RateTarget: rt.SyncCoordinateRateTarget, MinInterval: rt.SyncCoordinateIntervalMin,
		Logger: a.log.With(logging.KeyComponent, "agent.coordinates"),
	}, untilLeft{requester{a}, &a.services.left})
	return lifecycle.Part{Name: "coordinates", Run: s.Run}
}

// wide is where the servers of all datacenters are, as one of them sees it.
type wide struct {
	datacenter string       // the own one
	pool       *gossip.Pool // of the WAN; nil where it is off
}

// datacenters returns the servers of each known datacenter, the nearest first:
// the own one, then by the median of the distances of its servers from this one,
// then, where they are not known, by name.
func (w wide) datacenters() []coordinateapi.Datacenter {
	servers := map[string][]coordinateapi.Entry{w.datacenter: {}}
	if w.pool != nil {
		for _, m := range w.pool.Members() {
			if s, ok := gossip.ServerOf(m); ok && (m.Status == gossip.StatusAlive || m.Status == gossip.StatusFailed) {
				servers[s.Datacenter] = append(servers[s.Datacenter], coordinateapi.Entry{
					Node: strings.TrimSuffix(m.Name, "."+s.Datacenter), Coord: w.of(m.Name),
				})
			}
		}
	}
	list := make([]coordinateapi.Datacenter, 0, len(servers))
	far := map[string]float64{w.datacenter: -1}
	for dc, entries := range servers {
		if dc != w.datacenter {
			far[dc] = w.median(entries)
		}
		list = append(list, coordinateapi.Datacenter{
			Datacenter: dc, AreaID: "wan",
			Coordinates: slices.DeleteFunc(entries, func(e coordinateapi.Entry) bool { return e.Coord == nil }),
		})
	}
	sort.Slice(list, func(i, j int) bool {
		x, y := list[i].Datacenter, list[j].Datacenter
		return cmp.Or(cmp.Compare(far[x], far[y]), cmp.Compare(x, y)) < 0
	})
	return list
}

// names returns the names of the datacenters in the same order.
func (w wide) names() []string {
	list := w.datacenters()
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.Datacenter
	}
	return names
}

// of returns where a member of the pool is, nil where nobody knows.
func (w wide) of(member string) *coordinate.Coordinate {
	c, ok := w.pool.CachedCoordinate(member)
	if !ok {
		return nil
	}
	at := coordinate.Coordinate(c)
	return &at
}

// median returns the median of the known distances from this server, +Inf where
// none is known.
func (w wide) median(entries []coordinateapi.Entry) float64 {
	here := coordinate.Coordinate(w.pool.Coordinate())
	var far []float64
	for _, e := range entries {
		if e.Coord != nil {
			far = append(far, coordinate.Distance(&here, e.Coord))
		}
	}
	if len(far) == 0 {
		return math.Inf(1)
	}
	slices.Sort(far)
	return far[len(far)/2]
}
