// Package fsm turns committed log entries into transactions of the store, and
// the store into snapshots and back.
//
// An entry is one byte of command type and the command's body. Type 0 does
// nothing: a new leader writes it to commit what came before. Entries arrive
// in batches and a batch is one transaction. The package knows no noun; it is
// the only caller of store.DB.Apply and Load.
//
// Rules: nothing here reads a clock or depends on the order of a map; an entry
// that does not decode is refused with an error and never ends the process; the
// applied index moves only after the batch's changes are visible to readers.
package fsm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
)

// TypeNoop is the command type of an entry that changes nothing.
const TypeNoop uint8 = 0

// Machine is the replicated state machine of one server. It implements
// raft.BatchingFSM. Applied and WaitApplied are safe for any goroutine; the
// rest is called by raft, one call at a time.
type Machine struct {
	db      *store.DB
	applied atomic.Uint64
	entries []store.Entry // reused between batches
	slots   []int

	mu    sync.Mutex
	moved chan struct{} // closed when applied moves; nil while nobody waits
}

// New returns a machine over db, which must be empty and get no other writer.
func New(db *store.DB) *Machine { return &Machine{db: db} }

// Applied returns the index of the newest entry whose changes readers see.
func (m *Machine) Applied() uint64 { return m.applied.Load() }

// WaitApplied blocks until the entry at index is applied or ctx ends, whose
// error it then returns.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	for m.applied.Load() < index {
		m.mu.Lock()
		if m.moved == nil {
			m.moved = make(chan struct{})
		}
		moved := m.moved
		m.mu.Unlock()
		if m.applied.Load() >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (m *Machine) setApplied(index uint64) {
	m.applied.Store(index)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moved != nil {
		close(m.moved)
		m.moved = nil
	}
}

// Apply implements raft.FSM for a single entry.
func (m *Machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. The response of an entry is the
// command's value, or its refusal as an error; of a configuration entry, nil.
func (m *Machine) ApplyBatch(logs []*raft.Log) []any {
	responses := make([]any, len(logs))
	m.entries, m.slots = m.entries[:0], m.slots[:0]
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		e, err := codec.DecodeEntry(l.Data)
		switch {
		case err != nil:
			responses[i] = fmt.Errorf("log entry %d: %w", l.Index, err)
		case e.Type != TypeNoop:
			m.entries = append(m.entries, store.Entry{Index: l.Index, Type: e.Type, Body: e.Body})
			m.slots = append(m.slots, i)
		}
	}
	if len(m.entries) > 0 {
		for i, r := range m.db.Apply(m.entries) {
			responses[m.slots[i]] = r.Value
			if r.Err != nil {
				responses[m.slots[i]] = r.Err
			}
		}
		clear(m.entries) // drop the bodies
	}
	m.setApplied(logs[len(logs)-1].Index)
	return responses
}

// The stream of a snapshot begins with these bytes and the applied index as a
// uvarint; the state follows.
const magic = "ctl-state-1\n"

// Snapshot implements raft.FSM. Taking it costs nothing; writing it runs beside
// further entries.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	tx, _ := m.db.Read()
	return &snapshot{db: m.db, tx: tx, applied: m.applied.Load()}, nil
}

type snapshot struct {
	db      *store.DB
	tx      *store.Txn
	applied uint64
}

// Persist implements raft.FSMSnapshot.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.write(sink); err != nil {
		return errors.Join(fmt.Errorf("persist snapshot %s: %w", sink.ID(), err), sink.Cancel())
	}
	return sink.Close()
}

func (s *snapshot) write(w io.Writer) error {
	if _, err := w.Write(binary.AppendUvarint([]byte(magic), s.applied)); err != nil {
		return err
	}
	return s.db.Persist(s.tx, w)
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() {}

// Restore implements raft.FSM: the state becomes what the snapshot holds, or
// stays as it is when the snapshot does not decode to its end.
func (m *Machine) Restore(rc io.ReadCloser) error {
	err := m.restore(rc)
	return errors.Join(err, rc.Close())
}

func (m *Machine) restore(r io.Reader) error {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return failure.Newf(failure.Invalid, "restore: the snapshot does not begin with %q", magic)
	}
	applied, err := binary.ReadUvarint(oneByte{r})
	if err != nil {
		return fmt.Errorf("restore: read applied index: %w", err)
	}
	if err := m.db.Load(r); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	m.setApplied(applied)
	return nil
}

// oneByte reads single bytes without taking more than asked from the stream.
type oneByte struct{ io.Reader }

func (o oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(o.Reader, b[:])
	return b[0], err
}
