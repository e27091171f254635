package checks

import "fmt"

// tail is an io.Writer that keeps the end of what was written.
type tail struct {
	limit   int
	kept    []byte // a ring once it is full
	next    int
	written int
}

func newTail(limit int) *tail { return &tail{limit: limit} }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
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
func (t *tail) String() string {
	if t.written <= t.limit {
		return string(t.kept)
	}
	return fmt.Sprintf("Captured %d of %d bytes\n...\n%s%s", t.limit, t.written, t.kept[t.next:], t.kept[:t.next])
}
