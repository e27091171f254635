package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"

	"github.com/charmbracelet/x/ansi"
)

// Form is how Once writes a page.
type Form uint8

// The forms of Once.
const (
	// AsScreen is the page as the dashboard draws it, as long as it is.
	AsScreen Form = iota
	// AsJSON is the data the page shows.
	AsJSON
)

// Once writes the page the dashboard would start with, as soon as all of it has
// been answered, and returns. It fails with the reason if the agent is not
// reached before ctx ends, and if what the page is about could not be read.
func Once(ctx context.Context, c Config, w io.Writer, form Form, width int) error {
	m, err := settle(ctx, c)
	if err != nil {
		return err
	}
	defer m.end()
	if form == AsJSON {
		b, err := jsonText(m.at.page.Data(m.env()))
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	g, _, _ := m.at.page.Grid()
	// Long enough for everything: rows, facts around them and the figures of
	// the overview.
	height := max(40, g.Len()+30)
	m.width, m.height = width, height
	lines := m.header(width, height)
	lines = append(lines, m.banners(width, height)...)
	lines = append(lines, m.at.page.View(m.env(), width, height)...)
	if m.c.Looks.Plain || m.c.Looks.Dumb {
		lines = Plain(lines)
	}
	lines = squeeze(lines, m.theme.Glyphs.Vertical)
	_, err = io.WriteString(w, strings.TrimRight(strings.Join(lines, "\n"), "\n ")+"\n")
	return err
}

// squeeze leaves one of every run of lines that only fill the screen: those with
// nothing but blanks and the rule between two columns.
func squeeze(lines []string, rule string) []string {
	kept, filler := lines[:0:0], false
	for _, l := range lines {
		text := strings.TrimSpace(ansi.Strip(l))
		empty := text == "" || text == rule
		if !empty || !filler {
			kept = append(kept, l)
		}
		filler = empty
	}
	return kept
}

// tries is how often an agent is tried for somebody who does not want to watch.
const tries = 3

// settle returns a model whose first page has all it asked for.
func settle(ctx context.Context, c Config) (*Model, error) {
	m := New(c)
	feed := c.Session.Feed
	if b, ok := m.at.page.(page.Beginner); ok {
		if err := m.answerNow(ctx, b.Begin(m.env())); err != nil {
			m.end()
			return nil, err
		}
	}
	for {
		m.take()
		conn := &m.state.Connection
		switch {
		case conn.Link == source.Connected && m.at.page.Ready(m.state):
			m.at.page.Update(m.env())
			m.surveyOnce(ctx)
			return m, nil
		case conn.Link != source.Connected && conn.Problem != nil && conn.Problem.Kind == source.Denied:
			m.end()
			return nil, conn.Problem
		case conn.Link != source.Connected && conn.Problem != nil && conn.Attempt >= tries:
			m.end()
			return nil, fmt.Errorf("reach the agent at %s: %w", conn.Address, conn.Problem)
		}
		select {
		case <-feed.Changed():
		case <-ctx.Done():
			m.end()
			if conn.Problem != nil {
				return nil, fmt.Errorf("reach the agent at %s: %w", conn.Address, conn.Problem)
			}
			return nil, fmt.Errorf("the agent at %s did not answer everything in time", conn.Address)
		}
	}
}

// answerNow carries out the question a page begins with; other effects make no
// sense without somebody to look.
func (m *Model) answerNow(ctx context.Context, e page.Effect) error {
	if e.Probe == nil {
		return nil
	}
	// The name is asked once the agent is known to be there.
	for m.c.Session.Feed.Current().Connection.Link != source.Connected {
		select {
		case <-m.c.Session.Feed.Changed():
		case <-ctx.Done():
			return fmt.Errorf("reach the agent at %s: %w", m.c.Session.Feed.Current().Connection.Address, ctx.Err())
		}
	}
	a, err := m.c.Session.Feed.Probe(ctx, *e.Probe)
	e.Reply(a, err)
	return err
}

// sheetLines is a sheet as lines of text, columns padded.
func sheetLines(s page.Sheet) []string {
	out := append([]string(nil), s.Facts...)
	if s.Note != "" {
		return append(out, s.Note)
	}
	if len(s.Rows) == 0 {
		return out
	}
	widths := make([]int, len(s.Titles))
	for _, row := range append([][]string{s.Titles}, s.Rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], ui.Width(ui.Clean(c)))
		}
	}
	for _, row := range append([][]string{s.Titles}, s.Rows...) {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(ui.Pad(ui.Clean(c), widths[i], "") + "  ")
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}

// OncePatience is how long Once should be given.
const OncePatience = 10 * time.Second
