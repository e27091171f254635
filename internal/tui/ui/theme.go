package ui

import "strconv"

// Level is how good or bad something is. It chooses colour, glyph and word.
type Level uint8

// Levels, from nothing to say to the worst.
const (
	None Level = iota
	Info
	Passing
	Maintenance
	Unknown
	Warning
	Critical
	Faint // not a state: text that steps back
)

// Style is a set of SGR parameters as terminals take them ("1;31"); the empty
// one changes nothing. Styles are joined with And.
type Style string

const reset = "\x1b[m"

// Render returns text in the style. An empty text stays empty.
func (s Style) Render(text string) string {
	if s == "" || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + reset
}

// And returns both styles together; where they contradict, o wins.
func (s Style) And(o Style) Style {
	switch {
	case s == "":
		return o
	case o == "":
		return s
	}
	return s + ";" + o
}

// Glyphs are the few signs that are not letters. Each takes one cell.
type Glyphs struct {
	Passing, Warning, Critical, Maintenance, Unknown, Info string
	Select, Mark                                           string // before a row
	Up, Down                                               string // order of a column
	Open, Closed                                           string // branches of a tree
	Crumb                                                  string // between places
	Ellipsis                                               string
	Dot                                                    string // between facts
	Leader                                                 string
	Horizontal, Vertical, TopLeft, TopRight, BottomLeft,
	BottomRight string
	Spark []string // rising
}

var unicodeGlyphs = Glyphs{
	Passing: "✓", Warning: "!", Critical: "✗", Maintenance: "◌", Unknown: "?", Info: "•",
	Select: "▸", Mark: "◆", Up: "▲", Down: "▼", Open: "▾", Closed: "▸",
	Crumb: "›", Ellipsis: "…", Dot: "·", Leader: "★",
	Horizontal: "─", Vertical: "│", TopLeft: "╭", TopRight: "╮", BottomLeft: "╰", BottomRight: "╯",
	Spark: []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
}

var asciiGlyphs = Glyphs{
	Passing: "+", Warning: "!", Critical: "x", Maintenance: "m", Unknown: "?", Info: "-",
	Select: ">", Mark: "*", Up: "^", Down: "v", Open: "-", Closed: "+",
	Crumb: ">", Ellipsis: "~", Dot: "-", Leader: "*",
	Horizontal: "-", Vertical: "|", TopLeft: "+", TopRight: "+", BottomLeft: "+", BottomRight: "+",
	Spark: []string{".", ":", "-", "=", "+", "*", "#", "@"},
}

// Theme is every colour and sign the dashboard uses. It is not changed once
// made.
type Theme struct {
	Name   string
	Glyphs Glyphs

	Text, Faint, Strong          Style
	Title, Crumb, Key            Style
	Selected, Marked, Match      Style
	Header                       Style // of a table
	Border                       Style
	Stale                        Style // data that is no longer live
	Notice, Alarm                Style // lines across the screen
	ReadOnly, Protected, Context Style // badges
	Spark                        Style

	levels [Faint + 1]Style
}

// Looks say which theme is wanted.
type Looks struct {
	// Light says that the terminal's background is light.
	Light bool
	// Name is auto (also ""), high-contrast or colour-blind.
	Name string
	// True says that the terminal shows 24-bit colour. Without it only the
	// sixteen colours of the terminal's own palette are used.
	True bool
	// Plain is no colour at all; bold and reverse stay.
	Plain bool
	// Dumb is no styles at all: what matters is in the text.
	Dumb bool
	// ASCII avoids every sign that is not ASCII.
	ASCII bool
	// Accent is the colour of the context, one of the names of Accents; empty
	// for the theme's own.
	Accent string
}

// Themes lists the names Looks takes.
func Themes() []string { return []string{"auto", "high-contrast", "colour-blind"} }

// Accents are the colours a context can have, by name, as a background.
func Accents() map[string]Style {
	return map[string]Style{
		"red": "97;41", "green": "30;42", "yellow": "30;43", "blue": "97;44",
		"magenta": "97;45", "cyan": "30;46", "white": "30;47",
	}
}

// NewTheme returns the theme for the looks. An unknown name is that of auto.
func NewTheme(l Looks) *Theme {
	t := &Theme{Name: l.Name, Glyphs: unicodeGlyphs}
	if l.ASCII || l.Dumb {
		t.Glyphs = asciiGlyphs
	}
	if l.Dumb {
		return t
	}
	t.Strong, t.Title, t.Header, t.Key = "1", "1", "1", "1"
	t.Selected, t.Notice, t.Alarm = "7", "7", "1;7"
	t.Marked, t.Match, t.ReadOnly, t.Protected, t.Context = "1", "1;4", "7", "1;7", "1"
	if l.Plain {
		t.levels[Critical] = "1"
		return t
	}
	t.color(l)
	return t
}

// color fills in colours: of the terminal's palette, so that they fit what the
// operator has chosen, and finer ones where the terminal has them.
func (t *Theme) color(l Looks) {
	green, yellow, red, blue, cyan, grey := Style("32"), Style("33"), Style("31"), Style("34"), Style("36"), Style("90")
	if !l.Light {
		green, yellow, red, blue, cyan = "92", "93", "91", "94", "96"
	}
	if l.True {
		if l.Light {
			green, yellow, red, blue, cyan, grey = rgb("1a7f37"), rgb("9a6700"), rgb("c01c28"), rgb("0550ae"), rgb("0e7490"), rgb("6a737d")
		} else {
			green, yellow, red, blue, cyan, grey = rgb("56d364"), rgb("e3b341"), rgb("ff7b72"), rgb("79c0ff"), rgb("76e3ea"), rgb("8b949e")
		}
	}
	switch l.Name {
	case "high-contrast":
		grey = ""
		green, yellow, red = Style("1").And(green), Style("1").And(yellow), Style("1;7").And(red)
	case "colour-blind":
		// Blue and orange are told apart by all common kinds of sight.
		green = blue
		red = "35"
		if l.True {
			red = rgb("e66100")
			yellow = rgb("b8860b")
		}
	}
	t.Faint, t.Border, t.Stale = grey, grey, grey
	t.Crumb, t.Key, t.Spark = cyan, Style("1").And(cyan), cyan
	t.Title = Style("1").And(blue)
	t.Marked = Style("1").And(cyan)
	t.Notice, t.Alarm = "30;43", "1;97;41"
	t.ReadOnly, t.Protected = "30;46", "97;45"
	t.Context = Style("1").And(blue)
	if a, ok := Accents()[l.Accent]; ok {
		t.Context = Style("1").And(a)
	}
	t.levels = [Faint + 1]Style{Info: cyan, Passing: green, Maintenance: blue, Unknown: grey, Warning: yellow, Critical: Style("1").And(red), Faint: grey}
}

// rgb returns the style of a foreground given as six hexadecimal digits.
func rgb(hex string) Style {
	digit := func(i int) int {
		c := hex[i]
		if c >= 'a' {
			return int(c-'a') + 10
		}
		return int(c - '0')
	}
	s := "38;2"
	for i := 0; i < 6; i += 2 {
		s += ";" + strconv.Itoa(digit(i)*16+digit(i+1))
	}
	return Style(s)
}

// Level returns the style of l.
func (t *Theme) Level(l Level) Style {
	if l > Faint {
		return ""
	}
	return t.levels[l]
}

// Glyph returns the sign of l; a blank where it has none.
func (t *Theme) Glyph(l Level) string {
	switch l {
	case Passing:
		return t.Glyphs.Passing
	case Warning:
		return t.Glyphs.Warning
	case Critical:
		return t.Glyphs.Critical
	case Maintenance:
		return t.Glyphs.Maintenance
	case Unknown:
		return t.Glyphs.Unknown
	case Info:
		return t.Glyphs.Info
	default:
		return " "
	}
}

// Say returns text with the sign of l before it, both in its style.
func (t *Theme) Say(l Level, text string) string {
	return t.Level(l).Render(t.Glyph(l) + " " + text)
}

// Faded returns the theme for data that are no longer live: everything steps
// back, and the selection stays visible. Words beside it say the same.
func (t *Theme) Faded() *Theme {
	f := *t
	f.Text, f.Header, f.Title, f.Strong, f.Crumb, f.Spark = t.Stale, t.Stale, t.Stale, t.Stale, t.Stale, t.Stale
	for l := range f.levels {
		f.levels[l] = t.Stale
	}
	return &f
}
