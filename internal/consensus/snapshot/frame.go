// Package snapshot keeps a Raft server's snapshots such that a damaged one is
// never handed out.
//
// The files are raft's own FileSnapshotStore, whose meta.json carries no
// checksum. Here the state stream is put into a frame of its own: what the
// snapshot is (index, term, configuration), the state machine's bytes, and a
// SHA-256 over both. The frame is checked against meta.json and its own hash
// before a byte of it reaches the state machine or another server, and again by
// the server that receives it: what travels and what is stored is the frame, so
// its length is the one raft compares.
//
// It knows nothing of what the state machine writes, but that it does not begin
// like a frame. The format is described in DESIGN.md of package consensus.
package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"reflect"

	"github.com/hashicorp/raft"
)

// A frame is magic, the header's length (4 bytes, little endian), the header as
// JSON, the state, and the SHA-256 of all that.
const (
	magic     = "\x9bctlsnap"
	preamble  = len(magic) + 4
	sumSize   = sha256.Size
	maxHeader = 1 << 20 // a configuration of thousands of servers
)

// A Header says what a snapshot is.
type Header struct {
	Version            raft.SnapshotVersion
	Index, Term        uint64
	Configuration      raft.Configuration
	ConfigurationIndex uint64
}

func headerOf(m *raft.SnapshotMeta) Header {
	return Header{m.Version, m.Index, m.Term, m.Configuration, m.ConfigurationIndex}
}

func (h Header) equal(o Header) bool {
	return h.Version == o.Version && h.Index == o.Index && h.Term == o.Term &&
		h.ConfigurationIndex == o.ConfigurationIndex &&
		reflect.DeepEqual(h.Configuration.Servers, o.Configuration.Servers)
}

// encode returns the frame's beginning.
func (h Header) encode() ([]byte, error) {
	j, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot header: %w", err)
	}
	b := append(make([]byte, 0, preamble+len(j)), magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(j)))
	return append(b, j...), nil
}

var errFrame = errors.New("not a snapshot frame, or cut short")

// A reader gives the state out of a frame.
type reader struct {
	src   io.Reader
	hash  hash.Hash
	space []byte
	buf   []byte // in space: read but not given out; the last sumSize bytes are held back
	eof   bool
}

// NewReader reads the beginning of a frame from src and returns its header and a
// reader of the state. That reader fails at its end, instead of io.EOF, when the
// hash does not match.
func NewReader(src io.Reader) (Header, io.Reader, error) {
	var h Header
	r := &reader{src: src, hash: sha256.New(), space: make([]byte, chunk+sumSize)}
	head := make([]byte, preamble)
	if _, err := io.ReadFull(src, head); err != nil {
		return h, nil, errors.Join(errFrame, err)
	}
	n := binary.LittleEndian.Uint32(head[len(magic):])
	if !bytes.HasPrefix(head, []byte(magic)) || n > maxHeader {
		return h, nil, errFrame
	}
	j := make([]byte, n)
	if _, err := io.ReadFull(src, j); err != nil {
		return h, nil, errors.Join(errFrame, err)
	}
	if err := json.Unmarshal(j, &h); err != nil {
		return h, nil, errors.Join(errFrame, err)
	}
	r.hash.Write(head) // a hash never fails
	r.hash.Write(j)
	return h, r, nil
}

const chunk = 64 << 10

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.buf) <= sumSize {
		if r.eof {
			return 0, r.end()
		}
		if err := r.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[:len(r.buf)-sumSize])
	r.hash.Write(r.buf[:n])
	r.buf = r.buf[n:]
	return n, nil
}

func (r *reader) more() error {
	held := copy(r.space, r.buf)
	n, err := r.src.Read(r.space[held:])
	r.buf = r.space[:held+n]
	if errors.Is(err, io.EOF) {
		r.eof, err = true, nil
	}
	return err
}

func (r *reader) end() error {
	if len(r.buf) < sumSize {
		return errFrame
	}
	if !bytes.Equal(r.buf, r.hash.Sum(nil)) {
		return errors.New("snapshot hash does not match")
	}
	return io.EOF
}

// verify reads a whole frame and says whether it is the one of want.
func verify(src io.Reader, want Header) error {
	h, r, err := NewReader(src)
	if err != nil {
		return err
	}
	if !h.equal(want) {
		return fmt.Errorf("frame is of index %d term %d, meta.json says index %d term %d, or another configuration",
			h.Index, h.Term, want.Index, want.Term)
	}
	_, err = io.Copy(io.Discard, r)
	return err
}
