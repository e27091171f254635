package page

import (
	"cmp"
	"strconv"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// overview is the health of the whole cluster on one screen: Raft, gossip and
// services above, checks that fail below, and what changed.
type overview struct {
	list[source.Check]
}

func newOverview() *overview {
	p := &overview{}
	p.about = content{"failing checks", "All checks pass.", "node:read and service:read"}
	p.table = ui.NewTable(checkID, checkColumns(true)...)
	return p
}

func (p *overview) Path() string    { return "overview" }
func (p *overview) Title() string   { return "Overview" }
func (p *overview) Command() string { return "ctl dash overview --once" }
func (p *overview) Interest() source.Interest {
	return source.Interest{Sections: source.SectionServices | source.SectionProblems | source.SectionNodes | source.SectionPeers | source.SectionTraffic}
}

func (p *overview) Versions(s *source.State) [4]uint64 {
	// Each of these rises with every change, and so does their sum.
	return [4]uint64{s.Problems.Version, s.Services.Version + s.Nodes.Version, s.Cluster.Version + s.Members.Version + s.Traffic.Version, s.Recent.Version}
}
func (p *overview) Ready(s *source.State) bool {
	return settled(s.Problems.Status, s.Services.Status, s.Nodes.Status, s.Cluster.Status, s.Members.Status)
}
func (p *overview) Update(env *Env) { p.table.Set(env.State.Problems.Rows) }

func (p *overview) Data(env *Env) any {
	s := env.State
	return struct {
		Agent    source.Agent
		Cluster  source.Cluster
		Members  map[string]int
		Services map[string]int
		Problems []*source.Check
	}{s.Connection.Agent, s.Cluster,
		map[string]int{"alive": s.Members.Alive, "failed": s.Members.Failed, "left": s.Members.Left, "wan": len(s.Members.WAN)},
		map[string]int{"passing": s.Services.Passing, "warning": s.Services.Warning, "critical": s.Services.Critical, "all": len(s.Services.Rows)},
		s.Problems.Rows}
}

// figure is a line of the upper part: a name and what is to say.
type figure struct {
	name string
	text []note
}

func (p *overview) figures(env *Env) []figure {
	s := env.State
	return []figure{
		{"leader", leaderNotes(env)},
		{"raft", raftNotes(&s.Cluster)},
		{"servers", serverNotes(&s.Cluster)},
		{"gossip", gossipNotes(&s.Members)},
		{"services", serviceNotes(&s.Services)},
		{"nodes", nodeNotes(&s.Nodes)},
	}
}

func waiting(st source.Status) []note {
	switch {
	case st.Phase == source.Failed && st.Problem != nil && st.Problem.Kind == source.Denied:
		return []note{{ui.Critical, "permission denied " + st.Problem.Rule}}
	case st.Phase == source.Failed && st.Problem != nil:
		return []note{{ui.Critical, st.Problem.Text}}
	case st.Phase == source.Unsupported:
		return []note{{ui.Unknown, "not supported by this agent"}}
	}
	return []note{{ui.Faint, "loading…"}}
}

func leaderNotes(env *Env) []note {
	c := &env.State.Cluster
	switch {
	case c.Leader != "" || c.LeaderAddr != "":
		return []note{{ui.Passing, cmp.Or(c.LeaderName, c.LeaderAddr)}, {ui.None, leads(c) + " " + since(env.Now, c.LeaderSince)}, {ui.None, "term " + number(c.Term).Text}}
	case c.Phase == source.Ready || c.Phase == source.Failed && c.Problem != nil && c.Problem.Kind == source.NoLeader:
		return []note{{ui.Critical, "none: nothing can be written"}}
	}
	return waiting(c.Status)
}

// leads is what goes before the time of a leader. One that led already when the
// dashboard began has done so for longer than was seen.
func leads(c *source.Cluster) string {
	if c.Elections == 0 {
		return "seen for"
	}
	return "for"
}

func raftNotes(c *source.Cluster) []note {
	if c.Commit == 0 && c.Applied == 0 && c.LastLog == 0 {
		if c.Phase == source.Ready {
			return []note{{ui.Unknown, "indexes are not told by this agent"}}
		}
		return waiting(c.Status)
	}
	behind := uint64(0)
	if c.Commit > c.Applied {
		behind = c.Commit - c.Applied
	}
	l := ui.None
	if behind > 1000 {
		l = ui.Warning
	}
	return []note{{l, "applied " + number(c.Applied).Text}, {l, strconv.FormatUint(behind, 10) + " behind"}, {ui.None, "last " + number(c.LastLog).Text}}
}

func serverNotes(c *source.Cluster) []note {
	if len(c.Peers) == 0 {
		return waiting(c.Status)
	}
	good := 0
	for _, x := range c.Peers {
		if well(x) {
			good++
		}
	}
	l := ui.Passing
	if good < len(c.Peers) {
		l = ui.Warning
	}
	q := canLose(c)
	return []note{{l, itoa(good) + " of " + itoa(len(c.Peers)) + " well"}, q}
}

func gossipNotes(m *source.Members) []note {
	if len(m.LAN) == 0 {
		return waiting(m.Status)
	}
	l := ui.None
	if m.Failed > 0 {
		l = ui.Critical
	}
	out := []note{{ui.Passing, itoa(m.Alive) + " alive"}, {l, itoa(m.Failed) + " failed"}, {ui.None, itoa(m.Left) + " left"}}
	if len(m.WAN) > 0 {
		out = append(out, note{ui.None, itoa(len(m.WAN)) + " in WAN"})
	}
	return out
}

func serviceNotes(s *source.Services) []note {
	if len(s.Rows) == 0 {
		if s.Phase == source.Ready {
			return []note{{ui.Faint, "none"}}
		}
		return waiting(s.Status)
	}
	return healthNotes(s.Passing, s.Warning, s.Critical, len(s.Rows))
}

func healthNotes(passing, warning, critical, all int) []note {
	out := []note{{ui.Passing, itoa(passing) + " passing"}}
	if warning > 0 {
		out = append(out, note{ui.Warning, itoa(warning) + " warning"})
	}
	if critical > 0 {
		out = append(out, note{ui.Critical, itoa(critical) + " critical"})
	}
	if other := all - passing - warning - critical; other > 0 {
		out = append(out, note{ui.Unknown, itoa(other) + " not counted"})
	}
	return append(out, note{ui.None, "of " + itoa(all)})
}

func nodeNotes(n *source.Nodes) []note {
	if len(n.Rows) == 0 {
		return waiting(n.Status)
	}
	by := map[string]int{}
	for _, x := range n.Rows {
		by[x.Health()]++
	}
	out := healthNotes(by[source.Passing], by[source.Warning], by[source.Critical], len(n.Rows)-by[source.MaintenanceState])
	if m := by[source.MaintenanceState]; m > 0 {
		out = append(out, note{ui.Maintenance, itoa(m) + " in maintenance"})
	}
	return out
}

// figureLine draws one figure. The signs say what the colours say.
func figureLine(th *ui.Theme, f figure, width int) string {
	const label = 9
	line := th.Faint.Render(ui.Pad(f.name, min(label, width), ""))
	used := min(label, width)
	for _, n := range f.text {
		text := ui.Clean(n.text)
		switch n.level {
		case ui.Passing, ui.Warning, ui.Critical, ui.Maintenance, ui.Unknown:
			text = th.Glyph(n.level) + " " + text
		default: // without a sign
		}
		room := width - used - 2
		if room < 4 {
			break
		}
		text = ui.Cut(text, room, th.Glyphs.Ellipsis)
		style := th.Level(n.level)
		if n.level == ui.None {
			style = th.Text
		}
		line += "  " + style.Render(text)
		used += 2 + ui.Width(text)
	}
	return line
}

// sparks draws the rates, newest at the right.
func sparks(env *Env, width int) []string {
	th, t := env.Theme, &env.State.Traffic
	var out []string
	for _, s := range []struct {
		name   string
		values []float64
		unit   string
	}{{"writes", t.Writes, "/s"}, {"calls", t.Requests, "/s"}, {"elections", t.Elections, ""}} {
		if s.values == nil {
			continue
		}
		now := rate(s.values) + s.unit
		if s.unit == "" {
			now = itoa(env.State.Cluster.Elections) + " seen"
		}
		room := width - 10 - 10
		if room < 8 {
			continue
		}
		out = append(out, th.Faint.Render(ui.Pad(s.name, 10, ""))+th.Spark.Render(ui.Sparkline(&th.Glyphs, s.values, min(60, room)))+" "+ui.Pad(now, 9, ""))
	}
	return out
}

func (p *overview) View(env *Env, width, height int) []string {
	th := env.Theme
	figures := p.figures(env)
	if height < 10 {
		// The smallest screen: what is wrong, or that nothing is.
		lines := []string{figureLine(th, figures[0], width), figureLine(th, figures[3], width), figureLine(th, figures[4], width)}
		lines = trim(lines, height/2)
		p.y = len(lines)
		return append(lines, p.failing(env, width, height-len(lines))...)
	}
	top := p.top(env, figures, width)
	rest := height - len(top) - 1
	if rest < 4 {
		top = trim(top, max(0, height-5))
		rest = height - len(top) - 1
	}
	lines := append(top, "")
	if width >= 140 {
		return append(lines, p.beside(env, width, rest, len(lines))...)
	}
	recent := min(6, rest/3)
	if rest < 9 {
		recent = 0
	}
	p.y = len(lines) + 1
	lines = append(lines, ui.Fill(append([]string{th.Title.Render("Failing checks")}, p.failing(env, width, rest-recent-1)...), rest-recent)...)
	if recent > 0 {
		lines = append(lines, recentLines(env, width, recent)...)
	}
	return trim(lines, height)
}

// top is the figures and, beside them or below, the sparklines.
func (p *overview) top(env *Env, figures []figure, width int) []string {
	if width < 100 {
		var lines []string
		for _, f := range figures {
			lines = append(lines, figureLine(env.Theme, f, width))
		}
		return append(lines, sparks(env, width)...)
	}
	left := width / 2
	right := sparks(env, width-left-2)
	var lines []string
	for i, f := range figures {
		l := figureLine(env.Theme, f, left)
		if i < len(right) {
			l += ui.Blank(left-ui.Width(l)+2) + right[i]
		}
		lines = append(lines, l)
	}
	return lines
}

// beside puts what changed to the right of the failing checks.
func (p *overview) beside(env *Env, width, height, y int) []string {
	th := env.Theme
	left := width * 3 / 5
	p.y = y + 1
	a := ui.Fill(append([]string{th.Title.Render("Failing checks")}, p.failing(env, left, height-1)...), height)
	b := ui.Fill(recentLines(env, width-left-3, height), height)
	lines := make([]string, height)
	for i := range lines {
		lines[i] = a[i] + ui.Blank(left-ui.Width(a[i])) + " " + th.Border.Render(th.Glyphs.Vertical) + " " + b[i]
	}
	return lines
}

// failing draws the table of failing checks, or why there are none.
func (p *overview) failing(env *Env, width, height int) []string {
	st := env.State.Problems.Status
	if st.Phase == source.Ready && p.table.Total() == 0 {
		return trim(draw(env.Theme, []note{{ui.Passing, "All checks pass."}}, width), height)
	}
	if h := hole(env, st, p.about, p.table, false); h != nil {
		return trim(draw(env.Theme, h, width), height)
	}
	return p.table.View(env.Theme, width, height)
}

// recentLines are the newest changes, newest first, under a title.
func recentLines(env *Env, width, height int) []string {
	th := env.Theme
	lines := []string{th.Title.Render("Recent changes")}
	all := env.State.Recent.Events
	if len(all) == 0 {
		return trim(append(lines, draw(th, []note{{ui.Faint, "none since the dashboard was opened"}}, width)...), height)
	}
	for i := len(all) - 1; i >= 0 && len(lines) < height; i-- {
		e := all[i]
		l := severity(e.Severity)
		text := "  " + clock(e.At) + " " + th.Glyph(l) + " " + ui.Clean(e.Kind.String()+" "+e.Object+" "+e.Text)
		style := th.Level(l)
		if l == ui.Info {
			style = th.Text
		}
		lines = append(lines, style.Render(ui.Cut(text, width, th.Glyphs.Ellipsis)))
	}
	return trim(lines, height)
}

func (p *overview) Sheet(env *Env) Sheet {
	s := p.sheet(env, env.State.Problems.Status, nil)
	for _, f := range p.figures(env) {
		s.Facts = append(s.Facts, f.name+": "+listing(f.text))
	}
	if env.State.Problems.Phase == source.Ready && p.table.Total() == 0 {
		s.Note = "All checks pass."
	}
	return s
}

// listing lists notes with commas.
func listing(notes []note) string {
	text := ""
	for i, n := range notes {
		if i > 0 {
			text += ", "
		}
		text += n.text
	}
	return text
}

func (p *overview) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "check"}, {Action: ui.Screen3, Word: "services"}, {Action: ui.Screen5, Word: "keys"},
		{Action: ui.Screen7, Word: "raft"}, {Action: ui.Find, Word: "filter"}, {Action: ui.Prompt, Word: "command"}}
}

func (p *overview) Do(env *Env, a ui.Action) Effect {
	if e, ok := p.do(env, a); ok {
		return e
	}
	if a == ui.CopyCtl {
		return Effect{Copy: p.Command(), What: "command"}
	}
	if a == ui.Transfer {
		return Effect{Go: newRaft(), Say: "Choose the server that should lead and press " + env.Keys.Key(ui.Transfer) + ".", Level: ui.Info}
	}
	c, ok := p.table.Selected()
	if !ok {
		if env.State.Problems.Phase == source.Ready && p.table.Total() == 0 {
			return say(ui.Passing, "All checks pass: there is nothing to open here.")
		}
		return noSelection(p.table)
	}
	switch a {
	case ui.Open:
		return openCheck(c)
	case ui.CopyValue:
		return Effect{Copy: c.Output, What: "output of " + cmp.Or(c.Name, c.ID)}
	default:
		return Effect{}
	}
}

// openCheck opens a check where it is at home.
func openCheck(c *source.Check) Effect {
	if c.ServiceName != "" {
		return Effect{Go: newCheck(c.ServiceName, "", c)}
	}
	return Effect{Go: newCheck("", c.Node, c)}
}
