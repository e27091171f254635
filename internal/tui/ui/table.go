package ui

import (
	"cmp"
	"slices"
	"strings"
)

// Cell is what a table shows of an object in one column.
type Cell struct {
	Text  string
	Level Level
	Glyph bool // the sign of Level stands before the text
}

// Column is one column of a table of T.
type Column[T any] struct {
	Title string
	// Cell returns what to show. It is called for visible rows, and for all
	// of them while a filter is set, so it must be cheap.
	Cell func(*T) Cell
	// Compare orders rows by this column; nil orders by the cell's text.
	Compare func(a, b *T) int
	// Max is the greatest width in cells; zero means 40.
	Max int
	// Right puts the text at the right edge, as for numbers.
	Right bool
	// Wide columns show only in wide mode.
	Wide bool
	// Elastic columns take what room is left, up to what they need.
	Elastic bool
	// Drop is when the column gives way on a narrow screen: the greatest
	// first. Zero never.
	Drop int
}

// Table shows rows of T, which stand for objects known by an id.
//
// Rows are given as a slice that the table keeps and never changes. The
// selection, the marks, the order and the filter are the table's; see cursor for
// what happens to the selection when the data change.
type Table[T any] struct{ table[*T] }

// table is a Table by the pointers to its rows. Code is compiled once for all
// types that are pointers, but anew for each other type.
type table[P any] struct {
	columns []column[P]
	id      func(P) string
	rows    []P
	order   []int32 // what is shown, as indexes of rows
	natural bool    // order is that of rows, nothing left out

	cur     cursor
	marks   map[string]bool
	filter  Filter
	keep    func(P) bool // problems only, or whatever a page hides
	sortBy  int          // column, -1 for the order of the data
	reverse bool
	follow  bool // the last row is selected whenever rows come
	wide    bool
	shift   int // columns scrolled past, after the first
	widths  []int
	places  []place // columns as last drawn, for the mouse
}

// column is a Column.
type column[P any] struct {
	Title         string
	Cell          func(P) Cell
	Compare       func(a, b P) int
	Max           int
	Right         bool
	Wide, Elastic bool
	Drop          int
	hidden        bool
}

func columnOf[T any](c Column[T]) column[*T] {
	return column[*T]{Title: c.Title, Cell: c.Cell, Compare: c.Compare, Max: c.Max, Right: c.Right, Wide: c.Wide, Elastic: c.Elastic, Drop: c.Drop}
}

type place struct{ col, x, w int }

// NewTable returns an empty table with columns. id names an object; it must be
// unique among the rows and must not change.
func NewTable[T any](id func(*T) string, columns ...Column[T]) *Table[T] {
	t := &Table[T]{table[*T]{id: id, marks: map[string]bool{}, sortBy: -1, natural: true, widths: make([]int, len(columns))}}
	for _, c := range columns {
		t.columns = append(t.columns, columnOf(c))
	}
	return t
}

// TextColumn is a column of text for rows of any type. Its members are those of
// Column; Text returns the text of a row, and Compare orders texts.
type TextColumn struct {
	Title       string
	Text        func(row any) string
	Compare     func(a, b string) int
	Max         int
	Right, Wide bool
	Drop        int
}

// InsertText adds a column behind the one with a title, or at the end where none
// has it.
func (t *table[P]) InsertText(c TextColumn, after string) {
	at := len(t.columns)
	if i := t.titled(after); i >= 0 {
		at = i + 1
	}
	t.columns = append(t.columns, column[P]{})
	copy(t.columns[at+1:], t.columns[at:])
	t.columns[at] = column[P]{Title: c.Title, Max: c.Max, Right: c.Right, Wide: c.Wide, Drop: c.Drop,
		Cell: func(r P) Cell { return Cell{Text: c.Text(r)} }, Compare: func(a, b P) int { return c.Compare(c.Text(a), c.Text(b)) }}
	t.widths = append(t.widths, 0)
	copy(t.widths[at+1:], t.widths[at:])
	t.widths[at] = 0
	if t.sortBy >= at {
		t.sortBy++
	}
}

// Titles returns the titles of the columns.
func (t *table[P]) Titles() []string {
	var out []string
	for _, c := range t.columns {
		out = append(out, c.Title)
	}
	return out
}

func (t *table[P]) titled(title string) int {
	return slices.IndexFunc(t.columns, func(c column[P]) bool { return strings.EqualFold(c.Title, title) })
}

// Alter changes the column with a title: its greatest width, where that is not
// zero, that it is shown in wide mode only, or that it is not shown at all.
func (t *table[P]) Alter(title string, width int, wide, hide bool) {
	i := t.titled(title)
	if i < 0 {
		return
	}
	c := &t.columns[i]
	if width > 0 {
		c.Max = width
	}
	c.Wide = c.Wide || wide
	c.hidden = hide
}

// Set gives the table new rows, in their natural order. The selection stays
// with its object; Gone tells whether that is no more.
func (t *table[P]) Set(rows []P) {
	t.rows = rows
	t.arrange()
	if t.follow {
		t.cur.choose(t.Len()-1, t.Len(), t.idAt)
	}
}

// SetFollow says whether the last row is selected whenever rows come, as in a
// log. Moving away from it ends that.
func (t *table[P]) SetFollow(on bool) {
	t.follow = on
	if on {
		t.cur.choose(t.Len()-1, t.Len(), t.idAt)
	}
}

// Following reports whether SetFollow is on.
func (t *table[P]) Following() bool { return t.follow }

// arrange decides anew which rows are shown, in which order.
func (t *table[P]) arrange() {
	t.natural = t.filter.Empty() && t.keep == nil && t.sortBy < 0 && !t.reverse
	t.order = t.order[:0]
	if !t.natural {
		t.selectRows()
		t.sort()
	}
	t.cur.settle(t.Len(), t.idAt, func(id string) bool {
		return slices.ContainsFunc(t.rows, func(r P) bool { return t.id(r) == id })
	})
	if len(t.marks) > 0 {
		t.dropMarks()
	}
}

func (t *table[P]) selectRows() {
	title := func(i int) string { return t.columns[i].Title }
	for i, r := range t.rows {
		if t.keep != nil && !t.keep(r) {
			continue
		}
		if !t.filter.Empty() && !t.filter.Match(len(t.columns), title, func(c int) string { return t.columns[c].Cell(r).Text }) {
			continue
		}
		t.order = append(t.order, int32(i))
	}
}

func (t *table[P]) sort() {
	if t.sortBy < 0 {
		if t.reverse {
			slices.Reverse(t.order)
		}
		return
	}
	compare := t.columns[t.sortBy].Compare
	if compare == nil {
		cell := t.columns[t.sortBy].Cell
		compare = func(a, b P) int { return cmp.Compare(cell(a).Text, cell(b).Text) }
	}
	slices.SortFunc(t.order, func(a, b int32) int {
		x, y := t.rows[a], t.rows[b]
		c := compare(x, y)
		if t.reverse {
			c = -c
		}
		// The natural order breaks ties, so that rows do not change places
		// for nothing.
		return cmp.Or(c, cmp.Compare(a, b))
	})
}

// dropMarks forgets marks of objects that are gone.
func (t *table[P]) dropMarks() {
	there := make(map[string]bool, len(t.marks))
	for _, r := range t.rows {
		if id := t.id(r); t.marks[id] {
			there[id] = true
		}
	}
	t.marks = there
}

func (t *table[P]) at(i int) P {
	if t.natural {
		return t.rows[i]
	}
	return t.rows[t.order[i]]
}

func (t *table[P]) idAt(i int) string { return t.id(t.at(i)) }

// Len returns how many rows are shown, Total how many there are.
func (t *table[P]) Len() int {
	if t.natural {
		return len(t.rows)
	}
	return len(t.order)
}

// Total returns how many rows there are, shown or not.
func (t *table[P]) Total() int { return len(t.rows) }

// Selected returns the selected row. There is none while the table is empty,
// while the object is hidden and after it went.
func (t *table[P]) Selected() (row P, ok bool) {
	if !t.cur.shown || t.Len() == 0 {
		return row, false
	}
	return t.at(t.cur.at), true
}

// SelectedID returns the id the selection is bound to, also while the object is
// hidden or gone; empty for none.
func (t *table[P]) SelectedID() string { return t.cur.id }

// Gone returns the id of the object that was selected and is no more; empty if
// there is no such.
func (t *table[P]) Gone() string {
	if t.cur.gone {
		return t.cur.id
	}
	return ""
}

// Select binds the selection to an object, which need not be there yet.
func (t *table[P]) Select(id string) {
	t.cur.id, t.cur.moved, t.cur.gone, t.cur.shown = id, true, false, false
	t.cur.settle(t.Len(), t.idAt, func(string) bool { return true })
}

// First selects the first row if nothing is selected that can be seen.
func (t *table[P]) First() {
	if !t.cur.shown {
		t.cur.choose(0, t.Len(), t.idAt)
	}
}

// SetFilter shows only rows that pass.
func (t *table[P]) SetFilter(text string) {
	t.filter = ParseFilter(text)
	t.arrange()
}

// Filter returns the text of the filter.
func (t *table[P]) Filter() string { return t.filter.String() }

// Keep shows only rows for which keep is true, besides the filter; nil shows
// all.
func (t *table[P]) Keep(keep func(P) bool) {
	t.keep = keep
	t.arrange()
}

// SortBy orders by the column with that title, or as the data come for one that
// is not there.
func (t *table[P]) SortBy(title string, reverse bool) {
	t.sortBy = t.titled(title)
	t.reverse = reverse
	t.arrange()
}

// Marked returns the marked objects' rows in the order shown; of hidden ones,
// none.
func (t *table[P]) Marked() []P {
	var out []P
	for i := range t.Len() {
		if r := t.at(i); t.marks[t.id(r)] {
			out = append(out, r)
		}
	}
	return out
}

// Unmark takes all marks away.
func (t *table[P]) Unmark() { t.marks = map[string]bool{} }

// Do does what an action means to a table and reports whether it was one.
func (t *table[P]) Do(a Action) bool {
	if t.cur.command(a, t.Len(), t.idAt) {
		t.follow = t.follow && (a == Down || a == PageDown || a == End)
		return true
	}
	switch a {
	case Follow:
		t.SetFollow(!t.follow)
	case Left:
		t.shift = max(0, t.shift-1)
	case Right:
		t.shift = min(t.shift+1, max(0, len(t.columns)-2))
	case Sort:
		t.sortBy++
		for t.sortBy < len(t.columns) && t.columns[t.sortBy].hidden {
			t.sortBy++
		}
		if t.sortBy >= len(t.columns) {
			t.sortBy = -1
		}
		t.arrange()
	case Reverse:
		t.reverse = !t.reverse
		t.arrange()
	case Wide:
		t.wide = !t.wide
	case Mark:
		if r, ok := t.Selected(); ok {
			id := t.id(r)
			if t.marks[id] {
				delete(t.marks, id)
			} else {
				t.marks[id] = true
			}
			t.cur.move(1, t.Len(), t.idAt)
		}
	default:
		return false
	}
	return true
}

// Scroll moves the window by d rows, as a wheel does.
func (t *table[P]) Scroll(d int) {
	t.follow = t.follow && d > 0
	t.cur.scroll(d, t.Len(), t.idAt)
}

// Click is a click at column x of line y of what View returned. On a header it
// sorts, again on the same one it turns the order round; on a row it selects and
// reports true if the row was selected before.
func (t *table[P]) Click(x, y int) (again bool) {
	if y == 0 {
		for _, p := range t.places {
			if x >= p.x && x < p.x+p.w {
				if t.sortBy == p.col {
					t.reverse = !t.reverse
				} else {
					t.sortBy, t.reverse = p.col, false
				}
				t.arrange()
			}
		}
		return false
	}
	i := t.cur.top + y - 1
	if y < 1 || i >= t.Len() {
		return false
	}
	again = t.cur.shown && t.cur.at == i
	t.follow = false
	t.cur.choose(i, t.Len(), t.idAt)
	return again
}

// Position returns where the selection stands: the number of the
// selected row from one, zero for none.
func (t *table[P]) Position() int {
	if !t.cur.shown {
		return 0
	}
	return t.cur.at + 1
}

// View draws the header and as many rows as fit into height lines of width
// cells.
func (t *table[P]) View(th *Theme, width, height int) []string {
	rows := max(0, height-1)
	if t.cur.size != rows {
		t.cur.size = rows
		t.cur.clamp(t.Len())
	}
	first, last := t.cur.top, min(t.cur.top+rows, t.Len())
	cells := t.measure(first, last)
	t.layout(width)
	out := make([]string, 0, height)
	var b strings.Builder
	t.header(&b, th, width)
	out = append(out, b.String())
	for i := first; i < last; i++ {
		b.Reset()
		t.line(&b, th, i, cells[(i-first)*len(t.columns):][:len(t.columns)], width)
		out = append(out, b.String())
	}
	return out
}

// measure returns the cells of the rows from first to last and widens the
// columns to what they need. Columns do not shrink again, so that the table
// does not dance while it is scrolled.
func (t *table[P]) measure(first, last int) []Cell {
	n := len(t.columns)
	cells := make([]Cell, max(0, last-first)*n)
	for c := range t.columns {
		w := Width(t.columns[c].Title)
		if c == t.sortBy {
			w += 2
		}
		t.widths[c] = max(t.widths[c], w)
	}
	for i := first; i < last; i++ {
		r := t.at(i)
		for c := range t.columns {
			cell := t.columns[c].Cell(r)
			cell.Text = Clean(cell.Text)
			w := Width(cell.Text)
			if cell.Glyph {
				w += 2
			}
			t.widths[c] = max(t.widths[c], min(w, t.max(c)))
			cells[(i-first)*n+c] = cell
		}
	}
	return cells
}

func (t *table[P]) max(c int) int {
	if m := t.columns[c].Max; m > 0 {
		return m
	}
	return 40
}

const (
	gutter = 2 // for the sign of the selection, and a blank
	gap    = 2 // between columns
	narrow = 8 // no column is squeezed below this
	// elastic is what an elastic column must have at least, if it needs it.
	elastic = 12
)

// layout decides which columns are drawn where, and how wide.
func (t *table[P]) layout(width int) {
	t.places = t.places[:0]
	total := gutter
	for c := range t.columns {
		if t.columns[c].hidden || t.columns[c].Wide && !t.wide || c > 0 && c <= t.shift {
			continue
		}
		w := t.widths[c]
		if t.columns[c].Elastic {
			w = min(w, elastic)
		}
		t.places = append(t.places, place{col: c, w: w})
		total += w + gap
	}
	total -= gap
	for total > width {
		worst := -1
		for i, p := range t.places {
			if d := t.columns[p.col].Drop; d > 0 && (worst < 0 || d >= t.columns[t.places[worst].col].Drop) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		total -= t.places[worst].w + gap
		t.places = slices.Delete(t.places, worst, worst+1)
	}
	for total > width {
		widest := 0
		for i, p := range t.places {
			if p.w > t.places[widest].w {
				widest = i
			}
		}
		if len(t.places) == 0 || t.places[widest].w <= narrow {
			break // what is left is cut at the edge
		}
		t.places[widest].w--
		total--
	}
	for i, p := range t.places {
		if more := min(width-total, t.widths[p.col]-p.w); t.columns[p.col].Elastic && more > 0 {
			t.places[i].w += more
			total += more
		}
	}
	x := gutter
	for i := range t.places {
		t.places[i].x = x
		t.places[i].w = min(t.places[i].w, max(0, width-x))
		x += t.places[i].w + gap
	}
	t.places = slices.DeleteFunc(t.places, func(p place) bool { return p.w <= 0 })
}

func (t *table[P]) header(b *strings.Builder, th *Theme, width int) {
	var line strings.Builder
	line.WriteString(Blank(min(gutter, width)))
	for i, p := range t.places {
		if i > 0 {
			line.WriteString(Blank(gap))
		}
		title := t.columns[p.col].Title
		if p.col == t.sortBy {
			if t.reverse {
				title += " " + th.Glyphs.Down
			} else {
				title += " " + th.Glyphs.Up
			}
		}
		pad(&line, title, p.w, t.columns[p.col].Right, "")
	}
	b.WriteString(th.Header.Render(strings.TrimRight(line.String(), " ")))
}

// line draws row i. Every piece is styled for itself: a reset inside would end
// the style of the whole line.
func (t *table[P]) line(b *strings.Builder, th *Theme, i int, cells []Cell, width int) {
	base := th.Text
	lead := "  "
	marked := t.marks[t.idAt(i)]
	if marked {
		base, lead = base.And(th.Marked), " "+th.Glyphs.Mark
	}
	if t.cur.shown && t.cur.at == i {
		base = base.And(th.Selected)
		lead = th.Glyphs.Select + lead[1:]
	}
	b.WriteString(base.Render(Cut(lead, width, "")))
	end := min(gutter, width)
	var text strings.Builder
	for k, p := range t.places {
		if k > 0 {
			b.WriteString(base.Render(Blank(gap)))
			end += gap
		}
		cell := cells[p.col]
		s := cell.Text
		if cell.Glyph {
			s = th.Glyph(cell.Level) + " " + s
		}
		text.Reset()
		pad(&text, s, p.w, t.columns[p.col].Right, th.Glyphs.Ellipsis)
		b.WriteString(th.Level(cell.Level).And(base).Render(text.String()))
		end += p.w
	}
	if base != th.Text && end < width {
		b.WriteString(base.Render(Blank(width - end)))
	}
}

// Export returns the titles of all columns and the shown rows' cells, in the
// order shown.
func (t *table[P]) Export() (titles []string, rows [][]string) {
	for _, c := range t.columns {
		titles = append(titles, c.Title)
	}
	for i := range t.Len() {
		row := make([]string, len(t.columns))
		for c := range t.columns {
			row[c] = t.columns[c].Cell(t.at(i)).Text
		}
		rows = append(rows, row)
	}
	return titles, rows
}

// Rows returns the shown rows in the order shown. The slice is the caller's.
func (t *table[P]) Rows() []P {
	out := make([]P, t.Len())
	for i := range out {
		out[i] = t.at(i)
	}
	return out
}

// Pick selects the i-th of the shown rows, from zero.
func (t *table[P]) Pick(i int) { t.cur.choose(i, t.Len(), t.idAt) }
