// Package coordinate holds the rules of network coordinates: where each node is
// in the network, so that the distance between any two can be told without
// measuring it.
//
// A coordinate is a position in eight dimensions, the height of the access link
// above that space, and a correction from experience (Vivaldi with height and
// adjustment). It is estimated by gossip from the round trips of its probes;
// this package neither estimates nor measures.
//
// Rules: a node has at most one coordinate in each network segment; one that is
// not finite or of another number of dimensions is refused; coordinates go with
// their node, in the same entry; an update for a node that is not in the catalog
// is dropped without a word, because updates overtake registrations; one that
// says what is known moves no index.
//
// It knows no network, no gossip and no clock: when an agent tells its
// coordinate is in coordinatesync, how updates are gathered in coordinateapi.
//
// Source: the public documentation of network coordinates; Dabek et al.,
// Vivaldi (2004), and Ledlie et al., Network Coordinates in the Wild (2007).
package coordinate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// TypeUpdate is this noun's command type in the log; never reused.
const TypeUpdate uint8 = 30

// Table is the table of the coordinates.
const Table = "coordinates"

// Dimensions is the number of dimensions of every coordinate.
const Dimensions = 8

// Module returns the noun's table, command and trigger.
func Module() store.Module {
	return store.Module{
		Name: "coordinate",
		Tables: []store.Table{{
			Schema: &store.TableSchema{Name: Table, Indexes: map[string]*store.IndexSchema{
				store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.PairKey(func(e *Entry) (string, string) {
					return strings.ToLower(e.Node), e.Segment
				}, false)},
			}},
			New: func() codec.Message { return new(Entry) },
		}},
		Commands: []store.Command{{Type: TypeUpdate, Name: "coordinate.update", Apply: applyUpdate}},
		Triggers: []store.Trigger{{
			Name: "coordinate.coordinates-of-node", Table: catalog.TableNodes, OnDelete: func(tx *store.WriteTxn, row any) error {
				return removeAll(tx, row.(*catalog.Node).Node)
			},
		}},
	}
}

func removeAll(tx *store.WriteTxn, node string) error {
	entries, err := entriesOf(nil, tx.Txn, node)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.Remove(Table, e); err != nil {
			return err
		}
	}
	return nil
}

// applyUpdate runs an Update. It has no value.
func applyUpdate(tx *store.WriteTxn, body []byte) (any, error) {
	var u Update
	if err := codec.Decode(body, &u); err != nil {
		return nil, err
	}
	for _, e := range u.Entries {
		if e == nil {
			return nil, failure.New(failure.Invalid, "coordinate update without a node")
		}
		if err := e.Coord.Check(); err != nil {
			return nil, failure.Newf(failure.Invalid, "coordinate of node %s: %w", e.Node, err)
		}
	}
	for _, e := range u.Entries {
		if err := put(tx, e); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func put(tx *store.WriteTxn, e *Entry) error {
	n, same, err := known(tx.Txn, e)
	if err != nil || n == nil || same {
		return err
	}
	row := *e
	row.Node, row.ModifyIndex = n.Node, tx.Index
	return tx.Put(Table, &row)
}

// known returns the node an entry is about, nil for one that is not in the
// catalog, and whether the entry says what is stored of it already.
func known(tx *store.Txn, e *Entry) (n *catalog.Node, same bool, err error) {
	if n, err = catalog.NodeNamed(tx, e.Node); err != nil || n == nil {
		return nil, false, err
	}
	old, err := entry(tx, e.Node, e.Segment)
	return n, old != nil && old.Coord.Equal(&e.Coord), err
}

// News reports whether applying an entry would change anything: its node is in
// the catalog, and what it says is not what is known.
func News(tx *store.Txn, e *Entry) (bool, error) {
	n, same, err := known(tx, e)
	return n != nil && !same, err
}

func entry(tx *store.Txn, node, segment string) (*Entry, error) {
	row, err := tx.First(Table, store.IndexID, strings.ToLower(node), segment)
	if err != nil {
		return nil, fmt.Errorf("get coordinate of node %s: %w", node, err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Entry), nil
}

func entriesOf(ws store.WatchSet, tx *store.Txn, node string) ([]*Entry, error) {
	it, err := tx.Get(Table, store.IndexID+"_prefix", strings.ToLower(node))
	if err != nil {
		return nil, fmt.Errorf("list coordinates of node %s: %w", node, err)
	}
	ws.Add(it.WatchCh())
	return store.Collect[Entry](it), nil
}

// Entries returns every coordinate in the order of the nodes. The index is the
// table's.
func Entries(ws store.WatchSet, tx *store.Txn) ([]*Entry, query.Result, error) {
	it, err := tx.Get(Table, store.IndexID)
	if err != nil {
		return nil, query.Result{}, fmt.Errorf("list coordinates: %w", err)
	}
	ws.Add(it.WatchCh())
	return store.Collect[Entry](it), query.Result{Index: store.MaxIndex(tx, Table), Found: true}, nil
}

// EntriesOf returns the coordinates of a node, one a segment, none for a node
// that has none. The index is theirs alone, or without any the table's.
func EntriesOf(ws store.WatchSet, tx *store.Txn, node string) ([]*Entry, query.Result, error) {
	entries, err := entriesOf(ws, tx, node)
	if err != nil {
		return nil, query.Result{}, err
	}
	res := query.Result{Index: store.MaxIndex(tx, Table)}
	if len(entries) > 0 {
		res = query.Result{Found: true}
		for _, e := range entries {
			res.Index = max(res.Index, e.ModifyIndex)
		}
	}
	return entries, res, nil
}

// Check reports what makes c unusable: a number of dimensions that is not
// Dimensions, or a value that is not finite, which would spoil every distance it
// takes part in.
func (c *Coordinate) Check() error {
	if len(c.Vec) != Dimensions {
		return fmt.Errorf("invalid coordinate: Vec has %d dimensions, want %d", len(c.Vec), Dimensions)
	}
	for i, f := range c.Vec {
		if !finite(f) {
			return fmt.Errorf("invalid coordinate: Vec[%d] is %v, want a finite number of seconds", i, f)
		}
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"Error", c.Error}, {"Adjustment", c.Adjustment}, {"Height", c.Height}} {
		if !finite(v.value) {
			return fmt.Errorf("invalid coordinate: %s is %v, want a finite number", v.name, v.value)
		}
	}
	return nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Equal reports whether the coordinates are the same to the last bit.
func (c *Coordinate) Equal(other *Coordinate) bool {
	return c.Error == other.Error && c.Adjustment == other.Adjustment && c.Height == other.Height && slices.Equal(c.Vec, other.Vec)
}

// Distance returns the estimated time of a round trip between two places, in
// seconds: the distance in space, both heights, and both adjustments unless they
// take everything away. It is +Inf where either is nil or they do not have the
// same dimensions: nobody knows.
func Distance(a, b *Coordinate) float64 {
	if a == nil || b == nil || len(a.Vec) != len(b.Vec) {
		return math.Inf(1)
	}
	d := apart(a, b) + a.Height + b.Height
	if adjusted := d + a.Adjustment + b.Adjustment; adjusted > 0 {
		return adjusted
	}
	return d
}

// apart is the distance in space alone.
func apart(a, b *Coordinate) float64 {
	sum := 0.0
	for i, x := range a.Vec {
		d := x - b.Vec[i]
		sum += d * d
	}
	return math.Sqrt(sum)
}

// Shift bounds how far an estimate from a place can be wrong when it is made
// with b instead of a: the distance in space and the changes of height and
// adjustment together. It is the longest duration there is where it cannot be
// told, as Distance.
func Shift(a, b *Coordinate) time.Duration {
	if a == nil || b == nil || len(a.Vec) != len(b.Vec) {
		return math.MaxInt64
	}
	s := (apart(a, b) + math.Abs(a.Height-b.Height) + math.Abs(a.Adjustment-b.Adjustment)) * float64(time.Second)
	if s >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(s)
}
