package raftlog

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// files opens raft-wal's segments such that reading entry after entry is cheap,
// and can close them all when raft-wal fails half way through opening.
//
// raft-wal reads 64 KiB for every entry, whatever its size, and one small piece
// for every frame when it recovers: at a start with 100,000 entries that is over
// a second of copying. Here a window of the file is kept and the reads are
// answered from it.
type files struct {
	types.VFS

	mu   sync.Mutex
	open map[io.Closer]struct{}
}

func newFiles() *files {
	return &files{VFS: walfs.New(), open: map[io.Closer]struct{}{}}
}

const (
	// guessSize is what raft-wal 0.4.1 asks for when it does not know yet how
	// long the entry at that offset is. It takes a shorter answer that ends in
	// io.EOF, and asks again when the entry is longer than the answer.
	guessSize  = 64 << 10
	windowSize = 128 << 10

	// A frame is a type, three zeros, and the payload's length.
	frameHeader = 8
	frameEntry  = 1
)

// Create implements types.VFS. Unlike raft-wal's own it leaves the segment
// readable by the owner alone.
func (f *files) Create(dir, name string, size uint64) (types.WritableFile, error) {
	w, err := f.VFS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return f.track(w), nil
}

// OpenWriter implements types.VFS.
func (f *files) OpenWriter(dir, name string) (types.WritableFile, error) {
	w, err := f.VFS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return f.track(w), nil
}

// OpenReader implements types.VFS.
func (f *files) OpenReader(dir, name string) (types.ReadableFile, error) {
	r, err := f.VFS.OpenReader(dir, name)
	if err != nil {
		return nil, err
	}
	return f.track(readOnly{r}), nil
}

func (f *files) track(w types.WritableFile) *segmentFile {
	s := &segmentFile{WritableFile: w, files: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[s] = struct{}{}
	return s
}

// closeAll closes what raft-wal left open.
func (f *files) closeAll() {
	f.mu.Lock()
	left := f.open
	f.open = map[io.Closer]struct{}{}
	f.mu.Unlock()
	for c := range left {
		_ = c.(*segmentFile).WritableFile.Close() // read only, or about to be set aside
	}
}

type readOnly struct{ types.ReadableFile }

func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (readOnly) Sync() error                        { return errors.ErrUnsupported }

type segmentFile struct {
	types.WritableFile
	files *files

	mu     sync.Mutex
	window []byte // the file's bytes from start; nil while nothing was read
	start  int64
}

// ReadAt implements io.ReaderAt, except that a request of guessSize at the start
// of an entry is answered with that entry alone.
func (s *segmentFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > guessSize {
		return s.WritableFile.ReadAt(p, off)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	want := len(p)
	if want == guessSize {
		var err error
		if want, err = s.entryAt(off); err != nil {
			return 0, err
		}
	}
	if err := s.cover(off, want); err != nil {
		return 0, err
	}
	n := copy(p[:want], s.window[min(off-s.start, int64(len(s.window))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// entryAt returns the size of the entry's frame at off, or guessSize when there
// stands none or a longer one. An entry of exactly guessSize is asked for a
// second time behind its frame header: that payload begins with the entry's
// index, which no entry of that size has as 1, so it is not taken for a frame.
func (s *segmentFile) entryAt(off int64) (int, error) {
	if err := s.cover(off, frameHeader); err != nil {
		return 0, err
	}
	h := s.window[min(off-s.start, int64(len(s.window))):]
	if len(h) < frameHeader || h[0] != frameEntry {
		return guessSize, nil
	}
	return int(min(frameHeader+uint64(binary.LittleEndian.Uint32(h[4:])), guessSize)), nil
}

// cover moves the window so that n bytes from off are in it, as far as the file
// has them.
func (s *segmentFile) cover(off int64, n int) error {
	if off >= s.start && off+int64(n) <= s.start+int64(len(s.window)) {
		return nil
	}
	return s.fill(off)
}

// fill runs under mu.
func (s *segmentFile) fill(off int64) error {
	if s.window == nil {
		s.window = make([]byte, windowSize)
	}
	n, err := s.WritableFile.ReadAt(s.window[:windowSize], off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.window = s.window[:0]
		return err
	}
	s.window, s.start = s.window[:n], off
	return nil
}

// WriteAt implements io.WriterAt.
func (s *segmentFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := s.WritableFile.WriteAt(p, off)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window = nil // also gives the memory back: the tail is read from recent
	return n, err
}

// Close implements io.Closer.
func (s *segmentFile) Close() error {
	s.files.mu.Lock()
	delete(s.files.open, s)
	s.files.mu.Unlock()
	return s.WritableFile.Close()
}
