package raftlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"

	"github.com/hashicorp/raft-wal/types"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// metaFormat is the version of the directory's layout, entries included.
const metaFormat = 1

// metaFile holds what raft-wal and raft want to keep beside the log, in one
// checked file that is replaced as a whole. It implements types.MetaStore. It
// stands in for raft-wal's bolt database, which maps its file without checking
// it (a cut-off file ends the process) and waits for ever on a held lock.
type metaFile struct {
	path string

	mu      sync.Mutex
	found   bool // the file existed when it was opened
	content metaContent
}

type metaContent struct {
	Format int
	Log    types.PersistentState
	Stable map[string][]byte
}

func openMeta(path string) (*metaFile, error) {
	m := &metaFile{path: path, content: metaContent{Format: metaFormat}}
	b, err := durable.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &m.content); err != nil {
		return nil, &durable.Damage{Path: path, What: "does not decode", Err: err}
	}
	if m.content.Format != metaFormat {
		return nil, fmt.Errorf("%s has format %d, this version reads %d: run the version that wrote it",
			path, m.content.Format, metaFormat)
	}
	m.found = true
	return m, nil
}

// Load implements types.MetaStore.
func (m *metaFile) Load(string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.content.Log, nil
}

// CommitState implements types.MetaStore.
func (m *metaFile) CommitState(s types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.content
	next.Log = s
	return m.replace(next)
}

// GetStable implements types.MetaStore; it returns nil for an absent key.
func (m *metaFile) GetStable(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.content.Stable[string(key)]), nil
}

// SetStable implements types.MetaStore. Storing what is already there costs
// nothing: raft does so at every start.
func (m *metaFile) SetStable(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.content.Stable[string(key)]; ok && bytes.Equal(old, value) {
		return nil
	}
	next := m.content
	next.Stable = maps.Clone(m.content.Stable)
	if next.Stable == nil {
		next.Stable = map[string][]byte{}
	}
	next.Stable[string(key)] = bytes.Clone(value)
	return m.replace(next)
}

// Close implements io.Closer; nothing is held open.
func (m *metaFile) Close() error { return nil }

// replace runs under mu.
func (m *metaFile) replace(next metaContent) error {
	b, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode %s: %w", m.path, err)
	}
	if err := durable.Write(m.path, b); err != nil {
		return err
	}
	m.content = next
	return nil
}
