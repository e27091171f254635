package tui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// key takes a key: a dialog first, then the line being typed, then the page, and
// what is the same everywhere before it.
func (m *Model) key(key, text string) tea.Cmd {
	switch {
	case m.dialog != nil:
		return m.dialogKey(key, text)
	case m.input != nil:
		return m.inputKey(key, text)
	}
	a := m.c.Keys.Action(key)
	if m.help != nil {
		if a == ui.Quit || a == ui.Back || a == ui.Help {
			m.help = nil
			return nil
		}
		m.help.Do(a)
		return nil
	}
	copied := m.command
	if a != ui.NoAction {
		m.notice = ""
	}
	if a == ui.CopyCtl && copied != "" {
		m.command = ""
		return m.copy("command of the last act", copied)
	}
	if a != ui.NoAction {
		m.command = ""
	}
	return m.do(a)
}

func (m *Model) dialogKey(key, text string) tea.Cmd {
	a, done := m.dialog.Key(key, text)
	if !done {
		return nil
	}
	answer := m.answer
	m.dialog, m.answer = nil, nil
	if answer == nil {
		return nil
	}
	return m.run(answer(a))
}

func (m *Model) paste(text string) {
	switch {
	case m.dialog != nil:
		if p, ok := m.dialog.(ui.Paster); ok {
			p.Paste(text)
		}
	case m.input != nil:
		m.input.Insert(text)
		m.typed()
	}
}

// typed applies a filter while it is typed.
func (m *Model) typed() {
	if m.filtering {
		f, ok := m.filter(m.input.Text())
		if !ok {
			f = m.oldFilter // until it is a name
		}
		g, _, _ := m.at.page.Grid()
		g.SetFilter(f)
	}
}

func (m *Model) inputKey(key, text string) tea.Cmd {
	switch key {
	case "esc", "ctrl+c":
		if m.filtering {
			g, _, _ := m.at.page.Grid()
			g.SetFilter(m.oldFilter)
		}
		m.input = nil
		return nil
	case "enter":
		line := strings.TrimSpace(m.input.Text())
		m.input = nil
		if m.filtering {
			m.setFilter(line)
			return nil
		}
		if line == "" {
			return nil
		}
		m.history = append(m.history, line)
		return m.prompt(line)
	}
	m.input.Key(key, text)
	m.typed()
	return nil
}

// prompt carries out a typed command.
func (m *Model) prompt(line string) tea.Cmd {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "q", "quit", "exit":
		return tea.Quit
	case "help", "?":
		return m.do(ui.Help)
	case "filter":
		m.setFilter(rest)
		return nil
	case "theme":
		return m.setTheme(rest)
	case "ctx", "context":
		if rest != "" {
			return m.switchTo(page.Switch{Context: rest})
		}
	case "at":
		m.rewindTo(rest)
		return nil
	case "now":
		m.returnToNow()
		return nil
	case "run":
		return m.runCommand(rest)
	case "output":
		m.showOutput()
		return nil
	case "dc", "datacenter":
		if rest != "" {
			return m.switchTo(page.Switch{Datacenter: rest})
		}
	}
	p, err := page.Open(line)
	if err != nil {
		m.say(ui.Warning, err.Error()+"; also: theme NAME, ctx NAME, dc NAME, filter TEXT, at TIME, now, run NAME, output, help, quit")
		return nil
	}
	return m.open(p)
}

func (m *Model) setTheme(name string) tea.Cmd {
	if !slices.Contains(ui.Themes(), name) {
		m.say(ui.Warning, "No theme is called that: there are "+strings.Join(ui.Themes(), ", ")+".")
		return nil
	}
	m.c.Looks.Name = name
	m.look()
	m.say(ui.Info, "The theme is "+name+".")
	return nil
}

// do does what an action means: everywhere the same, or what the page says.
func (m *Model) do(a ui.Action) tea.Cmd {
	if p := page.ByAction(a); p != nil {
		return m.openScreen(p)
	}
	if name, ok := a.Command(); ok {
		return m.runCommand(name)
	}
	switch a {
	case ui.NoAction:
		return nil
	case ui.Quit:
		return tea.Quit
	case ui.Help:
		m.help = ui.NewStyledViewer(nil)
		return nil
	case ui.Find:
		g, _, _ := m.at.page.Grid()
		m.filtering, m.oldFilter = true, g.Filter()
		m.input = &ui.Input{Complete: func(text string) []string { return m.completeFilter("", text) }}
		m.input.Set(g.Filter())
		return nil
	case ui.Prompt:
		m.filtering = false
		m.input = &ui.Input{History: m.history, Complete: m.completeCommand}
		return nil
	case ui.Back:
		m.backOrClear()
		return nil
	case ui.Previous, ui.Next, ui.LastView:
		m.travel(a)
		return nil
	case ui.Switch:
		p, err := page.Open("contexts")
		if err != nil {
			return nil
		}
		return m.run(page.Effect{Go: p})
	case ui.Mouse:
		m.mouse = !m.mouse
		if m.mouse {
			m.say(ui.Info, "The mouse clicks and scrolls here.")
		} else {
			m.say(ui.Info, "The mouse is the terminal's: text can be selected.")
		}
		return nil
	case ui.Redraw:
		return func() tea.Msg { return redrawMsg{} }
	case ui.Suspend:
		return func() tea.Msg { return suspendMsg{} }
	case ui.Pause:
		m.pause()
		return nil
	case ui.Older, ui.Newer, ui.Rewind, ui.Present:
		m.travelInTime(a)
		return nil
	case ui.Save:
		return m.save()
	case ui.Retry:
		m.endSurveys() // they begin again at once
		m.c.Session.Feed.Retry()
	default: // the others are not for here
	}
	if b := m.c.Keys.Binding(a); b.Mutates {
		if why := m.readOnly(); why != "" {
			m.say(ui.Warning, "Nothing can be changed now: "+why+".")
			return nil
		}
	}
	return m.run(m.at.page.Do(m.env(), a))
}

// openScreen goes to a numbered screen; to the one that was open there before,
// with its selection, if there is one.
func (m *Model) openScreen(p page.Page) tea.Cmd {
	for i := range slices.Backward(m.trail) {
		v := m.trail[i]
		if v.from == nil && v.page.Title() == p.Title() {
			if v == m.at {
				return nil
			}
			m.visit(v)
			return nil
		}
	}
	return m.open(p)
}

// backOrClear undoes the last thing that narrowed the view: the filter, the
// summary of what was missed, or going here.
func (m *Model) backOrClear() {
	g, _, _ := m.at.page.Grid()
	switch {
	case g.Filter() != "":
		g.SetFilter("")
	case m.state.Connection.Away.News():
		m.c.Session.Feed.Seen()
	case m.at.from != nil:
		m.back()
	case m.then != nil:
		m.returnToNow()
	default:
		m.say(ui.Info, m.c.Keys.Key(ui.Quit)+" quits.")
	}
}

func (m *Model) back() {
	if m.at.from != nil {
		m.visit(m.at.from)
	}
}

// travel goes through what was visited.
func (m *Model) travel(a ui.Action) {
	switch a {
	case ui.LastView:
		if m.before != nil {
			m.visit(m.before)
		}
		return
	case ui.Previous:
		if m.place == 0 {
			return
		}
		m.place--
	case ui.Next:
		if m.place >= len(m.trail)-1 {
			return
		}
		m.place++
	default: // the others are not for here
	}
	m.show(m.trail[m.place])
}

// pause holds the screen still, or goes on.
func (m *Model) pause() {
	if m.then != nil {
		m.say(ui.Info, "The past stands still. "+m.c.Keys.Key(ui.Present)+" returns to now.")
		return
	}
	if m.held.IsZero() {
		m.held = m.c.Now()
		return
	}
	m.held = time.Time{}
	m.versions = [4]uint64{}
	m.take()
	m.at.page.Update(m.env())
}

// Wheels turn in bursts of events; what is turned within this time is scrolled
// at once.
const wheelPace = 16 * time.Millisecond

// lines of a click of the wheel.
const wheelLines = 3

// Filter thins out what a mouse sends before the loop works on it: movements are
// dropped, turns of the wheel are added up. It is given to tea.WithFilter.
func Filter(model tea.Model, msg tea.Msg) tea.Msg {
	m, ok := model.(*Model)
	if !ok {
		return msg
	}
	switch msg := msg.(type) {
	case tea.MouseMotionMsg, tea.MouseReleaseMsg:
		return nil
	case tea.MouseWheelMsg:
		switch msg.Mouse().Button {
		case tea.MouseWheelUp:
			m.wheel -= wheelLines
		case tea.MouseWheelDown:
			m.wheel += wheelLines
		default: // the others are not for here
		}
		if m.flushing {
			return nil
		}
	}
	return msg
}

// mouseMsg takes clicks, and turns of the wheel that Filter has added up.
func (m *Model) mouseMsg(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.MouseWheelMsg, flushMsg:
		if m.wheel == 0 {
			m.flushing = false
			return nil
		}
		d := m.wheel
		m.wheel = 0
		m.scroll(d)
		m.flushing = true
		return tea.Tick(wheelPace, func(time.Time) tea.Msg { return flushMsg{} })
	case tea.MouseClickMsg:
		if mouse := msg.Mouse(); mouse.Button == tea.MouseLeft && m.dialog == nil && m.input == nil && m.help == nil {
			return m.click(mouse.X, mouse.Y)
		}
	}
	return nil
}

func (m *Model) scroll(d int) {
	switch {
	case m.dialog != nil:
	case m.help != nil:
		m.help.Scroll(d)
	default:
		g, _, _ := m.at.page.Grid()
		g.Scroll(d)
	}
}

// click opens crumbs and hints, and what stands in the page.
func (m *Model) click(x, y int) tea.Cmd {
	m.notice = ""
	if y == m.height-1 {
		for _, h := range m.hints {
			if x >= h.X && x < h.X+h.Width {
				return m.do(h.Action)
			}
		}
		return nil
	}
	if y == m.crumbLine() {
		for _, c := range m.crumbs {
			if x >= c.x && x < c.x+c.w && c.to != m.at {
				m.visit(c.to)
			}
		}
		return nil
	}
	g, gx, gy := m.at.page.Grid()
	if y < m.bodyY+gy || y >= m.height-1 {
		return nil
	}
	if g.Click(x-gx, y-m.bodyY-gy) {
		return m.do(ui.Open)
	}
	return nil
}
