package tui

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// The smallest screen anything useful can be said on.
const (
	minWidth  = 20
	minHeight = 4
	// roomy is the height from which the header has two lines.
	roomy = 12
)

// View implements tea.Model. It is called after every message, so it draws only
// if something has changed.
func (m *Model) View() tea.View {
	if m.dirty {
		v, lines := m.draw()
		v.Content = strings.Join(lines, "\n")
		m.drawn = v
	}
	return m.drawn
}

// draw draws the lines of the screen, and what else a terminal is told.
func (m *Model) draw() (tea.View, []string) {
	m.dirty = false
	v := tea.NewView("")
	v.AltScreen = true
	v.WindowTitle = "ctl " + m.at.page.Path()
	if m.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	lines, cursor := m.Screen(m.width, m.height)
	v.Cursor = cursor
	if !m.began.IsZero() {
		m.cost = time.Since(m.began)
		m.began = time.Time{}
	}
	return v, lines
}

// Screen draws the whole screen: height lines of at most width cells, and where
// text is being typed, or nil.
func (m *Model) Screen(width, height int) ([]string, *tea.Cursor) {
	if width <= 0 || height <= 0 {
		return nil, nil
	}
	if width < minWidth || height < minHeight {
		text := ui.Wrap("ctl needs "+strconv.Itoa(minWidth)+" columns and "+strconv.Itoa(minHeight)+" lines, 80x24 for everything", width)
		return ui.Fill(text, height), nil
	}
	lines := m.header(width, height)
	lines = append(lines, m.banners(width, height)...)
	m.bodyY = len(lines)
	body := max(1, height-len(lines)-1)
	env := m.env()
	if m.state.Connection.Link == source.Lost && !m.pastShown() {
		env.Theme = m.faded
	}
	if m.help != nil {
		lines = append(lines, m.helpView(width, body)...)
	} else {
		lines = append(lines, ui.Fill(m.at.page.View(env, width, body), body)...)
	}
	lines = ui.Fill(lines, height-1)
	foot, cursor := m.footer(env, width, height-1)
	lines = append(lines, foot)
	if m.dialog != nil {
		return m.overlay(lines, width, height)
	}
	return lines, cursor
}

// overlay lays the dialog over the screen.
func (m *Model) overlay(lines []string, width, height int) ([]string, *tea.Cursor) {
	wide := min(width, 76)
	inside, cx, cy := m.dialog.View(m.theme, wide-4, height-2)
	box := ui.Box(m.theme, m.dialog.Title(), inside, wide)
	x, y := max(0, (width-ui.Width(box[0]))/2), max(0, (height-len(box))/2)
	lines = ui.Overlay(lines, box, x, y, width)
	if cx < 0 || cy < 0 {
		return lines, nil
	}
	return lines, tea.NewCursor(x+2+cx, y+1+cy)
}

func (m *Model) helpView(width, height int) []string {
	readOnly := m.readOnly() != ""
	lines := ui.HelpLines(m.theme, m.c.Keys, width, func(b ui.Binding) bool { return b.Mutates && readOnly })
	if readOnly {
		lines = append(lines, "", m.theme.Level(ui.Warning).Render(ui.Cut("Keys that change something are left out: "+m.readOnly()+".", width, m.theme.Glyphs.Ellipsis)))
	}
	m.help.SetLines(lines)
	return ui.Fill(m.help.View(m.theme, width, height), height)
}

// crumbLine is the line of the breadcrumbs.
func (m *Model) crumbLine() int {
	if m.height < roomy {
		return 0
	}
	return 1
}

// link is the state of the connection in a few words.
func (m *Model) link() (ui.Level, string) {
	conn := &m.state.Connection
	switch conn.Link {
	case source.Connected:
		return ui.Passing, "connected"
	case source.Lost:
		return ui.Critical, "disconnected"
	default:
		return ui.Warning, "connecting"
	}
}

// header draws where we are: in which cluster and on which page.
func (m *Model) header(width, height int) []string {
	crumbs := m.crumbView(width)
	if height < roomy {
		return []string{crumbs}
	}
	th, conn := m.theme, &m.state.Connection
	b := &segments{width: width}
	name := m.c.Session.Context
	if name == "" {
		name = "ctl"
	}
	b.add(th.Context, " "+name+" ")
	b.add("", " "+cmp.Or(m.c.Session.Datacenter, conn.Agent.Datacenter))
	if conn.ReadOnly {
		b.add("", " ")
		b.add(th.ReadOnly, " READ-ONLY ")
	}
	if m.c.Session.Require != "" {
		b.add("", " ")
		b.add(th.Protected, " PROTECTED ")
	}
	if !m.held.IsZero() {
		b.add("", " ")
		b.add(th.Notice, " HELD since "+m.held.Format("15:04:05")+" ")
	}
	l, word := m.link()
	b.add("", "  ")
	b.add(th.Level(l), th.Glyph(l)+" "+word)
	b.add("", " "+conn.Address)
	if conn.Agent.Node != "" {
		b.add(th.Faint, " ("+conn.Agent.Node+")")
	}
	if conn.RTT > 0 && conn.Link == source.Connected {
		b.add(th.Faint, " "+millis(conn.RTT))
	}
	if t := conn.Transport.String(); t != "" && conn.Link == source.Connected {
		b.add(th.Faint, " by "+t)
	}
	if skew := conn.Skew.Abs(); skew >= 2*time.Second {
		b.add(th.Level(ui.Warning), " clocks differ by "+page.Age(skew))
	}
	return []string{b.String(), crumbs}
}

func millis(d time.Duration) string {
	if d < 10*time.Millisecond {
		return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + " ms"
	}
	return strconv.Itoa(int(d/time.Millisecond)) + " ms"
}

// segments is a line put together from pieces, cut at its width.
type segments struct {
	b           strings.Builder
	used, width int
}

func (s *segments) add(style ui.Style, text string) {
	text = ui.Cut(ui.Clean(text), s.width-s.used, "")
	s.used += ui.Width(text)
	s.b.WriteString(style.Render(text))
}

func (s *segments) String() string { return s.b.String() }

// crumbView draws the way to this page, and at the right how much of it is
// shown.
func (m *Model) crumbView(width int) string {
	th := m.theme
	g, _, _ := m.at.page.Grid()
	right := position(g)
	if f := g.Filter(); f != "" {
		right = "filter “" + f + "”  " + right
		if th.Glyphs.Ellipsis == "~" {
			right = "filter \"" + f + "\"  " + position(g)
		}
	}
	if m.height < roomy {
		l, word := m.link()
		right += " " + th.Glyph(l)
		if l != ui.Passing {
			right += " " + word
		}
	}
	right = ui.Cut(right, width*2/3, "")
	var chain []*visit
	for v := m.at; v != nil; v = v.from {
		chain = append([]*visit{v}, chain...)
	}
	room := width - ui.Width(right) - 1
	sep := " " + th.Glyphs.Crumb + " "
	length := func(c []*visit) int {
		n := 0
		for i, v := range c {
			if i > 0 {
				n += ui.Width(sep)
			}
			n += ui.Width(ui.Clean(v.page.Title()))
		}
		return n
	}
	for len(chain) > 1 && length(chain) > room {
		chain = chain[1:]
	}
	b := &segments{width: room}
	m.crumbs = m.crumbs[:0]
	for i, v := range chain {
		if i > 0 {
			b.add(th.Faint, sep)
		}
		style := th.Crumb
		if v == m.at {
			style = th.Title
		}
		x := b.used
		b.add(style, v.page.Title())
		m.crumbs = append(m.crumbs, crumbPlace{x, b.used - x, v})
	}
	return b.String() + ui.Blank(width-b.used-ui.Width(right)) + th.Faint.Render(right)
}

// position is "3 of 40", or "3 of 12 (40)" while some are hidden.
func position(g ui.Grid) string {
	n, total := g.Len(), g.Total()
	if total == 0 {
		return ""
	}
	text := strconv.Itoa(g.Position()) + " of " + strconv.Itoa(n)
	if g.Position() == 0 {
		text = strconv.Itoa(n)
	}
	if n != total {
		text += " (" + strconv.Itoa(total) + ")"
	}
	return text
}

// banners are lines across the screen about what is not as it should be.
func (m *Model) banners(width, height int) []string {
	var out []string
	add := func(style ui.Style, text string) {
		out = append(out, style.Render(ui.Pad(ui.Clean(" "+text), width, m.theme.Glyphs.Ellipsis)))
	}
	now, conn, g := m.c.Now(), &m.state.Connection, m.theme.Glyphs
	if m.then != nil {
		add(m.theme.Notice, m.pastText(now, height < roomy))
	}
	switch {
	case conn.Link == source.Lost:
		text := g.Critical + " disconnected: what you see is " + page.Age(now.Sub(conn.Since)) + " old"
		if height < roomy {
			text = g.Critical + " " + page.Age(now.Sub(conn.Since)) + " old"
		}
		add(m.theme.Alarm, text+m.retry(now))
	case conn.Link == source.Connecting && conn.Problem != nil:
		add(m.theme.Alarm, g.Critical+" no agent yet: "+conn.Problem.Text+m.retry(now))
	case m.leaderless():
		add(m.theme.Alarm, g.Critical+" no leader: reads are stale, writes are off"+m.peers())
	}
	if a := conn.Away; a.News() && conn.Link == source.Connected {
		add(m.theme.Notice, awayText(a)+" ("+m.c.Keys.Key(ui.Back)+" hides this)")
	}
	if height < roomy && len(out) > 1 {
		out = out[:1]
	}
	return out
}

// retry says when the next try is.
func (m *Model) retry(now time.Time) string {
	conn, sep := &m.state.Connection, " "+m.theme.Glyphs.Dot+" "
	text := sep + "trying now"
	if !conn.RetryAt.IsZero() {
		text = sep + "next try in " + page.Age(conn.RetryAt.Sub(now)+time.Second-1)
	}
	if conn.Attempt > 1 {
		text += " (" + strconv.Itoa(conn.Attempt) + " so far)"
	}
	text += sep + m.c.Keys.Key(ui.Retry) + " now"
	if len(conn.Others) > 0 {
		text += sep + strconv.Itoa(len(conn.Others)) + " more addresses"
	}
	if conn.Problem != nil && conn.Link == source.Lost {
		text += sep + conn.Problem.Text
	}
	return text
}

// peers says who could lead and when they were last heard of.
func (m *Model) peers() string {
	var parts []string
	for _, p := range m.state.Cluster.Peers {
		text := cmp.Or(p.Name, p.ID)
		switch {
		case p.Known && p.LastContact > 0:
			text += " (heard " + millis(p.LastContact) + " ago)"
		case p.Serf != "":
			text += " (" + p.Serf + ")"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + m.theme.Glyphs.Dot + " " + strings.Join(parts, ", ")
}

// awayText is what changed while the agent could not be reached.
func awayText(a *source.Away) string {
	var parts []string
	if a.Leader != "" {
		parts = append(parts, "leader is now "+a.Leader)
	}
	add := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, strconv.Itoa(n)+" "+many)
		}
	}
	add(len(a.ServicesCritical), "service critical", "services critical")
	add(len(a.ServicesRecovered), "service recovered", "services recovered")
	add(a.ServicesNew, "new service", "new services")
	add(a.ServicesGone, "service gone", "services gone")
	add(a.MembersChanged, "member changed", "members changed")
	if a.Writes > 0 {
		parts = append(parts, strconv.FormatUint(a.Writes, 10)+" writes")
	}
	span := page.Age(a.To.Sub(a.From))
	if a.To.Sub(a.From) < time.Second {
		span = "less than a second"
	}
	return "while away for " + span + ": " + strings.Join(parts, ", ")
}

// footer is the last line: what is typed, what happened, or what keys do.
func (m *Model) footer(env *page.Env, width, y int) (string, *tea.Cursor) {
	th := m.theme
	m.hints = nil
	if m.input != nil {
		sign := ":"
		if m.filtering {
			sign = "/"
		}
		text, at := m.input.View(width - 2)
		return th.Key.Render(sign) + text, tea.NewCursor(1+at, y)
	}
	g, _, _ := m.at.page.Grid()
	gone := g.Gone()
	switch {
	case m.notice != "":
		return th.Level(m.noticeLvl).Render(ui.Cut(th.Glyph(m.noticeLvl)+" "+ui.Clean(m.notice), width, th.Glyphs.Ellipsis)), nil
	case m.pastShown() && g.Total() == 0:
		// Nothing is known to be there or not.
	case gone != "" && m.pastShown():
		return th.Level(ui.Warning).Render(ui.Cut(th.Glyphs.Warning+" "+ui.Clean(gone)+" was not there at "+m.then.AsOf.Format("15:04:05")+"; nothing is selected", width, th.Glyphs.Ellipsis)), nil
	case gone != "":
		return th.Level(ui.Warning).Render(ui.Cut(th.Glyphs.Warning+" "+ui.Clean(gone)+" is gone; nothing is selected", width, th.Glyphs.Ellipsis)), nil
	}
	hints := m.pageHints(env)
	line, places := ui.Hints(th, m.c.Keys, width, hints)
	m.hints = places
	return line, nil
}

// pageHints are the page's own and those that hold everywhere; acts only where
// they may be done.
func (m *Model) pageHints(env *page.Env) []ui.Hint {
	var out []ui.Hint
	for _, h := range m.at.page.Hints(env) {
		if env.ReadOnly == "" || !m.c.Keys.Binding(h.Action).Mutates {
			out = append(out, h)
		}
	}
	return append(out, ui.Hint{Action: ui.Help, Word: "help"}, ui.Hint{Action: ui.Quit, Word: "quit"})
}

// Plain returns lines without styles and blanks at their ends.
func Plain(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return out
}
