package tui

import (
	"context"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
)

// How long one look at a context may take, and the pause until the next.
const (
	surveyTime  = 3 * time.Second
	surveyPause = 10 * time.Second
)

// surveys are looks at the clusters of all contexts, which go on for as long as a
// page shows them.
type surveys struct {
	ctx  context.Context
	stop context.CancelFunc
}

// surveyedMsg is a look at a context.
type surveyedMsg struct {
	of     *surveys
	name   string
	survey *source.Survey
}

// survey begins to look at all contexts when a page that shows them comes on the
// screen, and ends it when that goes.
func (m *Model) survey() tea.Cmd {
	_, wanted := m.at.page.(page.Surveyor)
	if !wanted || m.c.Survey == nil {
		m.endSurveys()
		return nil
	}
	if m.surveys != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	m.surveys = &surveys{ctx, stop}
	var cmds []tea.Cmd
	for i := range m.c.Contexts {
		cmds = append(cmds, m.lookAt(m.c.Contexts[i].Name, 0))
	}
	return tea.Batch(cmds...)
}

func (m *Model) endSurveys() {
	if m.surveys != nil {
		m.surveys.stop()
		m.surveys = nil
	}
}

// lookAt looks at a context after a pause.
func (m *Model) lookAt(name string, pause time.Duration) tea.Cmd {
	s, survey := m.surveys, m.c.Survey
	return func() tea.Msg {
		// Like a command of the operator's it ends with the dashboard.
		ctx, end, ok := m.commands.begin()
		if !ok {
			return nil
		}
		defer end()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(s.ctx, stop)()
		if pause > 0 && !backoff.Pause(ctx, pause) {
			return nil
		}
		ctx, stopLook := context.WithTimeout(ctx, surveyTime)
		defer stopLook()
		return surveyedMsg{s, name, survey(ctx, name)}
	}
}

// surveyed shows what was seen of a context, and looks again later.
func (m *Model) surveyed(msg surveyedMsg) tea.Cmd {
	if msg.of != m.surveys || msg.of == nil {
		return nil // nobody looks any more
	}
	m.keepSurvey(msg.name, msg.survey)
	m.at.page.Update(m.env())
	m.dirty = true
	return m.lookAt(msg.name, surveyPause)
}

// keepSurvey notes what was seen of a context. What pages hold stays as it is.
func (m *Model) keepSurvey(name string, s *source.Survey) {
	m.c.Contexts = slices.Clone(m.c.Contexts)
	for i := range m.c.Contexts {
		if m.c.Contexts[i].Name == name {
			m.c.Contexts[i].Survey = s
		}
	}
}

// surveyOnce looks at all contexts, if the page shows them, and waits for it.
func (m *Model) surveyOnce(ctx context.Context) {
	if _, wanted := m.at.page.(page.Surveyor); !wanted || m.c.Survey == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, surveyTime)
	defer stop()
	seen := make([]*source.Survey, len(m.c.Contexts))
	var wg sync.WaitGroup
	for i := range m.c.Contexts {
		wg.Go(func() { seen[i] = m.c.Survey(ctx, m.c.Contexts[i].Name) })
	}
	wg.Wait()
	for i, s := range seen {
		m.keepSurvey(m.c.Contexts[i].Name, s)
	}
	m.at.page.Update(m.env())
}
