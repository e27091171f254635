package ui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func things(n int) []*thing {
	rows := make([]*thing, n)
	for i := range rows {
		rows[i] = &thing{fmt.Sprintf("service-%05d", i), i % 5}
	}
	return rows
}

// plain draws lines without styles, and fails where one is too wide.
func plain(t *testing.T, lines []string, width int) string {
	t.Helper()
	out := make([]string, len(lines))
	for i, l := range lines {
		if w := Width(l); w > width {
			t.Errorf("line %d takes %d cells of %d: %q", i, w, width, l)
		}
		out[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return strings.Join(out, "\n")
}

func TestTableView(t *testing.T) {
	table := NewTable(func(t *thing) string { return t.id },
		Column[thing]{Title: "Name", Cell: func(t *thing) Cell { return Cell{Text: t.id} }},
		Column[thing]{Title: "State", Cell: func(t *thing) Cell { return Cell{Text: "passing", Level: Passing, Glyph: true} }},
		Column[thing]{Title: "N", Right: true, Drop: 1, Cell: func(t *thing) Cell { return Cell{Text: fmt.Sprint(t.group)} }})
	table.Set([]*thing{{"web", 1}, {"日本語", 20}, {"evil\x1b[2J\u202e", 3}})
	for _, c := range []struct {
		name          string
		width, height int
		do            []Action
		want          []string // lines, from the left
	}{
		{"as they come", 40, 4, nil, []string{"  Name", "▸ web", "  日本語", "  evil�[2J�"}},
		{"the window follows the selection", 40, 2, []Action{End}, []string{"  Name", "▸ evil�[2J�  ✓ passing"}},
		{"a narrow screen drops columns", 24, 2, []Action{Home}, []string{"  Name       State", "▸ web        ✓ passing"}},
		{"a very narrow one cuts", 9, 2, nil, []string{"  Name", "▸ web"}},
		{"nothing fits", 1, 1, nil, []string{""}},
		{"sorted downwards", 40, 4, []Action{Sort, Reverse}, []string{"  Name ▼", "  日本語", "▸ web", "  evil"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, a := range c.do {
				table.Do(a)
			}
			got := strings.Split(plain(t, table.View(NewTheme(Looks{}), c.width, c.height), c.width), "\n")
			if len(got) != len(c.want) {
				t.Fatalf("%d lines: %q", len(got), got)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("line %d is %q, want %q", i, got[i], want)
				}
			}
		})
	}
}

func TestTableKeepsTheSelectedLineInPlace(t *testing.T) {
	table := thingTable()
	rows := things(100)
	table.Set(rows)
	table.View(NewTheme(Looks{}), 80, 11)
	for range 50 {
		table.Do(Down)
	}
	before := table.View(NewTheme(Looks{}), 80, 11)
	line := slices.IndexFunc(before, func(l string) bool { return strings.Contains(l, "▸") })
	table.Set(append([]*thing{{"aaa", 0}, {"aab", 0}}, rows...))
	after := table.View(NewTheme(Looks{}), 80, 11)
	if got := slices.IndexFunc(after, func(l string) bool { return strings.Contains(l, "▸") }); got != line {
		t.Errorf("rows above moved the selected line from %d to %d", line, got)
	}
	if !strings.Contains(after[line], "service-00050") {
		t.Errorf("selected is %q", after[line])
	}
}

func TestTableGone(t *testing.T) {
	table := thingTable()
	rows := things(3)
	table.Set(rows)
	table.Do(Down)
	table.Set([]*thing{rows[0], rows[2]})
	if _, ok := table.Selected(); ok || table.Gone() != "service-00001" {
		t.Fatalf("selected %v, gone %q", ok, table.Gone())
	}
	table.Do(Down)
	if r, ok := table.Selected(); !ok || r != rows[2] || table.Gone() != "" {
		t.Errorf("the next movement selected %v, %v, gone %q", r, ok, table.Gone())
	}
	table.Set(rows[:1])
	table.Set(rows)
	if r, ok := table.Selected(); !ok || r != rows[2] {
		t.Errorf("it came back and is not selected: %v, %v", r, ok)
	}
}

func TestTableFollow(t *testing.T) {
	table := thingTable()
	rows := things(10)
	table.Set(rows[:5])
	table.SetFollow(true)
	table.Set(rows[:7])
	if r, _ := table.Selected(); r != rows[6] {
		t.Errorf("following selects %v", r)
	}
	table.Do(Up)
	table.Set(rows)
	if r, _ := table.Selected(); r != rows[5] || table.Following() {
		t.Errorf("after a movement it still follows, to %v", r)
	}
}

func TestTableMarks(t *testing.T) {
	table := thingTable()
	rows := things(5)
	table.Set(rows)
	table.Do(Mark)
	table.Do(Mark)
	if m := table.Marked(); len(m) != 2 || m[0] != rows[0] || m[1] != rows[1] {
		t.Fatalf("marked %v", m)
	}
	table.Set(rows[1:])
	if m := table.Marked(); len(m) != 1 || m[0] != rows[1] {
		t.Errorf("a mark outlived its object: %v", m)
	}
	table.SetFilter("00004")
	if m := table.Marked(); len(m) != 0 {
		t.Errorf("hidden objects are marked: %v", m)
	}
}

func TestTableMouse(t *testing.T) {
	table := thingTable()
	table.Set(things(10))
	table.View(NewTheme(Looks{}), 60, 6)
	if again := table.Click(5, 3); again {
		t.Error("the first click on a row opened it")
	}
	if r, _ := table.Selected(); r.id != "service-00002" {
		t.Errorf("clicked line 3, selected %s", r.id)
	}
	if !table.Click(5, 3) {
		t.Error("the second click on a row did not open it")
	}
	table.Click(table.places[1].x, 0)
	if table.sortBy != 1 {
		t.Errorf("a click on the second title sorts by %d", table.sortBy)
	}
	table.Click(5, 99)
	table.Scroll(100)
	if table.cur.top != 5 {
		t.Errorf("scrolled to the end, the window begins at %d", table.cur.top)
	}
}

func TestFilter(t *testing.T) {
	titles := []string{"Name", "Status", "Address"}
	row := []string{"web-Prod", "passing", "10.0.0.1:80"}
	for _, c := range []struct {
		filter string
		want   bool
	}{
		{"", true},
		{"web", true},
		{"WEB", true},
		{"prod pass", true},
		{"prod fail", false},
		{"!web", false},
		{"!db", true},
		{"~wbpd", true},
		{"~bw", false},
		{"status:pass", true},
		{"stat:web", false},
		{"!status:crit", true},
		{"status:~pssg", true},
		{"10.0.0.1:80", true},
		{"10.0.0.1:81", false},
		{"  ", true},
		{"!", true},
		{"status:", true},
	} {
		t.Run(c.filter, func(t *testing.T) {
			got := ParseFilter(c.filter).Match(3, func(i int) string { return titles[i] }, func(i int) string { return row[i] })
			if got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestInput(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string // one letter types itself
		want string
	}{
		{"typing", []string{"a", "b", "é"}, "abé"},
		{"in the middle", []string{"a", "c", "left", "b"}, "abc"},
		{"erasing", []string{"a", "b", "backspace", "home", "delete", "x"}, "x"},
		{"a word", []string{"a", " ", "b", "ctrl+w", "c"}, "a c"},
		{"to the start", []string{"a", "b", "left", "ctrl+u"}, "b"},
		{"history", []string{"n", "up", "up", "down"}, "second"},
		{"back from history to what was typed", []string{"n", "up", "down"}, "n"},
		{"completion goes round", []string{"s", "tab", "tab", "tab"}, "services"},
		{"control keys type nothing", []string{"a", "f5"}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{History: []string{"first", "second"}, Complete: func(s string) []string {
				if s == "s" {
					return []string{"services", "switch"}
				}
				return nil
			}}
			for _, k := range c.keys {
				text := ""
				if len([]rune(k)) == 1 {
					text = k
				}
				in.Key(k, text)
			}
			if got := in.Text(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	var in Input
	in.Insert("a\nb\x1b[2J")
	if got := in.Text(); strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("pasted control characters: %q", got)
	}
	in.Set(strings.Repeat("x", 50))
	if text, at := in.View(10); Width(text) > 10 || at >= 10 {
		t.Errorf("a long line shows %q with the cursor at %d", text, at)
	}
}

func TestConfirmIsNoUnlessSaidOtherwise(t *testing.T) {
	for _, c := range []struct {
		name    string
		require string
		keys    []string
		want    bool
	}{
		{"enter is no", "", []string{"enter"}, false},
		{"y is yes", "", []string{"y"}, true},
		{"chosen yes", "", []string{"right", "enter"}, true},
		{"escape", "", []string{"right", "esc"}, false},
		{"protected: y is not enough", "prod", []string{"y", "enter"}, false},
		{"protected: the name", "prod", []string{"p", "r", "o", "d", "enter"}, true},
		{"protected: another name", "prod", []string{"p", "r", "o", "enter"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &Confirm{Verb: "Deregister", Objects: []string{"web-1"}, Cluster: "prod / dc1", Require: c.require}
			for i, k := range c.keys {
				a, done := d.Key(k, k)
				if done != (i == len(c.keys)-1) {
					t.Fatalf("after %s the dialog is done: %v", k, done)
				}
				if done && a.OK != c.want {
					t.Errorf("answer %v", a.OK)
				}
			}
		})
	}
}

func TestDialogsNameWhatIsAtStake(t *testing.T) {
	d := &Confirm{Verb: "Deregister", Objects: []string{"web-1"}, Cluster: "prod / dc1",
		Blast: []string{"3 instances, 2 of them passing"}, Command: "ctl services deregister -id=web-1"}
	lines, _, _ := d.View(NewTheme(Looks{}), 60, 20)
	box := plain(t, Box(NewTheme(Looks{}), d.Title(), lines, 64), 64)
	for _, want := range []string{"Deregister?", "web-1", "prod / dc1", "3 instances, 2 of them passing", "ctl services deregister -id=web-1", "▸ No"} {
		if !strings.Contains(box, want) {
			t.Errorf("%q is missing:\n%s", want, box)
		}
	}
	small, _, _ := d.View(NewTheme(Looks{}), 36, 5)
	if len(small) > 5 {
		t.Errorf("%d lines for 5", len(small))
	}
	for _, want := range []string{"web-1", "prod / dc1", "3 instances", "No"} {
		if got := plain(t, small, 36); !strings.Contains(got, want) {
			t.Errorf("%q is missing on a small screen:\n%s", want, got)
		}
	}
	many := &Confirm{Verb: "Deregister", Objects: make([]string, 20)}
	if l := len(many.Plain()); l > 12 {
		t.Errorf("twenty objects take %d lines", l)
	}
}

func TestKeyMap(t *testing.T) {
	k := DefaultKeys()
	if k.Action("j") != Down || k.Action("ctrl+d") != Delete || k.Action("5") != Screen5 {
		t.Error("keys do not mean what they should")
	}
	r, err := k.Rebind(map[Action][]string{Delete: {"X"}})
	if err != nil || r.Action("X") != Delete || r.Action("ctrl+d") != NoAction || k.Action("ctrl+d") != Delete {
		t.Errorf("rebinding: %v, %q", err, r.Action("X"))
	}
	if _, err := k.Rebind(map[Action][]string{Delete: {"j"}}); err == nil {
		t.Error("a key was bound to two actions")
	}
	if _, err := k.Rebind(map[Action][]string{"fly": {"X"}}); err == nil {
		t.Error("an action that does not exist was bound")
	}
	for _, w := range []int{40, 80, 200} {
		help := plain(t, HelpLines(NewTheme(Looks{}), k, w, func(b Binding) bool { return b.Mutates }), w)
		if strings.Contains(help, "ctrl+d") || !strings.Contains(help, "filter") {
			t.Errorf("help without acts at %d:\n%s", w, help)
		}
	}
}

func TestSparkline(t *testing.T) {
	g := &unicodeGlyphs
	for _, c := range []struct {
		name   string
		values []float64
		want   string
	}{
		{"none", nil, "    "},
		{"rising", []float64{0, 1, 2, 4}, "▁▂▄█"},
		{"the newest are shown", []float64{9, 9, 0, 1, 2, 4}, "▁▂▄█"},
		{"few stand at the right", []float64{1}, "   █"},
		{"all zero", []float64{0, 0, 0, 0}, "▁▁▁▁"},
		{"little is not nothing", []float64{0, 1, 1000, 0}, "▁▂█▁"},
		{"unknown is blank", []float64{1, -1, 1, 1}, "█ ██"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Sparkline(g, c.values, 4); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestViewer(t *testing.T) {
	v := NewViewer("one\ntwo two two\n\tthree\x1b[31m\n", false)
	got := plain(t, v.View(NewTheme(Looks{}), 8, 2), 8)
	if got != "one\ntwo two" {
		t.Errorf("got %q", got)
	}
	v.Do(Right)
	if got := plain(t, v.View(NewTheme(Looks{}), 8, 3), 8); !strings.Contains(got, "two") || strings.Contains(got, "\x1b") {
		t.Errorf("scrolled sideways: %q", got)
	}
	w := NewViewer(strings.Repeat("word ", 20), true)
	if n := len(w.View(NewTheme(Looks{}), 10, 100)); n < 10 {
		t.Errorf("wrapped into %d lines", n)
	}
	v.SetFilter("three")
	if got := plain(t, v.View(NewTheme(Looks{}), 80, 5), 80); strings.Contains(got, "one") {
		t.Errorf("filtered: %q", got)
	}
}

func TestThemes(t *testing.T) {
	for _, l := range []Looks{{}, {Light: true}, {True: true}, {True: true, Light: true}, {Name: "high-contrast"}, {Name: "colour-blind", True: true}, {Plain: true}, {Dumb: true}, {ASCII: true}} {
		th := NewTheme(l)
		seen := map[string]bool{}
		for lv := Info; lv < Faint; lv++ {
			g := th.Glyph(lv)
			if Width(g) != 1 {
				t.Errorf("%+v: the sign %q of %d is not one cell wide", l, g, lv)
			}
			if seen[g] {
				t.Errorf("%+v: two states have the sign %q", l, g)
			}
			seen[g] = true
			if (l.ASCII || l.Dumb) && !ascii(g) {
				t.Errorf("%+v: the sign %q is not ASCII", l, g)
			}
		}
		if l.Dumb && th.Say(Critical, "x") != "x x" {
			t.Errorf("a dumb terminal gets %q", th.Say(Critical, "x"))
		}
		if l.Plain && strings.Contains(th.Say(Critical, "x"), "31") {
			t.Errorf("NO_COLOR gets %q", th.Say(Critical, "x"))
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text string
		n          int
		want       []string
	}{
		{"at blanks", "one two three", 8, []string{"one two", "three"}},
		{"not at hyphens", "ctl kv delete -recurse app/", 16, []string{"ctl kv delete", "-recurse app/"}},
		{"long words are broken", "abcdefghij", 4, []string{"abcd", "efgh", "ij"}},
		{"its own breaks stay", "a\n\nb", 10, []string{"a", "", "b"}},
		{"wide letters", "日本語 日本", 6, []string{"日本語", "日本"}},
		{"letters that do not fit", "日本", 1, []string{""}},
		{"nothing", "", 5, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Wrap(c.text, c.n)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	base := []string{"\x1b[7m0123456789\x1b[m", "日本語日本", "short"}
	got := plain(t, Overlay(base, []string{"AB", "CD", "EF"}, 4, 0, 10), 10)
	if want := "0123AB6789\n日本CD日本\nshorEF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkTableMove(b *testing.B) {
	for _, n := range []int{5000, 50000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table, th := thingTable(), NewTheme(Looks{})
			table.Set(things(n))
			b.ReportAllocs()
			for b.Loop() {
				table.Do(Down)
				table.View(th, 200, 60)
			}
		})
	}
}

func BenchmarkTableSet(b *testing.B) {
	for _, by := range []string{"", "Group"} {
		b.Run("by "+by, func(b *testing.B) {
			table := thingTable()
			rows := things(5000)
			table.Set(rows)
			table.SortBy(by, false)
			b.ReportAllocs()
			for b.Loop() {
				table.Set(rows)
			}
		})
	}
}

func BenchmarkTableFilter(b *testing.B) {
	table := thingTable()
	table.Set(things(5000))
	b.ReportAllocs()
	for b.Loop() {
		table.SetFilter("0499")
	}
}
