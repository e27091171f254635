package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
)

// ErrPanic is what Run ends with after a fault of the dashboard itself. The
// terminal has been restored and the fault printed by then.
var ErrPanic = errors.New("the dashboard had a fault of its own; please report what stands above, and ctl version")

// Terminal is where Run draws and reads.
type Terminal struct {
	In  *os.File // nil is the controlling terminal
	Out *os.File
	Env []string
}

// Signal is the error of a Run that a signal ended. The terminal has been
// restored.
type Signal struct{ os.Signal }

// Error implements error.
func (s Signal) Error() string { return "ended by signal: " + s.String() }

// lastWords is how long a terminal may take to be given back. One that does not
// read any more cannot be told; its settings are restored all the same.
const lastWords = 2 * time.Second

// Run shows the dashboard until the operator quits, ctx ends or a signal comes,
// and gives the terminal back as it was in each case. The session given is
// closed, and those switched to.
func Run(ctx context.Context, c Config, t Terminal) error {
	m := New(c)
	defer m.end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	restore := remember(t)
	p := tea.NewProgram(m, t.options(ctx)...)

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	finished := make(chan error, 1)
	go func() {
		_, err := p.Run()
		finished <- err
	}()
	var by os.Signal
	var late <-chan time.Time
	for {
		select {
		case err := <-finished:
			if by != nil {
				return Signal{by}
			}
			return outcome(ctx, err)
		case s := <-signals:
			if by == nil {
				by = s
				late = time.After(lastWords)
				// It waits for the loop, which may hang in a write, and ends
				// with the program's context at the latest.
				go p.Quit()
			}
		case <-late:
			// The loop hangs in a write and ends with the process.
			restore()
			return Signal{by}
		}
	}
}

func (t Terminal) options(ctx context.Context) []tea.ProgramOption {
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithOutput(t.Out), tea.WithFilter(Filter), tea.WithoutSignalHandler()}
	if t.In != nil {
		options = append(options, tea.WithInput(t.In))
	}
	if t.Env != nil {
		options = append(options, tea.WithEnvironment(t.Env))
	}
	return options
}

// remember returns what puts the settings of the terminal back.
func remember(t Terminal) (restore func()) {
	f := t.In
	if f == nil || !term.IsTerminal(f.Fd()) {
		f = t.Out
	}
	state, err := term.GetState(f.Fd())
	if err != nil {
		return func() {}
	}
	return func() {
		_ = term.Restore(f.Fd(), state) // there is nobody left to tell
	}
}

// outcome turns what the program ended with into what Run ends with.
func outcome(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return ErrPanic
	case err == nil, errors.Is(err, tea.ErrInterrupted), errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("run the dashboard: %w", err)
}
