package ui

// cursor is a selection bound to an object by its id, in a list that changes
// under it. Lines of the list are counted from zero.
//
// An empty id is no selection: nothing was ever chosen, or what was chosen has
// been given up. While the object is not in the list, because it went or a
// filter hides it, nothing is selected, but at remembers where it stood, so that
// the next movement starts there.
type cursor struct {
	id    string
	at    int  // line of the object, or where it was
	shown bool // the object is in the list
	gone  bool // the object was in the list and is no longer in the data
	moved bool // somebody chose; before that the first line may be taken
	top   int  // first visible line
	size  int  // visible lines, of the last drawing
}

// settle fits the cursor to a list of n lines whose ids are given by id. exists
// says whether the selected object is in the data at all, perhaps hidden. The
// object stays on the line of the screen it was on, if it can.
func (c *cursor) settle(n int, id func(i int) string, exists func(id string) bool) {
	if c.id == "" && !c.moved && n > 0 {
		c.id, c.at, c.shown = id(0), 0, true
	}
	line := c.at - c.top
	c.shown = false
	if c.id != "" {
		if c.at < n && id(c.at) == c.id {
			c.shown = true
		} else if i := find(n, id, c.id, c.at); i >= 0 {
			c.at, c.shown = i, true
			c.top = i - line
		}
		c.gone = !c.shown && !exists(c.id)
	}
	c.clamp(n)
}

// find looks for the line of an id, near first: most changes move it little.
func find(n int, id func(i int) string, want string, near int) int {
	near = min(near, n-1)
	for d := range n {
		if hi := near + d; hi < n && id(hi) == want {
			return hi
		}
		if lo := near - d; lo >= 0 && id(lo) == want {
			return lo
		}
	}
	return -1
}

func (c *cursor) clamp(n int) {
	c.at = max(0, min(c.at, n-1))
	size := max(1, c.size)
	if c.at < c.top {
		c.top = c.at
	}
	if c.at >= c.top+size {
		c.top = c.at - size + 1
	}
	c.top = max(0, min(c.top, n-size))
}

// move goes d lines down, or up. With nothing selected the first movement only
// takes the line where the cursor stands: the operator sees what is chosen
// before it can be acted on.
func (c *cursor) move(d, n int, id func(i int) string) {
	if n == 0 {
		return
	}
	to := c.at
	if c.shown {
		to += d
	}
	c.choose(to, n, id)
}

// choose selects line i, or the nearest there is.
func (c *cursor) choose(i, n int, id func(i int) string) {
	if n == 0 {
		return
	}
	c.moved, c.gone, c.shown = true, false, true
	c.at = max(0, min(i, n-1))
	c.id = id(c.at)
	c.clamp(n)
}

// command does what a movement asks for and reports whether it was one.
func (c *cursor) command(a Action, n int, id func(i int) string) bool {
	page := max(1, c.size-1)
	switch a {
	case Up:
		c.move(-1, n, id)
	case Down:
		c.move(1, n, id)
	case PageUp:
		c.move(-page, n, id)
	case PageDown:
		c.move(page, n, id)
	case Home:
		c.choose(0, n, id)
	case End:
		c.choose(n-1, n, id)
	default:
		return false
	}
	return true
}

// scroll moves the window by d lines and takes the selection along only if it
// would leave it.
func (c *cursor) scroll(d, n int, id func(i int) string) {
	top := max(0, min(c.top+d, n-max(1, c.size)))
	if !c.shown {
		c.top = top
		return
	}
	at := max(top, min(c.at, top+max(1, c.size)-1))
	c.top = top
	if at != c.at {
		c.choose(at, n, id)
	}
}
