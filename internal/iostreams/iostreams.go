// Package iostreams is what a command knows about the three standard streams:
// where to read and write, whether a person is looking, how wide the screen is
// and whether colour is welcome. It also draws the two shapes every listing
// comes in: a table of padded columns and indented JSON.
//
// It is not for prompts, and knows no command. Rules that keep it right:
// results go to Out and everything else to Err; nothing a stream prints depends
// on whether it is a terminal, except colour and the StatusLine; a write that
// fails is remembered, so that a full disk cannot pass for success.
package iostreams

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"strconv"
)

// DefaultWidth is the width assumed where nothing says how wide the screen is.
const DefaultWidth = 80

// Streams are the standard streams of one run of a command.
type Streams struct {
	In  io.Reader
	Out *Writer // results, and nothing but results
	Err *Writer // errors, hints and progress

	// The rest describes what the streams are connected to. System fills it
	// in; a test sets what it needs.

	InTerminal  bool
	OutTerminal bool
	ErrTerminal bool
	// ColorMode is "always" or "never" where somebody decided about colour;
	// anything else leaves it to the terminal and the environment.
	ColorMode string
	// Columns is the width of the terminal; zero means DefaultWidth.
	Columns int
	// Lines is the height of the terminal Out is; zero is unknown.
	Lines int
	// ErrColumns returns the width of the terminal Err is, which may change;
	// nil means Columns.
	ErrColumns func() int
	// LookupEnv finds the variables that steer colour and width. Nil means
	// that none is set.
	LookupEnv func(name string) (string, bool)
}

// System returns the streams of this process.
func System() *Streams {
	s := &Streams{
		In:        os.Stdin,
		Out:       NewWriter(os.Stdout),
		Err:       NewWriter(os.Stderr),
		LookupEnv: os.LookupEnv,
	}
	_, s.InTerminal = terminalWidth(os.Stdin.Fd())
	s.Columns, s.OutTerminal = terminalWidth(os.Stdout.Fd())
	s.Lines = terminalLines(os.Stdout.Fd())
	_, s.ErrTerminal = terminalWidth(os.Stderr.Fd())
	s.ErrColumns = func() int {
		columns, _ := terminalWidth(os.Stderr.Fd())
		return columns
	}
	return s
}

// Test returns streams that are in memory and no terminal: standard input
// reads in, the two buffers hold what was written.
func Test(in string) (s *Streams, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return &Streams{
		In:  bytes.NewBufferString(in),
		Out: NewWriter(out),
		Err: NewWriter(errOut),
	}, out, errOut
}

// Width returns how many columns a line on Out may have: COLUMNS where it is a
// positive number, else the terminal's width, else DefaultWidth.
func (s *Streams) Width() int {
	terminal := 0
	if s.OutTerminal {
		terminal = s.Columns
	}
	return s.width(terminal)
}

// Height returns how many lines the terminal Out is has: LINES where it is a
// positive number, else what the terminal says; zero where nobody knows.
func (s *Streams) Height() int {
	if n, err := strconv.Atoi(s.env("LINES")); err == nil && n > 0 {
		return n
	}
	return s.Lines
}

// errWidth is Width for Err.
func (s *Streams) errWidth() int {
	terminal := s.Columns
	if s.ErrColumns != nil {
		terminal = s.ErrColumns()
	}
	return s.width(terminal)
}

func (s *Streams) width(terminal int) int {
	n, err := strconv.Atoi(s.env("COLUMNS"))
	if err != nil {
		n = 0
	}
	return cmp.Or(max(n, 0), max(terminal, 0), DefaultWidth)
}

// ColorErr reports whether Err may carry colour.
func (s *Streams) ColorErr() bool { return s.color(s.ErrTerminal) }

// ColorOut reports whether Out may carry colour.
func (s *Streams) ColorOut() bool { return s.color(s.OutTerminal) }

// color follows ColorMode, then the conventions NO_COLOR (any value but the empty one turns
// colour off), CLICOLOR_FORCE (anything but 0 turns it on, also in a pipe) and
// CLICOLOR=0; otherwise a terminal that is not dumb gets colour.
func (s *Streams) color(terminal bool) bool {
	switch s.ColorMode {
	case "always":
		return true
	case "never":
		return false
	}
	if s.env("NO_COLOR") != "" {
		return false
	}
	if force := s.env("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	return terminal && s.env("CLICOLOR") != "0" && s.env("TERM") != "dumb"
}

func (s *Streams) env(name string) string {
	if s.LookupEnv == nil {
		return ""
	}
	v, _ := s.LookupEnv(name)
	return v
}

// Writer passes bytes on and remembers the first error. After an error it
// writes nothing more, and every Write returns that error. It is not safe for
// concurrent use.
type Writer struct {
	w      io.Writer
	err    error
	status *StatusLine // makes way for what is written; nil for none
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.status != nil {
		defer w.status.makeWay(p)()
	}
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}

// Raw returns what w writes to, for a program that is to write there itself.
func (w *Writer) Raw() io.Writer { return w.w }

// Failed returns the first error a Write met, or nil.
func (w *Writer) Failed() error { return w.err }
