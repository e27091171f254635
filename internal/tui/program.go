package tui

import (
	"io"
	"os/exec"
	"runtime/debug"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/ctl-sh/ctl/internal/tui/paint"
)

// Messages by which the model asks something of the terminal.
type (
	redrawMsg  struct{}
	suspendMsg struct{}
	copyMsg    string
	editMsg    struct {
		cmd *exec.Cmd
		// errors is told of the standard error, too, where it is not nil.
		errors io.Writer
		then   func(error) tea.Msg
	}
)

// program is the model as the loop runs it: what it draws goes to a painter, and
// what it wants of the terminal is done here. Where there is no painter the
// library draws.
type program struct {
	m       *Model
	display *display // nil for the library's own
	faults  *Faults
}

// Init implements tea.Model.
func (p *program) Init() (cmd tea.Cmd) {
	defer p.caught(&cmd)
	cmd = p.guard(p.m.Init())
	if p.display == nil {
		return tea.Batch(cmd, tea.RequestBackgroundColor)
	}
	return cmd
}

// Update implements tea.Model.
func (p *program) Update(msg tea.Msg) (model tea.Model, cmd tea.Cmd) {
	model = p // after a fault, too
	defer p.caught(&cmd)
	switch msg := msg.(type) {
	case redrawMsg:
		if p.display == nil {
			return p, tea.ClearScreen
		}
		p.m.anew++
		p.m.dirty = true
		return p, nil
	case suspendMsg:
		return p, p.suspend
	case copyMsg:
		if p.display == nil {
			return p, tea.SetClipboard(string(msg))
		}
		p.display.sequence(ansi.SetSystemClipboard(string(msg)))
		return p, nil
	case editMsg:
		return p, tea.Exec(&outside{Cmd: msg.cmd, display: p.display, errors: msg.errors}, func(err error) tea.Msg { return msg.then(err) })
	case tea.ResumeMsg:
		if p.display != nil {
			p.display.take()
		}
	case tea.ModeReportMsg:
		p.modes(msg)
	}
	_, cmd = p.m.Update(msg)
	return p, p.guard(cmd)
}

// View implements tea.Model. The library calls it after every message.
func (p *program) View() (v tea.View) {
	defer p.caught(nil)
	if p.display == nil {
		return p.m.View()
	}
	if p.m.dirty {
		p.display.painter.Show(p.m.frame())
	}
	return v
}

// modes uses what the terminal says it can do.
func (p *program) modes(msg tea.ModeReportMsg) {
	switch {
	case p.display == nil:
	case msg.Mode == ansi.ModeSynchronizedOutput && msg.Value == ansi.ModeReset:
		p.display.painter.Whole()
	case msg.Mode == ansi.ModeUnicodeCore && msg.Value == ansi.ModeReset:
		// Widths are measured as such a terminal shows them.
		p.display.painter.Graphemes()
	}
}

// suspend gives the terminal back before the program stops.
func (p *program) suspend() tea.Msg {
	if p.display != nil {
		p.display.release()
	}
	return tea.SuspendMsg{}
}

// guard makes a command report its fault instead of ending the process with the
// terminal as it is.
func (p *program) guard(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer func() {
			if r := recover(); r != nil {
				p.faults.Report(r, debug.Stack())
				msg = tea.QuitMsg{}
			}
		}()
		msg = cmd()
		if all, ok := msg.(tea.BatchMsg); ok {
			for i := range all {
				all[i] = p.guard(all[i])
			}
		}
		return msg
	}
}

// caught reports a fault of the model; the dashboard ends then.
func (p *program) caught(cmd *tea.Cmd) {
	if r := recover(); r != nil {
		p.faults.Report(r, debug.Stack())
		if cmd != nil {
			*cmd = tea.Quit
		}
	}
}

// outside is a command that has the terminal to itself while it runs.
type outside struct {
	*exec.Cmd
	display *display
	errors  io.Writer
}

// SetStdin implements tea.ExecCommand.
func (o *outside) SetStdin(r io.Reader) { o.Stdin = r }

// SetStdout implements tea.ExecCommand.
func (o *outside) SetStdout(w io.Writer) {
	if o.display != nil {
		w = o.display.t.Out
	}
	o.Stdout = w
}

// SetStderr implements tea.ExecCommand.
func (o *outside) SetStderr(w io.Writer) {
	if o.errors != nil {
		w = io.MultiWriter(w, o.errors)
	}
	o.Stderr = w
}

// Run implements tea.ExecCommand.
func (o *outside) Run() error {
	if o.display != nil {
		o.display.release()
		defer o.display.take()
	}
	return o.Cmd.Run()
}

// frame draws a frame.
func (m *Model) frame() *paint.Frame {
	v, lines := m.draw()
	f := &paint.Frame{Width: m.width, Height: m.height, Lines: lines, Line: -1, Title: v.WindowTitle, Mouse: m.mouse, Anew: m.anew}
	if v.Cursor != nil {
		f.Column, f.Line = v.Cursor.X, v.Cursor.Y
	}
	return f
}
