package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// A file is a head and then frames, one behind the other, all numbers little
// endian:
//
//	head:   "ctljrnl" 1, flushed uint64, crc32c uint32 of what is before it
//	frame:  marker, length uint32, at uint64, flushed uint64, crc32c uint32, payload
//	record: 'p' keylength key valuelength value, or 'r' keylength key
//
// A frame's at is its own offset, so a piece of a file in the wrong place is no
// frame. Flushed is the offset below which the file was on disk for certain when
// the frame was written, or for the head when the file got its name. The sum of
// a frame is over its header without the sum, and the payload. Lengths of keys
// and values are uvarints.
const (
	magic      = "ctljrnl"
	version    = 1
	headSize   = 20
	headerSize = 28

	opPut    = 'p'
	opRemove = 'r'

	// maxPayload bounds a frame far above what is ever written, so that all
	// lengths fit their fields.
	maxPayload = 1 << 30
)

// marker begins a frame. Its first byte is in no UTF-8 text, so no value that is
// text looks like it.
var marker = []byte{0xc1, 'j', 'r', 'n'}

func sum(parts ...[]byte) (crc uint32) {
	for _, b := range parts {
		crc = crc32.Update(crc, durable.Castagnoli(), b)
	}
	return crc
}

// head returns the beginning of a file that is flushed up to an offset.
func head(flushed int64) []byte {
	b := append(make([]byte, 0, headSize), magic...)
	b = binary.LittleEndian.AppendUint64(append(b, version), uint64(flushed)) //nolint:gosec // an offset
	return binary.LittleEndian.AppendUint32(b, sum(b))
}

// headOf returns how much of a file was flushed when it got its name. It reports
// false where the file does not begin as one of ours.
func headOf(b []byte) (flushed int64, ok bool) {
	if len(b) < headSize || binary.LittleEndian.Uint32(b[headSize-4:]) != sum(b[:headSize-4]) || string(b[:len(magic)+1]) != magic+string(rune(version)) {
		return 0, false
	}
	return offset(b[len(magic)+1:]), true
}

func offset(b []byte) int64 {
	return int64(min(binary.LittleEndian.Uint64(b), math.MaxInt64)) //nolint:gosec // bounded
}

func (r *Record) size() int64 {
	n := 1 + uvarintSize(len(r.Key)) + len(r.Key)
	if r.Value != nil {
		n += uvarintSize(len(r.Value)) + len(r.Value)
	}
	return int64(n)
}

func uvarintSize(n int) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], uint64(n)) //nolint:gosec // a length
}

var errTooLarge = errors.New("more than 1 GiB at once")

// frameOf encodes records as the frame at an offset.
func frameOf(records []Record, at, flushed int64) ([]byte, error) {
	var length int64
	for i := range records {
		length += records[i].size()
	}
	if length > maxPayload {
		return nil, errTooLarge
	}
	b := append(make([]byte, 0, headerSize+length), marker...)
	b = binary.LittleEndian.AppendUint32(b, uint32(length))  //nolint:gosec // at most maxPayload
	b = binary.LittleEndian.AppendUint64(b, uint64(at))      //nolint:gosec // an offset
	b = binary.LittleEndian.AppendUint64(b, uint64(flushed)) //nolint:gosec // an offset
	b = append(b, 0, 0, 0, 0)                                // the sum
	for _, r := range records {
		if r.Value == nil {
			b = appendText(append(b, opRemove), r.Key)
			continue
		}
		b = appendText(appendText(append(b, opPut), r.Key), r.Value)
	}
	binary.LittleEndian.PutUint32(b[headerSize-4:], sum(b[:headerSize-4], b[headerSize:]))
	return b, nil
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// frame is one that was read. Its records point into what it was read from.
type frame struct {
	size    int64 // all of it
	flushed int64
	records []Record
}

// readFrame reads the frame that b begins with and that is at an offset of the
// file. It reports false unless a whole and right one is there.
func readFrame(b []byte, at int64) (f frame, ok bool) {
	length, ok := payloadOf(b, at)
	if !ok || int64(len(b)) < headerSize+length {
		return f, false
	}
	payload := b[headerSize : headerSize+length]
	if binary.LittleEndian.Uint32(b[headerSize-4:]) != sum(b[:headerSize-4], payload) {
		return f, false
	}
	f = frame{size: headerSize + length, flushed: offset(b[16:])}
	f.records, ok = readRecords(payload)
	return f, ok
}

// payloadOf returns the length that the header of a frame at an offset names, and
// reports false where no such header is.
func payloadOf(b []byte, at int64) (length int64, ok bool) {
	if len(b) < headerSize || !bytes.HasPrefix(b, marker) || offset(b[8:]) != at {
		return 0, false
	}
	length = int64(binary.LittleEndian.Uint32(b[4:]))
	return length, length <= maxPayload
}

func readRecords(b []byte) (records []Record, ok bool) {
	for len(b) > 0 {
		op := b[0]
		key, rest, ok := readText(b[1:])
		if !ok || op != opPut && op != opRemove {
			return nil, false
		}
		r := Record{Key: string(key)}
		if op == opPut {
			if r.Value, rest, ok = readText(rest); !ok {
				return nil, false
			}
		}
		records, b = append(records, r), rest
	}
	return records, true
}

// readText reads a text behind its length. What it returns is never nil where it
// reports true.
func readText(b []byte) (text, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) { //nolint:gosec // n is at most the length
		return nil, nil, false
	}
	end := n + int(length)                                      //nolint:gosec // at most the length
	return b[n:end:end], b[end:], n == uvarintSize(int(length)) //nolint:gosec // at most the length
}
