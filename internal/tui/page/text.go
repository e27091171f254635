package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// level turns the API's words for health, and gossip's for members, into a
// level.
func level(word string) ui.Level {
	switch word {
	case source.Passing, "alive":
		return ui.Passing
	case source.Warning, "leaving":
		return ui.Warning
	case source.Critical, "failed":
		return ui.Critical
	case source.MaintenanceState, "left":
		return ui.Maintenance
	}
	return ui.Unknown
}

// state is a cell with the sign of the word and the word.
func state(word string) ui.Cell {
	if word == "" {
		return ui.Cell{Text: "unknown", Level: ui.Unknown, Glyph: true}
	}
	return ui.Cell{Text: word, Level: level(word), Glyph: true}
}

// badness orders words of health, the worst first.
func badness(word string) int {
	switch word {
	case source.Critical, "failed":
		return 0
	case source.Warning, "leaving":
		return 1
	case "":
		return 2
	case source.MaintenanceState, "left":
		return 3
	}
	return 4
}

// count is a number that stands out only if it is not zero.
func count(n int, l ui.Level) ui.Cell {
	if n == 0 {
		return ui.Cell{Text: "0", Level: ui.Faint}
	}
	return ui.Cell{Text: strconv.Itoa(n), Level: l}
}

// number is n, or a dash where it is not known.
func number(n uint64) ui.Cell {
	if n == 0 {
		return ui.Cell{Text: "-", Level: ui.Faint}
	}
	return ui.Cell{Text: strconv.FormatUint(n, 10)}
}

// plural is "1 node" or "3 nodes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// Age is a span of time as people say it, to one unit or two.
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d/time.Hour), int(d/time.Minute)%60)
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// took is a short span, as a network takes.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 10*time.Second:
		return strconv.Itoa(int(d/time.Millisecond)) + " ms"
	}
	return Age(d)
}

// since is how long ago t was, "-" for never.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return Age(now.Sub(t))
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("15:04:05")
}

// first is the first line of a text, without blanks around.
func first(s string) string {
	s = strings.TrimSpace(s)
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

// rate is the newest of values, "-" for none.
func rate(values []float64) string {
	if len(values) == 0 || values[len(values)-1] < 0 {
		return "-"
	}
	v := values[len(values)-1]
	if v == math.Trunc(v) || v >= 100 {
		return strconv.Itoa(int(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// shell quotes a word for the command lines that are shown.
func shell(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,@%+=", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// facts draws "label value" pairs with two blanks between, as many as fit on a
// line, in as many lines as needed. A pair with an empty value is left out.
func facts(th *ui.Theme, width int, pairs ...string) []string {
	var lines []string
	var b strings.Builder
	used := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		label, value := pairs[i], pairs[i+1]
		if value == "" {
			continue
		}
		w := ui.Width(label) + 1 + ui.Width(value)
		if used > 0 && used+2+w > width {
			lines = append(lines, b.String())
			b.Reset()
			used = 0
		}
		if used > 0 {
			b.WriteString("  ")
			used += 2
		}
		if w > width {
			value = ui.Cut(value, max(1, width-ui.Width(label)-1), th.Glyphs.Ellipsis)
		}
		b.WriteString(th.Faint.Render(label) + " " + th.Text.Render(ui.Clean(value)))
		used += ui.Width(label) + 1 + ui.Width(value)
	}
	if used > 0 {
		lines = append(lines, b.String())
	}
	return lines
}

// plainFacts are the same pairs as "label: value" lines.
func plainFacts(pairs ...string) []string {
	var out []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, pairs[i]+": "+ui.Clean(pairs[i+1]))
		}
	}
	return out
}

// trim cuts styled lines to height; lines that come from facts and tables are
// already no wider than the screen.
func trim(lines []string, height int) []string {
	if len(lines) > max(0, height) {
		return lines[:max(0, height)]
	}
	return lines
}
