package store_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

const table = "things"

// thing reuses the index row, the one message this package has.
type thing = store.IndexRow

var errRefused = errors.New("refused")

// things is a module whose commands put a row, put one and then refuse, refuse
// at once, and remove.
func things(triggers ...store.Trigger) store.Module {
	put := func(tx *store.WriteTxn, body []byte) error {
		return tx.Put(table, &thing{Name: string(body), Value: tx.Index})
	}
	return store.Module{
		Name: "things",
		Tables: []store.Table{{
			Schema: &store.TableSchema{Name: table, Indexes: map[string]*store.IndexSchema{
				store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.Key(func(r *thing) string { return r.Name })},
			}},
			New: func() codec.Message { return new(thing) },
		}},
		Commands: []store.Command{
			{Type: 1, Name: "put", Apply: func(tx *store.WriteTxn, b []byte) (any, error) { return "put", put(tx, b) }},
			{Type: 2, Name: "put-and-refuse", Apply: func(tx *store.WriteTxn, b []byte) (any, error) {
				if err := put(tx, b); err != nil {
					return nil, err
				}
				return nil, errRefused
			}},
			{Type: 3, Name: "refuse", Apply: func(*store.WriteTxn, []byte) (any, error) { return nil, errRefused }},
			{Type: 4, Name: "remove", Apply: func(tx *store.WriteTxn, b []byte) (any, error) {
				row, err := tx.First(table, store.IndexID, string(b))
				if err != nil || row == nil {
					return nil, err
				}
				return nil, tx.Remove(table, row)
			}},
		},
		Triggers: triggers,
	}
}

func names(t *testing.T, db *store.DB) string {
	t.Helper()
	tx, _ := db.Read()
	it, err := tx.Get(table, store.IndexID)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	for _, r := range store.Collect[thing](it) {
		out += r.Name
	}
	return out
}

func TestARefusedCommandLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		name  string
		types []uint8
		want  string
		index store.Index
	}{
		{"alone, before writing", []uint8{3}, "", 0},
		{"alone, after writing", []uint8{2}, "", 0},
		{"in a batch, before writing", []uint8{1, 3, 1}, "ac", 12},
		{"in a batch, after writing", []uint8{1, 2, 1}, "ac", 12},
		{"last of a batch, after writing", []uint8{1, 1, 2}, "ab", 11},
		{"unknown type in a batch", []uint8{1, 99, 1}, "ac", 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.Open(t, things())
			var log []store.Entry
			for i, typ := range c.types {
				log = append(log, store.Entry{Index: uint64(10 + i), Type: typ, Body: []byte{'a' + byte(i)}})
			}
			results := db.Apply(log)
			for i, typ := range c.types {
				if refused := typ != 1; refused != (results[i].Err != nil) {
					t.Errorf("entry %d of type %d gave %+v", i, typ, results[i])
				}
				if typ == 99 && !failure.Is(results[i].Err, failure.Unsupported) {
					t.Errorf("unknown type gave %v", results[i].Err)
				}
			}
			if got := names(t, db); got != c.want {
				t.Errorf("rows %q, want %q", got, c.want)
			}
			tx, _ := db.Read()
			if got := store.MaxIndex(tx, table); got != c.index {
				t.Errorf("index %d, want %d", got, c.index)
			}
			storetest.Module(t, log, things())
		})
	}
}

func TestTriggersRunInTheSameWrite(t *testing.T) {
	// Removing a thing removes the next letter too: a cascade that ends at
	// the first gap, or feeds itself for ever.
	next := func(step byte) store.Trigger {
		return store.Trigger{Name: "next", Table: table, OnDelete: func(tx *store.WriteTxn, row any) error {
			name := string(row.(*thing).Name[0] + step)
			r, err := tx.First(table, store.IndexID, name)
			if err != nil || r == nil {
				return err
			}
			return tx.Remove(table, r)
		}}
	}
	apply := func(db *store.DB, index store.Index, typ uint8, body string) error {
		return db.Apply([]store.Entry{{Index: index, Type: typ, Body: []byte(body)}})[0].Err
	}
	t.Run("cascade", func(t *testing.T) {
		db := storetest.Open(t, things(next(1)))
		for i, n := range []string{"a", "b", "c", "e"} {
			if err := apply(db, uint64(i+1), 1, n); err != nil {
				t.Fatal(err)
			}
		}
		if err := apply(db, 9, 4, "a"); err != nil {
			t.Fatal(err)
		}
		if got := names(t, db); got != "e" {
			t.Errorf("left %q, want %q", got, "e")
		}
	})
	t.Run("too deep refuses the whole entry", func(t *testing.T) {
		db := storetest.Open(t, things(next(1)))
		for i := range 20 {
			if err := apply(db, uint64(i+1), 1, string(rune('a'+i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := apply(db, 30, 4, "a"); err == nil {
			t.Error("no error")
		}
		if got := len(names(t, db)); got != 20 {
			t.Errorf("%d rows left, want all 20", got)
		}
	})
}

func TestOpenRefusesWhatContradicts(t *testing.T) {
	for _, c := range []struct {
		name    string
		modules []store.Module
	}{
		{"table twice", []store.Module{things(), {Name: "other", Tables: things().Tables}}},
		{"command type twice", []store.Module{things(), {Name: "other", Commands: things().Commands[:1]}}},
		{"trigger on no table", []store.Module{things(store.Trigger{Name: "x", Table: "nowhere"})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := store.Open(c.modules...); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestLoadRefusesAnythingDamaged(t *testing.T) {
	db := storetest.Open(t, things())
	db.Apply([]store.Entry{{Index: 5, Type: 1, Body: []byte("a")}, {Index: 6, Type: 1, Body: []byte("b")}})
	good := storetest.Dump(t, db)
	into := storetest.Open(t, things())
	into.Apply([]store.Entry{{Index: 1, Type: 1, Body: []byte("z")}})
	for n := range good {
		if err := into.Load(bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("cut at byte %d of %d: no error", n, len(good))
		}
	}
	if err := into.Load(bytes.NewReader(append(bytes.Clone(good), 'x'))); err == nil {
		t.Error("bytes behind the end: no error")
	}
	other := storetest.Open(t)
	if err := other.Load(bytes.NewReader(good)); err == nil {
		t.Error("unknown table: no error")
	}
	if got := names(t, into); got != "z" {
		t.Errorf("a refused snapshot changed the state to %q", got)
	}
	_, abandoned := into.Read()
	if err := into.Load(bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-abandoned:
	default:
		t.Error("readers of the old state were not woken")
	}
	if got := names(t, into); got != "ab" {
		t.Errorf("loaded %q, want %q", got, "ab")
	}
}

func FuzzLoad(f *testing.F) {
	db := storetest.Open(f, things())
	db.Apply([]store.Entry{{Index: 5, Type: 1, Body: []byte("a")}})
	f.Add(storetest.Dump(f, db))
	f.Add([]byte("T\x06things"))
	f.Fuzz(func(t *testing.T, b []byte) {
		db := storetest.Open(t, things())
		if db.Load(bytes.NewReader(b)) == nil {
			storetest.Dump(t, db)
		}
	})
}
