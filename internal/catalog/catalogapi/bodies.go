package catalogapi

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/ctl-sh/ctl/internal/catalog"
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
	kept  map[catalog.Target]*healths
	bytes int
}

// healths is the health of a target under one head; it never changes.
type healths struct {
	head  *catalog.Head
	rows  []catalog.Health
	json  [][]byte // of each row
	bytes int
}

// get returns the target's health under head, from read where it is not kept.
// What has no head is not kept: nothing would say when it changed.
func (b *bodies) get(t catalog.Target, head *catalog.Head, read func() ([]catalog.Health, error)) (*healths, error) {
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
	h := &healths{head: head, rows: rows}
	if err := h.encode(old); err != nil {
		return nil, err
	}
	b.keep(t, h)
	return h, nil
}

// encode makes the rows' JSON, or takes it from old for those that are as they
// were. Rows of the store never change, so equal pointers are equal rows.
func (h *healths) encode(old *healths) error {
	was := map[*catalog.Service]int{}
	if old != nil {
		for i := range old.rows {
			was[old.rows[i].Service] = i
		}
	}
	h.json = make([][]byte, len(h.rows))
	for i := range h.rows {
		row := &h.rows[i]
		if at, ok := was[row.Service]; ok && old.rows[at].Node == row.Node && slices.Equal(old.rows[at].Checks, row.Checks) {
			h.json[i] = old.json[at]
		} else {
			encoded, err := json.Marshal(newInstanceHealth(row))
			if err != nil {
				return err
			}
			h.json[i] = encoded
		}
		h.bytes += len(h.json[i])
	}
	return nil
}

// appendList appends those of the rows that are chosen as a JSON list.
func (h *healths) appendList(dst []byte, chosen []int) []byte {
	dst = append(dst, '[')
	for n, i := range chosen {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, h.json[i]...)
	}
	return append(dst, ']')
}

// keep puts h in the place of what is kept of the target, and makes room for
// it by dropping any others.
func (b *bodies) keep(t catalog.Target, h *healths) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(t)
	if h.head == nil || h.bytes > maxBodyBytes {
		return
	}
	for other := range b.kept {
		if len(b.kept) < maxBodies && b.bytes+h.bytes <= maxBodyBytes {
			break
		}
		b.drop(other)
	}
	if b.kept == nil {
		b.kept = make(map[catalog.Target]*healths)
	}
	b.kept[t] = h
	b.bytes += h.bytes
}

// drop forgets a target. The caller holds mu.
func (b *bodies) drop(t catalog.Target) {
	if h := b.kept[t]; h != nil {
		b.bytes -= h.bytes
		delete(b.kept, t)
	}
}
