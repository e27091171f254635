// Package consensustest holds a state machine and a network in memory for tests
// of what stands on package consensus.
//
// Both work inside a testing/synctest bubble. Neither is for production.
package consensustest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// Machine is a state machine that remembers every command in order. It
// implements consensus.StateMachine. The response to a command is how many there
// were before it; a command that begins with '!' is refused with an error. A
// command of one zero byte changes nothing. The zero Machine is ready.
type Machine struct {
	mu      sync.Mutex
	state   state
	changed chan struct{}
}

type state struct {
	Commands []string
	Applied  uint64
}

// ErrRefused is the response to a command that begins with '!'.
var ErrRefused = errors.New("command refused")

// Apply implements raft.FSM.
func (m *Machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM.
func (m *Machine) ApplyBatch(logs []*raft.Log) []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]any, len(logs))
	for i, l := range logs {
		m.state.Applied = l.Index
		switch {
		case l.Type != raft.LogCommand || string(l.Data) == "\x00":
		case len(l.Data) > 0 && l.Data[0] == '!':
			out[i] = ErrRefused
		default:
			out[i] = len(m.state.Commands)
			m.state.Commands = append(m.state.Commands, string(l.Data))
		}
	}
	m.wake()
	return out
}

// wake runs under mu.
func (m *Machine) wake() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Commands returns what was applied, in order.
func (m *Machine) Commands() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.state.Commands...)
}

// Applied returns the index of the newest applied entry.
func (m *Machine) Applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Applied
}

// WaitApplied blocks until Applied is at least index or ctx ends.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	for {
		m.mu.Lock()
		if m.state.Applied >= index {
			m.mu.Unlock()
			return nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Snapshot implements raft.FSM.
func (m *Machine) Snapshot() (raft.FSMSnapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := json.Marshal(m.state)
	return snapshot(b), err
}

type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s snapshot) Release() {}

// Restore implements raft.FSM.
func (m *Machine) Restore(r io.ReadCloser) error {
	var next state
	if err := json.NewDecoder(r).Decode(&next); err != nil {
		return errors.Join(err, r.Close())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = next
	m.wake()
	return r.Close()
}
