package ui

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Input is a line of text being typed, with a history. Keys are named as
// Bubble Tea names them.
type Input struct {
	// Complete returns what a text can be completed to; nil for nothing.
	Complete func(text string) []string
	// History are the lines typed before, the oldest first.
	History []string

	text   []string // grapheme clusters
	at     int      // cursor, in clusters
	past   int      // how far back in history, zero for the line itself
	draft  string
	offers []string
	offer  int
}

// Set puts text on the line and the cursor behind it.
func (in *Input) Set(text string) {
	in.text = clusters(Clean(text))
	in.at = len(in.text)
	in.offers = nil
}

// Text returns what is on the line.
func (in *Input) Text() string { return strings.Join(in.text, "") }

// Insert types text at the cursor, as pasting does. Line breaks become blanks.
func (in *Input) Insert(text string) {
	c := clusters(Clean(text))
	in.text = append(in.text[:in.at:in.at], append(c, in.text[in.at:]...)...)
	in.at += len(c)
	in.offers = nil
}

func clusters(s string) []string {
	var out []string
	for s != "" {
		c, _ := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
		if c == "" {
			break
		}
		out, s = append(out, c), s[len(c):]
	}
	return out
}

// Key does what a key means on a line of text: key is its name, text what it
// types, if anything. It reports whether the key meant something.
func (in *Input) Key(key, text string) bool {
	if key != "tab" {
		defer func() { in.offers = nil }()
	}
	switch key {
	case "left", "ctrl+b":
		in.at = max(0, in.at-1)
	case "right", "ctrl+f":
		in.at = min(len(in.text), in.at+1)
	case "home", "ctrl+a":
		in.at = 0
	case "end", "ctrl+e":
		in.at = len(in.text)
	case "backspace", "ctrl+h":
		in.cut(in.at-1, in.at)
	case "delete":
		in.cut(in.at, in.at+1)
	case "ctrl+u":
		in.cut(0, in.at)
	case "ctrl+k":
		in.cut(in.at, len(in.text))
	case "ctrl+w", "alt+backspace":
		in.cut(in.wordStart(), in.at)
	case "up":
		in.recall(1)
	case "down":
		in.recall(-1)
	case "tab":
		in.complete()
	default:
		if text == "" || strings.ContainsFunc(text, unicode.IsControl) {
			return false
		}
		in.Insert(text)
	}
	return true
}

func (in *Input) cut(from, to int) {
	from, to = max(0, from), min(to, len(in.text))
	if from >= to {
		return
	}
	in.text = append(in.text[:from:from], in.text[to:]...)
	in.at = from
}

func (in *Input) wordStart() int {
	i := in.at
	for i > 0 && in.text[i-1] == " " {
		i--
	}
	for i > 0 && in.text[i-1] != " " {
		i--
	}
	return i
}

// recall goes d lines back in history.
func (in *Input) recall(d int) {
	past := max(0, min(in.past+d, len(in.History)))
	if past == in.past {
		return
	}
	if in.past == 0 {
		in.draft = in.Text()
	}
	in.past = past
	if past == 0 {
		in.Set(in.draft)
		return
	}
	in.Set(in.History[len(in.History)-past])
}

// complete puts the next completion on the line.
func (in *Input) complete() {
	if in.Complete == nil {
		return
	}
	if in.offers == nil {
		offers := in.Complete(in.Text())
		if len(offers) == 0 {
			return
		}
		in.Set(offers[0])
		in.offers, in.offer = offers, 0
		return
	}
	offers, next := in.offers, (in.offer+1)%len(in.offers)
	in.Set(offers[next])
	in.offers, in.offer = offers, next
}

// View returns the part of the line around the cursor that fits into width
// cells, and the column of the cursor.
func (in *Input) View(width int) (text string, cursor int) {
	if width <= 1 {
		return "", 0
	}
	before := Width(strings.Join(in.text[:in.at], ""))
	start := 0
	for start < in.at && before >= width {
		before -= Width(in.text[start])
		start++
	}
	return Cut(strings.Join(in.text[start:], ""), width, ""), before
}
