package catalogapi

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// maxBodies bounds how many targets' healths are kept, and maxBodyBytes what
// their encoded rows take together.
const (
	maxBodies    = 4096
	maxBodyBytes = 64 << 20
)

// bodies keeps the health of targets, read and encoded once for all who ask
// while nothing about a target changes: a thousand watchers that wake together
// share one evaluation and its bytes, and after a change only the rows that
// changed are encoded again. The zero value is ready. It is safe for any number
// of goroutines.
type bodies struct {
	mu    sync.Mutex
	kept  map[catalog.Target]*Found
	bytes int
}

// Found is the health of a target at one moment, with what was encoded of it so
// far. What it says never changes. It is safe for any number of goroutines.
type Found struct {
	head   *catalog.Head // nil where another agent found it
	rows   []catalog.Health
	health list
	flat   list // the same instances without checks; encoded when first asked for
	bytes  int  // of health

	mu     sync.Mutex // guards flat and both lists' answers
	isFlat bool
}

// list is the rows of a target as one of the two sorts of routes lists them.
type list struct {
	json    [][]byte // of each row
	answers map[string]*httpapi.Shared
}

// get returns the target's health under head, from read where it is not kept.
// What has no head is not kept: nothing would say when it changed.
func (b *bodies) get(t catalog.Target, head *catalog.Head, read func() ([]catalog.Health, error)) (*Found, error) {
	t.Service = strings.ToLower(t.Service)
	b.mu.Lock()
	old := b.kept[t]
	b.mu.Unlock()
	if head != nil && old != nil && old.head == head {
		return old, nil
	}
	rows, err := read()
	if err != nil {
		return nil, err
	}
	f := &Found{head: head, rows: rows}
	if err := f.encode(old); err != nil {
		return nil, err
	}
	b.keep(t, f)
	return f, nil
}

// encode makes the rows' JSON, or takes it from old for those that are as they
// were. Rows of the store never change, so equal pointers are equal rows.
func (f *Found) encode(old *Found) error {
	was := map[*catalog.Service]int{}
	if old != nil {
		for i := range old.rows {
			was[old.rows[i].Service] = i
		}
	}
	f.health.json = make([][]byte, len(f.rows))
	for i := range f.rows {
		row := &f.rows[i]
		if at, ok := was[row.Service]; ok && old.rows[at].Node == row.Node && slices.Equal(old.rows[at].Checks, row.Checks) {
			f.health.json[i] = old.health.json[at]
		} else {
			encoded, err := json.Marshal(newInstanceHealth(row))
			if err != nil {
				return err
			}
			f.health.json[i] = encoded
		}
		f.bytes += len(f.health.json[i])
	}
	return nil
}

// flatten makes the JSON of the rows without checks, once.
func (f *Found) flatten() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isFlat {
		return nil
	}
	flat := make([][]byte, len(f.rows))
	for i := range f.rows {
		encoded, err := json.Marshal(newServiceNode(f.rows[i].Instance))
		if err != nil {
			return err
		}
		flat[i] = encoded
	}
	f.flat.json, f.isFlat = flat, true
	return nil
}

// maxAnswers bounds the different selections of a target whose answers are kept.
// Together they take no more bytes than this many times the target's rows.
const (
	maxAnswers    = 16
	answersOfRows = 4
)

// kept returns the answer to a selection that was asked for before, or nil.
func (f *Found) kept(l *list, selection string) *httpapi.Shared {
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.answers[selection]
}

// join returns the chosen rows of a list as a list.
func join(l *list, chosen []int) *httpapi.Shared {
	size, json := 2, l.json
	for _, i := range chosen {
		size += len(json[i]) + 1
	}
	body := append(make([]byte, 0, size), '[')
	for n, i := range chosen {
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, json[i]...)
	}
	return httpapi.NewShared(append(body, ']'))
}

// keepAnswer keeps the answer to a selection for the next who asks for the same,
// if there is room, and returns it.
func (f *Found) keepAnswer(l *list, selection string, made *httpapi.Shared) *httpapi.Shared {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := len(made.Bytes())
	taken := size
	for _, a := range l.answers {
		taken += len(a.Bytes())
	}
	if len(l.answers) < maxAnswers && taken <= max(answersOfRows*f.bytes, size) {
		if l.answers == nil {
			l.answers = make(map[string]*httpapi.Shared, 1)
		}
		l.answers[selection] = made
	}
	return made
}

// keep puts f in the place of what is kept of the target, and makes room for
// it by dropping any others.
func (b *bodies) keep(t catalog.Target, f *Found) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(t)
	if f.head == nil || f.bytes > maxBodyBytes {
		return
	}
	for other := range b.kept {
		if len(b.kept) < maxBodies && b.bytes+f.bytes <= maxBodyBytes {
			break
		}
		b.drop(other)
	}
	if b.kept == nil {
		b.kept = make(map[catalog.Target]*Found)
	}
	b.kept[t] = f
	b.bytes += f.bytes
}

// drop forgets a target. The caller holds mu.
func (b *bodies) drop(t catalog.Target) {
	if f := b.kept[t]; f != nil {
		b.bytes -= f.bytes
		delete(b.kept, t)
	}
}
