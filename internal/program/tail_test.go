package program_test

import (
	"fmt"
	"testing"

	"github.com/ctl-sh/ctl/internal/program"
)

func TestTail(t *testing.T) {
	w := program.NewTail(5)
	for _, s := range []string{"ab", "cdef", "g", "0123456789abc"} {
		fmt.Fprint(w, s)
	}
	if got, want := w.String(), "Captured 5 of 20 bytes\n...\n89abc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	short := program.NewTail(5)
	fmt.Fprint(short, "ab")
	fmt.Fprint(short, "cde")
	if got := short.String(); got != "abcde" {
		t.Errorf("got %q", got)
	}
}
