package backoff

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// longest makes b wait its whole ceiling every time.
func longest(b *Backoff) *Backoff {
	b.random = func(n int64) int64 { return n - 1 }
	return b
}

func TestCeilings(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name      string
		base, max time.Duration
		want      []time.Duration
	}{
		{"doubles up to the cap", s, 5 * s, []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s}},
		{"cap below base", 3 * s, s, []time.Duration{3 * s, 3 * s}},
		{"nothing given", 0, 0, []time.Duration{1, 1}},
		{"negative", -s, -s, []time.Duration{1, 1}},
		{"no overflow", math.MaxInt64/2 + 1, math.MaxInt64, []time.Duration{math.MaxInt64/2 + 1, math.MaxInt64, math.MaxInt64}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := longest(New(c.base, c.max))
			for round := range 2 {
				var got []time.Duration
				for range c.want {
					got = append(got, b.Next())
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("round %d: %v, want %v", round, got, c.want)
				}
				b.Reset()
			}
		})
	}
}

func TestJitterCoversTheWholeRange(t *testing.T) {
	b := New(4, 4)
	seen := map[time.Duration]bool{}
	for range 1000 {
		d := b.Next()
		if d < 1 || d > 4 {
			t.Fatalf("waited %d, want 1 to 4", d)
		}
		seen[d] = true
	}
	if len(seen) != 4 {
		t.Errorf("saw %v, want 1, 2, 3 and 4", seen)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began := longest(New(time.Second, time.Minute)), time.Now()
		for range 3 {
			if err := b.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(began); got != 7*time.Second {
			t.Errorf("three waits took %v, want 1+2+4s", got)
		}
		gone := errors.New("server left")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		began = time.Now()
		if err := b.Wait(ctx); !errors.Is(err, gone) {
			t.Errorf("error %v, want %v", err, gone)
		}
		if got := time.Since(began); got != time.Second {
			t.Errorf("a cancelled wait took %v, want 1s", got)
		}
	})
}
