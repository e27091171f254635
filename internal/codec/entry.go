package codec

import "github.com/ctl-sh/ctl/internal/failure"

// MaxEntryBytes bounds a log entry, envelope included. It is far above what the
// configurable limits of keys, values and transactions let through, and exists
// so that no entry can be written which replication could not carry: a batch of
// entries travels in one message and is held in memory on every server.
const MaxEntryBytes = 64 << 20

// An Entry is the content of a log entry: the number of a command and its
// encoded body. On disk and on the wire it is one byte Type, then Body.
type Entry struct {
	Type uint8  // the command's number; never reused
	Body []byte // may be empty
}

// EncodeEntry returns the bytes of a log entry that carries m as the command
// number typ, in one allocation. A nil m gives an entry without a body. It
// fails as TooLarge above MaxEntryBytes.
func EncodeEntry(typ uint8, m Message) ([]byte, error) {
	if m == nil {
		return []byte{typ}, nil
	}
	b, err := Append(append(make([]byte, 0, 1+m.Msgsize()), typ), m)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxEntryBytes {
		return nil, failure.Newf(failure.TooLarge, "log entry of %d bytes exceeds the limit of %d", len(b), MaxEntryBytes)
	}
	return b, nil
}

// DecodeEntry splits the bytes of a log entry. The body is a part of data, not
// a copy. It fails as Invalid when data is empty and as TooLarge above
// MaxEntryBytes. Deterministic.
func DecodeEntry(data []byte) (Entry, error) {
	if len(data) == 0 {
		return Entry{}, failure.New(failure.Invalid, "log entry without a command type")
	}
	if len(data) > MaxEntryBytes {
		return Entry{}, failure.Newf(failure.TooLarge, "log entry of %d bytes exceeds the limit of %d", len(data), MaxEntryBytes)
	}
	return Entry{Type: data[0], Body: data[1:]}, nil
}
