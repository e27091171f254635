package ui

import "strings"

// Viewer shows text that does not change under the reader: a check's output, an
// object as JSON, a description, the help.
type Viewer struct {
	text   string
	lines  []string // of text, or of what matches the filter
	wraps  int      // width the lines are wrapped at, zero for not
	wrap   bool
	filter Filter
	top    int
	left   int
	size   int
	styled bool
}

// NewViewer returns a viewer of text, which is cleaned. With wrap long lines are
// broken, else they can be scrolled sideways.
func NewViewer(text string, wrap bool) *Viewer { return &Viewer{text: text, wrap: wrap, wraps: -1} }

// NewStyledViewer returns a viewer of lines that carry styles and are drawn as
// they are.
func NewStyledViewer(lines []string) *Viewer {
	return &Viewer{lines: lines, styled: true}
}

// SetLines replaces the lines of a styled viewer and keeps the place.
func (v *Viewer) SetLines(lines []string) {
	v.lines, v.styled = lines, true
	v.clamp()
}

// SetText replaces the text and keeps the place.
func (v *Viewer) SetText(text string) {
	if text != v.text {
		v.text, v.wraps = text, -1
	}
}

// Text returns the whole text.
func (v *Viewer) Text() string { return v.text }

// SetFilter shows only lines that match.
func (v *Viewer) SetFilter(text string) {
	v.filter, v.wraps = ParseFilter(text), -1
	v.top = 0
}

// Filter returns the text of the filter.
func (v *Viewer) Filter() string { return v.filter.String() }

func (v *Viewer) fit(width int) {
	if v.styled || v.wraps == width || v.wraps >= 0 && !v.wrap {
		return
	}
	v.wraps = width
	if v.wrap {
		v.lines = Wrap(v.text, width)
	} else {
		v.lines = Lines(v.text)
	}
	if v.filter.Empty() {
		return
	}
	var match []string
	for _, l := range v.lines {
		if v.filter.Match(1, func(int) string { return "" }, func(int) string { return l }) {
			match = append(match, l)
		}
	}
	v.lines = match
}

// Do does what an action means to a text and reports whether it was one.
func (v *Viewer) Do(a Action) bool {
	switch a {
	case Up:
		v.top--
	case Down:
		v.top++
	case PageUp:
		v.top -= max(1, v.size-1)
	case PageDown:
		v.top += max(1, v.size-1)
	case Home:
		v.top, v.left = 0, 0
	case End:
		v.top = len(v.lines)
	case Left:
		v.left = max(0, v.left-8)
	case Right:
		if !v.wrap && !v.styled {
			v.left += 8
		}
	default:
		return false
	}
	v.clamp()
	return true
}

// Scroll moves by d lines, as a wheel does.
func (v *Viewer) Scroll(d int) {
	v.top += d
	v.clamp()
}

func (v *Viewer) clamp() { v.top = max(0, min(v.top, len(v.lines)-max(1, v.size))) }

// View draws height lines of at most width cells.
func (v *Viewer) View(th *Theme, width, height int) []string {
	v.fit(width)
	v.size = height
	v.clamp()
	out := make([]string, 0, height)
	for _, l := range v.lines[v.top:min(v.top+height, len(v.lines))] {
		if v.left > 0 {
			l = dropCells(l, v.left)
		}
		if !v.styled {
			l = th.Text.Render(Cut(l, width, ""))
		}
		out = append(out, l)
	}
	return out
}

// dropCells returns s without its first n cells.
func dropCells(s string, n int) string {
	if ascii(s) {
		return s[min(n, len(s)):]
	}
	var b strings.Builder
	w := 0
	for _, c := range clusters(s) {
		if w >= n {
			b.WriteString(c)
		}
		w += Width(c)
	}
	return b.String()
}
