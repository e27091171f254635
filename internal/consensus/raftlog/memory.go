package raftlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// Memory is a raft.LogStore and raft.StableStore that forgets everything with
// the process, for a server in development mode. Like Disk it is monotonic. The
// zero Memory is empty and ready; all methods may run beside each other.
type Memory struct {
	mu      sync.RWMutex
	entries []raft.Log // following each other
	bytes   int
	stable  map[string][]byte
}

// IsMonotonic implements raft.MonotonicLogStore.
func (m *Memory) IsMonotonic() bool { return true }

// FirstIndex implements raft.LogStore.
func (m *Memory) FirstIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.first(), nil
}

// LastIndex implements raft.LogStore.
func (m *Memory) LastIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.last(), nil
}

// first and last run under mu.
func (m *Memory) first() uint64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[0].Index
}

func (m *Memory) last() uint64 {
	if len(m.entries) == 0 {
		return 0
	}
	return m.entries[len(m.entries)-1].Index
}

// GetLog implements raft.LogStore.
func (m *Memory) GetLog(index uint64, out *raft.Log) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.entries) == 0 || index < m.first() || index > m.last() {
		return raft.ErrLogNotFound
	}
	*out = m.entries[index-m.first()]
	return nil
}

// StoreLog implements raft.LogStore.
func (m *Memory) StoreLog(l *raft.Log) error { return m.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (m *Memory) StoreLogs(logs []*raft.Log) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range logs {
		if last := m.last(); last > 0 && l.Index != last+1 {
			return fmt.Errorf("log entry %d does not follow %d", l.Index, last)
		}
		m.entries = append(m.entries, *l)
		m.bytes += entryBytes(l)
	}
	return nil
}

// DeleteRange implements raft.LogStore for a range at either end of the log.
func (m *Memory) DeleteRange(from, to uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, last := m.first(), m.last()
	var keep []raft.Log
	switch {
	case last == 0 || to < first || from > last || from > to:
		return nil
	case from <= first && to >= last:
	case from <= first:
		keep = m.entries[to-first+1:]
	case to >= last:
		keep = m.entries[:from-first]
	default:
		return fmt.Errorf("log entries %d to %d are in the middle of %d to %d", from, to, first, last)
	}
	m.entries = append([]raft.Log(nil), keep...) // so that the rest can be freed
	m.bytes = 0
	for i := range m.entries {
		m.bytes += entryBytes(&m.entries[i])
	}
	return nil
}

// Size returns the number of entries and the bytes they carry.
func (m *Memory) Size() (entries, bytes int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.entries), m.bytes
}

// Set implements raft.StableStore.
func (m *Memory) Set(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stable == nil {
		m.stable = map[string][]byte{}
	}
	m.stable[string(key)] = bytes.Clone(value)
	return nil
}

// Get implements raft.StableStore; an absent key is nil.
func (m *Memory) Get(key []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return bytes.Clone(m.stable[string(key)]), nil
}

// SetUint64 implements raft.StableStore.
func (m *Memory) SetUint64(key []byte, value uint64) error {
	return m.Set(key, binary.LittleEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore; an absent key is 0.
func (m *Memory) GetUint64(key []byte) (uint64, error) {
	b, err := m.Get(key)
	if err != nil || len(b) == 0 {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("stable value %q is no number", key)
	}
	return binary.LittleEndian.Uint64(b), nil
}
