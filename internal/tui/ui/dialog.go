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
	// View draws the inside in at most width cells and height lines; the
	// frame around it is drawn by Box. cursorX and cursorY say where text is
	// being typed, -1 for nowhere.
	View(th *Theme, width, height int) (lines []string, cursorX, cursorY int)
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

// View implements Dialog. On a small screen the command goes first, then all but
// the beginning of the effect and of a long list; the object, the cluster and
// the question stay.
func (c *Confirm) View(th *Theme, width, height int) (lines []string, x, y int) {
	question, x, y := c.question(th, width)
	room := height - len(question)
	blocks := c.blocks(th, width)
	order := []string{"command", "effect", "object", "cluster"}
	for _, name := range order {
		for i := range blocks {
			if b := &blocks[i]; b.label == name {
				least := 1
				if name == "command" {
					least = 0
				}
				for total(blocks) > room && len(b.lines) > least {
					b.lines = b.lines[:len(b.lines)-1]
				}
			}
		}
	}
	for _, b := range blocks {
		lines = append(lines, b.lines...)
	}
	if len(lines) < room {
		lines = append(lines, "")
	}
	if y >= 0 {
		y += len(lines)
	}
	return append(lines, question...), x, y
}

type block struct {
	label string
	lines []string
}

func total(blocks []block) int {
	n := 0
	for _, b := range blocks {
		n += len(b.lines)
	}
	return n
}

// blocks are the facts as lines, those of one label together.
func (c *Confirm) blocks(th *Theme, width int) []block {
	const label = 8
	var out []block
	labels, texts := c.facts()
	for i := range texts {
		if labels[i] != "" {
			out = append(out, block{label: labels[i]})
		}
		b := &out[len(out)-1]
		for _, l := range Wrap(texts[i], max(10, width-label-1)) {
			name, style := "", Style("")
			if len(b.lines) == 0 {
				name = b.label
			}
			if b.label == "object" {
				style = th.Strong
			}
			b.lines = append(b.lines, th.Faint.Render(Pad(name, label, ""))+" "+style.Render(Cut(l, width-label-1, "")))
		}
	}
	return out
}

// question is what is asked, and where the answer is typed.
func (c *Confirm) question(th *Theme, width int) (lines []string, x, y int) {
	if c.Require != "" {
		ask := Wrap("Type "+Clean(c.Require)+" and enter to go on; esc is no:", width)
		text, at := c.input.View(max(2, width-2))
		return append(ask, "> "+text), at + 2, len(ask)
	}
	if c.yes {
		return []string{"   No (n)   " + th.Glyphs.Select + th.Selected.Render(" Yes ")}, -1, -1
	}
	return []string{th.Glyphs.Select + th.Selected.Render(" No ") + "     Yes (y) "}, -1, -1
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
func (c *Choose) View(th *Theme, width, height int) (lines []string, x, y int) {
	for _, t := range c.Text {
		lines = append(lines, Wrap(t, width)...)
	}
	lines = lines[:min(len(lines), max(0, height-len(c.Options)))]
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
func (a *Ask) View(th *Theme, width, height int) (lines []string, x, y int) {
	lines = Wrap(a.Hint, width)
	if a.Hint == "" {
		lines = nil
	}
	lines = lines[:min(len(lines), max(0, height-2))]
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
