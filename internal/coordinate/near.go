package coordinate

import (
	"math"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/store"
)

// Origin is the place from which the distance of nodes is told, in one state of
// the store. The zero Origin is nowhere. It may be used by one goroutine at a
// time.
type Origin struct {
	tx   *store.Txn
	node string
	// segments holds the coordinates of the origin's node.
	segments []*Entry
	// far remembers the distance of nodes: lists name some many times.
	far map[string]float64
}

// From returns the place of a node, nowhere for one whose coordinate is not
// known.
func From(tx *store.Txn, node string) (Origin, error) {
	if node == "" {
		return Origin{}, nil
	}
	segments, err := entriesOf(nil, tx, node)
	if err != nil || len(segments) == 0 {
		return Origin{}, err
	}
	return Origin{tx: tx, node: node, segments: segments, far: map[string]float64{}}, nil
}

// Known reports whether distances can be told.
func (o *Origin) Known() bool { return len(o.segments) > 0 }

// Distance returns the estimated round trip to a node in seconds, +Inf where it
// is not known: in no segment do both have a coordinate. To the origin's own node
// it is 0, and not twice its height, by which a neighbour could be nearer.
func (o *Origin) Distance(node string) (float64, error) {
	if o.Known() && strings.EqualFold(node, o.node) {
		return 0, nil
	}
	if d, ok := o.far[node]; ok {
		return d, nil
	}
	d := math.Inf(1)
	for _, from := range o.segments {
		to, err := entry(o.tx, node, from.Segment)
		if err != nil {
			return 0, err
		}
		if to != nil {
			d = min(d, Distance(&from.Coord, &to.Coord))
		}
	}
	o.far[node] = d
	return d, nil
}

// Sort puts the rows whose nodes are near first, those of unknown distance last,
// and leaves rows of the same distance, and all of them where the origin is
// nowhere, as they are. node returns the name of a row's node.
func Sort[Row any](o *Origin, rows []Row, node func(Row) string) error {
	if !o.Known() || len(rows) < 2 {
		return nil
	}
	type placed struct {
		row Row
		far float64
	}
	list := make([]placed, len(rows))
	for i, row := range rows {
		far, err := o.Distance(node(row))
		if err != nil {
			return err
		}
		list[i] = placed{row, far}
	}
	slices.SortStableFunc(list, func(a, b placed) int {
		switch {
		case a.far < b.far:
			return -1
		case a.far > b.far:
			return 1
		default:
			return 0
		}
	})
	for i := range list {
		rows[i] = list[i].row
	}
	return nil
}
