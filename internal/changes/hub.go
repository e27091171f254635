package changes

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/store"
)

// DB is what a Hub needs of the state.
type DB interface {
	Follow(f func(store.Commit)) *store.Txn
	Unfollow()
}

// Config is what a Hub is made of. DB is required; limits of zero are the
// defaults named.
type Config struct {
	DB     DB
	Logger *slog.Logger
	// MaxEvents and MaxBytes bound the log of each topic; zero is 8,192 and
	// 4 MiB.
	MaxEvents, MaxBytes int
	// MaxPending bounds the changes that wait to be worked out; zero is
	// 65,536.
	MaxPending int
	// Linger is how long a topic that nobody follows keeps its log, for
	// readers that come back; zero is 30 s.
	Linger time.Duration
}

// Hub makes streams of what is committed. Build it with New and let it live in
// Run. Its other methods may be called by any number of goroutines.
type Hub struct {
	cfg   Config
	log   *slog.Logger
	epoch string
	work  chan struct{} // something was committed
	done  chan struct{} // closed when Run ends

	pendingMu sync.Mutex
	pending   []store.Commit
	waiting   int  // changes in pending
	overflow  bool // pending was given up

	// working is held by who changes topics or works out events. It is taken
	// before mu.
	working sync.Mutex
	topics  map[string]*topic

	mu    sync.Mutex
	tx    *store.Txn // the state at index; nil while nobody follows
	index store.Index

	encoded uint64 // rows encoded for events, for tests; guarded by working
}

// topic is a Topic that is followed, or was a moment ago. Guarded by Hub.mu, but
// for Topic and keys.
type topic struct {
	Topic
	readers map[*reader]struct{}
	idle    time.Time // when the last reader left
	floor   store.Index
	first   uint64 // the sequence number of events[0]
	events  []event
	bytes   int
	reason  string // why its log was emptied last
}

// event is one change of a row, encoded.
type event struct {
	index store.Index
	guard any
	line  []byte
}

// New returns a Hub that has not begun.
func New(cfg Config) *Hub {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxEvents == 0 {
		cfg.MaxEvents = 8192
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 4 << 20
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 65536
	}
	if cfg.Linger == 0 {
		cfg.Linger = 30 * time.Second
	}
	return &Hub{
		cfg: cfg, log: cfg.Logger, epoch: strconv.FormatUint(rand.Uint64(), 36),
		work: make(chan struct{}, 1), done: make(chan struct{}), topics: map[string]*topic{},
	}
}

// Run works out what is committed until ctx ends, and ends all reads then. It
// returns nil.
func (h *Hub) Run(ctx context.Context, ready func()) error {
	ready()
	defer close(h.done)
	sweep := time.NewTicker(h.cfg.Linger)
	defer sweep.Stop()
	defer h.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.work:
			h.take()
		case now := <-sweep.C:
			h.sweep(now)
		}
	}
}

// committed is called by the one who applies the log.
func (h *Hub) committed(c store.Commit) {
	h.pendingMu.Lock()
	h.waiting += len(c.Changes)
	if h.waiting > h.cfg.MaxPending {
		h.overflow = true
		h.pending = h.pending[:0]
		c.Changes = nil
	}
	h.pending = append(h.pending, c)
	h.pendingMu.Unlock()
	select {
	case h.work <- struct{}{}:
	default:
	}
}

// take works out everything that waits.
func (h *Hub) take() {
	h.working.Lock()
	defer h.working.Unlock()
	h.drain()
}

// drain is take for who holds working.
func (h *Hub) drain() {
	h.pendingMu.Lock()
	commits, overflow := h.pending, h.overflow
	h.pending, h.waiting, h.overflow = nil, 0, false
	h.pendingMu.Unlock()
	if len(commits) == 0 || h.tx == nil {
		return
	}
	last := commits[len(commits)-1]
	reason := ""
	index := h.index
	for _, c := range commits {
		index = max(index, c.Index)
		if c.Restored {
			reason = ReasonRestore
			index = store.Newest(c.Tx)
		}
	}
	if overflow {
		reason = ReasonSlow
	}
	fresh := make(map[*topic][]event, len(h.topics))
	for _, t := range h.topics {
		if reason != "" {
			continue
		}
		events, err := h.events(t, commits, last.Tx, index)
		if err != nil {
			h.log.Error("a topic of the change stream begins anew", "topic", t.Name, "error", err)
			reason = ReasonSlow
			continue
		}
		fresh[t] = events
	}
	h.publish(last.Tx, index, fresh, reason)
}

// publish makes a batch visible.
func (h *Hub) publish(tx *store.Txn, index store.Index, fresh map[*topic][]event, reset string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tx, h.index = tx, index
	for _, t := range h.topics {
		if reset != "" {
			t.forget(index, reset)
		}
		for _, e := range fresh[t] {
			t.add(e, h.cfg.MaxEvents, h.cfg.MaxBytes)
		}
		if reset != "" || len(fresh[t]) > 0 {
			for r := range t.readers {
				r.poke()
			}
		}
	}
}

// events works out how commits changed the rows of t. The state before them is
// h.tx.
func (h *Hub) events(t *topic, commits []store.Commit, tx *store.Txn, index store.Index) ([]event, error) {
	var keys []string
	seen := map[string]struct{}{}
	add := func(key string) {
		if _, ok := seen[key]; !ok {
			seen[key] = struct{}{}
			keys = append(keys, key)
		}
	}
	for _, c := range commits {
		for _, change := range c.Changes {
			if err := t.Touch(c.Tx, change, add); err != nil {
				return nil, err
			}
		}
	}
	var out []event
	for _, key := range keys {
		e, err := h.event(t, key, tx, index)
		if err != nil {
			return nil, err
		}
		if e.line != nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// event compares a row before and after; its line is nil where it has not
// changed.
func (h *Hub) event(t *topic, key string, tx *store.Txn, index store.Index) (event, error) {
	was, before, err := t.Row(h.tx, key)
	if err != nil {
		return event{}, err
	}
	is, after, err := t.Row(tx, key)
	if err != nil {
		return event{}, err
	}
	switch {
	case !before && !after:
		return event{}, nil
	case !after:
		f := Frame{Type: FrameDel, Topic: t.Name, Key: key, Index: index}
		return event{index: index, guard: was.Guard, line: f.Append(nil)}, nil
	case before && is.Same != nil && is.Same == was.Same:
		return event{}, nil
	}
	row, err := appendRow(nil, t.Name, is)
	if err != nil {
		return event{}, err
	}
	h.encoded++
	if before && is.Same == nil {
		old, err := appendRow(nil, t.Name, was)
		if err != nil {
			return event{}, err
		}
		if bytes.Equal(old, row) {
			return event{}, nil
		}
	}
	f := Frame{Type: FramePut, Topic: t.Name, Key: key, Index: index, Row: row}
	return event{index: index, guard: is.Guard, line: f.Append(nil)}, nil
}

// add appends e and drops the oldest events beyond the bounds.
func (t *topic) add(e event, maxEvents, maxBytes int) {
	t.events = append(t.events, e)
	t.bytes += len(e.line)
	drop := 0
	for (len(t.events)-drop > maxEvents || t.bytes > maxBytes) && drop < len(t.events) {
		t.bytes -= len(t.events[drop].line)
		t.floor = max(t.floor, t.events[drop].index)
		t.events[drop] = event{}
		t.reason = ReasonSlow // of who has not read it
		drop++
	}
	t.first += uint64(drop)
	t.events = t.events[drop:]
}

// forget empties the log: who has not read it begins anew.
func (t *topic) forget(index store.Index, reason string) {
	t.reason = reason
	t.first += uint64(len(t.events)) + 1 // beyond everybody's place
	t.events, t.bytes, t.floor = nil, 0, index
}

// end is the place behind the newest event.
func (t *topic) end() uint64 { return t.first + uint64(len(t.events)) }

// sweep forgets topics nobody follows, and the state when there is none left.
func (h *Hub) sweep(now time.Time) {
	h.working.Lock()
	defer h.working.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, t := range h.topics {
		if len(t.readers) == 0 && now.Sub(t.idle) >= h.cfg.Linger {
			delete(h.topics, name)
		}
	}
	if len(h.topics) == 0 && h.tx != nil {
		h.rest()
	}
}

// rest ends following the state. Both locks are held.
func (h *Hub) rest() {
	h.cfg.DB.Unfollow()
	h.tx = nil
	h.pendingMu.Lock()
	h.pending, h.waiting, h.overflow = nil, 0, false
	h.pendingMu.Unlock()
}

func (h *Hub) close() {
	h.working.Lock()
	defer h.working.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tx != nil {
		h.rest()
	}
}

// join makes the topics followed by r and returns them. Each call is followed
// by one of leave.
func (h *Hub) join(r *reader, want []Want) []*topic {
	h.working.Lock()
	defer h.working.Unlock()
	if h.tx == nil {
		tx := h.cfg.DB.Follow(h.committed)
		h.mu.Lock()
		h.tx, h.index = tx, store.Newest(tx)
		h.mu.Unlock()
	}
	// What was committed before does not concern a topic that begins now; let
	// the state catch up first, so that its log begins where the state is.
	h.drain()
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*topic, 0, len(want))
	for _, w := range want {
		t := h.topics[w.Topic.Name]
		if t == nil {
			t = &topic{Topic: w.Topic, floor: h.index, first: 1, readers: map[*reader]struct{}{}}
			h.topics[w.Topic.Name] = t
		}
		t.readers[r] = struct{}{}
		out = append(out, t)
	}
	return out
}

func (h *Hub) leave(r *reader, topics []*topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		if delete(t.readers, r); len(t.readers) == 0 {
			t.idle = time.Now()
		}
	}
}

// position names an index of this hub's life.
func (h *Hub) position(index store.Index) string {
	return h.epoch + "." + strconv.FormatUint(index, 10)
}

// parse returns the index of a position, and false for one of another hub.
func (h *Hub) parse(position string) (store.Index, bool) {
	epoch, number, ok := strings.Cut(position, ".")
	if !ok || epoch != h.epoch {
		return 0, false
	}
	index, err := strconv.ParseUint(number, 10, 64)
	return index, err == nil
}
