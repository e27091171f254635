package ui

import (
	"slices"
	"strings"
)

// HelpLines draws what the keys do, in as many columns as fit into width cells.
// Actions for which hide is true are left out.
func HelpLines(th *Theme, k *KeyMap, width int, hide func(Binding) bool) []string {
	const least = 52
	columns := max(1, width/least)
	column := width / columns
	var cells []string
	for i, b := range k.bindings {
		if len(b.Keys) == 0 || hide != nil && hide(b) {
			continue
		}
		if i == 0 || k.bindings[i-1].Group != b.Group {
			if len(cells) > 0 {
				cells = append(cells, "")
			}
			cells = append(cells, th.Title.Render(b.Group))
		}
		keys := strings.Join(b.Keys, " ")
		cells = append(cells, th.Key.Render(Pad(keys, 13, ""))+" "+Cut(b.Help, column-15, th.Glyphs.Ellipsis))
	}
	rows := (len(cells) + columns - 1) / columns
	lines := make([]string, rows)
	for r := range rows {
		var b strings.Builder
		for c := range columns {
			if i := c*rows + r; i < len(cells) {
				b.WriteString(cells[i])
				if c < columns-1 {
					b.WriteString(Blank(column - Width(cells[i])))
				}
			}
		}
		lines[r] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// Hints draws the most useful keys of a screen in one line of width cells: an
// action and its word, as many as fit. Where there is some room, that for Help is
// kept: it names those left out.
func Hints(th *Theme, k *KeyMap, width int, hints []Hint) (line string, places []HintPlace) {
	var b strings.Builder
	const some = 60
	x, kept := 0, 0
	if i := slices.IndexFunc(hints, func(h Hint) bool { return h.Action == Help }); i >= 0 && width >= some && k.Key(Help) != "" {
		kept = 2 + Width(k.Key(Help)) + 1 + Width(hints[i].Word)
	}
	full := false // no more before Help
	for _, h := range hints {
		key := k.Key(h.Action)
		if h.Action == Help {
			full, kept = false, 0
		}
		if key == "" || full {
			continue
		}
		w := Width(key) + 1 + Width(h.Word)
		lead := 0
		if x > 0 {
			lead = 2
		}
		if full = x+lead+w+kept > width; full {
			continue
		}
		b.WriteString(Blank(lead))
		b.WriteString(th.Key.Render(key) + " " + h.Word)
		places = append(places, HintPlace{h.Action, x + lead, w})
		x += lead + w
	}
	return b.String(), places
}

// Hint is an action and the one word said about it.
type Hint struct {
	Action Action
	Word   string
}

// HintPlace is where a hint was drawn, for the mouse.
type HintPlace struct {
	Action   Action
	X, Width int
}
