package source

import (
	"slices"
	"strings"
)

// list keeps rows in the order of their keys and hands out slices that never
// change afterwards.
//
// Putting a row in place of one of the same key costs a binary search and, once
// after each view, a copy of the slice of pointers: what 5,000 rows need sixty
// times a second is below a thousandth of a core.
type list[R any] struct{ ordered[*R] }

// ordered is a list by the pointers to its rows. Code is compiled once for all
// types that are pointers, but anew for each other type.
type ordered[P any] struct {
	key    func(P) string
	rows   []P
	shared bool // rows was handed out and must not be written to
	// changed, where there is one, is told of every row that took the place of
	// another, came or went, once all rows were given.
	changed func(old, now P)
	whole   bool // all rows were given
}

// view returns the rows in order. The caller must not change the slice.
func (l *ordered[P]) view() []P {
	l.shared = true
	return l.rows
}

func (l *ordered[P]) find(key string) (int, bool) {
	return slices.BinarySearchFunc(l.rows, key, func(r P, k string) int { return strings.Compare(l.key(r), k) })
}

// get returns the row of key, or nil.
func (l *ordered[P]) get(key string) (row P) {
	if i, ok := l.find(key); ok {
		return l.rows[i]
	}
	return row
}

// own makes rows writable.
func (l *ordered[P]) own() {
	if l.shared {
		l.rows, l.shared = slices.Clone(l.rows), false
	}
}

// put sets the row of its key and returns the one that stood there, or nil.
func (l *ordered[P]) put(r P) (old P) {
	l.own()
	i, ok := l.find(l.key(r))
	if ok {
		old, l.rows[i] = l.rows[i], r
	} else {
		l.rows = slices.Insert(l.rows, i, r)
	}
	l.tell(old, r)
	return old
}

func (l *ordered[P]) tell(old, now P) {
	if l.changed != nil && l.whole {
		l.changed(old, now)
	}
}

// forget takes all rows out, because the list is about to be of something else.
func (l *ordered[P]) forget() { l.rows, l.shared, l.whole = nil, false, false }

// remove takes the row of key out and returns it, or nil.
func (l *ordered[P]) remove(key string) (old P) {
	i, ok := l.find(key)
	if !ok {
		return old
	}
	l.own()
	old = l.rows[i]
	l.rows = slices.Delete(l.rows, i, i+1)
	var none P
	l.tell(old, none)
	return old
}

// replace makes rows, which it takes, all there is. Of rows with equal keys the
// last stands. It calls diff, where there is one, with every row that came
// (no old), went (no new) or was there before.
func (l *ordered[P]) replace(rows []P, diff func(old, now P)) {
	slices.SortStableFunc(rows, func(a, b P) int { return strings.Compare(l.key(a), l.key(b)) })
	out := rows[:0]
	for i, r := range rows {
		if i+1 < len(rows) && l.key(rows[i+1]) == l.key(r) {
			continue
		}
		out = append(out, r)
	}
	clear(rows[len(out):])
	before := l.rows
	l.rows, l.shared = out, false
	if diff == nil && (l.changed == nil || !l.whole) {
		l.whole = true
		return
	}
	var none P
	each := func(old, now P) {
		if diff != nil {
			diff(old, now)
		}
		l.tell(old, now)
	}
	i, j := 0, 0
	for i < len(before) || j < len(out) {
		switch {
		case j == len(out) || i < len(before) && l.key(before[i]) < l.key(out[j]):
			each(before[i], none)
			i++
		case i == len(before) || l.key(out[j]) < l.key(before[i]):
			each(none, out[j])
			j++
		default:
			each(before[i], out[j])
			i, j = i+1, j+1
		}
	}
	l.whole = true
}

// ranking keeps rows in an order that changes with them. Like a list it hands out
// slices that never change afterwards.
type ranking[R any] struct {
	order  func(a, b *R) int // equal only for the same row
	rows   []*R
	shared bool
}

func (r *ranking[R]) view() []*R {
	r.shared = true
	return r.rows
}

// move puts now in its place and takes old out; either may be nil.
func (r *ranking[R]) move(old, now *R) {
	if r.shared {
		r.rows, r.shared = slices.Clone(r.rows), false
	}
	if old != nil {
		if i, ok := slices.BinarySearchFunc(r.rows, old, r.order); ok {
			r.rows = slices.Delete(r.rows, i, i+1)
		}
	}
	if now != nil {
		i, _ := slices.BinarySearchFunc(r.rows, now, r.order)
		r.rows = slices.Insert(r.rows, i, now)
	}
}

// replace makes rows, which it copies, all there is.
func (r *ranking[R]) replace(rows []*R) {
	r.rows, r.shared = slices.Clone(rows), false
	slices.SortFunc(r.rows, r.order)
}

// ring keeps the newest items and hands out slices that never change
// afterwards: it only ever writes behind what was handed out.
type ring[T any] struct {
	max   int
	items []T
	start int
}

func (r *ring[T]) view() []T { return r.items[r.start:len(r.items):len(r.items)] }

func (r *ring[T]) add(item T) {
	if len(r.items)-r.start >= r.max {
		r.start++
	}
	if len(r.items) == cap(r.items) {
		// Half as much again as is kept: a copy every max/2 items.
		kept := make([]T, 0, max(16, min(2*(len(r.items)-r.start), r.max+r.max/2)+1))
		r.items, r.start = append(kept, r.items[r.start:]...), 0
	}
	r.items = append(r.items, item)
}

// drop forgets the oldest items as long as old says so.
func (r *ring[T]) drop(old func(*T) bool) (dropped bool) {
	for r.start < len(r.items) && old(&r.items[r.start]) {
		r.start++
		dropped = true
	}
	return dropped
}
