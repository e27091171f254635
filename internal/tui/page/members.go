package page

import (
	"cmp"
	"slices"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// member is a member in the pool it was seen in.
type member struct {
	*source.Member
	wan bool
}

// members lists gossip's members, those of the datacenter first.
type members struct{ list[member] }

func newMembers() *members {
	p := &members{}
	p.about = content{"members", "The agent itself should be one; is it starting?", "node:read on the member"}
	p.of = func(s *source.State) source.Status { return s.Members.Status }
	p.pairs = func(env *Env) []string {
		m := &env.State.Members
		return []string{"alive", itoa(m.Alive), "failed", itoa(m.Failed), "left", itoa(m.Left)}
	}
	p.bad = func(m *member) bool { return m.State != "alive" }
	p.table = ui.NewTable(func(m *member) string { return m.pool() + "/" + m.Name },
		ui.Column[member]{Title: "Member", Max: 50, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.Name} }},
		healthColumn("State", func(m *member) string { return m.State }),
		ui.Column[member]{Title: "Type", Drop: 2, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.kind()} }},
		ui.Column[member]{Title: "Address", Drop: 3, Max: 48, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.Address + ":" + itoa(m.Port)} }},
		ui.Column[member]{Title: "RTT", Drop: 5, Right: true, Cell: func(m *member) ui.Cell { return ui.Cell{Text: took(m.RTT)} },
			Compare: func(a, b *member) int { return cmp.Compare(a.RTT, b.RTT) }},
		ui.Column[member]{Title: "Since", Drop: 4, Right: true, Cell: func(m *member) ui.Cell { return ui.Cell{Text: clock(m.Since)} },
			Compare: func(a, b *member) int { return a.Since.Compare(b.Since) }},
		ui.Column[member]{Title: "Build", Drop: 6, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.Build} }},
		ui.Column[member]{Title: "Protocol", Drop: 9, Right: true, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.Protocol} }},
		ui.Column[member]{Title: "DC", Drop: 7, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.Datacenter} }},
		ui.Column[member]{Title: "Pool", Drop: 8, Cell: func(m *member) ui.Cell { return ui.Cell{Text: m.pool()} }},
		ui.Column[member]{Title: "Tags", Elastic: true, Drop: 10, Wide: true, Max: 100, Cell: func(m *member) ui.Cell { return ui.Cell{Text: meta(m.Tags)} }},
	)
	return p
}

func (m *member) pool() string {
	if m.wan {
		return "WAN"
	}
	return "LAN"
}

func (m *member) kind() string {
	if m.Server {
		return "server"
	}
	return "client"
}

func (p *members) Path() string                       { return "members" }
func (p *members) Title() string                      { return "Members" }
func (p *members) Command() string                    { return "ctl members -detailed" }
func (p *members) Interest() source.Interest          { return source.Interest{} }
func (p *members) Versions(s *source.State) [4]uint64 { return [4]uint64{s.Members.Version} }

func (p *members) Update(env *Env) {
	m := &env.State.Members
	rows := make([]*member, 0, len(m.LAN)+len(m.WAN))
	for _, x := range m.LAN {
		rows = append(rows, &member{x, false})
	}
	for _, x := range m.WAN {
		rows = append(rows, &member{x, true})
	}
	p.table.Set(rows)
}

func (p *members) Data(*Env) any {
	out := []*source.Member{}
	for _, m := range p.shown() {
		out = append(out, m.Member)
	}
	return out
}

func (p *members) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "node"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Problems, Word: "problems"},
		{Action: ui.Delete, Word: "force-leave"}, {Action: ui.Join, Word: "join"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *members) Do(env *Env, a ui.Action) Effect {
	if a == ui.Join {
		return join(env)
	}
	return p.on(env, a, func(m *member) Effect {
		switch a {
		case ui.Open:
			return Effect{Go: newNode(m.Name)}
		case ui.CopyValue:
			return Effect{Copy: m.Address, What: "address"}
		case ui.CopyCtl:
			return Effect{Copy: p.Command(), What: "command"}
		case ui.Delete:
			return forceLeave(env, m)
		default: // the others are not for here
		}
		return Effect{}
	})
}

// join asks for an address and joins the agent to it.
func join(env *Env) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	return Effect{
		Ask: &ui.Ask{Question: "Join the agent to", Hint: "Address of any agent of the other cluster, host or host:port:",
			Check: func(s string) string {
				if s == "" {
					return "An address is needed; esc leaves."
				}
				return ""
			}},
		Then: func(a ui.Answer) Effect {
			if !a.OK {
				return say(ui.Info, "Nothing was done.")
			}
			return Effect{Act: []source.Action{source.Join{Address: a.Text}}}
		},
	}
}

// forceLeave declares a failed member gone.
func forceLeave(env *Env, m *member) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	if m.State == "alive" || m.State == "leaving" {
		return say(ui.Warning, m.Name+" is "+m.State+": it would only come back. Have its agent leave: ctl leave")
	}
	blast := []string{"it is no longer expected back; its services and checks go"}
	if i := slices.IndexFunc(env.State.Nodes.Rows, func(n *source.Node) bool { return n.Name == m.Name }); i >= 0 {
		blast = append(blast, plural(env.State.Nodes.Rows[i].Services, "instance")+" on it")
	}
	if m.Server {
		blast = append(blast, "it is a server: it leaves Raft, too")
	}
	return confirm(env, "Force leave", []string{m.Name + " (" + m.State + ")"}, blast, source.ForceLeave{Member: m.Name, Prune: m.State == "left"})
}
