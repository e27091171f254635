package page

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

func itoa(n int) string { return strconv.Itoa(n) }

func checkID(c *source.Check) string { return c.Node + "/" + c.ID }

// checkColumns are those of every list of checks.
func checkColumns(node bool) []ui.Column[source.Check] {
	columns := []ui.Column[source.Check]{
		{Title: "Status", Cell: func(c *source.Check) ui.Cell { return state(c.Status) },
			Compare: func(a, b *source.Check) int { return cmp.Compare(badness(a.Status), badness(b.Status)) }},
		{Title: "Check", Cell: func(c *source.Check) ui.Cell { return ui.Cell{Text: cmp.Or(c.Name, c.ID)} }},
	}
	if node {
		columns = append(columns,
			ui.Column[source.Check]{Title: "Service", Drop: 2, Max: 30, Cell: func(c *source.Check) ui.Cell { return ui.Cell{Text: cmp.Or(c.ServiceName, "(node)")} }},
			ui.Column[source.Check]{Title: "Node", Drop: 3, Max: 30, Cell: func(c *source.Check) ui.Cell { return ui.Cell{Text: c.Node} }})
	}
	return append(columns,
		ui.Column[source.Check]{Title: "Flaps", Drop: 5, Right: true, Cell: func(c *source.Check) ui.Cell { return count(flaps(c), ui.Warning) },
			Compare: func(a, b *source.Check) int { return cmp.Compare(flaps(a), flaps(b)) }},
		ui.Column[source.Check]{Title: "Says", Elastic: true, Drop: 6, Max: 120, Cell: func(c *source.Check) ui.Cell { return ui.Cell{Text: first(c.Output), Level: ui.Faint} }},
		ui.Column[source.Check]{Title: "Type", Drop: 7, Wide: true, Cell: func(c *source.Check) ui.Cell { return ui.Cell{Text: c.Type} }},
		ui.Column[source.Check]{Title: "ID", Drop: 8, Wide: true, Cell: func(c *source.Check) ui.Cell { return ui.Cell{Text: c.ID} }},
	)
}

func flaps(c *source.Check) int {
	if c.History == nil {
		return 0
	}
	return c.History.Flaps
}

// instance shows one instance of a service: what it is, its checks, and what
// the selected check says.
type instance struct {
	list[source.Check]
	service, node, id string
	at                *source.Instance // nil while it is not known, or gone
}

func newInstance(service, node, id string) *instance {
	p := &instance{service: service, node: node, id: id}
	p.about = content{"checks of " + id, "An instance without checks counts as passing.", `service:read on "` + service + `"`}
	p.bad = func(c *source.Check) bool { return c.Status != source.Passing }
	p.table = ui.NewTable(checkID, checkColumns(false)...)
	return p
}

func (p *instance) Path() string                       { return "services/" + p.service + "/" + p.node + "/" + p.id }
func (p *instance) Title() string                      { return p.id + " on " + p.node }
func (p *instance) Command() string                    { return "ctl dash " + shell(p.Path()) + " --once" }
func (p *instance) Interest() source.Interest          { return source.Interest{Service: p.service} }
func (p *instance) Versions(s *source.State) [4]uint64 { return [4]uint64{s.Service.Version} }
func (p *instance) Ready(s *source.State) bool {
	return s.Service.Name == p.service && settled(s.Service.Status)
}

func (p *instance) Update(env *Env) {
	if env.State.Service.Name != p.service {
		if !env.State.AsOf.IsZero() {
			p.at = nil // what is there now was not then
			p.table.Set(nil)
		}
		return
	}
	p.at = nil
	for _, i := range env.State.Service.Rows {
		if i.Node == p.node && i.ID == p.id {
			p.at = i
		}
	}
	if p.at == nil {
		p.table.Set(nil)
		return
	}
	p.table.Set(p.at.Checks)
}

func (p *instance) Data(*Env) any {
	if p.at == nil {
		return nil
	}
	return p.at
}

func (p *instance) status(s *source.State) source.Status {
	if s.Service.Name != p.service {
		return source.Status{Phase: source.Loading}
	}
	return s.Service.Status
}

func (p *instance) pairs() []string {
	i := p.at
	if i == nil {
		return nil
	}
	return []string{"health", i.Health, "service", i.Service, "address", address(i), "node", i.Node,
		"tags", strings.Join(i.Tags, ","), "meta", meta(i.Meta)}
}

// meta is key=value pairs in order.
func meta(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for k, v := range m {
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func (p *instance) View(env *Env, width, height int) []string {
	st := p.status(env.State)
	if p.at == nil && st.Phase == source.Ready {
		return trim(draw(env.Theme, []note{{ui.Warning, "The instance " + p.id + " of " + p.service + " on " + p.node + " is gone."},
			{ui.Faint, env.Keys.Key(ui.Back) + " goes back; should it be registered again, it shows here."}}, width), height)
	}
	var above []string
	if height >= 10 && p.at != nil {
		above = facts(env.Theme, width, p.pairs()...)
	}
	c, ok := p.table.Selected()
	if !ok || height < 12 {
		return p.view(env, st, above, width, height)
	}
	// The lower part shows what the selected check says.
	upper := min(height/2, len(above)+1+p.table.Len()+1)
	lines := ui.Fill(p.view(env, st, above, width, upper), upper)
	return trim(append(lines, checkLines(env, c, width)...), height)
}

// checkLines is all about a check: title, course and output.
func checkLines(env *Env, c *source.Check, width int) []string {
	th := env.Theme
	lines := []string{th.Title.Render(ui.Cut(ui.Clean(cmp.Or(c.Name, c.ID))+" says", width, th.Glyphs.Ellipsis))}
	output := ui.Wrap(c.Output, max(1, width-2))
	if strings.TrimSpace(c.Output) == "" {
		output = []string{"(nothing)"}
	}
	for _, l := range output {
		lines = append(lines, "  "+th.Level(level(c.Status)).Render(l))
	}
	return append(lines, courseLines(env, c, width)...)
}

// courseLines is the course of a check, the newest first.
func courseLines(env *Env, c *source.Check, width int) []string {
	if c.History == nil || len(c.History.Entries) == 0 {
		return nil
	}
	th := env.Theme
	h := c.History
	lines := []string{"", th.Title.Render(ui.Cut("Since "+clock(h.Entries[0].At)+": "+plural(h.Flaps, "change")+" of state", width, th.Glyphs.Ellipsis))}
	for i := range slices.Backward(h.Entries) {
		e := h.Entries[i]
		text := ui.Pad(clock(e.At), 9, "") + ui.Pad(th.Glyph(level(e.Status))+" "+e.Status, 13, "") + ui.Clean(first(e.Output))
		lines = append(lines, "  "+th.Level(level(e.Status)).Render(ui.Cut(text, max(1, width-2), th.Glyphs.Ellipsis)))
	}
	return lines
}

func (p *instance) Sheet(env *Env) Sheet {
	s := p.sheet(env, p.status(env.State), plainFacts(p.pairs()...))
	if p.at == nil && p.status(env.State).Phase == source.Ready {
		s.Note = "The instance is gone."
	}
	return s
}

func (p *instance) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "output"}, {Action: ui.Maintain, Word: "maintenance"}, {Action: ui.Delete, Word: "deregister"},
		{Action: ui.CopyValue, Word: "copy"}, {Action: ui.Find, Word: "filter"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *instance) Do(env *Env, a ui.Action) Effect {
	if e, ok := p.do(env, a); ok {
		return e
	}
	switch a {
	case ui.Maintain, ui.Delete, ui.CopyCtl:
		if p.at == nil {
			return say(ui.Warning, "The instance is gone; nothing was done.")
		}
		return actOnInstances(env, a, []*source.Instance{p.at}, env.State.Service.Rows, nil)
	default: // the others are not for here
	}
	c, ok := p.table.Selected()
	if !ok {
		return noSelection(p.table)
	}
	switch a {
	case ui.Open:
		return Effect{Go: newCheck(p.service, "", c)}
	case ui.CopyValue:
		return Effect{Copy: c.Output, What: "output of " + cmp.Or(c.Name, c.ID)}
	default:
		return Effect{}
	}
}

// check shows one check on the whole screen: its output and its course.
type check struct {
	viewer        *ui.Viewer
	service, node string // where it is looked for: one of them
	id, on        string // the check's id, and its node
	at            *source.Check
	last          *source.Check // at, before it was taken back in time
	gone          bool
	unseen        bool // what is shown is not of the moment that is asked for
	y             int
}

// newCheck returns the page of a check that is found among those of a service
// or, if that is empty, of a node.
func newCheck(service, node string, c *source.Check) *check {
	return &check{viewer: ui.NewViewer("", true), service: service, node: node, id: c.ID, on: c.Node, at: c, last: c}
}

func (p *check) Path() string {
	if p.service != "" {
		return "services/" + p.service + "/" + p.on
	}
	return "nodes/" + p.on
}
func (p *check) Title() string   { return cmp.Or(p.at.Name, p.id) }
func (p *check) Command() string { return "ctl dash " + shell(p.Path()) + " --once" }
func (p *check) Interest() source.Interest {
	return source.Interest{Service: p.service, Node: p.node}
}
func (p *check) Versions(s *source.State) [4]uint64 {
	return [4]uint64{s.Service.Version, s.Node.Version}
}
func (p *check) Ready(s *source.State) bool { return true }
func (p *check) Grid() (ui.Grid, int, int)  { return p.viewer, 0, p.y }
func (p *check) Data(*Env) any              { return p.at }

func (p *check) Update(env *Env) {
	s := env.State
	var all []*source.Check
	p.unseen = false
	switch {
	case p.service != "" && s.Service.Name == p.service && s.Service.Phase == source.Ready:
		for _, i := range s.Service.Rows {
			if i.Node == p.on {
				all = append(all, i.Checks...)
			}
		}
	case p.service == "" && s.Node.Name == p.node && s.Node.Phase == source.Ready:
		all = append(all, s.Node.Checks...)
		for _, i := range s.Node.Services {
			all = append(all, i.Checks...)
		}
	case s.AsOf.IsZero():
		return
	default:
		// Its course tells what it said then, if it was seen by then.
		p.gone = false
		c := asOf(p.last, s.AsOf)
		p.unseen = c == nil
		p.at = cmp.Or(c, p.last)
		return
	}
	p.gone = true
	for _, c := range all {
		if c.ID == p.id && c.Node == p.on {
			p.at, p.last, p.gone = c, c, false
		}
	}
}

// asOf returns a check as it was, nil where it was not seen by then.
func asOf(c *source.Check, at time.Time) *source.Check {
	if c.History == nil {
		return nil
	}
	h := &source.History{Flaps: c.History.Flaps}
	for i, e := range c.History.Entries {
		switch {
		case !e.At.After(at):
			h.Entries = append(h.Entries, e)
		case i > 0 && c.History.Entries[i-1].Status != e.Status:
			h.Flaps--
		}
	}
	if len(h.Entries) == 0 {
		return nil
	}
	then := *c
	e := h.Entries[len(h.Entries)-1]
	then.Status, then.Output, then.History = e.Status, e.Output, h
	return &then
}

func (p *check) pairs() []string {
	c := p.at
	return []string{"status", c.Status, "node", c.Node, "service", c.ServiceName, "id", c.ID, "type", c.Type,
		"every", c.Interval, "flaps", itoa(flaps(c)), "notes", first(c.Notes)}
}

func (p *check) View(env *Env, width, height int) []string {
	var lines []string
	switch {
	case p.unseen:
		lines = draw(env.Theme, []note{{ui.Unknown, "This check had not been seen by " + clock(env.State.AsOf) + "; this is what it said later."}}, width)
	case p.gone:
		lines = draw(env.Theme, []note{{ui.Warning, "This check is gone; this is what it said last."}}, width)
	}
	if height >= 8 {
		lines = append(lines, facts(env.Theme, width, p.pairs()...)...)
	}
	course := courseLines(env, p.at, width)
	room := height - len(lines)
	if len(course) > room/2 {
		course = course[:room/2]
	}
	if height < 8 {
		course = nil
	}
	text := p.at.Output
	if strings.TrimSpace(text) == "" {
		text = "(the check said nothing)"
	}
	p.viewer.SetText(text)
	p.y = len(lines)
	body := p.viewer.View(env.Theme, width, max(0, room-len(course)))
	lines = append(lines, body...)
	return trim(append(lines, course...), height)
}

func (p *check) Sheet(env *Env) Sheet {
	s := Sheet{Facts: append(plainFacts(p.pairs()...), ui.Lines(p.at.Output)...), Titles: []string{"Time", "Status", "Output"}}
	if p.at.History != nil {
		for _, e := range p.at.History.Entries {
			s.Rows = append(s.Rows, []string{clock(e.At), e.Status, first(e.Output)})
		}
	}
	return s
}

func (p *check) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Back, Word: "back"}, {Action: ui.CopyValue, Word: "copy output"}, {Action: ui.Find, Word: "filter"}, {Action: ui.ShowJSON, Word: "JSON"}}
}

func (p *check) Do(_ *Env, a ui.Action) Effect {
	switch a {
	case ui.CopyValue:
		return Effect{Copy: p.at.Output, What: "output"}
	case ui.ShowJSON, ui.ShowYAML, ui.Describe:
		return show(p.id, p.at, a)
	case ui.CopyCtl:
		return Effect{Copy: "ctl dash " + shell(p.Path()), What: "command"}
	default: // the others are not for here
	}
	p.viewer.Do(a)
	return Effect{}
}
