package changes

import (
	"context"
	"errors"

	"github.com/ctl-sh/ctl/internal/store"
)

// ErrStopped ends a read because the agent stops.
var ErrStopped = errors.New("the agent is stopping")

// Want is a topic that a reader follows.
type Want struct {
	Topic Topic
	// Have says that the reader still has all rows of the topic as of its
	// position, so that only what changed since is sent.
	Have bool
}

// Sink takes what a reader reads. Its methods are called from the goroutine of
// Read and may block; while they do, the reader falls behind and nobody else
// does. An error ends Read.
type Sink interface {
	// See reports whether a row with the guard may be seen.
	See(guard any) bool
	// Write takes whole lines. They must not be changed or kept.
	Write(lines []byte) error
	// Flush is called when there is nothing more to write for now.
	Flush() error
}

// chunkBytes is how much is gathered before it is written.
const chunkBytes = 32 << 10

// Read follows the topics from position on, "" for none, until ctx ends or sink
// fails. Rows of a topic follow each other in the order of the log. It sends,
// for each topic, a reset, all rows and a ready, or from a known position on only
// what changed, and after each batch where it is. It fails with ctx's error, the
// sink's, or ErrStopped where the hub stopped.
func (h *Hub) Read(ctx context.Context, position string, want []Want, sink Sink) error {
	r := &reader{h: h, sink: sink, wake: make(chan struct{}, 1)}
	topics := h.join(r, want)
	defer h.leave(r, topics)
	from, known := h.parse(position)
	h.mu.Lock()
	for i, t := range topics {
		p := place{t: t, reason: ReasonStart}
		switch {
		case want[i].Have && known && from >= t.floor && from <= h.index:
			p.reason, p.next = "", t.after(from)
		case want[i].Have:
			p.reason = ReasonPosition
		}
		r.places = append(r.places, p)
	}
	h.mu.Unlock()
	return r.run(ctx)
}

// after returns the place of the first event above index.
func (t *topic) after(index store.Index) uint64 {
	i := len(t.events)
	for i > 0 && t.events[i-1].index > index {
		i--
	}
	return t.first + uint64(i)
}

// place is how far a reader is in a topic.
type place struct {
	t      *topic
	next   uint64
	reason string // why the topic must be sent whole; "" if it need not
}

type reader struct {
	h      *Hub
	sink   Sink
	places []place
	wake   chan struct{} // there is something in one of the topics
	buf    []byte
	said   bool // an at was sent
}

func (r *reader) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reader) run(ctx context.Context) error {
	for {
		wrote, err := r.step()
		if err != nil {
			return err
		}
		if wrote {
			continue // more may have come while that was written
		}
		if err := r.sink.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.h.done:
			return ErrStopped
		case <-r.wake:
		}
	}
}

// step writes what there is and reports whether there was anything.
func (r *reader) step() (wrote bool, err error) {
	h := r.h
	h.mu.Lock()
	tx, index := h.tx, h.index
	var events []event
	var whole []int
	for i := range r.places {
		p := &r.places[i]
		if p.reason == "" && p.next < p.t.first {
			p.reason = p.t.reason
		}
		if p.reason == "" {
			events = append(events, p.t.events[p.next-p.t.first:]...)
		} else {
			whole = append(whole, i)
		}
		p.next = p.t.end()
	}
	h.mu.Unlock()
	if len(events) == 0 && len(whole) == 0 && r.said {
		return false, nil
	}
	for _, e := range events {
		if r.sink.See(e.guard) {
			if err := r.add(e.line); err != nil {
				return true, err
			}
		}
	}
	for _, i := range whole {
		if err := r.whole(&r.places[i], tx, index); err != nil {
			return true, err
		}
	}
	r.said = true
	f := Frame{Type: FrameAt, Position: h.position(index)}
	r.buf = f.Append(r.buf)
	return true, r.write()
}

// whole sends all rows of a topic as of tx.
func (r *reader) whole(p *place, tx *store.Txn, index store.Index) error {
	f := Frame{Type: FrameReset, Topic: p.t.Name, Reason: p.reason}
	r.buf = f.Append(r.buf)
	p.reason = ""
	var value []byte
	err := p.t.Each(tx, func(row Row) error {
		if !r.sink.See(row.Guard) {
			return nil
		}
		var err error
		if value, err = appendRow(value[:0], p.t.Name, row); err != nil {
			return err
		}
		f := Frame{Type: FramePut, Topic: p.t.Name, Key: row.Key, Index: index, Row: value}
		r.buf = f.Append(r.buf)
		return r.full()
	})
	if err != nil {
		return err
	}
	f = Frame{Type: FrameReady, Topic: p.t.Name}
	r.buf = f.Append(r.buf)
	return r.full()
}

func (r *reader) add(line []byte) error {
	r.buf = append(r.buf, line...)
	return r.full()
}

// full writes what was gathered, if it is enough.
func (r *reader) full() error {
	if len(r.buf) < chunkBytes {
		return nil
	}
	return r.write()
}

func (r *reader) write() error {
	err := r.sink.Write(r.buf)
	r.buf = r.buf[:0]
	return err
}
