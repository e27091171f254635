package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
)

// ErrPanic is what Run ends with after a fault of the dashboard itself. The
// terminal has been restored and a report written by then.
var ErrPanic = errors.New("the dashboard had a fault of its own")

// Terminal is where Run draws and reads.
type Terminal struct {
	In  *os.File // nil is the controlling terminal
	Out *os.File
	Env []string // nil is the process's own
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
	defer m.commands.end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &run{m: m, faults: c.Faults, signals: make(chan os.Signal, 4), resized: make(chan os.Signal, 1)}
	// Before the terminal is taken: a signal must not end the process with it.
	signal.Notify(r.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(r.signals)
	notifyResize(r.resized)
	defer signal.Stop(r.resized)
	if r.faults == nil {
		r.faults = NewFaults()
	}
	if t.Env == nil {
		t.Env = os.Environ()
	}
	closeInput, err := t.input()
	if err != nil {
		return err
	}
	defer closeInput()
	if err := r.begin(ctx, t); err != nil {
		return err
	}
	err = r.wait(ctx)
	stop()
	r.restore()
	select {
	case f := <-r.faults.all: // by which the program ended before it was seen
		r.fault = &f
	default:
	}
	if r.fault != nil {
		return r.fault.report(c.Reports, c.Version, os.Stderr)
	}
	return err
}

// run is one Run.
type run struct {
	m       *Model
	faults  *Faults
	fault   *fault   // the one that ended it
	display *display // nil where the library draws
	program *tea.Program
	restore func() // gives the terminal back

	signals, resized chan os.Signal
}

// begin takes the terminal and shows the first frame, which waits for nobody.
func (r *run) begin(ctx context.Context, t Terminal) error {
	p := &program{m: r.m, faults: r.faults}
	if runtime.GOOS == "windows" {
		// The library sets consoles up in ways of its own.
		r.restore = remember(t)
		r.program = tea.NewProgram(p, t.options(ctx)...)
		return nil
	}
	d, err := lookAt(t)
	if err != nil {
		return err
	}
	r.m.width, r.m.height = d.width, d.height
	r.m.profile(tea.ColorProfileMsg{Profile: d.profile})
	d.painter.Show(r.m.frame())
	d.take()
	d.sequence(questions)
	r.program = tea.NewProgram(p, d.options(ctx)...)
	d.send = r.program.Send
	painting, still := context.WithCancel(ctx)
	painted := make(chan struct{})
	go func() {
		defer close(painted)
		d.painter.Run(painting)
	}()
	p.display, r.display = d, d
	r.restore = func() {
		still()
		if d.release() {
			<-painted
		} // else it hangs in a write, and ends with the process
	}
	return nil
}

// wait runs the program until it ends, or must.
func (r *run) wait(ctx context.Context) error {
	finished := make(chan error, 1)
	go func() {
		_, err := r.program.Run()
		finished <- err
	}()
	var by os.Signal
	var late <-chan time.Time
	end := func() {
		late = time.After(lastWords)
		// It waits for the loop, which may hang in a write, and ends with the
		// program's context at the latest.
		go r.program.Quit()
	}
	for {
		select {
		case err := <-finished:
			if by != nil {
				return Signal{by}
			}
			return outcome(ctx, err)
		case s := <-r.signals:
			if by == nil {
				by = s
				end()
			}
		case <-r.resized:
			if r.display != nil {
				r.display.resized()
			}
		case f := <-r.faults.all:
			r.fault = &f
			if late == nil {
				end()
			}
			select {
			case <-finished: //nolint:errcheck // the fault is what is told
			case <-late:
			}
			return nil
		case <-late:
			// The loop hangs in a write and ends with the process.
			return Signal{by}
		}
	}
}

func (t Terminal) options(ctx context.Context) []tea.ProgramOption {
	return []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(t.In), tea.WithOutput(t.Out), tea.WithEnvironment(t.Env), tea.WithFilter(filtered), tea.WithoutSignalHandler()}
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
