package ui

// Grid is what the dashboard needs of the widget that fills a screen, whatever
// it shows: the three implementers are Table, Tree and Viewer.
type Grid interface {
	// Do does what an action means here and reports whether it meant
	// anything.
	Do(Action) bool
	// SetFilter shows only what matches; Filter is the text.
	SetFilter(text string)
	Filter() string
	// First selects the first line if nothing is selected that can be seen.
	First()
	// Gone is the id of the object that was selected and is no more.
	Gone() string
	// Click is a click at column x of line y; it reports whether that line
	// was selected before, which opens it. Scroll is a turn of the wheel.
	Click(x, y int) (again bool)
	Scroll(d int)
	// Position is the number of the selected line from one, zero for none;
	// Len counts the lines shown and Total all there are.
	Position() int
	Len() int
	Total() int
}

// First implements Grid; a text has no selection.
func (v *Viewer) First() {}

// Gone implements Grid.
func (v *Viewer) Gone() string { return "" }

// Click implements Grid.
func (v *Viewer) Click(int, int) bool { return false }

// Position implements Grid: the last line that is shown.
func (v *Viewer) Position() int { return min(v.top+v.size, len(v.lines)) }

// Len implements Grid.
func (v *Viewer) Len() int { return len(v.lines) }

// Total implements Grid.
func (v *Viewer) Total() int { return len(v.lines) }

// Total implements Grid: a tree knows only what it shows.
func (t *Tree) Total() int { return len(t.flat) }
