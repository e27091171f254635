package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// A Mark says how much a server had at least: what comes back from disk must
// never lie below it.
type Mark struct {
	LogIndex  uint64 // the log's last entry; 0 when the log was empty
	LogTerm   uint64
	LogSum    uint32 // that entry's checksum
	SnapIndex uint64 // what the newest snapshot covers; 0 when there was none
	SnapTerm  uint64
	Term      uint64 // the highest term this server had stored
}

// Index returns the highest index the server had, in its log or a snapshot.
func (m Mark) Index() uint64 { return max(m.LogIndex, m.SnapIndex) }

// The file has two slots a page apart, each with its own checksum, written in
// turn: a write that a power cut tears leaves the other. Each is at most one
// batch older than the newest, and never higher than the log, because lowering
// the mark writes both.
const (
	markMagic    = 0x6b72614d // "Mark"
	markSlotSize = 64
	markSlotGap  = 4096
	markFileSize = markSlotGap + markSlotSize
)

type markFile struct {
	path string
	f    *os.File

	mu    sync.Mutex
	cur   Mark
	seq   uint64
	dirty bool // written but not flushed
}

// openMark opens or creates the file. It reports whether it was there.
func openMark(path string) (m *markFile, found bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = createMark(path)
		return m, false, err
	}
	if err != nil {
		return nil, false, err
	}
	m = &markFile{path: path, f: f}
	if err := m.load(); err != nil {
		return nil, true, errors.Join(err, f.Close())
	}
	return m, true, nil
}

func createMark(path string) (*markFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	m := &markFile{path: path, f: f}
	if err := m.setFlushed(func(*Mark) {}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func (m *markFile) load() error {
	b := make([]byte, markFileSize)
	if _, err := m.f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", m.path, err)
	}
	for at := 0; at < markFileSize; at += markSlotGap {
		if mark, seq, ok := decodeMark(b[at : at+markSlotSize]); ok && seq >= m.seq {
			m.cur, m.seq = mark, seq
		}
	}
	if m.seq == 0 {
		return &durable.Damage{Path: m.path, What: "neither slot has a valid checksum; " +
			"whether the log lost its end cannot be told (remove the file to trust the log as it is)"}
	}
	return nil
}

func (m *markFile) get() Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cur
}

// set changes the mark and writes it without a flush: it survives the end of
// the process, not yet that of the machine.
func (m *markFile) set(change func(*Mark)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.write(change)
}

// setFlushed changes the mark in both slots and flushes them, so that no older
// mark can come back.
func (m *markFile) setFlushed(change func(*Mark)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.write(change); err != nil {
		return err
	}
	if err := m.write(func(*Mark) {}); err != nil {
		return err
	}
	return m.flush()
}

// sync flushes what set wrote.
func (m *markFile) sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirty {
		return nil
	}
	return m.flush()
}

func (m *markFile) close() error {
	return errors.Join(m.sync(), m.f.Close())
}

// write runs under mu.
func (m *markFile) write(change func(*Mark)) error {
	next := m.cur
	change(&next)
	seq := m.seq + 1
	if _, err := m.f.WriteAt(encodeMark(next, seq), int64(seq%2)*markSlotGap); err != nil {
		return fmt.Errorf("write %s: %w", m.path, err)
	}
	m.cur, m.seq, m.dirty = next, seq, true
	return nil
}

// flush runs under mu.
func (m *markFile) flush() error {
	if err := m.f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", m.path, err)
	}
	m.dirty = false
	return nil
}

func encodeMark(m Mark, seq uint64) []byte {
	b := make([]byte, 0, markSlotSize)
	b = binary.LittleEndian.AppendUint32(b, markMagic)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, m.LogIndex)
	b = binary.LittleEndian.AppendUint64(b, m.LogTerm)
	b = binary.LittleEndian.AppendUint32(b, m.LogSum)
	b = binary.LittleEndian.AppendUint64(b, m.SnapIndex)
	b = binary.LittleEndian.AppendUint64(b, m.SnapTerm)
	b = binary.LittleEndian.AppendUint64(b, m.Term)
	b = append(b, 0, 0, 0, 0) // to a whole slot
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, durable.Castagnoli()))
}

func decodeMark(b []byte) (m Mark, seq uint64, ok bool) {
	if binary.LittleEndian.Uint32(b) != markMagic ||
		binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], durable.Castagnoli()) {
		return Mark{}, 0, false
	}
	return Mark{
		LogIndex:  binary.LittleEndian.Uint64(b[12:]),
		LogTerm:   binary.LittleEndian.Uint64(b[20:]),
		LogSum:    binary.LittleEndian.Uint32(b[28:]),
		SnapIndex: binary.LittleEndian.Uint64(b[32:]),
		SnapTerm:  binary.LittleEndian.Uint64(b[40:]),
		Term:      binary.LittleEndian.Uint64(b[48:]),
	}, binary.LittleEndian.Uint64(b[4:]), true
}
