package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// The dashboard can be taken back to what was seen before. All pages but those that
// have no past then show that moment and stand still, nothing can be changed, and a
// line across the screen says so. The watching goes on all the while.

// pastShown reports whether the page on the screen shows the past.
func (m *Model) pastShown() bool {
	if m.then == nil {
		return false
	}
	_, now := m.at.page.(page.ShowsNow)
	return !now
}

// takeBack gives env the state of the past, if that is shown.
func (m *Model) takeBack(env *page.Env) {
	if m.then == nil {
		return
	}
	env.AsOf = m.then.AsOf
	if m.pastShown() {
		env.State, env.Now = m.then, m.then.AsOf
	}
}

// travelInTime does what an action means for the moment that is shown.
func (m *Model) travelInTime(a ui.Action) {
	switch a {
	case ui.Present:
		m.returnToNow()
	case ui.Rewind:
		if p, ok := m.at.page.(page.Moment); ok {
			if at, ok := p.Moment(); ok {
				m.rewind(at)
				return
			}
		}
		m.askMoment()
	case ui.Older, ui.Newer:
		m.step(a == ui.Older)
	default: // the others do not travel
	}
}

// step goes to before the last change, or to after the next one.
func (m *Model) step(back bool) {
	from := m.held // what is shown
	if m.then != nil {
		from = m.then.AsOf
	}
	if !back && m.then == nil {
		m.say(ui.Info, "This is now.")
		return
	}
	to, ok := m.c.Session.Feed.Step(from, back)
	switch {
	case ok:
		m.rewind(to)
	case back:
		m.say(ui.Info, "Nothing that was seen before is remembered.")
	default:
		m.returnToNow()
	}
}

// rewind shows the state of a moment.
func (m *Model) rewind(at time.Time) {
	m.then, m.held = m.c.Session.Feed.Past(at), time.Time{}
	m.at.page.Update(m.env())
	if early := m.then.AsOf; early.Sub(at) >= time.Second {
		m.say(ui.Info, "The earliest that is remembered is of "+early.Format("15:04:05")+".")
	}
}

// returnToNow ends the look back, and that the screen is held still.
func (m *Model) returnToNow() {
	if m.then == nil && m.held.IsZero() {
		m.say(ui.Info, "This is now.")
		return
	}
	m.then, m.held = nil, time.Time{}
	m.versions = [4]uint64{}
	m.take()
	m.at.page.Update(m.env())
}

// askMoment asks which moment to go to.
func (m *Model) askMoment() {
	m.dialog = &ui.Ask{Question: "Show all as of", Hint: "A time of day such as 14:03 or 14:03:12, or how long ago, such as 5m or 90s", Check: func(s string) string {
		if _, err := moment(s, m.c.Now()); err != nil {
			return err.Error() + "; esc leaves."
		}
		return ""
	}}
	m.answer = func(a ui.Answer) page.Effect {
		if a.OK {
			m.rewindTo(a.Text)
		}
		return page.Effect{}
	}
}

func (m *Model) rewindTo(text string) {
	at, err := moment(text, m.c.Now())
	if err != nil {
		m.say(ui.Warning, err.Error())
		return
	}
	m.rewind(at)
}

// moment is the time that an operator means: a time of day, the last one, or how
// long ago.
func moment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		t, err := time.ParseInLocation(form, text, now.Location())
		if err != nil {
			continue
		}
		y, month, d := now.Date()
		at := time.Date(y, month, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location())
		if form == "15:04:05" {
			at = at.Add(time.Second - 1) // with all of that second
		}
		if at.Sub(now) >= time.Second {
			at = at.AddDate(0, 0, -1)
		}
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: 14:03, 14:03:12, 5m and 90s are such", ui.Clean(text))
}

// pastText is the line across the screen that says which moment is shown.
func (m *Model) pastText(now time.Time, short bool) string {
	dot, key := " "+m.theme.Glyphs.Dot+" ", m.c.Keys.Key
	at := m.then.AsOf
	text := "as of " + at.Format("15:04:05") + ", " + page.Age(now.Sub(at)) + " ago"
	switch {
	case short && !m.pastShown():
		return "now; others " + text + dot + key(ui.Present) + " now"
	case short:
		return text + dot + key(ui.Present) + " now"
	case !m.pastShown():
		text = "this page shows now, others " + text
	}
	text += dot + key(ui.Older) + " older, " + key(ui.Newer) + " newer, " + key(ui.Present) + " returns to now"
	if m.then.Connection.Link == source.Lost {
		text += dot + "the agent was out of reach"
	}
	if e := m.then.Recent.Events; len(e) > 0 && m.pastShown() {
		last := &e[len(e)-1]
		text += dot + "last " + last.Kind.String() + ": " + last.Object + " " + last.Text
	}
	return text
}
