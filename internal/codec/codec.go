// Package codec turns commands, rows and RPC bodies into bytes and back.
//
// The encoding is MessagePack in map form, written by generated methods (see
// Message): short stable field names, unknown fields skipped, so that old and
// new agents can mix. It is not for the public JSON, which belongs to the HTTP
// edges. Rules that keep it right: a field name is never reused; bytes that
// came from elsewhere are checked before anything is allocated for them;
// decoding never panics and never keeps a reference to its input.
package codec

import (
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/tinylib/msgp/msgp"
)

// Message is what tinylib/msgp generates for a struct with
// -marshal=true -io=false.
type Message interface {
	// MarshalMsg appends the encoding to b and returns the longer slice.
	MarshalMsg(b []byte) ([]byte, error)
	// UnmarshalMsg decodes from the front of b and returns the rest. It
	// overwrites only the fields it finds.
	UnmarshalMsg(b []byte) ([]byte, error)
	// Msgsize returns an upper bound of the encoding's size in bytes.
	Msgsize() int
}

// Encode returns the encoding of m, in one allocation. It fails, as Internal,
// only for values no encoding exists for.
func Encode(m Message) ([]byte, error) {
	return Append(make([]byte, 0, m.Msgsize()), m)
}

// Append appends the encoding of m to dst, growing it at most once, and returns
// the longer slice. After an error dst is returned as it was.
func Append(dst []byte, m Message) ([]byte, error) {
	out, err := m.MarshalMsg(dst)
	if err != nil {
		return dst, failure.Newf(failure.Internal, "encode %T: %w", m, err)
	}
	return out, nil
}

// Decode reads the whole of b into m. m should be zero: fields absent from b
// keep their value, and fields unknown to m are skipped.
//
// It fails as Invalid when b is cut short, damaged, of the wrong type or
// followed by anything; m is then partly written and must be dropped. The
// lengths b declares are checked against its size before m allocates for them.
// m keeps no reference to b.
func Decode(b []byte, m Message) error {
	rest, err := msgp.Skip(b)
	if err != nil {
		return failure.Newf(failure.Invalid, "decode %T: %w", m, err)
	}
	if len(rest) > 0 {
		return failure.Newf(failure.Invalid, "decode %T: %d trailing bytes after %d", m, len(rest), len(b)-len(rest))
	}
	if rest, err = m.UnmarshalMsg(b); err != nil {
		return failure.Newf(failure.Invalid, "decode %T: %w", m, err)
	}
	if len(rest) > 0 {
		return failure.Newf(failure.Invalid, "decode %T: %d bytes left over", m, len(rest))
	}
	return nil
}
