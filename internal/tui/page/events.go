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

// entry is a line of the time line: a change that was seen, or a line of the
// agent's log.
type entry struct {
	id     string
	at     time.Time
	level  ui.Level
	kind   string
	object string
	text   string
}

// events is the time line of changes and of the agent's log.
type events struct {
	list[entry]
	logLevel    string
	entries     []*entry
	event, line uint64 // the last ones taken over
	asOf        time.Time
}

// logLevels are the levels the log can be shown from, in the order the key goes
// through them.
var logLevels = []string{"info", "debug", "trace", "warn", "error", ""}

func newEvents() *events {
	p := &events{logLevel: "info"}
	p.about = content{"events", "Changes show here as they happen, with the agent's log.", "agent:read, for the log"}
	p.bad = func(e *entry) bool { return e.level >= ui.Warning && e.level != ui.Faint }
	p.table = ui.NewTable(func(e *entry) string { return e.id },
		ui.Column[entry]{Title: "Time", Cell: func(e *entry) ui.Cell { return ui.Cell{Text: clock(e.at), Level: ui.Faint} },
			Compare: func(a, b *entry) int { return a.at.Compare(b.at) }},
		ui.Column[entry]{Title: "From", Cell: func(e *entry) ui.Cell { return ui.Cell{Text: e.kind, Level: p.dim(e, e.level), Glyph: true} }},
		ui.Column[entry]{Title: "Object", Max: 36, Drop: 1, Cell: func(e *entry) ui.Cell { return ui.Cell{Text: e.object, Level: p.dim(e, ui.None)} }},
		ui.Column[entry]{Title: "What", Elastic: true, Max: 400, Cell: func(e *entry) ui.Cell { return ui.Cell{Text: e.text, Level: p.dim(e, quiet(e.level))} }},
	)
	p.table.SetFollow(true)
	return p
}

// dim leaves colour to what had happened by the moment that is shown elsewhere.
func (p *events) dim(e *entry, l ui.Level) ui.Level {
	if p.later(e) {
		return ui.Faint
	}
	return l
}

// later reports whether an entry is of after the moment that is shown elsewhere.
func (p *events) later(e *entry) bool { return !p.asOf.IsZero() && e.at.After(p.asOf) }

// Moment implements Moment.
func (p *events) Moment() (at time.Time, ok bool) {
	e, ok := p.table.Selected()
	if !ok {
		return time.Time{}, false
	}
	return e.at, true
}

// quiet leaves colour to what is not well.
func quiet(l ui.Level) ui.Level {
	if l == ui.Warning || l == ui.Critical {
		return l
	}
	return ui.None
}

// ShowsNow implements ShowsNow.
func (*events) ShowsNow() {}

func (p *events) Path() string    { return "events" }
func (p *events) Title() string   { return "Events" }
func (p *events) Command() string { return "ctl monitor -log-level=" + cmp.Or(p.logLevel, "info") }
func (p *events) Interest() source.Interest {
	return source.Interest{LogLevel: p.logLevel}
}
func (p *events) Versions(s *source.State) [4]uint64 {
	return [4]uint64{s.Recent.Version, s.Log.Version}
}
func (p *events) Ready(s *source.State) bool { return settled(s.Recent.Status, s.Log.Status) }

// Update takes over what is new. Both time lines are bounded by the source; what
// it dropped is dropped here, too.
func (p *events) Update(env *Env) {
	s := env.State
	var fresh []*entry
	for _, e := range s.Recent.Events {
		if e.Seq > p.event {
			fresh = append(fresh, ofEvent(e))
			p.event = e.Seq
		}
	}
	for i := range s.Log.Lines {
		l := &s.Log.Lines[i]
		if l.Seq > p.line {
			fresh = append(fresh, ofLine(l))
			p.line = l.Seq
		}
	}
	oldest := env.Now.Add(-source.KeepEvents)
	drop := 0
	for drop < len(p.entries) && (p.entries[drop].at.Before(oldest) || len(p.entries)-drop > source.MaxEvents) {
		drop++
	}
	defer p.show(env.AsOf)
	if len(fresh) == 0 && drop == 0 {
		return
	}
	entries := append(slices.Clone(p.entries[drop:]), fresh...)
	slices.SortStableFunc(entries, func(a, b *entry) int { return a.at.Compare(b.at) })
	p.entries = entries
	p.table.Set(entries)
}

// show marks what was after a moment, and selects what was the last until then if
// the moment is another one than before.
func (p *events) show(asOf time.Time) {
	if asOf.Equal(p.asOf) {
		return
	}
	p.asOf = asOf
	if asOf.IsZero() {
		return
	}
	for _, e := range slices.Backward(p.table.Rows()) {
		if !p.later(e) {
			p.table.SetFollow(false)
			p.table.Select(e.id)
			return
		}
	}
}

func ofEvent(e source.Event) *entry {
	return &entry{id: "e" + strconv.FormatUint(e.Seq, 10), at: e.At, level: severity(e.Severity), kind: e.Kind.String(), object: e.Object, text: e.Text}
}

func severity(s source.Severity) ui.Level {
	switch s {
	case source.Good:
		return ui.Passing
	case source.Warn:
		return ui.Warning
	case source.Bad:
		return ui.Critical
	default:
		return ui.Info
	}
}

func ofLine(l *source.LogLine) *entry {
	level := ui.Info
	switch l.Level {
	case "ERROR":
		level = ui.Critical
	case "WARN":
		level = ui.Warning
	}
	// "component: text" has its subject at the front.
	object, text, ok := strings.Cut(l.Text, ": ")
	if !ok || strings.Contains(object, " ") {
		object, text = "", l.Text
	}
	return &entry{id: "l" + strconv.FormatUint(l.Seq, 10), at: l.At, level: level, kind: "log", object: object, text: text}
}

func (p *events) Data(*Env) any {
	type event struct {
		Time               time.Time
		Kind, Object, Text string
	}
	out := []event{}
	for _, e := range p.shown() {
		out = append(out, event{e.at, e.kind, e.object, e.text})
	}
	return out
}

func (p *events) pairs(s *source.State) []string {
	follow := "no"
	if p.table.Following() {
		follow = "yes"
	}
	pairs := []string{"log", cmp.Or(p.logLevel, "off"), "following", follow}
	if !p.asOf.IsZero() {
		pairs = append(pairs, "faint", "after "+clock(p.asOf))
	}
	if s.Log.Dropped > 0 {
		pairs = append(pairs, "lines lost", strconv.FormatUint(s.Log.Dropped, 10))
	}
	return pairs
}

func (p *events) View(env *Env, width, height int) []string {
	var above []string
	if height >= 8 {
		above = facts(env.Theme, width, p.pairs(env.State)...)
	}
	above = append(above, draw(env.Theme, p.logHole(&env.State.Log), width)...)
	return p.view(env, env.State.Recent.Status, above, width, height)
}

// logHole says why there are no lines of the log. Where there is nothing else, that
// is said in their place.
func (p *events) logHole(l *source.Log) []note {
	switch {
	case l.Phase == source.Failed && l.Problem != nil && p.table.Total() > 0:
		return []note{{ui.Warning, "the log cannot be read: " + l.Problem.Text}}
	case l.Phase == source.Unsupported:
		return []note{{ui.Unknown, "the log is not supported by this agent"}}
	}
	return nil
}

func (p *events) Sheet(env *Env) Sheet {
	facts := plainFacts(p.pairs(env.State)...)
	if n := p.logHole(&env.State.Log); n != nil {
		facts = append(facts, words(n))
	}
	return p.sheet(env, env.State.Recent.Status, facts)
}

func (p *events) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Find, Word: "filter"}, {Action: ui.Problems, Word: "problems"}, {Action: ui.Follow, Word: "follow"},
		{Action: ui.LogLevel, Word: "log level"}, {Action: ui.Rewind, Word: "as of then"}, {Action: ui.Pause, Word: "hold"}, {Action: ui.Open, Word: "object"}, {Action: ui.Save, Word: "save"}}
}

func (p *events) Do(env *Env, a ui.Action) Effect {
	if a == ui.LogLevel {
		i := slices.Index(logLevels, p.logLevel)
		p.logLevel = logLevels[(i+1)%len(logLevels)]
		return say(ui.Info, "The log is shown from "+cmp.Or(p.logLevel, "nothing")+" on.")
	}
	if a == ui.Describe || a == ui.ShowJSON || a == ui.ShowYAML {
		e, ok := p.table.Selected()
		if !ok {
			return noSelection(p.table)
		}
		return Effect{Go: newText(cmp.Or(e.object, e.kind), "text", e.at.Format(time.RFC3339Nano)+"\n"+e.kind+" "+e.object+"\n\n"+e.text)}
	}
	if e, ok := p.do(env, a); ok {
		return e
	}
	e, ok := p.table.Selected()
	if !ok {
		return noSelection(p.table)
	}
	switch a {
	case ui.CopyValue:
		return Effect{Copy: e.at.Format(time.RFC3339) + " " + e.kind + " " + e.object + " " + e.text, What: "line"}
	case ui.CopyCtl:
		return Effect{Copy: p.Command(), What: "command"}
	case ui.Open:
		return e.open()
	default:
		return Effect{}
	}
}

// open goes to what an entry is about.
func (e *entry) open() Effect {
	switch e.kind {
	case source.EventService.String(), source.EventHealth.String():
		name, _, _ := strings.Cut(e.object, "/")
		return Effect{Go: newService(name)}
	case source.EventNode.String(), source.EventMember.String():
		return Effect{Go: newNode(e.object)}
	case source.EventRaft.String():
		return Effect{Go: newRaft()}
	case source.EventKV.String():
		return Effect{Go: newKeyPage(e.object)}
	}
	return Effect{Go: newText(cmp.Or(e.object, e.kind), "text", e.at.Format(time.RFC3339Nano)+"\n"+e.object+"\n\n"+e.text)}
}
