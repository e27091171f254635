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

// columned is what a list's table can do with its columns, whatever its rows are:
// the program has what is below once, not for every type of row.
type columned interface {
	Titles() []string
	Alter(title string, width int, wide, hide bool)
	InsertText(c ui.TextColumn, after string)
}

// lists are the lists with columns and the kinds of what they list.
var lists = []struct {
	name, kind string
	table      func() columned
}{
	{"services", "service", func() columned { return newServices().table }},
	{"instances", "instance", func() columned { return newService("").table }},
	{"nodes", "node", func() columned { return newNodes().table }},
	{"members", "member", func() columned { return newMembers().table }},
	{"checks", "check", func() columned { return newOverview().table }},
	{"servers", "server", func() columned { return newRaft().table }},
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
			t := l.table()
			for _, c := range columns {
				if err := customize(t, l.kind, c); err != nil {
					return err
				}
			}
			return nil
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
	var t columned
	list := ""
	switch p := p.(type) {
	case *services:
		list, t = "services", p.table
	case *service:
		list, t = "instances", p.table
	case *nodes:
		list, t = "nodes", p.table
	case *members:
		list, t = "members", p.table
	case *overview:
		list, t = "checks", p.table
	case *instance:
		list, t = "checks", p.table
	case *raft:
		list, t = "servers", p.table
	default:
		return
	}
	for _, l := range lists {
		if l.name != list {
			continue
		}
		for _, c := range columns[list] {
			_ = customize(t, l.kind, c) // see above
		}
	}
}

// customize changes a column of a list of objects of a kind.
func customize(to columned, kind string, c Column) error {
	titles := to.Titles()
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
		to.Alter(c.Title, c.Width, c.Wide, c.Hide)
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
	to.InsertText(ui.TextColumn{Title: c.Title, Max: c.Width, Right: c.Right, Wide: c.Wide, Drop: 1, Compare: numeric, Text: func(row any) string {
		o, _ := objectOf(row)
		return t.Expand(o, nil)
	}}, c.After)
	return nil
}

var _ = []Chooser{(*list[source.Service])(nil), (*node)(nil), (*check)(nil), (*keys)(nil), (*keyPage)(nil)}
