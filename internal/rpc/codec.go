package rpc

import (
	"fmt"
	"sync"

	"github.com/ctl-sh/ctl/internal/codec"
	"google.golang.org/grpc/mem"
)

// codecName becomes the content subtype, application/grpc+msgp.
const codecName = "msgp"

// Encoding buffers between minPooled and maxPooled bytes are pooled. Smaller
// ones cost less than the pool's bookkeeping; larger ones are too rare to keep.
const (
	minPooled = 1 << 10
	maxPooled = 1 << 20
)

// wireCodec is gRPC's view of msgp messages. Messages copy what they keep from the
// buffer they decode, so received buffers go back to gRPC's pool at once.
type wireCodec struct{ pool *bufferPool }

func newCodec() wireCodec { return wireCodec{pool: new(bufferPool)} }

// Name implements encoding.CodecV2.
func (wireCodec) Name() string { return codecName }

// Marshal implements encoding.CodecV2.
func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(codec.Message)
	if !ok {
		return nil, fmt.Errorf("encode %T: not a message", v)
	}
	size := m.Msgsize()
	if size < minPooled {
		b, err := m.MarshalMsg(make([]byte, 0, size))
		if err != nil {
			return nil, err
		}
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	buf := c.pool.Get(size)
	b, err := m.MarshalMsg((*buf)[:0])
	if err != nil {
		c.pool.Put(buf)
		return nil, err
	}
	*buf = b // if msgp had to grow it, the grown one goes to the pool
	return mem.BufferSlice{mem.NewBuffer(buf, c.pool)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (c wireCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(codec.Message)
	if !ok {
		return fmt.Errorf("decode %T: not a message", v)
	}
	buf := data.MaterializeToBuffer(c.pool)
	defer buf.Free()
	return codec.Decode(buf.ReadOnlyData(), m)
}

// bufferPool keeps buffers in tiers a factor of four apart. Unlike gRPC's own
// pool it does not clear a buffer it hands out: every byte is overwritten.
type bufferPool struct{ tiers [6]sync.Pool }

// tier returns the tier whose buffers hold at least n bytes.
func tier(n int) (index, size int) {
	size = minPooled
	for size < n {
		size *= 4
		index++
	}
	return index, size
}

// Get implements mem.BufferPool.
func (p *bufferPool) Get(n int) *[]byte {
	if n > maxPooled {
		b := make([]byte, n)
		return &b
	}
	i, size := tier(n)
	if b, ok := p.tiers[i].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, size)
	return &b
}

// Put implements mem.BufferPool.
func (p *bufferPool) Put(b *[]byte) {
	c := cap(*b)
	if c < minPooled || c > maxPooled {
		return
	}
	i, size := tier(c)
	if size > c {
		i-- // grown by append to a size between two tiers
	}
	p.tiers[i].Put(b)
}
