package kv_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func open(t testing.TB) *store.DB { return storetest.Open(t, kv.Module()) }

func change(t testing.TB, db *store.DB, index uint64, c kv.Change) bool {
	t.Helper()
	return storetest.Apply(t, db, index, kv.TypeChange, &c).(bool)
}

func set(t testing.TB, db *store.DB, index uint64, key, value string) {
	t.Helper()
	change(t, db, index, kv.Change{Op: kv.Set, Key: key, Value: []byte(value)})
}

func get(t testing.TB, db *store.DB, key string) (*kv.Entry, uint64) {
	t.Helper()
	tx, _ := db.Read()
	e, res, err := kv.Get(nil, tx, key)
	if err != nil {
		t.Fatal(err)
	}
	return e, res.Index
}

func prefixIndex(t testing.TB, db *store.DB, prefix string) uint64 {
	t.Helper()
	tx, _ := db.Read()
	_, res, err := kv.List(nil, tx, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return res.Index
}

func TestSet(t *testing.T) {
	db := open(t)
	set(t, db, 5, "a", "1")
	set(t, db, 7, "a", "2")
	got, index := get(t, db, "a")
	want := &kv.Entry{Key: "a", Value: []byte("2"), CreateIndex: 5, ModifyIndex: 7}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if index != 7 {
		t.Errorf("index %d, want 7", index)
	}
	set(t, db, 9, "a", "2")
	if e, _ := get(t, db, "a"); e.ModifyIndex != 7 {
		t.Errorf("writing the same moved the index to %d", e.ModifyIndex)
	}
	change(t, db, 11, kv.Change{Op: kv.Set, Key: "a", Value: []byte("2"), Flags: 3})
	if e, _ := get(t, db, "a"); e.ModifyIndex != 11 || e.Flags != 3 {
		t.Errorf("other flags gave %+v", e)
	}
	if _, err := storetest.TryApply(t, db, 12, kv.TypeChange, &kv.Change{Op: kv.Set}); !failure.Is(err, failure.Invalid) {
		t.Errorf("empty key gave %v", err)
	}
	if _, err := storetest.TryApply(t, db, 13, kv.TypeChange, &kv.Change{Op: 99, Key: "a"}); !failure.Is(err, failure.Unsupported) {
		t.Errorf("unknown operation gave %v", err)
	}
}

func TestCheckAndSet(t *testing.T) {
	for _, c := range []struct {
		name   string
		change kv.Change
		want   bool
		gone   bool
	}{
		{"set with the right index", kv.Change{Op: kv.SetCAS, Key: "a", Index: 5}, true, false},
		{"set with another index", kv.Change{Op: kv.SetCAS, Key: "a", Index: 4}, false, false},
		{"set index 0 on an existing key", kv.Change{Op: kv.SetCAS, Key: "a"}, false, false},
		{"set index 0 on no key", kv.Change{Op: kv.SetCAS, Key: "new"}, true, false},
		{"set with an index on no key", kv.Change{Op: kv.SetCAS, Key: "new", Index: 5}, false, true},
		{"delete with the right index", kv.Change{Op: kv.DeleteCAS, Key: "a", Index: 5}, true, true},
		{"delete with another index", kv.Change{Op: kv.DeleteCAS, Key: "a", Index: 6}, false, false},
		{"delete of no key", kv.Change{Op: kv.DeleteCAS, Key: "new", Index: 5}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t)
			set(t, db, 5, "a", "1")
			c.change.Value = []byte("2")
			if got := change(t, db, 8, c.change); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if e, _ := get(t, db, c.change.Key); (e == nil) != c.gone {
				t.Errorf("the key is %+v afterwards", e)
			}
		})
	}
}

func TestListAndKeys(t *testing.T) {
	db := open(t)
	for i, k := range []string{"b/x/1", "a", "b/", "b/x/2", "ç %", "b/y", "b", "\xff\x00"} {
		set(t, db, uint64(i+1), k, k)
	}
	tx, _ := db.Read()
	for _, c := range []struct {
		name, prefix, separator string
		want                    []string
	}{
		{"all, in byte order", "", "", []string{"a", "b", "b/", "b/x/1", "b/x/2", "b/y", "ç %", "\xff\x00"}},
		{"one level", "", "/", []string{"a", "b", "b/", "ç %", "\xff\x00"}},
		{"below a prefix", "b/", "/", []string{"b/", "b/x/", "b/y"}},
		{"a prefix inside a name", "b/x", "/", []string{"b/x/"}},
		{"a long separator", "b/", "x/", []string{"b/", "b/x/", "b/y"}},
		{"nothing below", "nothing", "/", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, res, err := kv.Keys(nil, tx, c.prefix, c.separator)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if res.Found != (c.want != nil) {
				t.Errorf("found is %v", res.Found)
			}
		})
	}
}

func TestPrefixIndex(t *testing.T) {
	db := open(t)
	set(t, db, 1, "a/1", "")
	set(t, db, 2, "a/2", "")
	set(t, db, 3, "b/1", "")
	for _, step := range []struct {
		name   string
		do     func()
		prefix string
		want   uint64
	}{
		{"highest below the prefix", func() {}, "a/", 2},
		{"not moved by a key elsewhere", func() { set(t, db, 4, "b/1", "x") }, "a/", 2},
		{"moved by a deletion", func() { change(t, db, 5, kv.Change{Op: kv.Delete, Key: "a/1"}) }, "a/", 5},
		{"of one deleted tree", func() { change(t, db, 6, kv.Change{Op: kv.DeleteTree, Key: "a/"}) }, "a/", 6},
		{"kept when a tree is deleted again", func() { change(t, db, 7, kv.Change{Op: kv.DeleteTree, Key: "a/"}) }, "a/", 6},
		{"of the empty prefix is the table's", func() {}, "", 6},
		{"of what never was is the table's", func() {}, "zzz", 6},
		{"of what a shorter prefix deleted is the table's", func() {
			set(t, db, 8, "c/d/1", "")
			change(t, db, 9, kv.Change{Op: kv.DeleteTree, Key: "c/"})
		}, "c/d/", 9},
		{"moved by deleting everything", func() { change(t, db, 10, kv.Change{Op: kv.DeleteTree}) }, "", 10},
	} {
		step.do()
		if got := prefixIndex(t, db, step.prefix); got != step.want {
			t.Fatalf("%s: index of %q is %d, want %d", step.name, step.prefix, got, step.want)
		}
	}
}

func TestReapKeepsIndexesRising(t *testing.T) {
	db := open(t)
	set(t, db, 1, "a/1", "")
	set(t, db, 2, "a/2", "")
	change(t, db, 3, kv.Change{Op: kv.Delete, Key: "a/1"})
	change(t, db, 4, kv.Change{Op: kv.Delete, Key: "nothing"})
	set(t, db, 5, "b", "")
	change(t, db, 6, kv.Change{Op: kv.Delete, Key: "b"})
	before := prefixIndex(t, db, "a/")
	if got := storetest.Apply(t, db, 7, kv.TypeReap, &kv.Reap{Index: 5}); got != 1 {
		t.Errorf("reaped %v, want 1", got)
	}
	if got := prefixIndex(t, db, "a/"); got != before {
		t.Errorf("index of a/ went from %d to %d", before, got)
	}
	tx, _ := db.Read()
	if !kv.HasTombstones(tx, 8) || kv.HasTombstones(tx, 5) {
		t.Error("the newer tombstone went too")
	}
	if got := storetest.Apply(t, db, 8, kv.TypeReap, &kv.Reap{Index: 8}); got != 1 {
		t.Errorf("reaped %v, want 1", got)
	}
	if tx, _ := db.Read(); kv.HasTombstones(tx, 8) {
		t.Error("a tombstone is left")
	}
}

// TestAgainstAMap runs random changes against the table and a map, and checks
// the contents, that no index ever goes back, and that log and snapshot give
// the same state again.
func TestAgainstAMap(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			db, model := open(t), map[string]string{}
			seen := map[string]uint64{}
			var log []store.Entry
			for i := range uint64(300) {
				typ, body := randomCommand(rnd, model, i)
				b, err := codec.Encode(body)
				if err != nil {
					t.Fatal(err)
				}
				e := store.Entry{Index: i + 1, Type: typ, Body: b}
				log = append(log, e)
				if r := db.Apply([]store.Entry{e})[0]; r.Err != nil {
					t.Fatal(r.Err)
				}
				for _, p := range []string{"", "a", "a/", "a/b", "b/", "c"} {
					index := prefixIndex(t, db, p)
					if index < seen[p] {
						t.Fatalf("step %d: index of %q went from %d to %d", i, p, seen[p], index)
					}
					seen[p] = index
				}
			}
			tx, _ := db.Read()
			keys, _, err := kv.Keys(nil, tx, "", "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(model)), keys); diff != "" {
				t.Error(diff)
			}
			for k, want := range model {
				if e, _ := get(t, db, k); string(e.Value) != want {
					t.Errorf("%q is %q, want %q", k, e.Value, want)
				}
			}
			storetest.Module(t, log, kv.Module())
		})
	}
}

func randomCommand(rnd *rand.Rand, model map[string]string, i uint64) (uint8, codec.Message) {
	keys := []string{"a", "a/", "a/b", "a/b/c", "b/1", "b/2", "c"}
	key := keys[rnd.IntN(len(keys))]
	switch rnd.IntN(8) {
	case 0:
		for k := range model {
			if strings.HasPrefix(k, key) {
				delete(model, k)
			}
		}
		return kv.TypeChange, &kv.Change{Op: kv.DeleteTree, Key: key}
	case 1, 2:
		delete(model, key)
		return kv.TypeChange, &kv.Change{Op: kv.Delete, Key: key}
	case 3:
		return kv.TypeReap, &kv.Reap{Index: i / 2}
	default:
		model[key] = fmt.Sprint(rnd.IntN(3))
		return kv.TypeChange, &kv.Change{Op: kv.Set, Key: key, Value: []byte(model[key])}
	}
}

// FuzzApply feeds any bytes as a command: it is refused or applied, and never
// ends the process.
func FuzzApply(f *testing.F) {
	good, err := codec.Encode(&kv.Change{Op: kv.Set, Key: "k", Value: []byte("v")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kv.TypeChange, good)
	f.Add(kv.TypeReap, []byte{0x80})
	f.Fuzz(func(t *testing.T, typ uint8, body []byte) {
		db := open(t)
		db.Apply([]store.Entry{{Index: 1, Type: typ, Body: body}})
	})
}

func BenchmarkSetBatch(b *testing.B) {
	db := open(b)
	batch := make([]store.Entry, 64)
	var index uint64
	for b.Loop() {
		for i := range batch {
			index++
			body, err := codec.Encode(&kv.Change{Op: kv.Set, Key: fmt.Sprintf("key/%d", index%100_000), Value: make([]byte, 128), Flags: index})
			if err != nil {
				b.Fatal(err)
			}
			batch[i] = store.Entry{Index: index, Type: kv.TypeChange, Body: body}
		}
		db.Apply(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(index), "ns/write")
}

func BenchmarkGet(b *testing.B) {
	db := open(b)
	for i := range 1000 {
		set(b, db, uint64(i+1), fmt.Sprintf("key/%d", i), "v")
	}
	b.ReportAllocs()
	for b.Loop() {
		tx, _ := db.Read()
		if e, _, err := kv.Get(nil, tx, "key/500"); err != nil || e == nil {
			b.Fatal(e, err)
		}
	}
}
