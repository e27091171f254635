package paint

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// vt is as much of a terminal as a painter uses. A cell is its letter and the
// style it has.
type vt struct {
	t             *testing.T
	width, height int
	cells         [][]string
	x, y          int
	top, bottom   int
	style         string
	modes         map[string]bool
}

func newVT(t *testing.T, width, height int) *vt {
	v := &vt{t: t, width: width, height: height, bottom: height - 1, modes: map[string]bool{}}
	v.cells = make([][]string, height)
	for i := range v.cells {
		v.cells[i] = blank(width)
	}
	return v
}

func blank(width int) []string {
	line := make([]string, width)
	for i := range line {
		line[i] = " "
	}
	return line
}

// Write implements io.Writer.
func (v *vt) Write(b []byte) (int, error) {
	s := string(b)
	for len(s) > 0 {
		switch {
		case strings.HasPrefix(s, "\x1b["):
			end := strings.IndexFunc(s[2:], func(r rune) bool { return r >= 0x40 && r <= 0x7e }) + 2
			v.control(s[2:end], s[end])
			s = s[end+1:]
		case strings.HasPrefix(s, "\x1b]"):
			_, s, _ = strings.Cut(s, "\a")
		default:
			r := []rune(s)[0]
			s = s[len(string(r)):]
			v.cells[v.y][v.x] = v.style + string(r)
			v.x = min(v.x+1, v.width-1) // lines are not wrapped
		}
	}
	return len(b), nil
}

func (v *vt) control(params string, final byte) {
	numbers := func(otherwise ...int) []int {
		for i, p := range strings.Split(params, ";") {
			if n, err := strconv.Atoi(p); err == nil && i < len(otherwise) {
				otherwise[i] = n
			}
		}
		return otherwise
	}
	switch final {
	case 'h', 'l':
		v.modes[params] = final == 'h'
	case 'm':
		if v.style = params; params == "0" {
			v.style = ""
		}
	case 'H':
		n := numbers(1, 1)
		v.y, v.x = n[0]-1, n[1]-1
	case 'J':
		for i := range v.cells {
			v.cells[i] = blank(v.width)
		}
	case 'K':
		copy(v.cells[v.y][v.x:], blank(v.width))
	case 'r':
		n := numbers(1, v.height)
		v.top, v.bottom, v.x, v.y = n[0]-1, n[1]-1, 0, 0
	case 'S':
		for range numbers(1)[0] {
			copy(v.cells[v.top:], v.cells[v.top+1:v.bottom+1])
			v.cells[v.bottom] = blank(v.width)
		}
	case 'T':
		for range numbers(1)[0] {
			copy(v.cells[v.top+1:v.bottom+1], v.cells[v.top:])
			v.cells[v.top] = blank(v.width)
		}
	case 'u':
	default:
		v.t.Fatalf("the painter wrote CSI %s %c", params, final)
	}
}

func (v *vt) screen() string {
	lines := make([]string, 0, v.height)
	for _, l := range v.cells {
		lines = append(lines, strings.TrimRight(strings.Join(l, "|"), "| "))
	}
	return strings.Join(lines, "\n")
}

// fresh is the screen of somebody who sees f first.
func fresh(t *testing.T, f *Frame) string {
	v := newVT(t, f.Width, f.Height)
	p := New(v)
	p.Show(f)
	p.Enter()
	return v.screen()
}

// TestWhatIsShownIsTheFrame shows random frames that differ as those of a
// dashboard do: in a few letters, in whole lines, by lines that moved, in size.
// After each the screen is that of somebody who has seen no other.
func TestWhatIsShownIsTheFrame(t *testing.T) {
	for seed := range uint64(25) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		width, height := 10+rnd.IntN(50), 3+rnd.IntN(20)
		word := func() string {
			letters := []string{"a", "b", " ", "é", "✓", "x", "0", "▸", "     ", "services"}
			s := ""
			for range rnd.IntN(8) {
				s += letters[rnd.IntN(len(letters))]
			}
			return s
		}
		line := func() string {
			s := ""
			for range rnd.IntN(6) {
				w := word()
				if rnd.IntN(3) == 0 && w != "" {
					w = "\x1b[" + []string{"1", "7", "38;2;1;2;3"}[rnd.IntN(3)] + "m" + w + "\x1b[m"
				}
				s += w
			}
			for cells(s) > width {
				s = s[:0]
			}
			return s
		}
		f := &Frame{Width: width, Height: height, Line: -1}
		for range height {
			f.Lines = append(f.Lines, line())
		}
		v := newVT(t, width, height)
		p := New(v)
		p.Show(f)
		p.Enter()
		for step := range 60 {
			next := *f
			next.Lines = append([]string(nil), f.Lines...)
			switch rnd.IntN(5) {
			case 0:
				next.Lines[rnd.IntN(len(next.Lines))] = line()
			case 1: // a block moves up
				n := 1 + rnd.IntN(far)
				from := rnd.IntN(len(next.Lines))
				rows := next.Lines[from:]
				copy(rows, rows[min(n, len(rows)):])
				for i := max(0, len(rows)-n); i < len(rows); i++ {
					rows[i] = line()
				}
			case 2: // or down
				n := 1 + rnd.IntN(far)
				rows := next.Lines[rnd.IntN(len(next.Lines)):]
				copy(rows[min(n, len(rows)):], append([]string(nil), rows...))
				for i := range min(n, len(rows)) {
					rows[i] = line()
				}
			case 3: // one word of a line
				i := rnd.IntN(len(next.Lines))
				if l := next.Lines[i]; !strings.Contains(l, "\x1b") && cells(l)+1 < width {
					next.Lines[i] = l + "z"
				}
			case 4:
				next.Lines = next.Lines[:1+rnd.IntN(len(next.Lines))]
				next.Anew += rnd.IntN(2)
				if next.Line = rnd.IntN(height+1) - 1; next.Line >= 0 {
					next.Column = rnd.IntN(width)
				}
				for len(next.Lines) < height {
					next.Lines = append(next.Lines, line())
				}
			}
			f = &next
			p.Show(f)
			p.Flush()
			if got, want := v.screen(), fresh(t, f); got != want {
				t.Fatalf("seed %d, step %d:\n%s\n\nwant:\n%s\n\nframe: %q", seed, step, got, want, f.Lines)
			}
			if on := v.modes["?25"]; on != (f.Line >= 0) || on && (v.x != f.Column || v.y != f.Line) {
				t.Fatalf("seed %d, step %d: cursor %v at %d,%d; want %d,%d", seed, step, on, v.x, v.y, f.Column, f.Line)
			}
		}
	}
}

func rows(n int, text func(i int) string) []string {
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, text(i))
	}
	return out
}

// TestLittleIsWritten bounds what goes over a slow line.
func TestLittleIsWritten(t *testing.T) {
	row := func(i int) string {
		return fmt.Sprintf("  service-%05d   ✓ passing   %s", i, strings.Repeat("tag ", 30))
	}
	for name, c := range map[string]struct {
		next func(f *Frame)
		most int
	}{
		"nothing changed":     {func(*Frame) {}, 0},
		"the end of one row":  {func(f *Frame) { f.Lines[7] += "!" }, 20},
		"the list moved":      {func(f *Frame) { f.Lines = rows(60, func(i int) string { return row(i + 1) }) }, 250},
		"the list moved back": {func(f *Frame) { f.Lines = rows(60, func(i int) string { return row(i + 99) }) }, 250},
		"the title":           {func(f *Frame) { f.Title = "new" }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p := New(&out)
			f := &Frame{Width: 200, Height: 60, Line: -1, Lines: rows(60, row)}
			if strings.HasSuffix(name, "back") {
				f.Lines = rows(60, func(i int) string { return row(i + 100) })
			}
			p.Show(f)
			p.Enter()
			out.Reset()
			next := *f
			next.Lines = append([]string(nil), f.Lines...)
			c.next(&next)
			p.Show(&next)
			p.Flush()
			if out.Len() > c.most {
				t.Errorf("%d bytes: %q", out.Len(), out.String())
			}
		})
	}
}

// TestEnterAndLeave says what is given back.
func TestEnterAndLeave(t *testing.T) {
	v := newVT(t, 20, 5)
	p := New(v)
	p.Show(&Frame{Width: 20, Height: 5, Line: -1, Lines: []string{"one"}, Mouse: true, Title: "x"})
	p.Flush()
	if len(v.modes) > 0 || strings.TrimSpace(v.screen()) != "" {
		t.Errorf("something was written before Enter: %v", v.modes)
	}
	p.Enter()
	p.Graphemes()
	p.Flush()
	for _, mode := range []string{"?1049", "?2004", "?1002", "?1006", "?2027"} {
		if !v.modes[mode] {
			t.Errorf("mode %s is off on our screen", mode)
		}
	}
	p.Leave()
	for mode, on := range v.modes {
		if on != (mode == "?25" || mode == "?7") { // the cursor, and wrapping
			t.Errorf("mode %s left %v", mode, on)
		}
	}
	v.control("", 'J')
	p.Show(&Frame{Width: 20, Height: 5, Line: -1, Lines: []string{"two"}})
	p.Flush()
	if strings.Contains(v.screen(), "t") {
		t.Error("something was written after Leave")
	}
	p.Enter()
	if !strings.Contains(v.screen(), "t|w|o") || !v.modes["?1049"] {
		t.Errorf("back again: %q, %v", v.screen(), v.modes)
	}
}

// count counts writes.
type count struct{ atomic.Int64 }

// Write implements io.Writer.
func (c *count) Write(b []byte) (int, error) { c.Add(1); return len(b), nil }

// TestPace says when frames are written: the first at once, the newest of many a
// moment later, none while nothing changes.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &count{}
		p := New(out)
		p.Enter()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		time.Sleep(time.Second)
		out.Store(0)
		show := func(text string) { p.Show(&Frame{Width: 20, Height: 5, Line: -1, Lines: []string{text}}) }
		show("a")
		synctest.Wait()
		if n := out.Load(); n != 1 {
			t.Errorf("%d writes at once, want 1", n)
		}
		for i := range 1000 {
			show(strconv.Itoa(i))
			time.Sleep(time.Millisecond)
		}
		if n := out.Load(); n < 100 || n > 1+int64(time.Second/Pause)+1 {
			t.Errorf("%d writes in a second of changes", n)
		}
		time.Sleep(time.Second)
		n := out.Load()
		time.Sleep(time.Hour)
		if now := out.Load(); now != n {
			t.Errorf("%d writes while nothing changed", now-n)
		}
		stop()
		<-done
	})
}

// BenchmarkFrame is a key held down in a long list.
func BenchmarkFrame(b *testing.B) {
	row := func(i int) string {
		return fmt.Sprintf("  service-%05d   ✓ passing   %s", i, strings.Repeat("tag ", 30))
	}
	all := rows(1000, row)
	p := New(&count{})
	p.Enter()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Show(&Frame{Width: 200, Height: 60, Line: -1, Lines: all[i%900 : i%900+60]})
		p.Flush()
	}
}
