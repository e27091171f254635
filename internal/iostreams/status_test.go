package iostreams

import (
	"bytes"
	"testing"
)

// screen is streams on a terminal whose whole traffic is in one buffer.
func screen(columns int) (*Streams, *bytes.Buffer) {
	var b bytes.Buffer
	return &Streams{Out: NewWriter(&b), Err: NewWriter(&b), OutTerminal: true, ErrTerminal: true, Columns: columns}, &b
}

func TestStatusLine(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Streams, *StatusLine)
		want string
	}{
		{"drawn over", func(_ *Streams, l *StatusLine) { l.Draw("a"); l.Draw("b") }, "\r\x1b[Ka\r\x1b[Kb\r\x1b[K"},
		{"nothing drawn, nothing erased", func(*Streams, *StatusLine) {}, ""},
		{"cut to the terminal, but for its last column", func(_ *Streams, l *StatusLine) { l.Draw("0123456789abc") }, "\r\x1b[K012345678\r\x1b[K"},
		{"commands no terminal", func(_ *Streams, l *StatusLine) { l.Draw("a\x1b\n") }, "\r\x1b[Ka\\x1b\\n\r\x1b[K"},
		{"results go above it", func(s *Streams, l *StatusLine) {
			l.Draw("a")
			s.Out.Write([]byte("result\n"))
			l.Draw("b")
		}, "\r\x1b[Ka\r\x1b[Kresult\n\r\x1b[Kb\r\x1b[K"},
		{"errors go above it", func(s *Streams, l *StatusLine) {
			l.Draw("a")
			s.Err.Write([]byte("problem\n"))
		}, "\r\x1b[Ka\r\x1b[Kproblem\n"},
		{"a line that is not whole is not drawn over", func(s *Streams, l *StatusLine) {
			s.Out.Write([]byte("resu"))
			l.Draw("a")
			s.Out.Write([]byte("lt\n"))
		}, "result\n"},
		{"a printed line goes above it", func(_ *Streams, l *StatusLine) { l.Draw("a"); l.Print("{}") }, "\r\x1b[Ka\r\x1b[K{}\n"},
		{"not on a dumb terminal", func(s *Streams, l *StatusLine) {
			s.LookupEnv = env("TERM", "dumb")
			l.Draw("a")
			l.Print("{}")
		}, "{}\n"},
		{"the width may change", func(s *Streams, l *StatusLine) {
			s.ErrColumns = func() int { return 3 }
			l.Draw("abc")
		}, "\r\x1b[Kab\r\x1b[K"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, b := screen(10)
			l := s.OpenStatusLine()
			c.do(s, l)
			l.Close()
			if got := b.String(); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			b.Reset()
			s.Out.Write([]byte("x"))
			if b.String() != "x" {
				t.Errorf("after the line was closed, %q", b)
			}
		})
	}
}
