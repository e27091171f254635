package ui

import "strings"

// Sparkline draws the last n values as one row of blocks that rise from zero to
// the greatest of them. Where there are fewer values, blanks stand before them.
// A value below zero means that nothing is known and leaves a blank.
func Sparkline(g *Glyphs, values []float64, n int) string {
	if n <= 0 {
		return ""
	}
	if len(values) > n {
		values = values[len(values)-n:]
	}
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	b.WriteString(Blank(n - len(values)))
	for _, v := range values {
		switch {
		case v < 0:
			b.WriteByte(' ')
		case top == 0:
			b.WriteString(g.Spark[0])
		default:
			i := int(v / top * float64(len(g.Spark)-1))
			if i == 0 && v > 0 {
				i = 1 // something is never drawn as nothing
			}
			b.WriteString(g.Spark[i])
		}
	}
	return b.String()
}

// Gauge draws part of whole as a bar of n cells, for those who read shapes
// faster than numbers. The numbers stand beside it.
func Gauge(g *Glyphs, part, whole, n int) string {
	if n <= 0 {
		return ""
	}
	full := 0
	if whole > 0 {
		full = min(n, (part*n+whole-1)/whole)
	}
	return strings.Repeat(g.Spark[len(g.Spark)-1], full) + strings.Repeat(g.Spark[0], n-full)
}
