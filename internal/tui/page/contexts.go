package page

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// Surveyor is a page that shows what the clusters of all contexts are like: while it
// is on the screen they are looked at again and again.
type Surveyor interface{ surveys() }

// place is somewhere to go on: a context, or a datacenter of the one in use.
type place struct {
	context    *Context
	datacenter string
	current    bool
}

// contexts lists the clusters there are settings for, with how they are, and the
// datacenters of the one in use.
type contexts struct{ list[place] }

func newContexts() *contexts {
	p := &contexts{}
	p.about = content{"contexts", "Add one: ctl context add NAME --http-addr=ADDRESS", ""}
	p.of = func(s *source.State) source.Status { return s.Datacenters.Status }
	p.bad = (*place).bad
	p.table = ui.NewTable(func(x *place) string { return x.kind() + "/" + x.name() },
		ui.Column[place]{Title: "Name", Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.name()} }},
		ui.Column[place]{Title: "What", Drop: 8, Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.kind()} }},
		ui.Column[place]{Title: "In use", Drop: 2, Cell: func(x *place) ui.Cell {
			if x.current {
				return ui.Cell{Text: "yes", Level: ui.Passing, Glyph: true}
			}
			return ui.Cell{Text: "no", Level: ui.Faint}
		}},
		ui.Column[place]{Title: "Agent", Max: 20, Cell: (*place).agent},
		ui.Column[place]{Title: "Leader", Drop: 3, Max: 30, Cell: (*place).leader},
		ui.Column[place]{Title: "Members", Drop: 4, Right: true, Cell: (*place).members},
		ui.Column[place]{Title: "Failing", Drop: 1, Right: true, Cell: (*place).failing},
		ui.Column[place]{Title: "Version", Drop: 6, Cell: (*place).version},
		ui.Column[place]{Title: "Marks", Drop: 5, Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.marks()} }},
		ui.Column[place]{Title: "Addresses", Elastic: true, Drop: 9, Max: 80, Cell: func(x *place) ui.Cell { return ui.Cell{Text: x.addresses()} }},
		ui.Column[place]{Title: "From", Drop: 10, Max: 60, Cell: func(x *place) ui.Cell {
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

// survey is what was seen of a context; nil where nobody has looked yet, or cannot.
func (x *place) survey() *source.Survey {
	if x.context == nil {
		return nil
	}
	return x.context.Survey
}

// bad reports whether a cluster is not well, as far as was seen.
func (x *place) bad() bool {
	s := x.survey()
	return s != nil && (s.Problem != nil || s.Failing > 0 || s.Leader == "" && s.LeaderProblem == nil || s.Alive < s.Members)
}

var notSeen = ui.Cell{Text: "-", Level: ui.Faint}

// agent says whether one answers, and how fast.
func (x *place) agent() ui.Cell {
	s := x.survey()
	switch {
	case s == nil && x.context != nil:
		return ui.Cell{Text: "asking…", Level: ui.Faint}
	case s == nil:
		return notSeen
	case s.Problem != nil && s.Problem.Kind == source.Unreachable:
		return ui.Cell{Text: "does not answer", Level: ui.Critical, Glyph: true}
	case s.Problem != nil:
		return ui.Cell{Text: s.Problem.Text, Level: ui.Critical, Glyph: true}
	}
	return ui.Cell{Text: "answers in " + took(s.Took), Level: ui.Passing, Glyph: true}
}

// answer is what was asked of a cluster: value, or why that is not known.
func (x *place) answer(problem func(*source.Survey) *source.Problem, value func(*source.Survey) ui.Cell) ui.Cell {
	s := x.survey()
	if s == nil || s.Problem != nil {
		return notSeen
	}
	if p := problem(s); p != nil {
		if p.Kind == source.Denied {
			return ui.Cell{Text: "denied", Level: ui.Warning}
		}
		return ui.Cell{Text: "no answer", Level: ui.Warning}
	}
	return value(s)
}

func (x *place) leader() ui.Cell {
	return x.answer(func(s *source.Survey) *source.Problem { return s.LeaderProblem }, func(s *source.Survey) ui.Cell {
		if s.Leader == "" {
			return ui.Cell{Text: "none", Level: ui.Critical, Glyph: true}
		}
		return ui.Cell{Text: s.Leader}
	})
}

func (x *place) members() ui.Cell {
	return x.answer(func(s *source.Survey) *source.Problem { return s.MembersProblem }, func(s *source.Survey) ui.Cell {
		c := ui.Cell{Text: itoa(s.Alive) + "/" + itoa(s.Members)}
		if s.Alive < s.Members {
			c.Level = ui.Critical
		}
		return c
	})
}

func (x *place) failing() ui.Cell {
	return x.answer(func(s *source.Survey) *source.Problem { return s.ChecksProblem }, func(s *source.Survey) ui.Cell {
		return count(s.Failing, ui.Critical)
	})
}

func (x *place) version() ui.Cell {
	return x.answer(func(*source.Survey) *source.Problem { return nil }, func(s *source.Survey) ui.Cell {
		return ui.Cell{Text: cmp.Or(s.Agent.Build, s.Agent.Version, "-")}
	})
}

func (*contexts) surveys() {}

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
		c := env.Contexts[i]
		rows = append(rows, &place{context: &c, current: c.Current})
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
	return []ui.Hint{{Action: ui.Open, Word: "switch to it"}, {Action: ui.Describe, Word: "failing checks of all"}, {Action: ui.Problems, Word: "problems"},
		{Action: ui.Find, Word: "filter"}, {Action: ui.Back, Word: "back"}}
}

func (p *contexts) Do(env *Env, a ui.Action) Effect {
	if a == ui.Describe {
		return Effect{Go: newFailing()}
	}
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

// afar is a check of a context.
type afar struct {
	*source.Check
	context string
	current bool
}

// failing lists the checks that fail in all contexts, the worst first.
type failing struct{ list[afar] }

func newFailing() *failing {
	p := &failing{}
	p.about = content{"failing checks in any context", "All checks pass wherever an agent answers.", "node:read and service:read"}
	p.of = func(*source.State) source.Status { return source.Status{Phase: source.Ready} }
	text := func(title string, most, drop int, value func(*afar) string) ui.Column[afar] {
		return ui.Column[afar]{Title: title, Max: most, Drop: drop, Cell: func(c *afar) ui.Cell { return ui.Cell{Text: value(c)} }}
	}
	says := text("Says", 120, 6, func(c *afar) string { return first(c.Output) })
	says.Elastic = true
	p.table = ui.NewTable(func(c *afar) string { return c.context + "/" + checkID(c.Check) },
		text("Context", 30, 0, func(c *afar) string { return c.context }),
		healthColumn("Status", func(c *afar) string { return c.Status }),
		text("Check", 40, 0, func(c *afar) string { return cmp.Or(c.Name, c.ID) }),
		text("Service", 30, 2, func(c *afar) string { return cmp.Or(c.ServiceName, "(node)") }),
		text("Node", 30, 3, func(c *afar) string { return c.Node }), says)
	return p
}

func (*failing) surveys() {}

// ShowsNow implements ShowsNow.
func (*failing) ShowsNow() {}

func (p *failing) Path() string                         { return "contexts/failing" }
func (p *failing) Title() string                        { return "Failing checks of all" }
func (p *failing) Command() string                      { return "ctl dash contexts/failing --once" }
func (p *failing) Interest() source.Interest            { return source.Interest{} }
func (p *failing) Versions(*source.State) (v [4]uint64) { return v }

func (p *failing) Update(env *Env) {
	var rows []*afar
	for i := range env.Contexts {
		if s := env.Contexts[i].Survey; s != nil {
			for _, c := range s.Checks {
				rows = append(rows, &afar{c, env.Contexts[i].Name, env.Contexts[i].Current})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b *afar) int { return cmp.Compare(badness(a.Status), badness(b.Status)) })
	p.table.Set(rows)
}

// notSeenOf names the contexts of which the checks are not known, or not all.
func notSeenOf(env *Env) []note {
	var asking, silent, cut []string
	for i := range env.Contexts {
		c := &env.Contexts[i]
		switch s := c.Survey; {
		case s == nil:
			asking = append(asking, c.Name)
		case s.Problem != nil || s.ChecksProblem != nil:
			silent = append(silent, c.Name)
		case s.Failing > len(s.Checks):
			cut = append(cut, c.Name+" ("+itoa(len(s.Checks))+" of "+itoa(s.Failing)+")")
		}
	}
	var out []note
	add := func(l ui.Level, lead string, names []string) {
		if len(names) > 0 {
			out = append(out, note{l, lead + strings.Join(names, ", ")})
		}
	}
	add(ui.Critical, "not known of: ", silent)
	add(ui.Info, "asking: ", asking)
	add(ui.Warning, "the worst only of: ", cut)
	return out
}

func (p *failing) View(env *Env, width, height int) []string {
	return p.view(env, p.of(env.State), draw(env.Theme, notSeenOf(env), width), width, height)
}

func (p *failing) Sheet(env *Env) Sheet {
	var facts []string
	for _, n := range notSeenOf(env) {
		facts = append(facts, n.text)
	}
	return p.sheet(env, p.of(env.State), facts)
}

func (p *failing) Data(*Env) any {
	type row struct {
		Context string
		*source.Check
	}
	out := []row{}
	for _, c := range p.shown() {
		out = append(out, row{c.context, c.Check})
	}
	return out
}

func (p *failing) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "go there"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Sort, Word: "sort"}, {Action: ui.CopyValue, Word: "copy output"}, {Action: ui.Back, Word: "back"}}
}

func (p *failing) Do(env *Env, a ui.Action) Effect {
	return p.on(env, a, func(c *afar) Effect {
		path := "nodes/" + c.Node
		if c.ServiceName != "" {
			path = "services/" + c.ServiceName + "/" + c.Node + "/" + c.ServiceID
		}
		switch {
		case a == ui.CopyValue:
			return Effect{Copy: c.Output, What: "output of " + cmp.Or(c.Name, c.ID)}
		case a == ui.CopyCtl:
			return Effect{Copy: "ctl dash --context=" + shell(c.context) + " " + shell(path), What: "command"}
		case a != ui.Open:
			return Effect{}
		case c.current:
			to, err := Open(path)
			if err != nil {
				return say(ui.Warning, err.Error())
			}
			return Effect{Go: to}
		}
		return Effect{Switch: &Switch{Context: c.context, Path: path}}
	})
}
