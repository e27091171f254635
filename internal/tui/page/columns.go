package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// Column is a column of a list as an operator wants it: a new one where Value is
// given, else a change of the one that has the title.
type Column struct {
	Title string
	// Value is a template of the fields of the list's objects.
	Value string
	// Width is the greatest in cells; zero means 40, or leaves it as it is.
	Width int
	// Right puts the text at the right edge and Wide shows the column in wide
	// mode only. Hide takes it away.
	Right, Wide, Hide bool
	// After is the title of the column before it; empty for the last place.
	After string
}

// customizer is a list whose columns can be changed.
type customizer interface {
	customize([]Column) error
}

// Lists are the names of lists with columns and the kinds of what they list.
var lists = []struct {
	name, kind string
	make       func() customizer
}{
	{"services", "service", func() customizer { return &newServices().list }},
	{"instances", "instance", func() customizer { return &newService("").list }},
	{"nodes", "node", func() customizer { return &newNodes().list }},
	{"members", "member", func() customizer { return &newMembers().list }},
	{"checks", "check", func() customizer { return &newOverview().list }},
	{"servers", "server", func() customizer { return &newRaft().list }},
}

// Lists names the lists whose columns can be changed.
func Lists() []string {
	var out []string
	for _, l := range lists {
		out = append(out, l.name)
	}
	return out
}

// CheckColumns says what is wrong with columns for a list.
func CheckColumns(list string, columns []Column) error {
	for _, l := range lists {
		if l.name == list {
			return l.make().customize(columns)
		}
	}
	return fmt.Errorf("no list is called %q: there are %s", list, strings.Join(Lists(), ", "))
}

// Customize gives a page the columns of its list. They have been checked before;
// one that does not fit, as that of another list of the same kind, is left out.
func Customize(p Page, columns map[string][]Column) {
	if len(columns) == 0 {
		return
	}
	var c customizer
	list := ""
	switch p := p.(type) {
	case *services:
		list, c = "services", &p.list
	case *service:
		list, c = "instances", &p.list
	case *nodes:
		list, c = "nodes", &p.list
	case *members:
		list, c = "members", &p.list
	case *overview:
		list, c = "checks", &p.list
	case *instance:
		list, c = "checks", &p.list
	case *raft:
		list, c = "servers", &p.list
	default:
		return
	}
	for _, column := range columns[list] {
		_ = c.customize([]Column{column}) // see above
	}
}

// customize changes the columns of a list.
func (l *list[T]) customize(columns []Column) error {
	kind := kindOf[T]()
	for _, c := range columns {
		if err := l.column(kind, c); err != nil {
			return err
		}
	}
	return nil
}

func (l *list[T]) column(kind string, c Column) error {
	titles := l.table.Titles()
	has := func(title string) bool {
		return slices.ContainsFunc(titles, func(t string) bool { return strings.EqualFold(t, title) })
	}
	switch {
	case strings.TrimSpace(c.Title) == "":
		return fmt.Errorf("a column needs a title")
	case c.Width < 0 || c.Width > 500:
		return fmt.Errorf("column %q: a width is from 1 to 500", c.Title)
	case c.After != "" && !has(c.After):
		return fmt.Errorf("column %q: there is no column %q to stand after: there are %s", c.Title, c.After, strings.Join(titles, ", "))
	case c.Value == "" && !has(c.Title):
		return fmt.Errorf("column %q is none of the list, and has no value: there are %s", c.Title, strings.Join(titles, ", "))
	case c.Value == "":
		l.table.Alter(c.Title, c.Width, c.Wide, c.Hide)
		return nil
	case c.Hide:
		return fmt.Errorf("column %q has a value and is hidden: take one of the two away", c.Title)
	case has(c.Title):
		return fmt.Errorf("column %q is there already: choose another title, or hide it and add yours under another", c.Title)
	}
	t, err := ParseTemplate(c.Value, []string{kind})
	if err != nil {
		return fmt.Errorf("column %q: %w", c.Title, err)
	}
	for _, f := range common {
		if slices.ContainsFunc(t.pieces, func(p piece) bool { return p.field == f.Name }) {
			return fmt.Errorf("column %q: {{.%s}} is the same in every row", c.Title, f.Name)
		}
	}
	text := func(r *T) string {
		o, _ := objectOf(r)
		return t.Expand(o, nil)
	}
	l.table.Insert(ui.Column[T]{Title: c.Title, Max: c.Width, Right: c.Right, Wide: c.Wide, Drop: 1,
		Cell: func(r *T) ui.Cell { return ui.Cell{Text: text(r)} }, Compare: func(a, b *T) int { return numeric(text(a), text(b)) }}, c.After)
	return nil
}

// kindOf is the kind of the objects that rows of T are.
func kindOf[T any]() string {
	switch any((*T)(nil)).(type) {
	case *source.Service:
		return "service"
	case *source.Instance:
		return "instance"
	case *source.Node:
		return "node"
	case *member:
		return "member"
	case *source.Check:
		return "check"
	case *source.Peer:
		return "server"
	}
	return ""
}

var _ = []Chooser{(*list[source.Service])(nil), (*node)(nil), (*check)(nil), (*keys)(nil), (*keyPage)(nil)}
