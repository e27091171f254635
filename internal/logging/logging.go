// Package logging is where ctl's log lines are formatted and where they go: the
// console, a rotated file, syslog, and the readers of the monitor stream.
//
// It is not for metrics or audit. Everything in ctl logs through a *slog.Logger
// that was handed to it; there is no global logger. Rules that keep it right:
// a line is one line (control characters are escaped, so nothing logged can
// forge another line); the part after the level reads "component: message:
// key=value", as operators of Consul grep it; only the console is written in
// the caller's goroutine, so that a full or hanging disk, a dead syslog daemon
// or a slow monitor never holds up the agent; lines that had to be dropped are
// counted and said. No secret and no stored value is ever logged: that is the
// callers' part.
//
// The behaviour of log_file, log_rotate_* and log_level follows the public
// description of Consul's agent configuration; differences are said where they
// are made.
package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultComponent is the component of the logger that Logs.Logger returns and
// of what this package itself has to say.
const DefaultComponent = "agent"

// Config says what is logged, how, and to where.
type Config struct {
	Level string // a name ParseLevel knows; empty is INFO
	JSON  bool   // one JSON object a line instead of text, on every output

	// File is the live log file, or a directory (an existing one, or a path
	// that ends in a separator) that gets a file DefaultFileName. Missing
	// directories are created. Empty means no file.
	File string
	// RotateBytes archives the file before a write once it holds at least so
	// many bytes. Zero is never.
	RotateBytes int
	// RotateDuration archives the file before a write once it has been open
	// that long. Zero is never.
	RotateDuration time.Duration
	// RotateMaxFiles is how many archives are kept: 0 all, -1 none.
	RotateMaxFiles int

	Syslog         bool
	SyslogFacility string // empty is LOCAL0

	// Console is written in the goroutine that logs, one whole line a call,
	// never two at a time. Nil means no console. Its errors are ignored.
	Console io.Writer

	syslogPaths []string // for tests; nil is where the daemon listens
}

// Logs owns the outputs. Open makes it, Close ends it; its methods may be called
// from any goroutine, and so may the loggers made from it, even after Close,
// when only the console is left.
type Logs struct {
	json  bool
	floor slog.LevelVar // the lowest level anybody wants: what Enabled asks

	consoleMu sync.Mutex
	console   io.Writer

	file   *output // nil without one
	syslog *output // nil without one

	mu    sync.Mutex // guards level changes and the list of subscriptions
	level slog.LevelVar
	subs  atomic.Pointer[[]*Subscription] // replaced, never changed
	done  bool
}

// Open sets up the outputs. It fails when the level or the facility is unknown
// or the file cannot be opened; the text names the configuration key. A syslog
// daemon that does not answer is no failure: the other outputs carry a warning,
// lines for it are kept (the newest megabyte), and it is tried again until it
// answers.
func Open(c Config) (*Logs, error) {
	level := slog.LevelInfo
	if c.Level != "" {
		var err error
		if level, err = ParseLevel(c.Level); err != nil {
			return nil, err
		}
	}
	l := &Logs{json: c.JSON, console: c.Console}
	l.subs.Store(&[]*Subscription{})
	l.level.Set(level)
	l.floor.Set(level)
	var sys *syslogWriter
	if c.Syslog {
		var err error
		if sys, err = newSyslogWriter(c.SyslogFacility, c.syslogPaths); err != nil {
			return nil, err
		}
	}
	if c.File != "" {
		f, err := openFile(c)
		if err != nil {
			return nil, fmt.Errorf("log_file: %w", err)
		}
		l.file = newOutput(f, maxFileBacklog)
		f.say, f.format = l.saying(l.file), l.format
		l.file.start()
	}
	if sys != nil {
		l.syslog = newOutput(sys, maxSyslogBacklog)
		sys.say, sys.format = l.saying(l.syslog), l.format
		sys.connectFirst()
		l.syslog.start()
	}
	return l, nil
}

// Logger returns the root logger. Components derive theirs by
// With(KeyComponent, "agent.server").
func (l *Logs) Logger() *slog.Logger {
	return slog.New(&handler{logs: l, component: DefaultComponent})
}

// Level returns the name of the current level.
func (l *Logs) Level() string { return LevelName(l.level.Level()) }

// SetLevel changes the level of console, file and syslog, not of subscriptions.
// An unknown name is an error and changes nothing.
func (l *Logs) SetLevel(name string) error {
	level, err := ParseLevel(name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.level.Set(level)
	l.lowerFloor()
	return nil
}

// lowerFloor recomputes the lowest level anybody wants; l.mu is held.
func (l *Logs) lowerFloor() {
	floor := l.level.Level()
	for _, s := range *l.subs.Load() {
		floor = min(floor, s.level)
	}
	l.floor.Set(floor)
}

// Close writes out what is queued, closes file and syslog, and ends every
// subscription. It waits for at most a few seconds and then fails, naming the
// output that would not end. Calling it again does nothing.
func (l *Logs) Close() error {
	l.mu.Lock()
	done := l.done
	l.done = true
	l.mu.Unlock()
	if done {
		return nil
	}
	for _, s := range *l.subs.Load() {
		s.Close()
	}
	var errs []error
	if l.syslog != nil {
		errs = append(errs, l.syslog.close("syslog"))
	}
	if l.file != nil {
		errs = append(errs, l.file.close("log file"))
	}
	return errors.Join(errs...)
}

// deliver hands one record to every output that wants it, but not to except.
func (l *Logs) deliver(e *entry, except *output) {
	if e.level >= l.level.Level() {
		if l.console != nil {
			l.consoleMu.Lock()
			_, _ = l.console.Write(e.line(l.json)) // nowhere left to report it
			l.consoleMu.Unlock()
		}
		for _, o := range []*output{l.file, l.syslog} {
			if o != nil && o != except {
				o.queue.push(queued{e.line(l.json), e.level})
			}
		}
	}
	for _, s := range *l.subs.Load() {
		if e.level >= s.level {
			s.queue.push(queued{e.line(s.json), e.level})
		}
	}
}

// sayer writes a line of this package's own.
type sayer func(level slog.Level, msg string, attrs ...slog.Attr)

// saying returns a sayer to every output but except, which is in trouble.
func (l *Logs) saying(except *output) sayer {
	return func(level slog.Level, msg string, attrs ...slog.Attr) {
		l.deliver(l.own(level, msg, attrs), except)
	}
}

// format returns a line of this package's own, for one output.
func (l *Logs) format(level slog.Level, msg string, attrs ...slog.Attr) []byte {
	return l.own(level, msg, attrs).line(l.json)
}

func (l *Logs) own(level slog.Level, msg string, attrs []slog.Attr) *entry {
	r := slog.NewRecord(time.Now(), level, msg, 0)
	r.AddAttrs(attrs...)
	return newEntry(&handler{component: DefaultComponent}, r)
}

// handler is the slog.Handler of every logger made from Logs.
type handler struct {
	logs      *Logs
	component string
	group     string      // dotted, with a dot at its end; or empty
	attrs     []slog.Attr // flat, resolved, keys dotted
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logs.floor.Level()
}

// Handle implements slog.Handler. It never fails.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	h.logs.deliver(newEntry(h, r), nil)
	return nil
}

// WithAttrs implements slog.Handler. A KeyComponent outside of any group
// replaces the component.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	flat := entry{attrs: slices.Clip(h.attrs)}
	for _, a := range attrs {
		if c.group == "" && a.Key == KeyComponent {
			c.component = a.Value.Resolve().String()
			continue
		}
		flat.add(c.group, a)
	}
	c.attrs = flat.attrs
	return &c
}

// WithGroup implements slog.Handler. Groups become dotted keys.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group = h.group + name + "."
	return &c
}
