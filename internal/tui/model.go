package tui

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// Session is the cluster the dashboard shows: its feed and how careful to be
// with it.
type Session struct {
	Feed source.Feed
	// Context is the name of the operator's context; empty for none.
	Context string
	// Datacenter is the one asked of; empty for the agent's own.
	Datacenter string
	// Require is what must be typed before a destructive act; empty where a
	// yes is enough.
	Require string
	// Accent is the colour of the context, see ui.Accents.
	Accent string
	// Environ are the variables, as NAME=value, by which ctl and others reach
	// the cluster as the dashboard does.
	Environ []string
	// Close ends the feed. It may be nil.
	Close func()
}

// Config is what a dashboard is made of. Session and Start are required.
type Config struct {
	Session Session
	// Start is the page shown first.
	Start page.Page
	// Keys is the key map; nil is the default one.
	Keys *ui.KeyMap
	// Looks are the wishes about colours and signs. Whether the background
	// is light and how many colours there are is asked of the terminal.
	Looks ui.Looks
	// Contexts are what can be switched to, and Connect does it.
	Contexts []page.Context
	Connect  func(page.Switch) (Session, error)
	// Survey looks at the cluster of a context once, and ends with ctx at the
	// latest. Nil is where none can be looked at.
	Survey func(ctx context.Context, name string) *source.Survey
	// Editor is the command line of the operator's editor.
	Editor string
	// Filters are those saved under a name, which @name stands for.
	Filters map[string]string
	// Columns are the operator's, by the lists they are for; see
	// page.CheckColumns.
	Columns map[string][]page.Column
	// Commands are the operator's own. Keys has a binding for each.
	Commands []Command
	// Clipboard is the command line of the program that takes what is copied
	// on its standard input; empty where there is none, and the terminal alone
	// is told.
	Clipboard []string
	// Drafts is the directory that holds texts while they are edited.
	Drafts string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// NoMouse leaves the mouse to the terminal.
	NoMouse bool
	// Faults takes those of whoever feeds the sessions; nil is of use to
	// nobody else.
	Faults *Faults
	// Reports is the directory that a report of a fault is written to, and
	// Version is what it says which program had it.
	Reports, Version string
}

// visit is a page that was opened, and from where.
type visit struct {
	page   page.Page
	from   *visit
	fitted bool // the page has the operator's columns
}

// Model is the whole dashboard. It implements tea.Model and is used by one loop.
type Model struct {
	c      Config
	theme  *ui.Theme
	faded  *ui.Theme
	gone   chan struct{} // closed when the session ends
	state  *source.State
	held   time.Time     // since when the screen is held still; zero for not
	then   *source.State // the past that is shown; nil for now
	at     *visit
	trail  []*visit // everything visited, for [ and ]
	place  int      // in trail
	before *visit   // the screen shown before this one

	width, height int
	mouse         bool
	wheel         int // lines turned and not yet scrolled
	flushing      bool

	notice    string
	noticeLvl ui.Level
	command   string // of the last act, to be copied
	dialog    ui.Dialog
	answer    func(ui.Answer) page.Effect
	input     *ui.Input
	filtering bool // input is the filter, else a command
	oldFilter string
	history   []string
	help      *ui.Viewer
	draft     string // file of the text being edited

	interest source.Interest
	versions [4]uint64
	seen     uint64 // versions of what header and banners show
	dirty    bool
	drawn    tea.View
	anew     int // rises when the whole screen is to be written again
	crumbs   []crumbPlace
	hints    []ui.HintPlace
	bodyY    int
	cost     time.Duration // of the last change, from message to frame
	began    time.Time

	surveys  *surveys // those that go on, because a page shows them; nil for none
	commands running
	started  tea.Cmd // a command of the operator's that begins after a question
	output   *visit  // what the last command of the operator's said
}

type crumbPlace struct {
	x, w int
	to   *visit
}

// New returns the model of a dashboard. It asks nothing of the feed yet but its
// current state.
func New(c Config) *Model {
	if c.Keys == nil {
		c.Keys = ui.DefaultKeys()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m := &Model{c: c, mouse: !c.NoMouse, gone: make(chan struct{}), dirty: true}
	m.look()
	m.state = c.Session.Feed.Current()
	m.visit(&visit{page: c.Start})
	return m
}

// look makes the theme anew.
func (m *Model) look() {
	l := m.c.Looks
	l.Accent = m.c.Session.Accent
	m.theme = ui.NewTheme(l)
	m.faded = m.theme.Faded()
	m.dirty = true
}

// env is what pages draw and decide with, now.
func (m *Model) env() *page.Env {
	env := &page.Env{State: m.state, Theme: m.theme, Keys: m.c.Keys, Now: m.c.Now(), Cluster: m.cluster(),
		Require: m.c.Session.Require, ReadOnly: m.readOnly(), Contexts: m.c.Contexts}
	m.takeBack(env)
	return env
}

// cluster names where acts take place.
func (m *Model) cluster() string {
	conn := &m.state.Connection
	name := conn.Agent.Datacenter
	if m.c.Session.Datacenter != "" {
		name = m.c.Session.Datacenter
	}
	if m.c.Session.Context != "" {
		name = m.c.Session.Context + " / " + name
	}
	if conn.Address == "" {
		return name
	}
	return name + " at " + conn.Address
}

// readOnly says why nothing may be changed now; empty where it may.
func (m *Model) readOnly() string {
	conn := &m.state.Connection
	switch {
	case conn.ReadOnly:
		if conn.ReadOnlyReason == "" {
			return "the dashboard is read-only"
		}
		return conn.ReadOnlyReason
	case m.then != nil:
		return "what is shown is of " + m.then.AsOf.Format("15:04:05") + "; " + m.c.Keys.Key(ui.Present) + " returns to now"
	case !m.held.IsZero():
		return "the screen is held still and shows what was"
	case conn.Link == source.Lost:
		return "the agent cannot be reached"
	case m.leaderless():
		return "there is no leader to take a write"
	}
	return ""
}

// leaderless reports whether it is known that there is no leader.
func (m *Model) leaderless() bool {
	c := &m.state.Cluster
	return m.state.Connection.Link == source.Connected && c.Leader == "" && c.LeaderAddr == "" &&
		(c.Phase == source.Ready || c.Phase == source.Failed && c.Problem != nil && c.Problem.Kind == source.NoLeader)
}

// Messages of the loop.
type (
	changedMsg struct{ gone chan struct{} }
	tickMsg    struct{}
	flushMsg   struct{}
	actedMsg   struct {
		actions  []source.Action
		outcome  source.Outcome
		err      error
		done     func(source.Outcome, error) page.Effect
		unselect func()
		draft    string
	}
	repliedMsg struct {
		answer source.Answer
		err    error
		reply  func(source.Answer, error) page.Effect
	}
	saidMsg struct {
		text  string
		level ui.Level
	}
	// nextMsg is what follows something done outside the loop, for the page
	// and the session that asked for it.
	nextMsg struct {
		at   *visit
		gone chan struct{}
		then func() page.Effect
	}
)

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.wait(0), tick(), m.survey()}
	if b, ok := m.at.page.(page.Beginner); ok {
		cmds = append(cmds, m.run(b.Begin(m.env())))
	}
	return tea.Batch(cmds...)
}

// tick keeps ages true. It does not fetch anything.
func tick() tea.Cmd { return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} }) }

// wait returns the command that waits for the next change of the session's
// state, after a pause.
func (m *Model) wait(pause time.Duration) tea.Cmd {
	changed, gone := m.c.Session.Feed.Changed(), m.gone
	return func() tea.Msg {
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-gone:
				return nil
			}
		}
		select {
		case <-changed:
			return changedMsg{gone}
		case <-gone:
			return nil
		}
	}
}

// share is how little of the time drawing changes may take: one part of it in
// this many. Many changes of a great many rows then come in fewer frames.
const share = 10

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case changedMsg:
		if msg.gone != m.gone {
			return m, nil // of a session that has ended
		}
		m.began = time.Now()
		m.take()
		return m, m.wait(min(share*m.cost-m.cost, 500*time.Millisecond))
	case tickMsg:
		m.dirty = true
		return m, tick()
	case tea.WindowSizeMsg:
		m.width, m.height, m.dirty = msg.Width, msg.Height, true
	case tea.KeyPressMsg:
		m.dirty = true
		cmd = m.key(msg.String(), msg.Key().Text)
	case tea.PasteMsg:
		m.dirty = true
		m.paste(msg.Content)
	case tea.MouseClickMsg, tea.MouseWheelMsg, flushMsg:
		m.dirty = true
		cmd = m.mouseMsg(msg)
	case tea.BackgroundColorMsg:
		m.c.Looks.Light = !msg.IsDark()
		m.look()
	case tea.ColorProfileMsg:
		m.profile(msg)
	case tea.ResumeMsg:
		m.dirty = true
	case actedMsg:
		m.dirty = true
		cmd = m.acted(msg)
	case repliedMsg:
		m.dirty = true
		cmd = m.run(msg.reply(msg.answer, msg.err))
	case saidMsg:
		m.dirty = true
		m.say(msg.level, msg.text)
	case nextMsg:
		m.dirty = true
		cmd = m.next(msg)
	case draftMsg, editedMsg, textMsg:
		m.dirty = true
		cmd = m.editing(msg)
	case switchedMsg:
		m.dirty = true
		cmd = m.switched(msg)
	case ranMsg:
		m.dirty = true
		m.ran(msg)
	case surveyedMsg:
		cmd = m.surveyed(msg)
	}
	m.sight()
	if look := m.survey(); look != nil {
		cmd = tea.Batch(cmd, look)
	}
	return m, cmd
}

// take takes over the newest state, unless the screen is held.
func (m *Model) take() {
	if !m.held.IsZero() {
		m.c.Session.Feed.Current() // so that it signals again
		return
	}
	m.state = m.c.Session.Feed.Current()
	env := m.env()
	v := m.at.page.Versions(m.state)
	if v != m.versions && !m.pastShown() {
		m.versions = v
		m.at.page.Update(env)
		m.dirty = true
	}
	s := &m.state.Connection
	if seen := s.Version + m.state.Cluster.Version; seen != m.seen {
		m.seen = seen
		m.dirty = true
	}
	m.sight()
}

// sight tells the feed what is in sight, if that has changed.
func (m *Model) sight() {
	want := m.at.page.Interest()
	if !sameInterest(want, m.interest) {
		m.interest = want
		m.c.Session.Feed.Interest(want)
	}
}

func sameInterest(a, b source.Interest) bool {
	return a.Sections == b.Sections && a.Service == b.Service && a.Node == b.Node && a.Key == b.Key &&
		a.LogLevel == b.LogLevel && slices.Equal(a.Prefixes, b.Prefixes)
}

// visit goes to a page and remembers it.
func (m *Model) visit(v *visit) {
	m.trail = append(m.trail[:min(m.place+1, len(m.trail))], v)
	const kept = 50
	if len(m.trail) > kept {
		m.trail = m.trail[len(m.trail)-kept:]
	}
	m.place = len(m.trail) - 1
	m.show(v)
}

// show puts a page on the screen.
func (m *Model) show(v *visit) {
	if m.at != nil && m.at != v {
		m.before = m.at
	}
	m.at = v
	m.input = nil
	m.help = nil
	if !v.fitted {
		page.Customize(v.page, m.c.Columns)
		v.fitted = true
	}
	m.versions = v.page.Versions(m.state)
	v.page.Update(m.env())
	m.dirty = true
	m.sight()
}

// open goes to a page as a screen of its own, not from another.
func (m *Model) open(p page.Page) tea.Cmd {
	m.visit(&visit{page: p})
	return m.begin()
}

func (m *Model) begin() tea.Cmd {
	if b, ok := m.at.page.(page.Beginner); ok {
		return m.run(b.Begin(m.env()))
	}
	return nil
}

func (m *Model) say(l ui.Level, text string) {
	m.notice, m.noticeLvl = text, l
}

// run carries out what a page wants done.
func (m *Model) run(e page.Effect) tea.Cmd {
	var cmds []tea.Cmd
	if e.Back {
		m.back()
	}
	if e.Go != nil {
		m.visit(&visit{page: e.Go, from: m.at})
		cmds = append(cmds, m.begin())
	}
	if e.Say != "" {
		m.say(e.Level, e.Say)
	}
	if e.Ask != nil {
		m.dialog, m.answer = e.Ask, e.Then
		if e.Unselect != nil {
			then, unselect := e.Then, e.Unselect
			m.answer = func(a ui.Answer) page.Effect {
				next := then(a)
				if a.OK {
					next.Unselect = unselect
				}
				return next
			}
		}
		return tea.Batch(cmds...)
	}
	if len(e.Act) > 0 {
		cmds = append(cmds, m.act(e))
	}
	if e.Probe != nil {
		cmds = append(cmds, m.probe(e))
	}
	if e.Copy != "" {
		cmds = append(cmds, m.copy(e.What, e.Copy))
	}
	if e.Fetch != nil {
		cmds = append(cmds, m.fetch(*e.Fetch))
	}
	if e.File != nil {
		cmds = append(cmds, m.file(*e.File))
	}
	if e.Edit != nil {
		cmds = append(cmds, m.edit(e.Edit))
	}
	if e.Switch != nil {
		cmds = append(cmds, m.switchTo(*e.Switch))
	}
	if e.Run != nil {
		e.Run()
		cmds = append(cmds, m.started)
		m.started = nil
	}
	return tea.Batch(cmds...)
}

// patience bounds a question: the agent itself waits up to ten seconds for a
// leader.
const patience = 30 * time.Second

// act does what was asked for, outside the loop.
func (m *Model) act(e page.Effect) tea.Cmd {
	m.command = e.Act[len(e.Act)-1].Command()
	m.say(ui.Info, "Working: "+e.Act[0].Describe()+"…")
	feed, draft := m.c.Session.Feed, m.draft
	return func() tea.Msg {
		bound := patience
		for _, a := range e.Act {
			bound = max(bound, source.Patience(a))
		}
		ctx, stop := context.WithTimeout(context.Background(), bound)
		defer stop()
		msg := actedMsg{actions: e.Act, done: e.Done, unselect: e.Unselect, draft: draft}
		for i, a := range e.Act {
			if msg.outcome, msg.err = feed.Do(ctx, a); msg.err != nil {
				msg.actions = e.Act[i:]
				break
			}
		}
		return msg
	}
}

// acted shows how an act ended and goes on with what follows.
func (m *Model) acted(msg actedMsg) tea.Cmd {
	m.notice = "" // that it is being done
	drop := m.dropDraft(msg)
	if msg.err == nil && msg.unselect != nil {
		msg.unselect()
	}
	if msg.done != nil {
		e := msg.done(msg.outcome, msg.err)
		if msg.err != nil && msg.draft != "" && e.Say != "" {
			e.Say += "; your text is kept in " + msg.draft
		}
		return tea.Batch(drop, m.run(e))
	}
	if msg.err != nil {
		text := "Could not " + msg.actions[0].Describe() + ": " + msg.err.Error()
		if n := len(msg.actions) - 1; n > 0 {
			text += "; not tried: " + msg.actions[1].Describe()
			if n > 1 {
				text += " and more"
			}
		}
		m.say(ui.Critical, text)
		return drop
	}
	m.say(ui.Passing, msg.outcome.Text+" · "+m.c.Keys.Key(ui.CopyCtl)+" copies: "+m.command)
	return drop
}

// fetch reads keys.
func (m *Model) fetch(f page.Fetch) tea.Cmd {
	m.say(ui.Info, "Reading "+f.What+"…")
	feed, at, gone := m.c.Session.Feed, m.at, m.gone
	return func() tea.Msg {
		read, err := readRanges(context.Background(), feed, f.Ranges)
		return nextMsg{at, gone, func() page.Effect { return f.Then(read, err) }}
	}
}

func readRanges(ctx context.Context, feed source.Feed, ranges []source.Range) ([][]source.Key, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	read := make([][]source.Key, len(ranges))
	for i, r := range ranges {
		var err error
		if read[i], err = feed.Keys(ctx, r); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func (m *Model) file(f page.File) tea.Cmd {
	at, gone := m.at, m.gone
	return func() tea.Msg {
		text, err := onDisk(f)
		return nextMsg{at, gone, func() page.Effect { return f.Then(text, err) }}
	}
}

// next goes on with what was read. A question about it would come as a surprise to
// who has gone elsewhere or is asked something else already: the next key would
// answer it.
func (m *Model) next(msg nextMsg) tea.Cmd {
	e := msg.then()
	if e.Say == "" && (msg.at != m.at || msg.gone != m.gone || m.dialog != nil || m.input != nil || m.help != nil) {
		m.say(ui.Warning, "What was asked for is dropped, because you went on; ask again.")
		return nil
	}
	m.notice = "" // that it is being done
	return m.run(e)
}

func (m *Model) probe(e page.Effect) tea.Cmd {
	feed, q := m.c.Session.Feed, *e.Probe
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		a, err := feed.Probe(ctx, q)
		return repliedMsg{a, err, e.Reply}
	}
}
