package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// Memory is a raft.SnapshotStore that keeps the newest snapshot in memory, and
// only where somebody could need it: a server alone in its configuration never
// reads one back, so for it the snapshot is dropped and the log may be cut all
// the same. A server that gets a peer has to take a new one.
type Memory struct {
	mu    sync.Mutex
	meta  *raft.SnapshotMeta
	frame []byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{} }

// Create implements raft.SnapshotStore.
func (m *Memory) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	h := Header{version, index, term, conf, confIndex}
	inner := &memorySink{id: fmt.Sprintf("%d-%d", term, index), keep: len(conf.Servers) > 1}
	return newSink(inner, h, func(h Header) error {
		m.store(h, inner)
		return nil
	}), nil
}

func (m *Memory) store(h Header, s *memorySink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meta, m.frame = nil, nil
	if !s.keep {
		return
	}
	m.frame = s.buf.Bytes()
	m.meta = &raft.SnapshotMeta{
		Version: h.Version, ID: s.id, Index: h.Index, Term: h.Term,
		Configuration: h.Configuration, ConfigurationIndex: h.ConfigurationIndex,
		Size: int64(len(m.frame)),
	}
}

// List implements raft.SnapshotStore.
func (m *Memory) List() ([]*raft.SnapshotMeta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.meta == nil {
		return nil, nil
	}
	meta := *m.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

// Open implements raft.SnapshotStore.
func (m *Memory) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.meta == nil || m.meta.ID != id {
		return nil, nil, fmt.Errorf("no snapshot %q", id)
	}
	meta := *m.meta
	return &meta, io.NopCloser(bytes.NewReader(m.frame)), nil
}

type memorySink struct {
	id   string
	keep bool
	buf  bytes.Buffer
}

func (s *memorySink) ID() string    { return s.id }
func (s *memorySink) Close() error  { return nil }
func (s *memorySink) Cancel() error { return nil }

func (s *memorySink) Write(p []byte) (int, error) {
	if !s.keep {
		return len(p), nil
	}
	return s.buf.Write(p)
}
