package httpapi

import (
	"bytes"
	"sync/atomic"
)

// Shared is a body that many answers share, such as that of a thousand watchers
// that wake together: its bytes are there once, and so is their compressed form.
// It is safe for any number of goroutines.
type Shared struct {
	raw  []byte
	gzip atomic.Pointer[[]byte]
}

// NewShared returns a body of raw, which must not change any more.
func NewShared(raw []byte) *Shared { return &Shared{raw: raw} }

// Bytes returns the body. It must not be changed.
func (s *Shared) Bytes() []byte { return s.raw }

// compressed returns the compressed body, or the body itself while all
// compressors are busy and where compressing gains nothing. Those who come
// first may each compress it once.
func (s *Shared) compressed(p gzipPool) []byte {
	if done := s.gzip.Load(); done != nil {
		return *done
	}
	gz := p.compress(s.raw)
	if gz == nil {
		return s.raw
	}
	out := bytes.Clone(gz.out.Bytes())
	p.release(gz)
	if len(out) >= len(s.raw) {
		out = s.raw
	}
	s.gzip.Store(&out)
	return out
}
