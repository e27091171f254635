package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type thing struct {
	id    string
	group int
}

func thingTable() *Table[thing] {
	return NewTable(func(t *thing) string { return t.id },
		Column[thing]{Title: "Name", Cell: func(t *thing) Cell { return Cell{Text: t.id} }},
		Column[thing]{Title: "Group", Cell: func(t *thing) Cell { return Cell{Text: fmt.Sprint("g", t.group)} },
			Compare: func(a, b *thing) int { return a.group - b.group }})
}

// TestSelectionNeverMovesToAnotherObject drives a table with random changes of
// the data, the order and the filter, between which an operator sometimes
// chooses a row. What is selected must be what was chosen, or nothing.
func TestSelectionNeverMovesToAnotherObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := thingTable()
		var rows []*thing
		next := 0
		chosen, passes := "", func(*thing) bool { return true }
		filter, keep := passes, passes
		insert := func(n int) {
			rows = slices.Clone(rows)
			for range n {
				at := rapid.IntRange(0, len(rows)).Draw(t, "at")
				rows = slices.Insert(rows, at, &thing{fmt.Sprintf("o%03d", next), next % 5})
				next++
			}
			table.Set(rows)
		}
		insert(rapid.IntRange(0, 20).Draw(t, "first"))
		if r, ok := table.Selected(); ok {
			chosen = r.id
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) { insert(rapid.IntRange(1, 5).Draw(t, "n")) },
			"delete": func(t *rapid.T) {
				if len(rows) == 0 {
					t.Skip("nothing there")
				}
				i := rapid.IntRange(0, len(rows)-1).Draw(t, "i")
				rows = slices.Delete(slices.Clone(rows), i, i+1)
				table.Set(rows)
			},
			"delete what is selected": func(t *rapid.T) {
				rows = slices.DeleteFunc(slices.Clone(rows), func(r *thing) bool { return r.id == chosen })
				table.Set(rows)
			},
			"replace all by new rows of the same objects": func(t *rapid.T) {
				rows = slices.Clone(rows)
				for i, r := range rows {
					rows[i] = &thing{r.id, (r.group + 1) % 5}
				}
				table.Set(rows)
			},
			"empty and back": func(t *rapid.T) {
				table.Set(nil)
				table.Set(rows)
			},
			"shuffle": func(t *rapid.T) {
				rows = rapid.Permutation(rows).Draw(t, "rows")
				table.Set(rows)
			},
			"sort":    func(*rapid.T) { table.Do(Sort) },
			"reverse": func(*rapid.T) { table.Do(Reverse) },
			"columns": func(*rapid.T) { table.Do(Right) },
			"click a header": func(t *rapid.T) {
				table.View(NewTheme(Looks{}), 60, 5)
				table.Click(rapid.IntRange(0, 20).Draw(t, "x"), 0)
			},
			"filter": func(t *rapid.T) {
				text := rapid.SampledFrom([]string{"", "o00", "!o00", "group:g3", "~o1"}).Draw(t, "filter")
				f := ParseFilter(text)
				filter = func(r *thing) bool {
					return f.Match(2, func(i int) string { return []string{"Name", "Group"}[i] },
						func(i int) string { return []string{r.id, fmt.Sprint("g", r.group)}[i] })
				}
				table.SetFilter(text)
			},
			"problems only": func(t *rapid.T) {
				keep = passes
				if rapid.Bool().Draw(t, "on") {
					keep = func(r *thing) bool { return r.group > 2 }
				}
				table.Keep(keep)
			},
			"draw": func(t *rapid.T) {
				table.View(NewTheme(Looks{}), rapid.IntRange(1, 80).Draw(t, "w"), rapid.IntRange(0, 30).Draw(t, "h"))
			},
			"move": func(t *rapid.T) {
				table.Do(rapid.SampledFrom([]Action{Up, Down, PageUp, PageDown, Home, End}).Draw(t, "where"))
				if r, ok := table.Selected(); ok {
					chosen = r.id
				}
			},
			"": func(t *rapid.T) {
				if chosen == "" {
					// Nobody chose while there were no rows; then the first
					// that came may be taken, once.
					chosen = table.SelectedID()
				}
				i := slices.IndexFunc(rows, func(r *thing) bool { return r.id == chosen })
				got, ok := table.Selected()
				switch {
				case ok && got.id != chosen:
					t.Fatalf("%s is selected, %s was chosen", got.id, chosen)
				case i < 0 && ok:
					t.Fatalf("%s is selected and is not there", got.id)
				case i < 0 && chosen != "" && table.Gone() != chosen:
					t.Fatalf("%s went, and the table says %q", chosen, table.Gone())
				case i >= 0 && filter(rows[i]) && keep(rows[i]) != ok:
					t.Fatalf("%s is shown and selected is %v", chosen, ok)
				case i >= 0 && ok && got != rows[i]:
					t.Fatalf("%s is selected as it was before", chosen)
				case i >= 0 && table.Gone() != "":
					t.Fatalf("%s is there and said to be gone", chosen)
				}
			},
		})
	})
}

// TestTreeSelectionNeverMovesToAnotherKey does the same with a tree of keys.
func TestTreeSelectionNeverMovesToAnotherKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := map[string]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "keys") {
			keys[rapid.StringMatching(`[ab](/[abc]){0,3}`).Draw(t, "key")] = true
		}
		tree := NewTree()
		set := func() { tree.Set(func(id string) Branch { return children(keys, id) }) }
		set()
		chosen := ""
		note := func() {
			if n, ok := tree.Selected(); ok {
				chosen = n.ID
			}
		}
		note()
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				keys[rapid.StringMatching(`[ab](/[abc]){0,3}`).Draw(t, "key")] = true
				set()
			},
			"delete": func(t *rapid.T) {
				for k := range keys {
					if strings.HasPrefix(k, rapid.StringMatching(`[ab](/[abc])?`).Draw(t, "below")) {
						delete(keys, k)
					}
				}
				set()
			},
			"filter": func(t *rapid.T) {
				tree.SetFilter(rapid.SampledFrom([]string{"", "a/b", "!c", "zz"}).Draw(t, "filter"))
			},
			"draw": func(t *rapid.T) {
				tree.View(NewTheme(Looks{}), rapid.IntRange(1, 80).Draw(t, "w"), rapid.IntRange(0, 30).Draw(t, "h"))
			},
			"move": func(t *rapid.T) {
				tree.Do(rapid.SampledFrom([]Action{Up, Down, Home, End, Left, Right}).Draw(t, "where"))
				note()
			},
			"open or close": func(t *rapid.T) {
				if n, ok := tree.Selected(); ok && n.Branch {
					tree.Toggle(n.ID)
					note()
				}
			},
			"": func(t *rapid.T) {
				if n, ok := tree.Selected(); ok && n.ID != chosen && chosen != "" {
					t.Fatalf("%q is selected, %q was chosen", n.ID, chosen)
				} else if ok && !there(keys, n.ID) {
					t.Fatalf("%q is selected and is not there", n.ID)
				} else if !ok && tree.Gone() != "" && there(keys, tree.Gone()) {
					t.Fatalf("%q is there and said to be gone", tree.Gone())
				}
				note()
			},
		})
	})
}

// TestTreeNotesAreNotSelected walks over the line that stands for nodes being
// loaded, which goes when they come.
func TestTreeNotesAreNotSelected(t *testing.T) {
	loaded := false
	tree := NewTree()
	set := func() {
		tree.Set(func(id string) Branch {
			switch {
			case id == "":
				return Branch{Nodes: []Node{{ID: "a/", Label: "a/", Branch: true}, {ID: "b", Label: "b"}}}
			case loaded:
				return Branch{Nodes: []Node{{ID: "a/x", Label: "x"}}}
			}
			return Branch{Note: "loading"}
		})
	}
	set()
	tree.Do(Right)
	tree.Do(Down)
	if n, ok := tree.Selected(); !ok || n.ID != "b" {
		t.Errorf("down from the branch selects %q", n.ID)
	}
	tree.Do(Up)
	if n, ok := tree.Selected(); !ok || n.ID != "a/" {
		t.Errorf("and up again %q", n.ID)
	}
	loaded = true
	set()
	tree.Do(Right)
	if n, ok := tree.Selected(); !ok || n.ID != "a/x" {
		t.Errorf("into the branch: %q", n.ID)
	}
}

func there(keys map[string]bool, id string) bool {
	for k := range keys {
		if k == id || strings.HasSuffix(id, "/") && strings.HasPrefix(k, id) {
			return true
		}
	}
	return false
}

// children is what a listing of keys by "/" answers.
func children(keys map[string]bool, prefix string) Branch {
	found := map[string]bool{}
	for k := range keys {
		if rest, ok := strings.CutPrefix(k, prefix); ok && rest != "" {
			if i := strings.Index(rest, "/"); i >= 0 {
				rest = rest[:i+1]
			}
			found[prefix+rest] = true
		}
	}
	var b Branch
	for id := range found {
		b.Nodes = append(b.Nodes, Node{ID: id, Label: strings.TrimPrefix(id, prefix), Branch: strings.HasSuffix(id, "/")})
	}
	slices.SortFunc(b.Nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return b
}
