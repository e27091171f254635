package program

import "fmt"

// Tail is an io.Writer that keeps the end of what was written. It is not safe
// for concurrent use.
type Tail struct {
	limit   int
	kept    []byte // a ring once it is full
	next    int
	written int
}

// NewTail returns a Tail that keeps limit bytes.
func NewTail(limit int) *Tail { return &Tail{limit: limit} }

// Written returns how many bytes were written in all.
func (t *Tail) Written() int { return t.written }

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	t.written += n
	if n > t.limit {
		p = p[n-t.limit:]
	}
	if room := t.limit - len(t.kept); room > 0 {
		take := min(room, len(p))
		t.kept = append(t.kept, p[:take]...)
		p = p[take:]
	}
	for len(p) > 0 {
		c := copy(t.kept[t.next:], p)
		t.next = (t.next + c) % t.limit
		p = p[c:]
	}
	return n, nil
}

// String returns what was kept, and says so if that is not all.
func (t *Tail) String() string {
	if t.written <= t.limit {
		return string(t.kept)
	}
	return fmt.Sprintf("Captured %d of %d bytes\n...\n%s%s", t.limit, t.written, t.kept[t.next:], t.kept[:t.next])
}
