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

func TestPauses(t *testing.T) {
	t.Parallel()
	const d, sooner = time.Minute, time.Second
	tests := []struct {
		name           string
		change, cancel time.Duration // when; 0 is never
		took           time.Duration
		changed        bool // what PauseUntil says
		passed         bool // what Pause says, which hears of no change
	}{
		{"nothing happens", 0, 0, d, false, true},
		{"it changes", sooner, 0, sooner, true, true},
		{"the context ends", 0, sooner, sooner, false, false},
		{"it changes and then the context ends", sooner, 2 * sooner, sooner, true, false},
		{"both at once: the end counts", sooner, sooner, sooner, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				changed := make(chan struct{})
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				}
				if tt.change > 0 {
					time.AfterFunc(tt.change, func() {
						if tt.change == tt.cancel {
							cancel() // in this order, whichever timer is first
						}
						close(changed)
					})
				}
				began := time.Now()
				if got := PauseUntil(ctx, changed, d); got != tt.changed {
					t.Errorf("PauseUntil says %v, want %v", got, tt.changed)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("PauseUntil took %v, want %v", took, tt.took)
				}
				if got := Pause(ctx, d); got != tt.passed {
					t.Errorf("Pause says %v, want %v", got, tt.passed)
				}
			})
		})
	}
}
