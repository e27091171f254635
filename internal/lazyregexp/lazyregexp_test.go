package lazyregexp

import "testing"

func TestNew(t *testing.T) {
	t.Parallel()
	word := New(`^[a-z]+$`)
	if !word().MatchString("word") || word().MatchString("2 words") {
		t.Error("the expression is not the one given")
	}
	if first, again := word(), word(); first != again {
		t.Error("compiled twice")
	}
	wrong := New(`(`) // no panic yet
	defer func() {
		if recover() == nil {
			t.Error("a wrong expression passed")
		}
	}()
	wrong()
}
