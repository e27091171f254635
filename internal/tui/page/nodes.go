package page

import (
	"cmp"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// nodes lists the nodes of the catalog.
type nodes struct {
	list[source.Node]
	rtt map[string]time.Duration // by node, of the state last taken over
}

func newNodes() *nodes {
	p := &nodes{}
	p.about = content{"nodes", "Agents appear when they join: ctl join ADDRESS", "node:read on the node"}
	p.of = func(s *source.State) source.Status { return s.Nodes.Status }
	p.bad = func(n *source.Node) bool { return n.Counted && n.Health() != source.Passing }
	p.table = ui.NewTable(func(n *source.Node) string { return n.Name },
		ui.Column[source.Node]{Title: "Node", Max: 50, Cell: func(n *source.Node) ui.Cell { return ui.Cell{Text: n.Name} }},
		healthColumn("Health", (*source.Node).Health),
		ui.Column[source.Node]{Title: "Address", Drop: 5, Max: 48, Cell: func(n *source.Node) ui.Cell { return ui.Cell{Text: n.Address} }},
		countColumn("Services", 4, ui.None, func(n *source.Node) (int, bool) { return n.Services, true }),
		countColumn("Passing", 6, ui.Passing, func(n *source.Node) (int, bool) { return n.Passing, n.Counted }),
		countColumn("Warning", 3, ui.Warning, func(n *source.Node) (int, bool) { return n.Warning, n.Counted }),
		countColumn("Critical", 2, ui.Critical, func(n *source.Node) (int, bool) { return n.Critical, n.Counted }),
		ui.Column[source.Node]{Title: "RTT", Drop: 7, Right: true, Cell: func(n *source.Node) ui.Cell { return ui.Cell{Text: took(p.rtt[n.Name])} },
			Compare: func(a, b *source.Node) int { return cmp.Compare(p.rtt[a.Name], p.rtt[b.Name]) }},
		ui.Column[source.Node]{Title: "Meta", Elastic: true, Drop: 8, Wide: true, Max: 80, Cell: func(n *source.Node) ui.Cell { return ui.Cell{Text: meta(n.Meta)} }},
	)
	return p
}

func (p *nodes) Path() string              { return "nodes" }
func (p *nodes) Title() string             { return "Nodes" }
func (p *nodes) Command() string           { return "ctl catalog nodes" }
func (p *nodes) Interest() source.Interest { return source.Interest{Sections: source.SectionNodes} }
func (p *nodes) Versions(s *source.State) [4]uint64 {
	return [4]uint64{s.Nodes.Version, s.Members.Version}
}
func (p *nodes) Data(*Env) any { return p.shown() }

func (p *nodes) Update(env *Env) {
	p.rtt = map[string]time.Duration{}
	for _, m := range env.State.Members.LAN {
		p.rtt[m.Name] = m.RTT
	}
	p.table.Set(env.State.Nodes.Rows)
}

func (p *nodes) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "services"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Problems, Word: "problems"},
		{Action: ui.Maintain, Word: "maintenance"}, {Action: ui.Delete, Word: "deregister"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *nodes) Do(env *Env, a ui.Action) Effect {
	return p.on(env, a, func(n *source.Node) Effect {
		if a == ui.Open {
			return Effect{Go: newNode(n.Name)}
		}
		return actOnNode(env, a, n)
	})
}

// actOnNode does what an action means to a node, wherever it is shown.
func actOnNode(env *Env, a ui.Action, n *source.Node) Effect {
	switch a {
	case ui.CopyValue:
		return Effect{Copy: n.Address, What: "address"}
	case ui.CopyCtl:
		return Effect{Copy: "ctl dash " + shell("nodes/"+n.Name), What: "command"}
	case ui.Maintain:
		return maintainNode(env, n)
	case ui.Delete:
		if env.ReadOnly != "" {
			return refused(env.ReadOnly)
		}
		blast := []string{plural(n.Services, "instance") + " on it"}
		for _, m := range env.State.Members.LAN {
			if m.Name == n.Name && m.State == "alive" {
				blast = append(blast, "its agent is alive and will register it again; have it leave instead: ctl leave")
			}
		}
		return confirm(env, "Deregister node", []string{n.Name + " (" + n.Address + ")"}, blast, source.DeregisterNode{Node: n.Name})
	default:
		return Effect{}
	}
}

// maintainNode takes a node into maintenance, or out of it. Only its own agent
// can do that.
func maintainNode(env *Env, n *source.Node) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	if own := env.State.Connection.Agent.Node; own != "" && own != n.Name {
		return say(ui.Warning, "Only the agent on "+n.Name+" can do that, and this is the one on "+own+": ctl dash --http-addr="+n.Address+":8500 "+shell("nodes/"+n.Name))
	}
	if n.Maintenance {
		return Effect{Act: []source.Action{source.MaintainNode{Node: n.Name}}}
	}
	return Effect{
		Ask: &ui.Ask{Question: "Maintenance of node " + n.Name,
			Hint: plural(n.Services, "instance") + " on it will be left out of DNS and of healthy answers until maintenance ends. Why, for those who wonder (may be empty):"},
		Then: func(a ui.Answer) Effect {
			if !a.OK {
				return say(ui.Info, "Nothing was done.")
			}
			return Effect{Act: []source.Action{source.MaintainNode{Node: n.Name, Enable: true, Reason: a.Text}}}
		},
	}
}

// row is a line of a node's page: an instance of a service, or a check of the
// node itself.
type row struct {
	id       string
	instance *source.Instance
	check    *source.Check
}

// node shows one node with its services and its own checks.
type node struct {
	list[row]
	name string
	at   *source.Node
}

func newNode(name string) *node {
	p := &node{name: name}
	p.about = content{"services and checks on " + name, "The node has no services. Register one: ctl services register -name=web -port=8080", `node:read on "` + name + `"`}
	p.of, p.pairs, p.room = p.status, p.properties, 10
	p.bad = func(r *row) bool { return r.health() != source.Passing }
	p.table = ui.NewTable(func(r *row) string { return r.id },
		ui.Column[row]{Title: "Name", Cell: func(r *row) ui.Cell { return ui.Cell{Text: r.name()} }},
		healthColumn("Health", (*row).health),
		ui.Column[row]{Title: "What", Drop: 3, Cell: func(r *row) ui.Cell { return ui.Cell{Text: r.what(), Level: ui.Faint} }},
		ui.Column[row]{Title: "ID", Drop: 4, Cell: func(r *row) ui.Cell { return ui.Cell{Text: r.key()} }},
		ui.Column[row]{Title: "Address", Drop: 5, Cell: func(r *row) ui.Cell {
			if r.instance == nil {
				return ui.Cell{}
			}
			return ui.Cell{Text: address(r.instance)}
		}},
		ui.Column[row]{Title: "Says", Elastic: true, Drop: 6, Max: 120, Cell: func(r *row) ui.Cell { return ui.Cell{Text: r.says(), Level: ui.Faint} }},
	)
	return p
}

func (r *row) name() string {
	if r.instance != nil {
		return r.instance.Service
	}
	return cmp.Or(r.check.Name, r.check.ID)
}

func (r *row) health() string {
	if r.instance != nil {
		return r.instance.Health
	}
	return r.check.Status
}

func (r *row) what() string {
	if r.instance != nil {
		return "service"
	}
	return "check"
}

func (r *row) key() string {
	if r.instance != nil {
		return r.instance.ID
	}
	return r.check.ID
}

func (r *row) says() string {
	if r.instance != nil {
		return worstOutput(r.instance.Checks)
	}
	return first(r.check.Output)
}

func (p *node) Path() string              { return "nodes/" + p.name }
func (p *node) Title() string             { return p.name }
func (p *node) Command() string           { return "ctl dash " + shell(p.Path()) + " --once" }
func (p *node) Interest() source.Interest { return source.Interest{Node: p.name} }
func (p *node) Versions(s *source.State) [4]uint64 {
	return [4]uint64{s.Node.Version, s.Members.Version}
}

func (p *node) Data(env *Env) any {
	if env.State.Node.Name != p.name {
		return nil
	}
	return struct {
		Node     *source.Node
		Services []*source.Instance
		Checks   []*source.Check
	}{p.at, env.State.Node.Services, env.State.Node.Checks}
}

func (p *node) status(s *source.State) source.Status {
	if s.Node.Name != p.name {
		return source.Status{Phase: source.Loading}
	}
	return s.Node.Status
}

func (p *node) Update(env *Env) {
	d := &env.State.Node
	if d.Name != p.name {
		if !env.State.AsOf.IsZero() {
			p.at = nil // what is there now was not then
			p.table.Set(nil)
		}
		return
	}
	p.at = d.Node
	rows := make([]*row, 0, len(d.Services)+len(d.Checks))
	for _, c := range d.Checks {
		if c.ServiceID == "" {
			rows = append(rows, &row{id: "check/" + c.ID, check: c})
		}
	}
	for _, i := range d.Services {
		rows = append(rows, &row{id: "service/" + i.ID, instance: i})
	}
	p.table.Set(rows)
}

func (p *node) properties(env *Env) []string {
	n := p.at
	if n == nil {
		return nil
	}
	pairs := []string{"health", n.Health(), "address", n.Address, "datacenter", n.Datacenter, "id", n.ID}
	for _, m := range env.State.Members.LAN {
		if m.Name == n.Name {
			pairs = append(pairs, "gossip", m.State, "build", m.Build)
			if m.RTT > 0 {
				pairs = append(pairs, "RTT", took(m.RTT))
			}
		}
	}
	if n.Maintenance {
		pairs = append(pairs, "maintenance", cmp.Or(n.MaintenanceReason, "on"))
	}
	return append(pairs, "meta", meta(n.Meta))
}

func (p *node) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "open"}, {Action: ui.Maintain, Word: "maintenance"}, {Action: ui.Delete, Word: "deregister"},
		{Action: ui.Find, Word: "filter"}, {Action: ui.Problems, Word: "problems"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *node) Do(env *Env, a ui.Action) Effect {
	if a == ui.Maintain && p.at != nil {
		return maintainNode(env, p.at)
	}
	return p.on(env, a, func(r *row) Effect {
		switch {
		case a == ui.Open && r.check != nil:
			return Effect{Go: newCheck("", p.name, r.check)}
		case a == ui.Open:
			return Effect{Go: newInstance(r.instance.Service, r.instance.Node, r.instance.ID)}
		case a == ui.CopyValue:
			return Effect{Copy: strings.TrimSpace(cmp.Or(r.says(), r.name())), What: "text"}
		case r.instance != nil:
			return actOnInstances(env, a, []*source.Instance{r.instance}, nil, nil)
		case a == ui.Delete && p.at != nil:
			return actOnNode(env, a, p.at)
		case a == ui.CopyCtl:
			return Effect{Copy: "ctl dash " + shell(p.Path()), What: "command"}
		}
		return Effect{}
	})
}
