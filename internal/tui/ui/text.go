package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// ascii reports whether s is printable ASCII only: its bytes are its cells and
// it needs no cleaning.
func ascii(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// Width returns how many cells s takes, styled or not.
func Width(s string) int {
	if ascii(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
}

// Clean returns s with everything replaced that a terminal would act on:
// control characters, escape sequences, marks of writing direction and invalid
// bytes. Line breaks and tabs become blanks.
func Clean(s string) string {
	if ascii(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || unicode.IsControl(r) || bidi(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// bidi reports whether r turns the direction of writing, which can make a name
// look like another.
func bidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// Cut returns the first n cells of s, ended by an ellipsis if s is longer. s
// has no styles.
func Cut(s string, n int, ellipsis string) string {
	if n <= 0 {
		return ""
	}
	if ascii(s) {
		if len(s) <= n {
			return s
		}
		w := Width(ellipsis)
		if w >= n {
			return s[:n]
		}
		return s[:n-w] + ellipsis
	}
	if ansi.StringWidth(s) <= n {
		return s
	}
	if Width(ellipsis) >= n {
		ellipsis = ""
	}
	return ansi.Truncate(s, n, ellipsis)
}

const blanks = "                                                                                                                                "

// Blank returns n blanks, none for a negative n.
func Blank(n int) string {
	if n <= 0 {
		return ""
	}
	if n <= len(blanks) {
		return blanks[:n]
	}
	return strings.Repeat(" ", n)
}

// pad writes s in exactly n cells: cut, or followed by blanks, or led by them
// if right.
func pad(b *strings.Builder, s string, n int, right bool, ellipsis string) {
	w := Width(s)
	if w > n {
		s = Cut(s, n, ellipsis)
		w = Width(s)
	}
	if right {
		b.WriteString(Blank(n - w))
	}
	b.WriteString(s)
	if !right {
		b.WriteString(Blank(n - w))
	}
}

// Pad returns s in exactly n cells: cut with an ellipsis, or followed by blanks.
func Pad(s string, n int, ellipsis string) string {
	var b strings.Builder
	pad(&b, s, n, false, ellipsis)
	return b.String()
}

// Wrap breaks s into lines of at most n cells, at blanks where it can. Line
// breaks of s stay, tabs become four blanks; everything else is cleaned.
func Wrap(s string, n int) []string {
	if n <= 0 {
		return nil
	}
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(s, "\r\n"), "\n") {
		line = Clean(strings.ReplaceAll(strings.TrimRight(line, "\r"), "\t", "    "))
		for Width(line) > n {
			head := Cut(line, n, "")
			if head == "" {
				// A letter wider than the line.
				return append(out, Cut(line, n, ""))
			}
			rest := line[len(head):]
			if i := strings.LastIndexByte(head, ' '); i > 0 && rest[0] != ' ' {
				head, rest = head[:i], line[i:]
			}
			out = append(out, strings.TrimRight(head, " "))
			line = strings.TrimLeft(rest, " ")
		}
		out = append(out, line)
	}
	return out
}

// Lines breaks s at its line breaks only, cleaned, tabs as four blanks. An
// empty s has no lines.
func Lines(s string) []string {
	s = strings.TrimRight(s, "\r\n")
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Clean(strings.ReplaceAll(strings.TrimRight(l, "\r"), "\t", "    "))
	}
	return lines
}

// Fill returns lines cut or filled up with empty ones to exactly n.
func Fill(lines []string, n int) []string {
	if n < 0 {
		n = 0
	}
	for len(lines) < n {
		lines = append(lines, "")
	}
	return lines[:n]
}

// Overlay lays the lines of top over those of base, its left upper corner at
// column x of line y. Both may be styled. Lines of base are width cells wide.
func Overlay(base, top []string, x, y, width int) []string {
	out := append([]string(nil), base...)
	for i, t := range top {
		if y+i < 0 || y+i >= len(out) {
			continue
		}
		under := out[y+i]
		if w := Width(under); w < width {
			under += Blank(width - w)
		}
		left := ansi.Cut(under, 0, x)
		right := ansi.Cut(under, x+Width(t), width)
		out[y+i] = left + reset + t + reset + right
	}
	return out
}
