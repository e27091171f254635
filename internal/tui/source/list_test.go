package source

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct {
	name  string
	value int
}

// TestListsAgainstAMap puts and removes at random and checks that a list and a
// ranking hold what a map does, and that no view ever changes.
func TestListsAgainstAMap(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		l := list[item]{ordered[*item]{key: func(i *item) string { return i.name }}}
		r := ranking[item]{order: func(a, b *item) int {
			return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.name, b.name))
		}}
		model := map[string]item{}
		type view struct{ seen, then []*item }
		var views []view
		for range 200 {
			name := fmt.Sprint(rnd.IntN(20))
			switch rnd.IntN(8) {
			case 0:
				r.move(l.remove(name), nil)
				delete(model, name)
			case 1:
				var rows []*item
				clear(model)
				for range rnd.IntN(10) {
					i := item{fmt.Sprint(rnd.IntN(20)), rnd.IntN(5)}
					rows = append(rows, &i)
					model[i.name] = i
				}
				before := map[string]bool{}
				for _, i := range l.rows {
					before[i.name] = true
				}
				l.replace(rows, func(old, now *item) {
					switch {
					case old != nil && !before[old.name], now != nil && model[now.name] != *now, old == nil && before[now.name]:
						t.Fatalf("diff of %v and %v", old, now)
					}
				})
				r.replace(l.rows)
			default:
				i := item{name, rnd.IntN(5)}
				r.move(l.put(&i), &i)
				model[name] = i
			}
			if rnd.IntN(3) == 0 {
				views = append(views, view{l.view(), slices.Clone(l.rows)}, view{r.view(), slices.Clone(r.rows)})
			}
			got := map[string]item{}
			for _, i := range l.rows {
				got[i.name] = *i
			}
			sorted := slices.IsSortedFunc(l.rows, func(a, b *item) int { return cmp.Compare(a.name, b.name) })
			if !maps.Equal(got, model) || len(l.rows) != len(model) || !sorted {
				t.Fatalf("seed %d: the list holds %v, want %v", seed, got, model)
			}
			if len(r.rows) != len(model) || !slices.IsSortedFunc(r.rows, r.order) {
				t.Fatalf("seed %d: the ranking holds %d rows, want %d, in order", seed, len(r.rows), len(model))
			}
			for _, i := range r.rows {
				if l.get(i.name) != i {
					t.Fatalf("seed %d: the ranking holds %v, the list %v", seed, i, l.get(i.name))
				}
			}
		}
		for _, v := range views {
			if !slices.Equal(v.seen, v.then) {
				t.Fatalf("seed %d: a view has changed", seed)
			}
		}
	}
}

func TestRingKeepsTheNewest(t *testing.T) {
	r := ring[int]{max: 10}
	var views [][]int
	for i := range 100 {
		r.add(i)
		views = append(views, r.view())
	}
	for i, v := range views {
		want := min(i+1, 10)
		if len(v) != want || v[0] != i+1-want || v[len(v)-1] != i {
			t.Fatalf("after %d: %v", i, v)
		}
	}
	if cap(r.items) > 40 {
		t.Errorf("a ring of 10 has room for %d", cap(r.items))
	}
	if !r.drop(func(i *int) bool { return *i < 95 }) || len(r.view()) != 5 {
		t.Errorf("dropped to %v", r.view())
	}
}

func TestLogLines(t *testing.T) {
	now := new(model).cluster.LeaderSince
	for _, c := range []struct{ line, level, text string }{
		{"2026-11-26T12:36:02.544Z [WARN]  agent: bootstrap: enabled", "WARN", "agent: bootstrap: enabled"},
		{"2026-11-26T12:36:02.544+0100 [INFO]  agent: ok", "INFO", "agent: ok"},
		{"no time at all", "", "no time at all"},
		{"2026-11-26T12:36:02.544Z [odd] text", "", "[odd] text"},
		{"", "", ""},
	} {
		if l := parseLine(c.line, now); l.Level != c.level || l.Text != c.text {
			t.Errorf("%q is %q, %q", c.line, l.Level, l.Text)
		}
	}
}
