package page

import (
	"cmp"
	"encoding/json"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// list is what pages have in common that show one table of T.
type list[T any] struct {
	around
	table *ui.Table[T]
	bad   func(*T) bool // what "problems only" leaves
}

// around is what a list has around its table: the same for rows of every type,
// so that the program has it once.
type around struct {
	about content
	// of is the status of what is listed.
	of func(*source.State) source.Status
	// pairs are facts about the whole, as names and values in turn; nil for
	// none. They stand above the table where the page has at least room lines;
	// with no room given, only where there is no layout.
	pairs    func(*Env) []string
	room     int
	problems bool
	y        int // where the table was drawn
}

// table is what it needs of a ui.Table.
type table interface {
	ui.Grid
	SelectedID() string
	View(th *ui.Theme, width, height int) []string
	Export() (titles []string, rows [][]string)
	Pick(i int)
}

// Grid implements Page.
func (l *list[T]) Grid() (ui.Grid, int, int) { return l.table, 0, l.y }

// Ready implements Page.
func (l *around) Ready(s *source.State) bool { return settled(l.of(s)) }

// View implements Page.
func (l *list[T]) View(env *Env, width, height int) []string {
	return l.view(env, l.of(env.State), l.above(env, width, height), width, height)
}

// Sheet implements Page.
func (l *list[T]) Sheet(env *Env) Sheet { return l.sheet(env, l.of(env.State), l.facts(env)) }

// above are the facts over the table.
func (l *around) above(env *Env, width, height int) []string {
	if l.pairs == nil || l.room == 0 || height < l.room {
		return nil
	}
	return facts(env.Theme, width, l.pairs(env)...)
}

// facts are the facts without a layout.
func (l *around) facts(env *Env) []string {
	if l.pairs == nil {
		return nil
	}
	return plainFacts(l.pairs(env)...)
}

// on does what an action means on any list, or what the page does with the
// selected row.
func (l *list[T]) on(env *Env, a ui.Action, do func(*T) Effect) Effect {
	if e, ok := l.do(env, a); ok {
		return e
	}
	r, ok := l.table.Selected()
	if !ok {
		return noSelection(l.table)
	}
	return do(r)
}

// do does what an action means on any list; ok is false where it means nothing.
func (l *list[T]) do(_ *Env, a ui.Action) (e Effect, ok bool) {
	if l.table.Do(a) {
		return Effect{}, true
	}
	switch a {
	case ui.Problems:
		if l.bad == nil {
			return Effect{}, false
		}
		l.problems = !l.problems
		if l.problems {
			l.table.Keep(l.bad)
		} else {
			l.table.Keep(nil)
		}
		return Effect{}, true
	case ui.ShowJSON, ui.ShowYAML, ui.Describe:
		r, ok := l.table.Selected()
		if !ok {
			return noSelection(l.table), true
		}
		return show(l.table.SelectedID(), r, a), true
	default:
		return Effect{}, false
	}
}

// show opens an object as text.
func show(name string, v any, a ui.Action) Effect {
	if a == ui.ShowJSON {
		return Effect{Go: newText(name, "json", asJSON(v))}
	}
	return Effect{Go: newText(name, "yaml", YAML(v))}
}

func asJSON(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "cannot be shown as JSON: " + err.Error()
	}
	return string(b)
}

// view draws the lines above the table, then the table or why it is empty.
func (l *list[T]) view(env *Env, st source.Status, above []string, width, height int) []string {
	return l.draw(l.table, env, st, above, width, height)
}

func (l *around) draw(t table, env *Env, st source.Status, above []string, width, height int) []string {
	lines := trim(above, max(0, height-3))
	if h := hole(env, st, l.about, t, l.problems); h != nil {
		l.y = len(lines)
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		return trim(append(lines, draw(env.Theme, h, width)...), height)
	}
	lines = append(lines, draw(env.Theme, old(env, st), width)...)
	l.y = len(lines)
	return append(lines, t.View(env.Theme, width, max(0, height-len(lines)))...)
}

// sheet is the list as plain text.
func (l *list[T]) sheet(env *Env, st source.Status, facts []string) Sheet {
	return l.plain(l.table, env, st, facts)
}

func (l *around) plain(t table, env *Env, st source.Status, facts []string) Sheet {
	titles, rows := t.Export()
	if n := old(env, st); n != nil {
		facts = append(facts, words(n))
	}
	return Sheet{Facts: facts, Titles: titles, Rows: rows, Note: words(hole(env, st, l.about, t, l.problems)),
		Select: func(i int) { t.Pick(i) }}
}

// shown returns the rows as the table shows them.
func (l *list[T]) shown() []*T { return l.table.Rows() }

// settled reports whether a section has been answered.
func settled(all ...source.Status) bool {
	for _, s := range all {
		if s.Phase == source.Idle || s.Phase == source.Loading {
			return false
		}
	}
	return true
}

// confirm asks before actions that cannot be undone.
func confirm(env *Env, verb string, objects, blast []string, actions ...source.Action) Effect {
	command := ""
	for i, a := range actions {
		if i > 0 {
			command += "; "
		}
		command += a.Command()
	}
	return Effect{
		Ask: &ui.Confirm{Verb: verb, Objects: objects, Cluster: env.Cluster, Blast: blast, Command: command, Require: env.Require},
		Then: func(a ui.Answer) Effect {
			if !a.OK {
				return say(ui.Info, "Nothing was done.")
			}
			return Effect{Act: actions}
		},
	}
}

// healthColumn shows how something is, and sorts by how bad that is.
func healthColumn[T any](title string, health func(*T) string) ui.Column[T] {
	return ui.Column[T]{Title: title, Cell: func(r *T) ui.Cell { return state(health(r)) },
		Compare: func(a, b *T) int { return cmp.Compare(badness(health(a)), badness(health(b))) }}
}

// countColumn shows a number that is only known sometimes.
func countColumn[T any](title string, drop int, l ui.Level, n func(*T) (int, bool)) ui.Column[T] {
	return ui.Column[T]{Title: title, Drop: drop, Right: true,
		Cell: func(r *T) ui.Cell {
			v, known := n(r)
			if !known {
				return ui.Cell{Text: "-", Level: ui.Faint}
			}
			return count(v, l)
		},
		Compare: func(a, b *T) int {
			x, _ := n(a)
			y, _ := n(b)
			return cmp.Compare(x, y)
		}}
}
