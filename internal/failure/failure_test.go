package failure

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestEveryKindHasARow(t *testing.T) {
	seen := map[string]Kind{}
	for k := range kindCount {
		r := table[k]
		if r.name == "" || r.status < 400 || r.exit == 0 {
			t.Errorf("kind %d has the row %+v", k, r)
		}
		if o, ok := seen[r.name]; ok {
			t.Errorf("kinds %d and %d are both named %q", o, k, r.name)
		}
		seen[r.name] = k
	}
}

func TestKindOf(t *testing.T) {
	cause := errors.New("disk gone")
	for _, c := range []struct {
		name string
		err  error
		want Kind
		text string
	}{
		{"plain error", cause, Internal, "disk gone"},
		{"kind with text", New(NotFound, "no such key"), NotFound, "no such key"},
		{"kind found through a wrap", fmt.Errorf("apply kv: %w", New(Invalid, "bad")), Invalid, "apply kv: bad"},
		{"outermost kind wins", Newf(Unavailable, "dial: %w", New(NoLeader, "x")), Unavailable, "dial: x"},
		{"deadline", fmt.Errorf("read: %w", context.DeadlineExceeded), Timeout, "read: context deadline exceeded"},
		{"wrap keeps the text", Wrap(Conflict, cause), Conflict, "disk gone"},
		{"kind from a newer agent", New(Kind(200), "x"), Kind(200), "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := KindOf(c.err); got != c.want {
				t.Errorf("KindOf = %v, want %v", got, c.want)
			}
			if got := c.err.Error(); got != c.text {
				t.Errorf("text = %q, want %q", got, c.text)
			}
		})
	}
	if !errors.Is(Newf(Internal, "write: %w", cause), cause) {
		t.Error("Newf lost its cause")
	}
	if got := Kind(200).HTTPStatus(); got != 500 {
		t.Errorf("unknown kind answers %d, want 500", got)
	}
	if Wrap(Conflict, nil) != nil {
		t.Error("Wrap of nil is not nil")
	}
}
