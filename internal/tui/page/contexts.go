package page

import (
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// place is somewhere to go on: a context, or a datacenter of the one in use.
type place struct {
	context    *Context
	datacenter string
	current    bool
}

// contexts lists the clusters there are settings for and the datacenters of the
// one in use.
type contexts struct{ list[place] }

func newContexts() *contexts {
	p := &contexts{}
	p.about = content{"contexts", "Add one: ctl context add NAME --http-addr=ADDRESS", ""}
	p.of = func(s *source.State) source.Status { return s.Datacenters.Status }
	p.table = ui.NewTable(func(x *place) string { return x.kind() + "/" + x.name() },
		ui.Column[place]{Title: "Name", Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.name()} }},
		ui.Column[place]{Title: "What", Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.kind()} }},
		ui.Column[place]{Title: "In use", Cell: func(x *place) ui.Cell {
			if x.current {
				return ui.Cell{Text: "yes", Level: ui.Passing, Glyph: true}
			}
			return ui.Cell{Text: "no", Level: ui.Faint}
		}},
		ui.Column[place]{Title: "Addresses", Elastic: true, Drop: 1, Max: 80, Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.addresses()} }},
		ui.Column[place]{Title: "Marks", Drop: 2, Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.marks()} }},
		ui.Column[place]{Title: "From", Drop: 3, Max: 60, Cell: func(x *place) ui.Cell {
			if x.context == nil {
				return ui.Cell{}
			}
			return ui.Cell{Text: x.context.From, Level: ui.Faint}
		}},
	)
	return p
}

func (x *place) kind() string {
	if x.context != nil {
		return "context"
	}
	return "datacenter"
}

func (x *place) name() string {
	if x.context != nil {
		return x.context.Name
	}
	return x.datacenter
}

func (x *place) addresses() string {
	if x.context == nil {
		return ""
	}
	return strings.Join(x.context.Addresses, " ")
}

func (x *place) marks() string {
	var marks []string
	if x.context != nil && x.context.ReadOnly {
		marks = append(marks, "read-only")
	}
	if x.context != nil && x.context.Protected {
		marks = append(marks, "protected")
	}
	return strings.Join(marks, ", ")
}

// ShowsNow implements ShowsNow.
func (*contexts) ShowsNow() {}

func (p *contexts) Path() string    { return "contexts" }
func (p *contexts) Title() string   { return "Contexts" }
func (p *contexts) Command() string { return "ctl catalog datacenters" }
func (p *contexts) Interest() source.Interest {
	return source.Interest{Sections: source.SectionDatacenters}
}
func (p *contexts) Versions(s *source.State) [4]uint64 {
	return [4]uint64{s.Datacenters.Version, s.Connection.Version}
}

func (p *contexts) Update(env *Env) {
	var rows []*place
	for i := range env.Contexts {
		c := &env.Contexts[i]
		rows = append(rows, &place{context: c, current: c.Current})
	}
	for _, dc := range env.State.Datacenters.Names {
		rows = append(rows, &place{datacenter: dc, current: dc == env.State.Connection.Agent.Datacenter})
	}
	p.table.Set(rows)
}

func (p *contexts) Data(env *Env) any {
	return struct {
		Contexts    []Context
		Datacenters []string
	}{env.Contexts, env.State.Datacenters.Names}
}

func (p *contexts) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "switch to it"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Back, Word: "back"}}
}

func (p *contexts) Do(env *Env, a ui.Action) Effect {
	return p.on(env, a, func(x *place) Effect {
		switch {
		case a == ui.CopyValue:
			return Effect{Copy: x.name(), What: "name"}
		case a == ui.CopyCtl && x.context != nil:
			return Effect{Copy: "ctl dash --context=" + shell(x.context.Name), What: "command"}
		case a == ui.CopyCtl:
			return Effect{Copy: "ctl dash --datacenter=" + shell(x.datacenter), What: "command"}
		case a != ui.Open:
			return Effect{}
		case x.current:
			return say(ui.Info, x.name()+" is in use already.")
		case x.context != nil:
			return Effect{Switch: &Switch{Context: x.context.Name}}
		}
		return Effect{Switch: &Switch{Datacenter: x.datacenter}}
	})
}
