package jq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

type node struct {
	Name  string `json:"name"`
	Index uint64
	Tags  []string
	Check any `json:",omitempty"`
}

var nodes = []node{
	{Name: "n1", Index: 18446744073709551615, Tags: []string{"a", "b"}},
	{Name: "n2 \"x\"\n<&>", Tags: nil, Check: 1.5},
}

func TestWrite(t *testing.T) {
	for _, c := range []struct{ name, text, indent, want string }{
		{"text is written as it is", ".[].name", "", "n1\nn2 \"x\"\n<&>\n"},
		{"all else is JSON, in one line", ".[1], .[0].Tags, null, true", "", `{"Check":1.5,"Index":0,"Tags":null,"name":"n2 \"x\"\n<&>"}` + "\n[\"a\",\"b\"]\nnull\ntrue\n"},
		{"or indented", ".[0].Tags, {}, [], 1", "  ", "[\n  \"a\",\n  \"b\"\n]\n{}\n[]\n1\n"},
		{"whole numbers keep all their digits", ".[0].Index, .[0].Index + 1", "", "18446744073709551615\n18446744073709551616\n"},
		{"fields that the JSON leaves out are not there", `.[0] | has("Check")`, "", "false\n"},
		{"no result is no line", ".[] | select(.name == \"n3\")", "", ""},
		{"functions of its own", "def twice: . + .; .[0].name | twice", "", "n1n1\n"},
		{"regular expressions, formats and interpolation", `.[0] | (.name | test("^n[0-9]$")), (.Tags | @csv), "\(.name)/\(.Tags | length)"`, "", "true\n\"a\",\"b\"\nn1/2\n"},
		{"halt ends the output", "1, halt, 2", "", "1\n"},
		{"what is caught is no failure", `try error("x") catch "caught \(.)"`, "", "caught x\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := New(c.text)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := f.Write(t.Context(), &b, nodes, c.indent); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(b.String(), c.want); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
			if f.String() != c.text {
				t.Errorf("the text is %q", f)
			}
		})
	}
}

func TestNewSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"it ends too early", ".a | ", "column 6: unexpected EOF"},
		{"a sign that does not belong there", ".[] | select(.a == )", `column 20: unexpected token ")"`},
		{"columns are characters, not bytes", `"é" | }`, `column 7: unexpected token "}"`},
		{"a text without an end", `"abc`, "column 5: unterminated string literal"},
		{"a function nobody knows", ".a | foo(1)", "column 6: function not defined: foo/1"},
		{"with the wrong number of arguments", ".a | map(.; .)", "column 6: function not defined: map/2"},
		{"not where the name is a field", ".foo | {foo: foo}", "column 14: function not defined: foo/0"},
		{"not where the name is text", `"foo" | foo`, "column 9: function not defined: foo/0"},
		{"not where the name is part of another", "def food: 1; food, foo", "column 20: function not defined: foo/0"},
		{"a variable nobody set", "1 as $y | $x", "column 11: variable not defined: $x"},
		{"a label nobody set", "break $out", "column 7: label not defined: $out"},
		{"nothing", "", `missing query (try ".")`},
		{"the environment", ".a, $ENV.HOME", "env and $ENV are not there"},
		{"the environment, by the other name", "env", "env and $ENV are not there"},
		{"further input", "[inputs]", "input(s)/0 is not allowed"},
		{"a module", `import "a" as a; .`, `cannot load module: "a"`},
		{"a file", `include "/etc/passwd"; .`, `cannot load module: "/etc/passwd"`},
		{"output of another kind", "debug", "column 1: function not defined: debug/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.text)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestWriteSaysWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct{ name, text, out, want string }{
		{"a field of text", ".[].name.first", "", `expected an object but got: string ("n1")`},
		{"members of a number", "1, (.[1].Check | .[])", "1\n", "cannot iterate over: number (1.5)"},
		{"text and a number", ".[0] | .name + 1", "", `cannot add: string ("n1") and number (1)`},
		{"its own error", `error("no such node")`, "", "error: no such node"},
		{"its own last words", `"gone" | halt_error`, "", "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := New(c.text)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			err = f.Write(t.Context(), &b, nodes, "")
			var misfit *Error
			if !errors.As(err, &misfit) || err.Error() != c.want || misfit.Unwrap() == nil {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if b.String() != c.out {
				t.Errorf("%q was written, want %q", b.String(), c.out)
			}
		})
	}
}

// cancelling ends a context once something is written.
type cancelling struct {
	cancel context.CancelFunc
	n      int
}

func (c *cancelling) Write(p []byte) (int, error) {
	c.cancel()
	c.n++
	return len(p), nil
}

func TestTheContextEndsAFilterThatDoesNot(t *testing.T) {
	for _, text := range []string{`repeat(1)`, `1, ([range(infinite)] | length)`, `1, (def f: f; f)`} {
		f, err := New(text)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &cancelling{cancel: cancel}
		if err := f.Write(ctx, w, nil, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", text, err)
		}
		if w.n == 0 {
			t.Errorf("%s: nothing was written", text)
		}
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestWriteFailsAsItsWriterDoes(t *testing.T) {
	f, err := New("repeat(1)")
	if err != nil {
		t.Fatal(err)
	}
	want := errors.New("the pipe is closed")
	var misfit *Error
	if err := f.Write(t.Context(), broken{want}, nil, ""); !errors.Is(err, want) || errors.As(err, &misfit) {
		t.Errorf("got %v", err)
	}
	if err := f.Write(t.Context(), broken{want}, func() {}, ""); err == nil || errors.Is(err, want) {
		t.Errorf("what has no JSON: %v", err)
	}
}

// FuzzNew demands of every text that it is understood, or refused at a column it
// has.
func FuzzNew(f *testing.F) {
	for _, text := range []string{".", ".[", "foo", "$x|$x", `"\(foo)"`, "def f: f; .", "@json", `"é"|}`, "[limit(3;repeat(1))]", "break $x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := New(text)
		if err == nil {
			return
		}
		var column int
		if n, _ := fmt.Sscanf(err.Error(), "column %d:", &column); n == 1 && (column < 1 || column > utf8.RuneCountInString(text)+1) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
