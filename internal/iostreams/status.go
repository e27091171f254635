package iostreams

import (
	"io"
	"sync"
)

// StatusLine is the last line on the terminal of standard error, drawn over
// again and again while something lasts. What is written to the streams
// meanwhile goes above it. Its methods may be called by any goroutine.
type StatusLine struct {
	s *Streams

	mu     sync.Mutex
	shown  bool
	inLine bool // what was written last does not end its line
}

// eraseLine goes to the start of the line and erases it. Source: ECMA-48.
const eraseLine = "\r\x1b[K"

// OpenStatusLine puts a status line on standard error, which must have none.
// Draw does nothing where that is no terminal that can be drawn on. Close it.
func (s *Streams) OpenStatusLine() *StatusLine {
	l := &StatusLine{s: s}
	s.Err.status = l
	if s.OutTerminal { // the same one, in all likelihood
		s.Out.status = l
	}
	return l
}

// CanDraw reports whether standard error is a terminal that can be drawn on.
func (s *Streams) CanDraw() bool { return s.ErrTerminal && s.env("TERM") != "dumb" }

// Width returns how many columns Draw has.
func (l *StatusLine) Width() int { return l.s.errWidth() - 1 } // the last one may wrap

// Draw shows text instead of what was shown before, cut to Width. Control
// characters are shown as escapes.
func (l *StatusLine) Draw(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.s.CanDraw() || l.inLine {
		return
	}
	runes := []rune(printable(text))
	l.write(eraseLine + string(runes[:min(len(runes), l.Width())]))
	l.shown = true
}

// Print writes a line of its own to standard error, terminal or not. Unlike
// Streams.Err it may be used beside the goroutine that writes there.
func (l *StatusLine) Print(text string) {
	defer l.makeWay([]byte("\n"))()
	l.write(text + "\n")
}

// Close takes the line away.
func (l *StatusLine) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	l.s.Err.status, l.s.Out.status = nil, nil
}

// makeWay takes the line away for p, which is about to be written. The line
// stays away until release.
func (l *StatusLine) makeWay(p []byte) (release func()) {
	l.mu.Lock()
	l.erase()
	if len(p) > 0 {
		l.inLine = p[len(p)-1] != '\n'
	}
	return l.mu.Unlock
}

func (l *StatusLine) erase() {
	if l.shown {
		l.write(eraseLine)
		l.shown = false
	}
}

// write draws. A terminal that went away is found out by what matters.
func (l *StatusLine) write(text string) { _, _ = io.WriteString(l.s.Err.w, text) }
