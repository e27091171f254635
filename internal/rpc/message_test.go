package rpc

import (
	"github.com/tinylib/msgp/msgp"
	"google.golang.org/grpc/mem"
)

// note is the message of this package's tests, with the methods msgp would
// have generated.
type note struct {
	ID   uint64
	Body []byte
}

func (n *note) MarshalMsg(b []byte) ([]byte, error) {
	b = msgp.AppendMapHeader(b, 2)
	b = msgp.AppendString(b, "i")
	b = msgp.AppendUint64(b, n.ID)
	b = msgp.AppendString(b, "b")
	return msgp.AppendBytes(b, n.Body), nil
}

func (n *note) UnmarshalMsg(b []byte) ([]byte, error) {
	fields, b, err := msgp.ReadMapHeaderBytes(b)
	for ; err == nil && fields > 0; fields-- {
		var field []byte
		if field, b, err = msgp.ReadMapKeyZC(b); err != nil {
			break
		}
		switch string(field) {
		case "i":
			n.ID, b, err = msgp.ReadUint64Bytes(b)
		case "b":
			n.Body, b, err = msgp.ReadBytesBytes(b, nil)
		default:
			b, err = msgp.Skip(b)
		}
	}
	return b, err
}

func (n *note) Msgsize() int { return 32 + len(n.Body) }

func sliceOf(b []byte) mem.BufferSlice { return mem.BufferSlice{mem.SliceBuffer(b)} }
