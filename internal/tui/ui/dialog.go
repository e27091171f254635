package ui

import (
	"strconv"
	"strings"
)

// Answer is what a dialog ended with.
type Answer struct {
	OK     bool
	Text   string // typed
	Choice int    // of several, from zero
}

// Dialog asks one thing. It lies over the screen and takes all keys until it is
// done.
type Dialog interface {
	// Key takes a key by its name and the text it types, and reports whether
	// the dialog is done.
	Key(key, text string) (a Answer, done bool)
	// View draws the inside in at most width cells; the frame around it is
	// drawn by Box. cursorX and cursorY say where text is being typed, -1 for
	// nowhere.
	View(th *Theme, width int) (lines []string, cursorX, cursorY int)
	// Title is written into the frame.
	Title() string
	// Plain is the dialog as text for those who read line by line.
	Plain() []string
}

// Paster is a dialog that text can be pasted into.
type Paster interface{ Paste(text string) }

// Confirm asks whether to do what cannot be undone. It names what is acted on,
// in which cluster, and what hangs on it. The answer is No unless the operator
// says otherwise; where Require is set, that text must be typed.
type Confirm struct {
	Verb    string   // "Deregister"
	Objects []string // names; several for marked ones
	Cluster string   // context and datacenter
	Blast   []string // what it means: "3 instances, 2 of them passing"
	Command string   // the ctl command that does the same
	Require string   // to be typed; empty where y is enough

	yes   bool
	input Input
}

// Title implements Dialog.
func (c *Confirm) Title() string { return c.Verb + "?" }

// Key implements Dialog.
func (c *Confirm) Key(key, text string) (Answer, bool) {
	switch {
	case key == "esc" || key == "ctrl+c":
		return Answer{}, true
	case c.Require != "":
		if key == "enter" {
			return Answer{OK: c.input.Text() == c.Require}, true
		}
		c.input.Key(key, text)
		return Answer{}, false
	}
	switch key {
	case "y", "Y":
		return Answer{OK: true}, true
	case "n", "N", "q":
		return Answer{}, true
	case "left", "right", "tab", "shift+tab", "h", "l":
		c.yes = !c.yes
	case "enter":
		return Answer{OK: c.yes}, true
	}
	return Answer{}, false
}

// Paste implements Paster.
func (c *Confirm) Paste(text string) { c.input.Insert(text) }

const listed = 8 // objects named one by one

func (c *Confirm) facts() (labels, texts []string) {
	add := func(label string, values ...string) {
		for i, v := range values {
			if i > 0 {
				label = ""
			}
			labels, texts = append(labels, label), append(texts, Clean(v))
		}
	}
	objects := c.Objects
	if len(objects) > listed {
		objects = append(objects[:listed:listed], "and "+strconv.Itoa(len(c.Objects)-listed)+" more")
	}
	add("object", objects...)
	add("cluster", c.Cluster)
	add("effect", c.Blast...)
	add("command", c.Command)
	return labels, texts
}

// View implements Dialog.
func (c *Confirm) View(th *Theme, width int) (lines []string, x, y int) {
	labels, texts := c.facts()
	const label = 8
	for i := range texts {
		for k, l := range Wrap(texts[i], max(10, width-label-1)) {
			name := labels[i]
			if k > 0 {
				name = ""
			}
			style := Style("")
			if labels[i] == "object" {
				style = th.Strong
			}
			lines = append(lines, th.Faint.Render(Pad(name, label, ""))+" "+style.Render(Cut(l, width-label-1, "")))
		}
	}
	lines = append(lines, "")
	if c.Require != "" {
		lines = append(lines, Cut("Type "+c.Require+" and enter to go on; esc is no:", width, th.Glyphs.Ellipsis))
		text, at := c.input.View(max(2, width-2))
		lines = append(lines, "> "+text)
		return lines, at + 2, len(lines) - 1
	}
	no, yes := th.Selected.Render(" No "), " Yes (y) "
	if c.yes {
		no, yes = " No (n) ", th.Selected.Render(" Yes ")
	}
	mark := th.Glyphs.Select
	if c.yes {
		return append(lines, "  "+no+"  "+mark+yes), -1, -1
	}
	return append(lines, mark+no+"   "+yes), -1, -1
}

// Plain implements Dialog.
func (c *Confirm) Plain() []string {
	labels, texts := c.facts()
	out := []string{c.Title()}
	for i := range texts {
		line := "  " + texts[i]
		if labels[i] != "" {
			line = "  " + labels[i] + ": " + texts[i]
		}
		out = append(out, line)
	}
	return out
}

// Choose asks for one of several things, by number, letter or arrow.
type Choose struct {
	Ask     string
	Text    []string // said before the options
	Options []string
	Keys    []string // of the options; without, they are numbered

	at int
}

// Title implements Dialog.
func (c *Choose) Title() string { return c.Ask }

// Key implements Dialog.
func (c *Choose) Key(key, _ string) (Answer, bool) {
	switch key {
	case "esc", "ctrl+c":
		return Answer{}, true
	case "up", "k", "shift+tab":
		c.at = max(0, c.at-1)
		return Answer{}, false
	case "down", "j", "tab":
		c.at = min(len(c.Options)-1, c.at+1)
		return Answer{}, false
	case "enter":
		return Answer{OK: true, Choice: c.at}, true
	}
	for i := range c.Options {
		if key == c.key(i) {
			return Answer{OK: true, Choice: i}, true
		}
	}
	return Answer{}, false
}

func (c *Choose) key(i int) string {
	if i < len(c.Keys) {
		return c.Keys[i]
	}
	return strconv.Itoa(i + 1)
}

// View implements Dialog.
func (c *Choose) View(th *Theme, width int) (lines []string, x, y int) {
	for _, t := range c.Text {
		lines = append(lines, Wrap(t, width)...)
	}
	if len(c.Text) > 0 {
		lines = append(lines, "")
	}
	for i, o := range c.Options {
		text := Pad(c.key(i)+"  "+Clean(o), width-2, th.Glyphs.Ellipsis)
		if i == c.at {
			lines = append(lines, th.Selected.Render(th.Glyphs.Select+" "+text))
			continue
		}
		lines = append(lines, "  "+text)
	}
	return lines, -1, -1
}

// Plain implements Dialog.
func (c *Choose) Plain() []string {
	out := append([]string{c.Ask}, c.Text...)
	for i, o := range c.Options {
		out = append(out, "  "+c.key(i)+") "+Clean(o))
	}
	return out
}

// Ask asks for a line of text.
type Ask struct {
	Question string
	Hint     string
	Input    Input
	// Check says what is wrong with a text; empty for nothing.
	Check func(text string) string

	wrong string
}

// Title implements Dialog.
func (a *Ask) Title() string { return a.Question }

// Key implements Dialog.
func (a *Ask) Key(key, text string) (Answer, bool) {
	switch key {
	case "esc", "ctrl+c":
		return Answer{}, true
	case "enter":
		if a.Check != nil {
			if a.wrong = a.Check(a.Input.Text()); a.wrong != "" {
				return Answer{}, false
			}
		}
		return Answer{OK: true, Text: a.Input.Text()}, true
	}
	a.wrong = ""
	a.Input.Key(key, text)
	return Answer{}, false
}

// Paste implements Paster.
func (a *Ask) Paste(text string) { a.Input.Insert(text) }

// View implements Dialog.
func (a *Ask) View(th *Theme, width int) (lines []string, x, y int) {
	lines = Wrap(a.Hint, width)
	if a.Hint == "" {
		lines = nil
	}
	text, at := a.Input.View(max(2, width-2))
	lines = append(lines, "> "+text)
	y = len(lines) - 1
	if a.wrong != "" {
		for _, l := range Wrap(a.wrong, width) {
			lines = append(lines, th.Level(Critical).Render(l))
		}
	}
	return lines, at + 2, y
}

// Plain implements Dialog.
func (a *Ask) Plain() []string {
	if a.Hint == "" {
		return []string{a.Question}
	}
	return []string{a.Question, a.Hint}
}

// Box draws a frame with a title around lines, each filled up to the widest or
// cut at max cells.
func Box(th *Theme, title string, lines []string, max int) []string {
	g := &th.Glyphs
	inner := Width(title) + 4
	for _, l := range lines {
		if w := Width(l); w > inner {
			inner = w
		}
	}
	if inner > max-4 {
		inner = max - 4
	}
	if inner < 1 {
		return lines
	}
	title = Cut(title, inner-2, g.Ellipsis)
	side := th.Border.Render(g.Vertical)
	out := []string{th.Border.Render(g.TopLeft+g.Horizontal) + " " + th.Title.Render(title) + " " +
		th.Border.Render(strings.Repeat(g.Horizontal, inner-Width(title)-1)+g.TopRight)}
	for _, l := range lines {
		out = append(out, side+" "+l+Blank(inner-Width(l))+" "+side)
	}
	return append(out, th.Border.Render(g.BottomLeft+strings.Repeat(g.Horizontal, inner+2)+g.BottomRight))
}
