package iostreams

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestColor(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		env      []string
		want     bool
	}{
		{"terminal", true, nil, true},
		{"pipe", false, nil, false},
		{"NO_COLOR turns it off", true, []string{"NO_COLOR", "1"}, false},
		{"NO_COLOR empty says nothing", true, []string{"NO_COLOR", ""}, true},
		{"NO_COLOR beats force", true, []string{"NO_COLOR", "1", "CLICOLOR_FORCE", "1"}, false},
		{"force in a pipe", false, []string{"CLICOLOR_FORCE", "1"}, true},
		{"force 0 says nothing", false, []string{"CLICOLOR_FORCE", "0"}, false},
		{"CLICOLOR 0 turns it off", true, []string{"CLICOLOR", "0"}, false},
		{"dumb terminal", true, []string{"TERM", "dumb"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Streams{OutTerminal: c.terminal, ErrTerminal: c.terminal, LookupEnv: env(c.env...)}
			if got := s.ColorOut(); got != c.want {
				t.Errorf("ColorOut = %v, want %v", got, c.want)
			}
			if got := s.ColorErr(); got != c.want {
				t.Errorf("ColorErr = %v, want %v", got, c.want)
			}
		})
	}
}

func TestWidth(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Streams
		want int
	}{
		{"pipe", Streams{Columns: 200}, DefaultWidth},
		{"terminal", Streams{OutTerminal: true, Columns: 200}, 200},
		{"terminal that does not know", Streams{OutTerminal: true}, DefaultWidth},
		{"COLUMNS wins", Streams{OutTerminal: true, Columns: 200, LookupEnv: env("COLUMNS", "66")}, 66},
		{"COLUMNS that is no number", Streams{LookupEnv: env("COLUMNS", "wide")}, DefaultWidth},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.s.Width(); got != c.want {
				t.Errorf("Width = %d, want %d", got, c.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name string
		rows [][]string
		want string
	}{
		{"nothing", nil, ""},
		{"columns padded with two spaces, last one not", [][]string{{"Node", "DC"}, {"server-1", "dc1"}}, "Node      DC\nserver-1  dc1\n"},
		{"width counts characters", [][]string{{"é", "x"}, {"ab", "y"}}, "é   x\nab  y\n"},
		{"no trailing blanks", [][]string{{"a", "b"}, {"c", ""}}, "a  b\nc\n"},
		{"rows of different length", [][]string{{"a"}, {"bb", "c"}}, "a\nbb  c\n"},
		{"control characters are escaped", [][]string{{"a\nb", "\x1b[31m"}}, "a\\nb  \\x1b[31m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := NewTable()
			for _, r := range c.rows {
				tab.Row(r...)
			}
			var b bytes.Buffer
			if err := tab.Write(&b); err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != c.want {
				t.Errorf("got\n%q, want\n%q", got, c.want)
			}
		})
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, map[string]string{"a": "<b>"}, "  "); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "{\n  \"a\": \"\\u003cb\\u003e\"\n}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := WriteJSON(&b, func() {}, ""); err == nil || !strings.Contains(err.Error(), "encode output") {
		t.Errorf("a function was encoded: %v", err)
	}
}

type failing struct{ left int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left == 0 {
		return 0, errFull
	}
	f.left--
	return len(p), nil
}

func TestWriterRemembersTheFirstError(t *testing.T) {
	sink := &failing{left: 1}
	w := NewWriter(sink)
	if _, err := w.Write([]byte("a")); err != nil || w.Failed() != nil {
		t.Fatalf("first write: %v, %v", err, w.Failed())
	}
	if _, err := w.Write([]byte("b")); !errors.Is(err, errFull) {
		t.Fatalf("second write: %v", err)
	}
	sink.left = 10
	if _, err := w.Write([]byte("c")); !errors.Is(err, errFull) || !errors.Is(w.Failed(), errFull) {
		t.Errorf("a write after the error: %v, %v", err, w.Failed())
	}
	if sink.left != 10 {
		t.Error("a write after the error reached the sink")
	}
}

func TestInMemoryStreams(t *testing.T) {
	s, out, errOut := Test("input")
	s.Out.Write([]byte("result"))
	s.Err.Write([]byte("problem"))
	in := make([]byte, 5)
	if _, err := s.In.Read(in); err != nil || string(in) != "input" {
		t.Errorf("read %q, %v", in, err)
	}
	if out.String() != "result" || errOut.String() != "problem" {
		t.Errorf("streams hold %q and %q", out, errOut)
	}
	if s.ColorOut() || s.Width() != DefaultWidth {
		t.Error("streams in memory look like a terminal")
	}
}
