package page

import (
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// text is a page of text that does not change: an object as JSON or YAML.
type text struct {
	name, kind string
	viewer     *ui.Viewer
}

func newText(name, kind, body string) *text {
	return &text{name: name, kind: kind, viewer: ui.NewViewer(body, false)}
}

// NewOutput returns a page of what a command said.
func NewOutput(name, body string) Page { return newText(name, "output", body) }

func (t *text) Path() string                         { return "" }
func (t *text) Title() string                        { return t.title() }
func (t *text) Interest() source.Interest            { return source.Interest{} }
func (t *text) Versions(*source.State) (v [4]uint64) { return v }
func (t *text) Update(*Env)                          {}
func (t *text) Grid() (ui.Grid, int, int)            { return t.viewer, 0, 0 }
func (t *text) Ready(*source.State) bool             { return true }
func (t *text) Command() string                      { return "" }
func (t *text) Data(*Env) any                        { return t.viewer.Text() }
func (t *text) Sheet(*Env) Sheet                     { return Sheet{Facts: ui.Lines(t.viewer.Text())} }
func (t *text) View(env *Env, width, height int) []string {
	return t.viewer.View(env.Theme, width, height)
}

func (t *text) title() string {
	if t.kind == "output" {
		return t.name
	}
	return t.name + " as " + t.kind
}

func (t *text) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Back, Word: "back"}, {Action: ui.Find, Word: "filter"}, {Action: ui.CopyValue, Word: "copy"}}
}

func (t *text) Do(_ *Env, a ui.Action) Effect {
	if a == ui.CopyValue {
		return Effect{Copy: t.viewer.Text(), What: t.name}
	}
	t.viewer.Do(a)
	return Effect{}
}
