package coordinate_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// at is a place so many milliseconds along the first axis.
func at(ms float64) coordinate.Coordinate {
	c := coordinate.Coordinate{Vec: make([]float64, coordinate.Dimensions), Error: 0.2, Height: 1e-5}
	c.Vec[0] = ms / 1000
	return c
}

func open(t testing.TB) *store.DB {
	return storetest.Open(t, catalog.Module(), coordinate.Module())
}

func addNode(t testing.TB, db *store.DB, index uint64, id, name string) {
	t.Helper()
	storetest.Apply(t, db, index, catalog.TypeRegister, &catalog.Registration{Node: catalog.Node{ID: id, Node: name, Address: "10.0.0.1"}})
}

func update(t testing.TB, db *store.DB, index uint64, entries ...*coordinate.Entry) {
	t.Helper()
	storetest.Apply(t, db, index, coordinate.TypeUpdate, &coordinate.Update{Entries: entries})
}

func list(t testing.TB, db *store.DB) ([]string, uint64) {
	t.Helper()
	tx, _ := db.Read()
	entries, res, err := coordinate.Entries(nil, tx)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s/%s %.0f", e.Node, e.Segment, e.Coord.Vec[0]*1000))
	}
	return out, res.Index
}

func TestUpdate(t *testing.T) {
	db := open(t)
	addNode(t, db, 1, "", "b")
	addNode(t, db, 2, "", "A")
	for _, c := range []struct {
		name  string
		index uint64
		entry coordinate.Entry
		want  []string
		moved uint64
	}{
		{"first", 3, coordinate.Entry{Node: "b", Coord: at(1)}, []string{"b/ 1"}, 3},
		{"the same again", 4, coordinate.Entry{Node: "b", Coord: at(1)}, []string{"b/ 1"}, 3},
		{"of a node that is not there", 5, coordinate.Entry{Node: "c", Coord: at(1)}, []string{"b/ 1"}, 3},
		{"of a name in other letters", 6, coordinate.Entry{Node: "a", Coord: at(2)}, []string{"A/ 2", "b/ 1"}, 6},
		{"another place", 7, coordinate.Entry{Node: "B", Coord: at(3)}, []string{"A/ 2", "b/ 3"}, 7},
		{"another segment", 8, coordinate.Entry{Node: "b", Segment: "x", Coord: at(4)}, []string{"A/ 2", "b/ 3", "b/x 4"}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx, _ := db.Read()
			news, err := coordinate.News(tx, &c.entry)
			if err != nil || news != (c.moved == c.index) {
				t.Errorf("news: %v, %v", news, err)
			}
			update(t, db, c.index, &c.entry)
			got, index := list(t, db)
			if d := cmp.Diff(got, c.want); d != "" || index != c.moved {
				t.Errorf("index %d, want %d; entries (- got, + want):\n%s", index, c.moved, d)
			}
		})
	}
}

func TestWhatSpoilsDistancesIsRefused(t *testing.T) {
	db := open(t)
	addNode(t, db, 1, "", "n")
	short, nan := at(1), at(1)
	short.Vec = short.Vec[:3]
	nan.Vec[7] = math.NaN()
	height, adjustment, trust := at(1), at(1), at(1)
	height.Height, adjustment.Adjustment, trust.Error = math.Inf(1), math.Inf(-1), math.NaN()
	for _, c := range []struct {
		coord coordinate.Coordinate
		want  string
	}{
		{short, "coordinate of node n: invalid coordinate: Vec has 3 dimensions, want 8"},
		{nan, "coordinate of node n: invalid coordinate: Vec[7] is NaN, want a finite number of seconds"},
		{height, "coordinate of node n: invalid coordinate: Height is +Inf, want a finite number"},
		{adjustment, "coordinate of node n: invalid coordinate: Adjustment is -Inf, want a finite number"},
		{trust, "coordinate of node n: invalid coordinate: Error is NaN, want a finite number"},
		{coordinate.Coordinate{}, "coordinate of node n: invalid coordinate: Vec has 0 dimensions, want 8"},
	} {
		// With a good one before it: nothing of a refused update is stored.
		_, err := storetest.TryApply(t, db, 5, coordinate.TypeUpdate, &coordinate.Update{Entries: []*coordinate.Entry{
			{Node: "n", Segment: "good", Coord: at(1)}, {Node: "n", Coord: c.coord},
		}})
		if !failure.Is(err, failure.Invalid) || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := storetest.TryApply(t, db, 6, coordinate.TypeUpdate, &coordinate.Update{Entries: []*coordinate.Entry{nil}}); !failure.Is(err, failure.Invalid) {
		t.Errorf("an entry that is nil: %v", err)
	}
	if got, index := list(t, db); len(got) != 0 || index != 0 {
		t.Errorf("stored %v at %d", got, index)
	}
}

func TestCoordinatesGoWithTheirNode(t *testing.T) {
	const id = "8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a"
	for _, c := range []struct {
		name string
		typ  uint8
		body codec.Message
		want []string
	}{
		{"deregistered", catalog.TypeDeregister, &catalog.Removal{Node: "B"}, []string{"a/ 1", "ba/ 2"}},
		{"renamed", catalog.TypeRegister, &catalog.Registration{Node: catalog.Node{ID: id, Node: "c", Address: "10.0.0.1"}}, []string{"a/ 1", "ba/ 2"}},
		{"another goes", catalog.TypeDeregister, &catalog.Removal{Node: "a"}, []string{"b/ 3", "b/x 4", "ba/ 2"}},
		{"a service of it goes", catalog.TypeDeregister, &catalog.Removal{Node: "b", ServiceID: "s"}, []string{"a/ 1", "b/ 3", "b/x 4", "ba/ 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t)
			addNode(t, db, 1, "", "a")
			addNode(t, db, 2, id, "b")
			addNode(t, db, 3, "", "ba")
			update(t, db, 4, &coordinate.Entry{Node: "a", Coord: at(1)}, &coordinate.Entry{Node: "ba", Coord: at(2)},
				&coordinate.Entry{Node: "b", Coord: at(3)}, &coordinate.Entry{Node: "b", Segment: "x", Coord: at(4)})
			tx, _ := db.Read()
			ws := store.WatchSet{}
			if _, res, err := coordinate.EntriesOf(ws, tx, "b"); err != nil || res.Index != 4 || !res.Found {
				t.Errorf("before: %+v, %v", res, err)
			}
			storetest.Apply(t, db, 9, c.typ, c.body)
			if got, _ := list(t, db); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			woken := false
			for ch := range ws {
				select {
				case <-ch:
					woken = true
				default:
				}
			}
			tx, _ = db.Read()
			entries, res, err := coordinate.EntriesOf(nil, tx, "b")
			gone := len(entries) == 0
			if err != nil || woken != gone || gone && (res.Index != 9 || res.Found) || !gone && res.Index != 4 {
				t.Errorf("who watched the node was woken: %v; it has %d coordinates, %+v, %v", woken, len(entries), res, err)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	here := at(0)
	tall, low, drag := at(10), at(10), at(10)
	tall.Height = 0.005
	low.Adjustment = -0.004
	drag.Adjustment = -0.5
	flat := coordinate.Coordinate{Vec: []float64{1}}
	for _, c := range []struct {
		name string
		to   *coordinate.Coordinate
		want float64 // ms
	}{
		{"space and both heights", new(at(10)), 10.02},
		{"a high link", &tall, 15.01},
		{"an adjustment", &low, 6.02},
		{"an adjustment that takes all away", &drag, 10.02},
		{"itself", &here, 0.02},
		{"nobody knows", nil, math.Inf(1)},
		{"another number of dimensions", &flat, math.Inf(1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			there, back := coordinate.Distance(&here, c.to)*1000, coordinate.Distance(c.to, &here)*1000
			if there != back || math.Abs(there-c.want) > 1e-9 && there != c.want {
				t.Errorf("there %v, back %v, want %v", there, back, c.want)
			}
		})
	}
}

func TestShift(t *testing.T) {
	was, is := at(1), at(4)
	is.Height += 0.002
	is.Adjustment -= 0.001
	if got := coordinate.Shift(&was, &is).Round(time.Microsecond); got != 6*time.Millisecond {
		t.Errorf("moved by %v, want 6ms", got)
	}
	far := at(1e300)
	for _, c := range []*coordinate.Coordinate{nil, {Vec: []float64{1}}, &far} {
		if got := coordinate.Shift(&was, c); got != math.MaxInt64 {
			t.Errorf("to %+v: %v", c, got)
		}
	}
}

func TestSort(t *testing.T) {
	db := open(t)
	for i, name := range []string{"a", "b", "c", "d", "e", "t", "nowhere"} {
		addNode(t, db, uint64(i+1), "", name)
	}
	tall := at(0) // behind a slow link
	tall.Height = 0.01
	update(t, db, 10, &coordinate.Entry{Node: "t", Coord: tall}, &coordinate.Entry{Node: "a", Coord: at(0)}, &coordinate.Entry{Node: "b", Coord: at(9)}, &coordinate.Entry{Node: "c", Coord: at(-5)},
		&coordinate.Entry{Node: "d", Coord: at(5)}, &coordinate.Entry{Node: "e", Segment: "x", Coord: at(1)})
	for _, c := range []struct {
		name, from, rows, want string
	}{
		{"the node itself first, the far ones later", "a", "bda", "adb"},
		{"the node itself before a neighbour whose link is quicker", "t", "abt", "tab"},
		{"names in any case", "A", "BDa", "aDB"},
		{"the same distance keeps its order", "a", "dcdc", "dcdc"},
		{"unknown ones last and in order", "a", "zbyax", "abzyx"},
		{"a node whose coordinate is in another segment is unknown", "a", "ebd", "dbe"},
		{"from within a segment only those in it", "e", "bea", "eba"},
		{"from a node that is not there", "q", "bda", "bda"},
		{"from a node without a coordinate", "nowhere", "bda", "bda"},
		{"from nobody", "", "bda", "bda"},
		{"nothing", "a", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tx, _ := db.Read()
			here, err := coordinate.From(tx, c.from)
			if err != nil {
				t.Fatal(err)
			}
			rows := []byte(c.rows)
			if err := coordinate.Sort(&here, rows, func(b byte) string { return string(b) }); err != nil || string(rows) != c.want {
				t.Errorf("got %s, want %s, %v", rows, c.want, err)
			}
		})
	}
}

func TestModule(t *testing.T) {
	var log []store.Entry
	add := func(typ uint8, m codec.Message) {
		body, err := codec.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, store.Entry{Index: uint64(len(log) + 1), Type: typ, Body: body})
	}
	for i := range 12 {
		name := fmt.Sprint("n", i%5)
		add(catalog.TypeRegister, &catalog.Registration{Node: catalog.Node{Node: name, Address: "10.0.0.1"}})
		bad := at(1)
		bad.Vec = nil
		add(coordinate.TypeUpdate, &coordinate.Update{Entries: []*coordinate.Entry{{Node: name, Coord: at(float64(i % 3))}, {Node: "n4", Coord: at(float64(i))}}})
		add(coordinate.TypeUpdate, &coordinate.Update{Entries: []*coordinate.Entry{{Node: name, Coord: bad}}})
		if i%4 == 3 {
			add(catalog.TypeDeregister, &catalog.Removal{Node: name})
		}
	}
	storetest.Module(t, log, catalog.Module(), coordinate.Module())
}

func BenchmarkSort100(b *testing.B) {
	db := open(b)
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("node", i)
		addNode(b, db, uint64(2*i+1), "", names[i])
		update(b, db, uint64(2*i+2), &coordinate.Entry{Node: names[i], Coord: at(float64(i * 7919 % 100))})
	}
	b.ReportAllocs()
	rows := make([]int, len(names))
	for b.Loop() {
		for i := range rows {
			rows[i] = i
		}
		tx, _ := db.Read()
		here, err := coordinate.From(tx, "node0")
		if err != nil {
			b.Fatal(err)
		}
		if err := coordinate.Sort(&here, rows, func(i int) string { return names[i] }); err != nil {
			b.Fatal(err)
		}
	}
}
