package ui

import (
	"slices"
	"strings"
)

// Node is one line of a tree.
type Node struct {
	ID     string
	Label  string
	Branch bool   // others hang under it, perhaps not known yet
	Cells  []Cell // beside the label, by column of the tree
}

// Branch is what hangs under a node.
type Branch struct {
	Nodes []Node
	// Note is a line instead of nodes, or after them: that they are being
	// loaded, that there are none, or why they cannot be had.
	Note  string
	Level Level
}

// Tree shows nodes under each other, those of a branch only once it is opened.
// It keeps a flat list of the visible lines and asks for children by level, so
// that its cost is that of what can be seen.
//
// The selection is bound to a node as in a Table. A branch that is closed over
// the selection takes it, since closing is the operator's own act.
type Tree struct {
	children func(id string) Branch
	titles   []string
	open     map[string]bool
	flat     []treeLine
	filter   Filter
	cur      cursor
	parent   string // of the selected node
	marks    map[string]bool
}

type treeLine struct {
	Node
	depth  int
	parent string
	note   bool
	level  Level
}

// NewTree returns an empty tree; titles name the columns beside the labels.
func NewTree(titles ...string) *Tree {
	return &Tree{titles: titles, open: map[string]bool{}, marks: map[string]bool{}}
}

// Set gives the tree its nodes: children returns what hangs under a node, those
// at the top under the empty id. It is asked for open branches only.
func (t *Tree) Set(children func(id string) Branch) {
	t.children = children
	t.arrange()
}

func (t *Tree) arrange() {
	if t.children == nil {
		return
	}
	t.flat = t.flat[:0]
	t.add("", 0)
	if !t.filter.Empty() {
		t.thin()
	}
	if t.cur.id == "" && len(t.flat) > 0 && t.flat[0].note {
		return // nothing to select yet
	}
	t.cur.settle(len(t.flat), t.idAt, t.exists)
	t.remember()
}

// pass goes on over notes, in the direction of a movement from line i; where
// nothing else follows, back to it.
func (t *Tree) pass(from int) {
	step := 1
	if t.cur.at < from {
		step = -1
	}
	for i := t.cur.at; i >= 0 && i < len(t.flat); i += step {
		if !t.flat[i].note {
			if i != t.cur.at {
				t.cur.choose(i, len(t.flat), t.idAt)
			}
			return
		}
	}
	if from < len(t.flat) && !t.flat[from].note {
		t.cur.choose(from, len(t.flat), t.idAt)
	}
}

func (t *Tree) add(id string, depth int) {
	b := t.children(id)
	for _, n := range b.Nodes {
		t.flat = append(t.flat, treeLine{Node: n, depth: depth, parent: id})
		if n.Branch && t.open[n.ID] {
			t.add(n.ID, depth+1)
		}
	}
	if b.Note != "" {
		t.flat = append(t.flat, treeLine{Node: Node{ID: id + "\x00note", Label: b.Note}, depth: depth, parent: id, note: true, level: b.Level})
	}
}

// thin leaves the lines that match and those above them that they hang under.
func (t *Tree) thin() {
	keep := make([]bool, len(t.flat))
	want := -1 // a line of lesser depth than this is above a match
	for i := len(t.flat) - 1; i >= 0; i-- {
		l := &t.flat[i]
		match := l.note || t.filter.Match(1+len(l.Cells), t.title, func(c int) string {
			if c == 0 {
				return l.ID
			}
			return l.Cells[c-1].Text
		})
		if match && !l.note || l.depth < want {
			keep[i] = true
			want = l.depth
		}
	}
	kept := t.flat[:0]
	for i, l := range t.flat {
		if keep[i] {
			kept = append(kept, l)
		}
	}
	t.flat = kept
}

func (t *Tree) title(i int) string {
	if i == 0 {
		return "key"
	}
	return t.titles[i-1]
}

// exists reports whether the selected node is among its parent's, open or not.
func (t *Tree) exists(id string) bool {
	b := t.children(t.parent)
	return b.Note != "" && len(b.Nodes) == 0 ||
		slices.ContainsFunc(b.Nodes, func(n Node) bool { return n.ID == id })
}

func (t *Tree) remember() {
	if t.cur.shown && t.cur.at < len(t.flat) {
		t.parent = t.flat[t.cur.at].parent
	}
}

func (t *Tree) idAt(i int) string { return t.flat[i].ID }

// Len returns how many lines are visible.
func (t *Tree) Len() int { return len(t.flat) }

// Selected returns the selected node; a note is none.
func (t *Tree) Selected() (n Node, ok bool) {
	if !t.cur.shown || len(t.flat) == 0 || t.flat[t.cur.at].note {
		return Node{}, false
	}
	return t.flat[t.cur.at].Node, true
}

// Gone returns the id of the node that was selected and is no more; empty if
// there is no such.
func (t *Tree) Gone() string {
	if t.cur.gone {
		return t.cur.id
	}
	return ""
}

// Select binds the selection to a node and opens the branches given, which
// should be those above it.
func (t *Tree) Select(id string, branches ...string) {
	for _, b := range branches {
		t.open[b] = true
	}
	t.parent = ""
	if len(branches) > 0 {
		t.parent = branches[len(branches)-1]
	}
	t.cur.id, t.cur.moved, t.cur.gone, t.cur.shown = id, true, false, false
	t.arrange()
}

// First selects the first line if nothing is selected that can be seen.
func (t *Tree) First() {
	if !t.cur.shown {
		t.cur.choose(0, len(t.flat), t.idAt)
		t.remember()
	}
}

// Opened returns the branches whose nodes are wanted, but for the top, in no
// order.
func (t *Tree) Opened() []string {
	out := make([]string, 0, len(t.open))
	for id := range t.open {
		out = append(out, id)
	}
	return out
}

// SetFilter shows only lines that match, by id, and those they hang under.
func (t *Tree) SetFilter(text string) {
	t.filter = ParseFilter(text)
	t.arrange()
}

// Filter returns the text of the filter.
func (t *Tree) Filter() string { return t.filter.String() }

// Toggle opens the branch, or closes it.
func (t *Tree) Toggle(id string) {
	if t.open[id] {
		t.close(id)
		return
	}
	t.open[id] = true
	t.arrange()
}

func (t *Tree) close(id string) {
	for i := range t.flat {
		if t.flat[i].ID == id && t.inside(t.cur.at, i) {
			t.cur.choose(i, len(t.flat), t.idAt)
		}
	}
	delete(t.open, id)
	t.arrange()
}

// inside reports whether line i hangs under line branch.
func (t *Tree) inside(i, branch int) bool {
	if i <= branch || i >= len(t.flat) {
		return false
	}
	for k := branch + 1; k <= i; k++ {
		if t.flat[k].depth <= t.flat[branch].depth {
			return false
		}
	}
	return true
}

// Do does what an action means to a tree and reports whether it was one. Right
// opens a branch and then goes into it, Left closes it or goes up.
func (t *Tree) Do(a Action) bool {
	from := t.cur.at
	defer func() {
		if len(t.flat) > 0 {
			t.pass(from)
		}
		t.remember()
	}()
	if t.cur.command(a, len(t.flat), t.idAt) {
		return true
	}
	n, ok := t.Selected()
	switch a {
	case Right:
		switch {
		case ok && n.Branch && !t.open[n.ID]:
			t.Toggle(n.ID)
		case ok && n.Branch:
			t.cur.move(1, len(t.flat), t.idAt)
		}
	case Left:
		if ok && n.Branch && t.open[n.ID] {
			t.close(n.ID)
			break
		}
		for i := t.cur.at - 1; t.cur.shown && i >= 0; i-- {
			if t.flat[i].depth < t.flat[t.cur.at].depth {
				t.cur.choose(i, len(t.flat), t.idAt)
				break
			}
		}
	case Mark:
		if ok {
			if t.marks[n.ID] {
				delete(t.marks, n.ID)
			} else {
				t.marks[n.ID] = true
			}
			t.cur.move(1, len(t.flat), t.idAt)
		}
	default:
		return false
	}
	return true
}

// Marked returns the marked nodes that are visible.
func (t *Tree) Marked() []Node {
	var out []Node
	for _, l := range t.flat {
		if t.marks[l.ID] {
			out = append(out, l.Node)
		}
	}
	return out
}

// Unmark takes all marks away.
func (t *Tree) Unmark() { t.marks = map[string]bool{} }

// Scroll moves the window by d lines, as a wheel does.
func (t *Tree) Scroll(d int) {
	t.cur.scroll(d, len(t.flat), t.idAt)
	t.remember()
}

// Click selects the node on line y of what View returned, and reports whether it
// was selected before.
func (t *Tree) Click(_, y int) (again bool) {
	i := t.cur.top + y - 1
	if y < 1 || i >= len(t.flat) || t.flat[i].note {
		return false
	}
	again = t.cur.shown && t.cur.at == i
	t.cur.choose(i, len(t.flat), t.idAt)
	t.remember()
	return again
}

// Position returns the number of the selected line from one, zero for none.
func (t *Tree) Position() int {
	if !t.cur.shown {
		return 0
	}
	return t.cur.at + 1
}

const cellWidth = 10 // of each column beside the labels

// View draws the header and as many lines as fit into height lines of width
// cells. The columns beside the labels give way on a narrow screen.
func (t *Tree) View(th *Theme, width, height int) []string {
	rows := max(0, height-1)
	if t.cur.size != rows {
		t.cur.size = rows
		t.cur.clamp(len(t.flat))
	}
	columns := len(t.titles)
	for columns > 0 && width-columns*(cellWidth+gap) < 30 {
		columns--
	}
	label := max(1, width-gutter-columns*(cellWidth+gap))
	var head, b strings.Builder
	head.WriteString("  ")
	pad(&head, "Key", label, false, "")
	for _, title := range t.titles[:columns] {
		head.WriteString(Blank(gap))
		pad(&head, title, cellWidth, true, "")
	}
	out := []string{th.Header.Render(strings.TrimRight(Cut(head.String(), width, ""), " "))}
	for i := t.cur.top; i < min(t.cur.top+rows, len(t.flat)); i++ {
		b.Reset()
		t.line(&b, th, i, label, columns)
		out = append(out, b.String())
	}
	return out
}

func (t *Tree) line(b *strings.Builder, th *Theme, i, label, columns int) {
	l := &t.flat[i]
	var base Style
	lead := "  "
	if t.marks[l.ID] {
		base, lead = th.Marked, " "+th.Glyphs.Mark
	}
	if t.cur.shown && t.cur.at == i {
		base = base.And(th.Selected)
		lead = th.Glyphs.Select + lead[1:]
	}
	b.WriteString(base.Render(lead))
	sign := "  "
	if l.Branch {
		sign = th.Glyphs.Closed + " "
		if t.open[l.ID] {
			sign = th.Glyphs.Open + " "
		}
	}
	text := Blank(2*l.depth) + sign + Clean(l.Label)
	style := th.Text.And(base)
	if l.note {
		style = th.Level(l.level).And(base)
	}
	b.WriteString(style.Render(Pad(text, label, th.Glyphs.Ellipsis)))
	for c := range columns {
		var cell Cell
		if c < len(l.Cells) {
			cell = l.Cells[c]
		}
		b.WriteString(base.Render(Blank(gap)))
		var s strings.Builder
		pad(&s, Clean(cell.Text), cellWidth, true, th.Glyphs.Ellipsis)
		b.WriteString(th.Level(cell.Level).And(base).Render(s.String()))
	}
}
