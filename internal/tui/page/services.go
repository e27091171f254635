package page

import (
	"cmp"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// services lists the service names of the catalog.
type services struct{ list[source.Service] }

func newServices() *services {
	p := &services{}
	p.about = content{"services", "Register one: ctl services register -name=web -port=8080", `service:read on the service`}
	p.of = func(s *source.State) source.Status { return s.Services.Status }
	p.pairs = func(env *Env) []string { return serviceCounts(&env.State.Services) }
	p.bad = func(s *source.Service) bool { return s.Counted && s.Health() != source.Passing }
	p.table = ui.NewTable(func(s *source.Service) string { return s.Name },
		ui.Column[source.Service]{Title: "Service", Max: 60, Cell: func(s *source.Service) ui.Cell { return ui.Cell{Text: s.Name} }},
		healthColumn("Health", (*source.Service).Health),
		countColumn("Passing", 4, ui.Passing, func(s *source.Service) (int, bool) { return s.Passing, s.Counted }),
		countColumn("Warning", 3, ui.Warning, func(s *source.Service) (int, bool) { return s.Warning, s.Counted }),
		countColumn("Critical", 2, ui.Critical, func(s *source.Service) (int, bool) { return s.Critical, s.Counted }),
		countColumn("Instances", 5, ui.None, func(s *source.Service) (int, bool) { return s.Instances, s.Counted || s.Instances > 0 }),
		ui.Column[source.Service]{Title: "Tags", Elastic: true, Drop: 6, Max: 60, Cell: func(s *source.Service) ui.Cell { return ui.Cell{Text: strings.Join(s.Tags, ",")} }},
		ui.Column[source.Service]{Title: "Kind", Drop: 7, Wide: true, Cell: func(s *source.Service) ui.Cell { return ui.Cell{Text: cmp.Or(s.Kind, "typical")} }},
		ui.Column[source.Service]{Title: "Index", Drop: 8, Wide: true, Right: true, Cell: func(s *source.Service) ui.Cell { return number(s.Index) },
			Compare: func(a, b *source.Service) int { return cmp.Compare(a.Index, b.Index) }},
	)
	return p
}

func (p *services) Path() string    { return "services" }
func (p *services) Title() string   { return "Services" }
func (p *services) Command() string { return "ctl catalog services -tags" }
func (p *services) Interest() source.Interest {
	return source.Interest{Sections: source.SectionServices}
}
func (p *services) Versions(s *source.State) [4]uint64 { return [4]uint64{s.Services.Version} }
func (p *services) Update(env *Env)                    { p.table.Set(env.State.Services.Rows) }
func (p *services) Data(*Env) any                      { return p.shown() }

// serviceCounts says how many services are how.
func serviceCounts(s *source.Services) []string {
	return []string{"services", plural(len(s.Rows), "service"),
		"passing", number(uint64(s.Passing)).Text, "warning", number(uint64(s.Warning)).Text, "critical", number(uint64(s.Critical)).Text}
}

func (p *services) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "instances"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Problems, Word: "problems"},
		{Action: ui.Sort, Word: "sort"}, {Action: ui.Wide, Word: "wide"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *services) Do(env *Env, a ui.Action) Effect {
	return p.on(env, a, func(s *source.Service) Effect {
		switch a {
		case ui.Open:
			return Effect{Go: newService(s.Name)}
		case ui.CopyValue:
			return Effect{Copy: s.Name, What: "name of the service"}
		case ui.CopyCtl:
			return Effect{Copy: "ctl dash " + shell("services/"+s.Name), What: "command"}
		case ui.Delete, ui.Maintain:
			return say(ui.Info, "Open the service first: this is done to its instances.")
		default: // the others are not for here
		}
		return Effect{}
	})
}

// service lists the instances of one service.
type service struct {
	list[source.Instance]
	name string
}

func newService(name string) *service {
	p := &service{name: name}
	p.about = content{"instances of " + name, "The service is not registered, or no longer; " + "it shows here as soon as it is.", `service:read on "` + name + `"`}
	p.of, p.pairs, p.room = p.status, p.counts, 12
	p.bad = func(i *source.Instance) bool { return i.Health != source.Passing }
	p.table = ui.NewTable(instanceID,
		ui.Column[source.Instance]{Title: "Node", Cell: func(i *source.Instance) ui.Cell { return ui.Cell{Text: i.Node} }},
		healthColumn("Health", func(i *source.Instance) string { return i.Health }),
		ui.Column[source.Instance]{Title: "Instance", Drop: 4, Cell: func(i *source.Instance) ui.Cell { return ui.Cell{Text: i.ID} }},
		ui.Column[source.Instance]{Title: "Address", Drop: 5, Max: 48, Cell: func(i *source.Instance) ui.Cell { return ui.Cell{Text: address(i)} }},
		ui.Column[source.Instance]{Title: "Checks", Drop: 3, Right: true, Cell: func(i *source.Instance) ui.Cell { return checkCount(i.Checks) }},
		ui.Column[source.Instance]{Title: "Says", Elastic: true, Drop: 7, Max: 100, Cell: func(i *source.Instance) ui.Cell { return ui.Cell{Text: worstOutput(i.Checks), Level: ui.Faint} }},
		ui.Column[source.Instance]{Title: "Tags", Elastic: true, Drop: 8, Wide: true, Cell: func(i *source.Instance) ui.Cell { return ui.Cell{Text: strings.Join(i.Tags, ",")} }},
	)
	return p
}

func instanceID(i *source.Instance) string { return i.Node + "/" + i.ID }

func address(i *source.Instance) string {
	a := i.Address
	if strings.Contains(a, ":") {
		a = "[" + a + "]"
	}
	if i.Port == 0 {
		return a
	}
	return a + ":" + number(uint64(i.Port)).Text
}

// checkCount is how many checks pass, of how many.
func checkCount(checks []*source.Check) ui.Cell {
	pass := 0
	for _, c := range checks {
		if c.Status == source.Passing {
			pass++
		}
	}
	return ui.Cell{Text: itoa(pass) + "/" + itoa(len(checks))}
}

// worstOutput is what the worst check says; they come worst first.
func worstOutput(checks []*source.Check) string {
	if len(checks) == 0 || checks[0].Status == source.Passing {
		return ""
	}
	return checks[0].Name + ": " + first(checks[0].Output)
}

func (p *service) Path() string    { return "services/" + p.name }
func (p *service) Title() string   { return p.name }
func (p *service) Command() string { return "ctl dash " + shell(p.Path()) + " --once" }
func (p *service) Interest() source.Interest {
	return source.Interest{Service: p.name}
}
func (p *service) Versions(s *source.State) [4]uint64 { return [4]uint64{s.Service.Version} }
func (p *service) Data(*Env) any                      { return p.shown() }

// status is the section's, or that it is loading while it is about another
// service.
func (p *service) status(s *source.State) source.Status {
	if s.Service.Name != p.name {
		return source.Status{Phase: source.Loading}
	}
	return s.Service.Status
}

func (p *service) Update(env *Env) {
	switch {
	case env.State.Service.Name == p.name:
		p.table.Set(env.State.Service.Rows)
	case !env.State.AsOf.IsZero():
		p.table.Set(nil) // what is there now was not then
	}
}

// tally says how many instances are how.
func tally(rows []*source.Instance) string {
	n := map[string]int{}
	for _, i := range rows {
		n[i.Health]++
	}
	var parts []string
	for _, h := range []string{source.Passing, source.Warning, source.Critical, source.MaintenanceState} {
		if n[h] > 0 {
			parts = append(parts, itoa(n[h])+" "+h)
		}
	}
	return strings.Join(parts, ", ")
}

func (p *service) counts(env *Env) []string {
	s := env.State
	if s.Service.Name != p.name || len(s.Service.Rows) == 0 {
		return nil
	}
	return []string{"instances", tally(s.Service.Rows)}
}

func (p *service) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "checks"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Maintain, Word: "maintenance"},
		{Action: ui.Delete, Word: "deregister"}, {Action: ui.Mark, Word: "mark"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *service) Do(env *Env, a ui.Action) Effect {
	if e, ok := p.do(env, a); ok {
		return e
	}
	rows := p.table.Marked()
	if r, ok := p.table.Selected(); ok && len(rows) == 0 {
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return noSelection(p.table)
	}
	switch a {
	case ui.Open:
		if r, ok := p.table.Selected(); ok {
			return Effect{Go: newInstance(r.Service, r.Node, r.ID)}
		}
		return noSelection(p.table)
	case ui.CopyValue:
		return Effect{Copy: address(rows[0]), What: "address"}
	default:
		return actOnInstances(env, a, rows, env.State.Service.Rows, p.table.Unmark)
	}
}

// actOnInstances does what an action means to instances, wherever they are
// listed. all are the instances of the service, for what hangs on it.
func actOnInstances(env *Env, a ui.Action, rows, all []*source.Instance, unmark func()) Effect {
	switch a {
	case ui.CopyCtl:
		r := rows[0]
		return Effect{Copy: "ctl dash " + shell("services/"+r.Service+"/"+r.Node+"/"+r.ID), What: "command"}
	case ui.Maintain:
		return maintainInstance(env, rows[0])
	case ui.Delete:
		if env.ReadOnly != "" {
			return refused(env.ReadOnly)
		}
		var names []string
		var acts []source.Action
		for _, r := range rows {
			names = append(names, r.ID+" of "+r.Service+" on "+r.Node+" ("+r.Health+")")
			acts = append(acts, source.DeregisterService{Node: r.Node, ID: r.ID, Local: r.Node == env.State.Connection.Agent.Node})
		}
		e := confirm(env, "Deregister", names, []string{left(rows, all), "a service from a file comes back when its agent is reloaded or restarted"}, acts...)
		e.Unselect = unmark
		return e
	default:
		return Effect{}
	}
}

// left says what remains of the service if rows go. all are its instances, nil
// where they are not known.
func left(rows, all []*source.Instance) string {
	if all == nil {
		return plural(len(rows), "instance") + " (" + tally(rows) + ") of " + rows[0].Service
	}
	gone := map[string]bool{}
	for _, r := range rows {
		gone[instanceID(r)] = true
	}
	var rest []*source.Instance
	for _, i := range all {
		if !gone[instanceID(i)] {
			rest = append(rest, i)
		}
	}
	text := plural(len(rows), "instance") + " (" + tally(rows) + ") of " + rows[0].Service
	if len(rest) == 0 {
		return text + "; none is left"
	}
	return text + "; " + itoa(len(rest)) + " left: " + tally(rest)
}

// maintainInstance takes an instance into maintenance, or out of it.
func maintainInstance(env *Env, r *source.Instance) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	if r.Health == source.MaintenanceState {
		return Effect{Act: []source.Action{source.MaintainService{Node: r.Node, ID: r.ID}}}
	}
	return Effect{
		Ask: &ui.Ask{Question: "Maintenance of " + r.ID + " on " + r.Node,
			Hint: "It is left out of DNS and of healthy answers until maintenance ends. Why, for those who wonder (may be empty):"},
		Then: func(a ui.Answer) Effect {
			if !a.OK {
				return say(ui.Info, "Nothing was done.")
			}
			return Effect{Act: []source.Action{source.MaintainService{Node: r.Node, ID: r.ID, Enable: true, Reason: a.Text}}}
		},
	}
}
