package raftlog

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// sumSize is how many bytes an entry's checksum adds to its Extensions.
const sumSize = 4

// sum returns the CRC-32C of everything an entry says. The lengths are in it so
// that bytes cannot move between Data and Extensions; index and term so that an
// entry read from a wrong place does not pass.
func sum(l *raft.Log) uint32 {
	var h [8 + 8 + 1 + 8 + 8 + 4]byte
	binary.LittleEndian.PutUint64(h[0:], l.Index)
	binary.LittleEndian.PutUint64(h[8:], l.Term)
	h[16] = byte(l.Type)
	binary.LittleEndian.PutUint64(h[17:], uint64(len(l.Data)))
	binary.LittleEndian.PutUint64(h[25:], uint64(l.AppendedAt.Unix()))
	binary.LittleEndian.PutUint32(h[33:], uint32(l.AppendedAt.Nanosecond()))
	s := crc32.Update(0, durable.Castagnoli(), h[:])
	s = crc32.Update(s, durable.Castagnoli(), l.Data)
	return crc32.Update(s, durable.Castagnoli(), l.Extensions)
}

// sealer turns entries into their stored form without touching the caller's:
// the leader's entries are in flight to followers at the same time. Its buffers
// are used again for the next batch, so it belongs to one writer.
type sealer struct {
	logs  []raft.Log
	ptrs  []*raft.Log
	tails []byte
}

// seal returns the entries with their checksums and the last entry's checksum.
// The result is valid until the next call.
func (s *sealer) seal(logs []*raft.Log) ([]*raft.Log, uint32) {
	s.logs, s.ptrs, s.tails = s.logs[:0], s.ptrs[:0], s.tails[:0]
	var last uint32
	for _, l := range logs {
		last = sum(l)
		at := len(s.tails)
		s.tails = append(s.tails, l.Extensions...)
		s.tails = binary.LittleEndian.AppendUint32(s.tails, last)
		s.logs = append(s.logs, *l)
		s.logs[len(s.logs)-1].Extensions = s.tails[at:len(s.tails):len(s.tails)]
	}
	for i := range s.logs {
		s.ptrs = append(s.ptrs, &s.logs[i])
	}
	return s.ptrs, last
}

// release drops the references to the entries' data.
func (s *sealer) release() { clear(s.logs) }

// unseal checks a stored entry and gives it back its own Extensions. It returns
// the entry's checksum, and what is wrong with it if anything is.
func unseal(index uint64, l *raft.Log) (uint32, string) {
	n := len(l.Extensions) - sumSize
	if n < 0 {
		return 0, "entry has no checksum"
	}
	stored := binary.LittleEndian.Uint32(l.Extensions[n:])
	l.Extensions = l.Extensions[:n:n]
	if n == 0 {
		l.Extensions = nil
	}
	switch {
	case l.Index != index:
		return 0, "another entry stands in its place"
	case sum(l) != stored:
		return 0, "entry checksum does not match"
	}
	return stored, ""
}
