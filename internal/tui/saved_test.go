package tui

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/tui/tuitest"
)

func TestSavedFilters(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  []string // or texts
		want  string   // the filter then
		shows string
	}{
		{"by its name", []string{"/", "@bad", "enter"}, "health:crit", "web"},
		{"completed", []string{"/", "@b", "tab", "enter"}, "health:crit", "web"},
		{"as a command", []string{":", "filter @bad", "enter"}, "health:crit", "web"},
		{"as a completed command", []string{":", "filter @", "tab", "enter"}, "health:crit", "web"},
		{"one that is not saved leaves the filter as it was", []string{"/", "cache", "enter", "/", "ctrl+u", "@nope", "enter"}, "cache", "No filter is saved as @nope: there are @bad"},
		{"a half typed name filters nothing", []string{"/", "@ba"}, "", "web"},
		{"esc goes back to the filter before", []string{"/", "cache", "enter", "/", "ctrl+u", "@bad", "esc"}, "cache", "cache"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, tuitest.Live(), "services")
			d.c.Filters = map[string]string{"bad": "health:crit"}
			for _, k := range c.keys {
				if _, special := named[k]; special || k == "ctrl+u" {
					d.press(k)
				} else {
					d.write(k)
				}
			}
			if g, _, _ := d.at.page.Grid(); g.Filter() != c.want {
				t.Errorf("the filter is %q, want %q", g.Filter(), c.want)
			}
			d.shows(c.shows)
		})
	}
	d := newDriver(t, tuitest.Live(), "services")
	d.press("/")
	d.write("@bad")
	d.press("enter")
	d.shows("there are none; filters in dashboard.json are such")
}
