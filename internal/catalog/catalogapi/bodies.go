package catalogapi

import (
	"strings"
	"sync"

	"github.com/ctl-sh/ctl/internal/catalog"
)

// maxBodies bounds how many targets' healths are kept, and maxBodyBytes what
// their encoded bodies take together.
const (
	maxBodies    = 4096
	maxBodyBytes = 32 << 20
)

// bodies keeps the health of targets, read and encoded once for all who ask
// while nothing about a target changes: a thousand watchers that wake together
// share one evaluation and one body. The zero value is ready. It is safe for
// any number of goroutines.
type bodies struct {
	mu    sync.Mutex
	kept  map[catalog.Target]*healths
	bytes int
}

// healths is the health of a target under one head. Only its bodies are made
// later, when first asked for.
type healths struct {
	head  *catalog.Head
	rows  []catalog.Health
	owner *bodies

	all, passing body

	// Both belong to owner.mu.
	kept  bool
	bytes int
}

type body struct {
	once sync.Once
	json []byte
	err  error
}

// get returns the target's health under head, from read where it is not kept.
// What has no head is not kept: nothing would say when it changed.
func (b *bodies) get(t catalog.Target, head *catalog.Head, read func() ([]catalog.Health, error)) (*healths, error) {
	t.Service = strings.ToLower(t.Service)
	if head != nil {
		b.mu.Lock()
		h := b.kept[t]
		b.mu.Unlock()
		if h != nil && h.head == head {
			return h, nil
		}
	}
	rows, err := read()
	h := &healths{head: head, rows: rows, owner: b}
	if err == nil && head != nil {
		b.keep(t, h)
	}
	return h, err
}

func (b *bodies) keep(t catalog.Target, h *healths) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(t)
	b.makeRoom(maxBodies - 1)
	if b.kept == nil {
		b.kept = make(map[catalog.Target]*healths)
	}
	b.kept[t], h.kept = h, true
}

// makeRoom drops any until at most n are left and they are within the bytes
// they may take. The caller holds mu.
func (b *bodies) makeRoom(n int) {
	for t := range b.kept {
		if len(b.kept) <= n && b.bytes <= maxBodyBytes {
			return
		}
		b.drop(t)
	}
}

// drop forgets a target. The caller holds mu.
func (b *bodies) drop(t catalog.Target) {
	if h := b.kept[t]; h != nil {
		b.bytes -= h.bytes
		h.kept = false
		delete(b.kept, t)
	}
}

// grew notes that a body of n bytes was made for h.
func (b *bodies) grew(h *healths, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !h.kept {
		return
	}
	h.bytes += n
	b.bytes += n
	b.makeRoom(maxBodies)
}

// body returns the encoded rows, all or the passing ones. Its bytes are shared
// and must not be changed. It may block while another caller encodes them.
func (h *healths) body(passing bool) ([]byte, error) {
	b := &h.all
	if passing {
		b = &h.passing
	}
	b.once.Do(func() {
		b.json, b.err = encodeHealths(h.rows, passing)
		h.owner.grew(h, len(b.json))
	})
	return b.json, b.err
}
