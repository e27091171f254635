package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/hashicorp/raft"
)

// sink takes a snapshot either from the state machine, whose bytes it puts into
// a frame, or from the leader, whose frame it checks.
type sink struct {
	raft.SnapshotSink
	header Header
	stored func(Header) error // called once the snapshot is safe

	first   []byte    // until it is clear which of the two it is
	hash    hash.Hash // state machine: of what was written so far
	check   *io.PipeWriter
	checked chan error // leader: the verdict
	failed  error      // the first failed write
	closed  bool
}

func newSink(inner raft.SnapshotSink, h Header, stored func(Header) error) *sink {
	return &sink{SnapshotSink: inner, header: h, stored: stored}
}

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if s.hash == nil && s.check == nil {
		s.first = append(s.first, p...)
		if len(s.first) < len(magic) {
			return len(p), nil
		}
		return len(p), s.begin()
	}
	return len(p), s.put(p)
}

// begin decides by the first bytes.
func (s *sink) begin() error {
	first := s.first
	s.first = nil
	if bytes.HasPrefix(first, []byte(magic)) {
		var r *io.PipeReader
		r, s.check = io.Pipe()
		s.checked = make(chan error, 1)
		go func() { // ends when the pipe is closed, which Close and Cancel do
			err := verify(r, s.header)
			_ = r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // wakes a writer that goes on
			s.checked <- err
		}()
		return s.put(first)
	}
	s.hash = sha256.New()
	head, err := s.header.encode()
	if err == nil {
		err = s.put(head)
	}
	if err == nil {
		err = s.put(first)
	}
	return err
}

func (s *sink) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := s.SnapshotSink.Write(p)
	switch {
	case err != nil:
	case s.check != nil:
		_, err = s.check.Write(p)
	default:
		s.hash.Write(p)
	}
	s.failed = err
	return err
}

// Close implements io.Closer: it stores the snapshot, or drops it and fails when
// it is not whole.
func (s *sink) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.finish(); err != nil {
		return errors.Join(fmt.Errorf("snapshot of index %d: %w", s.header.Index, err), s.SnapshotSink.Cancel())
	}
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	return s.stored(s.header)
}

func (s *sink) finish() error {
	if s.failed == nil && s.hash == nil && s.check == nil {
		s.failed = s.begin()
	}
	if s.check != nil {
		_ = s.check.Close() // never fails
		return errors.Join(s.failed, <-s.checked)
	}
	if s.failed != nil {
		return s.failed
	}
	_, err := s.SnapshotSink.Write(s.hash.Sum(nil))
	return err
}

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.check != nil {
		_ = s.check.Close() // never fails
		<-s.checked         //nolint:errcheck // nothing is kept of it
	}
	return s.SnapshotSink.Cancel()
}
