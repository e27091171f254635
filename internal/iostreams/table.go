package iostreams

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tone says what a cell means, so that it may be coloured. The text of a cell
// says the same without colour.
type Tone uint8

// The tones. Plain is the zero value: no colour.
const (
	Plain Tone = iota
	Good       // as it should be
	Warn       // wants to be looked at
	Bad        // wrong
	Faint      // of no importance now
)

// ansi holds the colours of the 16 every terminal has.
var ansi = [...]string{Plain: "", Good: "\x1b[32m", Warn: "\x1b[33m", Bad: "\x1b[31m", Faint: "\x1b[2m"}

// Paint returns text in the colour of tone. Call it only where colour is
// welcome (ColorOut, ColorErr).
func Paint(tone Tone, text string) string {
	if tone == Plain || text == "" {
		return text
	}
	return ansi[tone] + text + "\x1b[0m"
}

// Cell is one field of a table.
type Cell struct {
	Text string
	Tone Tone
}

// Table is text in columns: every column as wide as its widest cell, two
// spaces between, no borders, the last column not padded. Source: the listings
// of Consul's command line.
type Table struct {
	// Color says that tones may be shown.
	Color bool

	rows   [][]Cell
	widths []int
}

// NewTable returns a table with the header as its first row. Without a header
// the table starts empty.
func NewTable(header ...string) *Table {
	t := &Table{}
	if len(header) > 0 {
		t.Row(header...)
	}
	return t
}

// Row adds a row. Rows may differ in length. Control characters are shown as
// escapes, so that a name can neither break the table nor command a terminal.
func (t *Table) Row(texts ...string) {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	t.Cells(cells)
}

// Cells adds a row of cells, which it keeps and changes as Row does.
func (t *Table) Cells(cells []Cell) {
	for i := range cells {
		cells[i].Text = printable(cells[i].Text)
	}
	t.rows = append(t.rows, cells)
}

// Len returns how many rows wait to be written, the header among them.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the rows added since the last Write, one line a row, without
// trailing blanks. Columns keep at least the widths they had then, so a long
// table may be written piece by piece. It writes nothing where there are no
// rows.
func (t *Table) Write(w io.Writer) error {
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c.Text))
		}
	}
	b := bufio.NewWriter(w)
	for _, row := range t.rows {
		t.writeRow(b, row)
	}
	t.rows = t.rows[:0]
	return b.Flush()
}

func (t *Table) writeRow(b *bufio.Writer, row []Cell) {
	last := len(row) - 1
	for last >= 0 && strings.TrimRight(row[last].Text, " ") == "" {
		last--
	}
	for i, c := range row[:last+1] {
		text, padding := c.Text, t.widths[i]-utf8.RuneCountInString(c.Text)+2
		if i == last {
			text, padding = strings.TrimRight(text, " "), 0
		}
		if t.Color {
			text = Paint(c.Tone, text)
		}
		b.WriteString(text)
		for range padding {
			b.WriteByte(' ')
		}
	}
	b.WriteByte('\n')
}

func printable(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// WriteJSON writes v as JSON, indented by indent, with a newline at the end. A
// nil slice is written as null, so callers pass an empty one for no rows.
func WriteJSON(w io.Writer, v any, indent string) error {
	b, err := json.MarshalIndent(v, "", indent)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
