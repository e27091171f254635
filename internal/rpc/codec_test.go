package rpc

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/failure"
)

func TestPooledBuffersAreLargeEnough(t *testing.T) {
	var p bufferPool
	for _, c := range []struct {
		name      string
		put, get  int
		wantReuse bool
	}{
		{"a tier's size", 4 << 10, 4 << 10, true},
		{"grown to between two tiers", 5 << 10, 4 << 10, true},
		{"between two tiers is too small for the upper", 5 << 10, 6 << 10, false},
		{"below the smallest", 100, 1 << 10, false},
		{"above the largest", 2 << 20, 1 << 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			put := make([]byte, c.put)
			p.Put(&put)
			got := p.Get(c.get)
			if len(*got) != c.get || cap(*got) < c.get {
				t.Errorf("got %d of %d bytes, want %d", len(*got), cap(*got), c.get)
			}
			if reused := got == &put; reused && !c.wantReuse {
				t.Error("a buffer was reused that does not fit")
			}
		})
	}
}

func TestDamagedBodiesAreErrors(t *testing.T) {
	good, err := (&note{ID: 1, Body: []byte("x")}).MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newCodec()
	for n := range good {
		if err := c.Unmarshal(sliceOf(good[:n]), new(note)); !failure.Is(err, failure.Invalid) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if err := c.Unmarshal(sliceOf(append(good, 0)), new(note)); !failure.Is(err, failure.Invalid) {
		t.Errorf("with a byte more: %v", err)
	}
	if _, err := c.Marshal("text"); err == nil {
		t.Error("a string was encoded")
	}
}
