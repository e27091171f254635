package tui

import (
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// filter is what a text typed as a filter stands for: @name for the one saved
// under that name, all else for itself. ok is false where none is saved so.
func (m *Model) filter(text string) (f string, ok bool) {
	name, saved := strings.CutPrefix(text, "@")
	if !saved {
		return text, true
	}
	f, ok = m.c.Filters[name]
	return f, ok
}

// setFilter filters by a text, or says which filters there are.
func (m *Model) setFilter(text string) {
	f, ok := m.filter(text)
	if !ok {
		m.say(ui.Warning, "No filter is saved as "+ui.Clean(text)+": "+m.savedFilters())
		return
	}
	g, _, _ := m.at.page.Grid()
	g.SetFilter(f)
	g.First()
}

func (m *Model) savedFilters() string {
	names := m.completeFilter("", "")
	if len(names) == 0 {
		return "there are none; filters in dashboard.json are such"
	}
	return "there are " + strings.Join(names, ", ")
}

// completeFilter returns the saved filters, written behind lead, that begin with
// text.
func (m *Model) completeFilter(lead, text string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m.c.Filters)) {
		if s := lead + "@" + name; strings.HasPrefix(s, text) && s != text {
			out = append(out, s)
		}
	}
	return out
}

// completeCommand returns what a command that begins with text can go on with.
func (m *Model) completeCommand(text string) []string {
	const lead = "filter "
	if strings.HasPrefix(text, lead) {
		return m.completeFilter(lead, text)
	}
	return page.Complete(m.env(), text)
}
