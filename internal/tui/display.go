package tui

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"

	"github.com/ctl-sh/ctl/internal/tui/paint"
)

// display is the terminal while the dashboard has it: raw, and painted on.
type display struct {
	t       Terminal
	painter *paint.Painter
	width   int
	height  int
	profile colorprofile.Profile
	// send tells the loop something; set before the loop runs.
	send func(tea.Msg)

	mu     sync.Mutex
	cooked *term.State // what it was; nil where it is so now
}

// lookAt finds out what the terminal is like. It takes nothing yet.
func lookAt(t Terminal) (*display, error) {
	d := &display{t: t, painter: paint.New(t.Out), profile: colorprofile.Detect(t.Out, t.Env)}
	var err error
	if d.width, d.height, err = term.GetSize(t.Out.Fd()); err != nil {
		return nil, fmt.Errorf("ask the terminal for its size: %w", err)
	}
	if d.width <= 0 || d.height <= 0 {
		d.width, d.height = 80, 24 // a serial line does not know
	}
	return d, nil
}

// take takes the terminal, and tells the loop if it has another size now.
func (d *display) take() {
	d.mu.Lock()
	if d.cooked == nil && term.IsTerminal(d.t.In.Fd()) {
		// Where it cannot be made raw, keys come after a line each.
		d.cooked, _ = term.MakeRaw(d.t.In.Fd())
	}
	d.mu.Unlock()
	d.painter.Enter()
	d.resized()
}

// release gives the terminal back as it was. It waits for a terminal that does
// not read for as long as lastWords; its settings are restored all the same. It
// reports whether the terminal took what it was told.
func (d *display) release() (told bool) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		d.painter.Leave()
	}()
	select {
	case <-left:
		told = true
	case <-time.After(lastWords):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cooked != nil {
		_ = term.Restore(d.t.In.Fd(), d.cooked) // there is nobody left to tell
		d.cooked = nil
	}
	return told
}

// resized tells the loop the size. The loop may not take messages yet, or any
// more: it is not waited for.
func (d *display) resized() {
	w, h, err := term.GetSize(d.t.Out.Fd())
	if err != nil || w <= 0 || h <= 0 || d.send == nil {
		return
	}
	go d.send(tea.WindowSizeMsg{Width: w, Height: h})
}

func (d *display) sequence(text string) { _, _ = d.painter.Write([]byte(text)) } // it does not fail

// questions are what is asked of the terminal. Nothing waits for the answers.
const questions = ansi.RequestBackgroundColor + ansi.RequestModeSynchronizedOutput + ansi.RequestModeUnicodeCore

// options are those of the library where the painter draws: it reads keys and runs
// the loop, and looks once a second, not sixty times, whether it has anything to
// write, which it never has.
func (d *display) options(ctx context.Context) []tea.ProgramOption {
	return []tea.ProgramOption{
		tea.WithContext(ctx), tea.WithInput(d.t.In), tea.WithOutput(d.painter), tea.WithEnvironment(d.t.Env), tea.WithoutRenderer(), tea.WithFPS(1),
		tea.WithColorProfile(d.profile), tea.WithWindowSize(d.width, d.height), tea.WithFilter(filtered), tea.WithoutSignalHandler(),
	}
}

// filtered is Filter for the model in a program.
func filtered(m tea.Model, msg tea.Msg) tea.Msg {
	if p, ok := m.(*program); ok {
		m = p.m
	}
	return Filter(m, msg)
}

// input returns where keys are read from: that of t, or the controlling terminal.
func (t *Terminal) input() (end func(), err error) {
	if t.In != nil {
		return func() {}, nil
	}
	in, out, err := tea.OpenTTY()
	if err != nil {
		return nil, fmt.Errorf("open the terminal to read keys from: %w", err)
	}
	t.In = in
	return func() {
		for _, f := range []*os.File{in, out} {
			if f != nil {
				_ = f.Close() // nothing was written to it
			}
		}
	}, nil
}
