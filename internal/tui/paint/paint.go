// Package paint writes frames to a terminal: what differs from the frame before,
// at once after a pause, and a moment later while they come in quick succession.
//
// It is not for layout: a frame is finished lines. Rules that keep it right:
//
//   - Nobody who shows a frame waits for the terminal. Only the newest frame
//     counts; a terminal that does not read costs nothing but staleness.
//   - Nothing is written, and nothing wakes, while nothing changes.
//   - Lines are compared, not cells: a screen is a few dozen strings, and most of
//     them stay as they are. What moved as a block is moved by the terminal.
//
// The library's own renderer looks sixty times a second whether there is anything
// to do, takes every frame apart into cells, and makes the first one wait for its
// clock. See docs/decisions/0032-paint-lines.md.
package paint

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Frame is what a terminal is to show. Its lines must not be changed afterwards.
type Frame struct {
	// Width and Height are the terminal's.
	Width, Height int
	// Lines are from the top; each is at most Width cells, and each style in
	// it ends in it. Lines beyond Height are left out.
	Lines []string
	// Column and Line are where text is typed, from 0; a negative Line is
	// nowhere.
	Column, Line int
	Title        string
	// Mouse asks for clicks and the wheel.
	Mouse bool
	// Anew makes the whole screen be written when it differs from that of
	// the frame before.
	Anew int
}

// Pause is the least time between two frames.
const Pause = 8 * time.Millisecond

// Painter owns what is written to a terminal. Build it with New, let it live in
// Run. Show and Write never block; Enter and Leave wait until the terminal has
// taken what is being written.
type Painter struct {
	out  io.Writer
	wake chan struct{}

	mu   sync.Mutex // never held while writing
	next *Frame     // the newest, nil for none yet
	raw  []byte     // sequences to be written as they are
	sync bool       // the terminal can take a frame as a whole
	core bool       // it measures text by graphemes, if told to

	// writing is held while writing, and before mu where both are.
	writing sync.Mutex
	on      bool   // between Enter and Leave
	last    *Frame // what is on the screen, nil for nothing of ours
	lines   []string
	buf     []byte
}

// New returns a painter that has not begun. Nothing is written before Enter.
func New(out io.Writer) *Painter {
	return &Painter{out: out, wake: make(chan struct{}, 1)}
}

// Run writes until ctx ends. It may end later than that, where the terminal does
// not take what is being written.
func (p *Painter) Run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		p.Flush()
		pause.Reset(Pause)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// Show makes f the frame to be shown.
func (p *Painter) Show(f *Frame) {
	p.mu.Lock()
	p.next = f
	p.mu.Unlock()
	p.poke()
}

// Write has b, which must be whole sequences, written before the next frame. It
// takes all of it and does not fail.
func (p *Painter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	p.raw = append(p.raw, b...)
	p.mu.Unlock()
	p.poke()
	return len(b), nil
}

// Whole says that the terminal understands synchronized output (mode 2026), so
// that no half of a frame is ever seen.
func (p *Painter) Whole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sync = true
}

// Graphemes says that the terminal can measure text as it is read, by graphemes
// (mode 2027), as lines are measured here.
func (p *Painter) Graphemes() {
	p.mu.Lock()
	p.core = true
	p.raw = append(p.raw, ansi.SetModeUnicodeCore...)
	p.mu.Unlock()
	p.poke()
}

// graphemes reports whether Graphemes was called.
func (p *Painter) graphemes() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core
}

func (p *Painter) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// The modes of a full screen: another buffer, no cursor, no wrapping of lines,
// pastes marked as such, and keys told apart.
const (
	modesOn = ansi.SetModeAltScreenSaveCursor + ansi.ResetModeTextCursorEnable + ansi.ResetModeAutoWrap + ansi.SetModeBracketedPaste +
		ansi.SetModifyOtherKeys2
	modesOff = ansi.ResetModifyOtherKeys + ansi.ResetModeBracketedPaste + ansi.SetModeAutoWrap + ansi.SetModeTextCursorEnable +
		ansi.ResetModeAltScreenSaveCursor
	mouseOn  = ansi.SetModeMouseButtonEvent + ansi.SetModeMouseExtSgr
	mouseOff = ansi.ResetModeMouseButtonEvent + ansi.ResetModeMouseExtSgr
	keyFlags = 1 // of the Kitty protocol: keys that other modes confuse
)

// Enter takes the screen and shows the newest frame on it.
func (p *Painter) Enter() {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.on {
		return
	}
	p.on, p.last, p.lines = true, nil, nil
	p.buf = append(p.buf[:0], modesOn...)
	p.buf = append(p.buf, ansi.PushKittyKeyboard(keyFlags)...)
	if p.graphemes() {
		p.buf = append(p.buf, ansi.SetModeUnicodeCore...)
	}
	p.flush()
}

// Leave gives the screen back. What is shown or written afterwards is kept until
// the next Enter.
func (p *Painter) Leave() {
	p.writing.Lock()
	defer p.writing.Unlock()
	if !p.on {
		return
	}
	p.buf = p.buf[:0]
	if p.last != nil && p.last.Mouse {
		p.buf = append(p.buf, mouseOff...)
	}
	if p.last != nil && p.last.Title != "" {
		p.buf = append(p.buf, ansi.SetWindowTitle("")...)
	}
	if p.graphemes() {
		p.buf = append(p.buf, ansi.ResetModeUnicodeCore...)
	}
	p.buf = append(append(p.buf, ansi.PopKittyKeyboard(1)...), modesOff...)
	p.on, p.last, p.lines = false, nil, nil
	p.write()
}

// Flush writes what there is now. It blocks while the terminal does not read.
func (p *Painter) Flush() {
	p.writing.Lock()
	defer p.writing.Unlock()
	if !p.on {
		return
	}
	p.buf = p.buf[:0]
	p.flush()
}

// flush appends what there is to buf and writes it.
func (p *Painter) flush() {
	p.mu.Lock()
	f, whole := p.next, p.sync
	p.buf, p.raw = append(p.buf, p.raw...), p.raw[:0]
	p.mu.Unlock()
	if f != nil && f != p.last {
		from := len(p.buf)
		if whole {
			p.buf = append(p.buf, ansi.SetModeSynchronizedOutput...)
		}
		before := len(p.buf)
		p.paint(f)
		switch {
		case len(p.buf) == before:
			p.buf = p.buf[:from] // nothing to see
		case whole:
			p.buf = append(p.buf, ansi.ResetModeSynchronizedOutput...)
		}
	}
	p.write()
}

func (p *Painter) write() {
	if len(p.buf) > 0 {
		// A terminal that is gone says so to who reads from it, and by a
		// signal.
		_, _ = p.out.Write(p.buf)
	}
}

// paint appends what makes f of what is on the screen.
func (p *Painter) paint(f *Frame) {
	last := p.last
	p.last = f
	if last == nil {
		last = &Frame{Line: -1}
	}
	if f.Title != last.Title {
		p.buf = append(p.buf, ansi.SetWindowTitle(f.Title)...)
	}
	switch {
	case f.Mouse == last.Mouse:
	case f.Mouse:
		p.buf = append(p.buf, mouseOn...)
	default:
		p.buf = append(p.buf, mouseOff...)
	}
	before := len(p.buf)
	if last.Line >= 0 {
		p.buf = append(p.buf, ansi.ResetModeTextCursorEnable...)
	}
	drawn := len(p.buf)
	if p.lines == nil || f.Width != last.Width || f.Height != last.Height || f.Anew != last.Anew {
		p.buf = append(p.buf, "\x1b[m\x1b[H\x1b[2J"...)
		p.lines = make([]string, f.Height)
	}
	p.scroll(f)
	for i := range p.lines {
		if line := f.line(i); line != p.lines[i] {
			p.line(i, p.lines[i], line, f.Width)
			p.lines[i] = line
		}
	}
	switch {
	case f.Line >= 0 && (len(p.buf) > drawn || f.Line != last.Line || f.Column != last.Column):
		p.buf = append(p.buf, ansi.CursorPosition(f.Column+1, f.Line+1)...)
		p.buf = append(p.buf, ansi.SetModeTextCursorEnable...)
	case f.Line >= 0:
		p.buf = p.buf[:before] // it stands where it stood
	}
}

func (f *Frame) line(i int) string {
	if i < len(f.Lines) {
		return f.Lines[i]
	}
	return ""
}

// line appends what makes the i-th line of the screen, which shows old, show now.
func (p *Painter) line(i int, old, now string, width int) {
	at, column := common(old, now)
	p.buf = append(p.buf, "\x1b["...)
	p.buf = strconv.AppendInt(p.buf, int64(i+1), 10)
	if column > 0 {
		p.buf = append(p.buf, ';')
		p.buf = strconv.AppendInt(p.buf, int64(column+1), 10)
	}
	p.buf = append(p.buf, 'H')
	p.buf = append(p.buf, now[at:]...)
	if strings.IndexByte(now, ansi.ESC) >= 0 && !strings.HasSuffix(now, "\x1b[m") {
		p.buf = append(p.buf, "\x1b[m"...)
	}
	// In the last column the cursor stands on what was just written.
	if cells(now) < width {
		p.buf = append(p.buf, "\x1b[K"...)
	}
}

// cells returns how many cells a line takes.
func cells(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ansi.ESC:
			if i = escape(s, i); i == len(s) {
				return n
			}
		case c >= 0x80:
			return ansi.StringWidth(s)
		default:
			n++
		}
	}
	return n
}

// escape returns where the sequence that begins at i ends: the place of its last
// byte, or the end of s. Lines hold styles only.
func escape(s string, i int) int {
	for i += 2; i < len(s); i++ {
		if c := s[i]; c >= 0x40 && c <= 0x7e {
			return i
		}
	}
	return len(s)
}

// worth is how many bytes at the beginning of a line must be as before to be left
// as they are.
const worth = 16

// common returns how much at the beginning of now is on the screen already, in
// bytes and in cells. It ends where no style is in force and before a letter of
// ASCII, which joins with nothing before it.
func common(old, now string) (at, column int) {
	styled := false
	for i := 0; i < len(old) && i < len(now) && old[i] == now[i]; i++ {
		switch c := now[i]; {
		case c == ansi.ESC:
			end := escape(now, i)
			if end == len(now) || end >= len(old) || old[i:end+1] != now[i:end+1] {
				return rest(now, at)
			}
			params := now[i+2 : end]
			styled = params != "" && params != "0"
			i = end
		case c < 0x80 && !styled:
			at = i
		}
	}
	return rest(now, at)
}

func rest(now string, at int) (int, int) {
	if at < worth {
		return 0, 0
	}
	return at, cells(now[:at])
}

// far is how many lines a block is looked for that moved: a key moves it by one,
// the wheel by three.
const far = 3

// scroll lets the terminal move what stands in f a few lines higher or lower than
// on the screen, if that is most of what changes.
func (p *Painter) scroll(f *Frame) {
	changed := 0
	for i := range p.lines {
		if f.line(i) != p.lines[i] {
			changed++
		}
	}
	if changed < 4 {
		return
	}
	best, by, top, bottom := 0, 0, 0, 0
	for d := -far; d <= far; d++ {
		if d == 0 {
			continue
		}
		n, from, to := 0, -1, -1
		for i := max(0, -d); i < min(len(p.lines), len(p.lines)-d); i++ {
			if line := f.line(i); line == p.lines[i+d] && line != p.lines[i] {
				n++
				if from < 0 {
					from = i
				}
				to = i
			}
		}
		if n > best {
			best, by, top, bottom = n, d, from, to
		}
	}
	if best < 4 || best*2 < changed {
		return
	}
	sequence := ansi.ScrollUp(by)
	if by > 0 {
		bottom += by
		copy(p.lines[top:], p.lines[top+by:bottom+1])
		clear(p.lines[bottom+1-by : bottom+1])
	} else {
		top += by
		sequence = ansi.ScrollDown(-by)
		copy(p.lines[top-by:bottom+1], p.lines[top:])
		clear(p.lines[top : top-by])
	}
	p.buf = append(p.buf, ansi.SetTopBottomMargins(top+1, bottom+1)...)
	p.buf = append(p.buf, sequence...)
	p.buf = append(p.buf, "\x1b[r"...)
}
