package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"github.com/ctl-sh/ctl/internal/iostreams"
)

// tableChunk is how many rows of a table are looked at for the widths of its
// columns. A longer table is written in pieces, so that it needs no memory for
// all its rows.
const tableChunk = 10_000

// Sink writes rows as they come, in constant memory: it keeps none of them,
// except the first ones of a table, and all for a template and for --jq without
// -o jsonl. Close must be called after the last row; without it the output is not complete.
type Sink[T any] struct {
	sink
	v View[T]
}

// NewSink returns a sink for the format o was given.
func NewSink[T any](o *Output, v View[T]) *Sink[T] {
	s := &Sink[T]{v: v, sink: sink{
		out: o, form: o.shape(), template: o.template, color: o.f.Streams.ColorOut(), w: bufio.NewWriterSize(o.f.Streams.Out, 64<<10),
		indent: indentOf(v.Indent), empty: v.Empty, header: !v.NoHeader,
	}}
	s.columns = make([]column, len(v.Columns))
	for i, c := range v.Columns {
		s.columns[i] = column{c.Name, c.Wide}
	}
	if v.Document && s.form == formPretty {
		s.form = formJSON
	}
	return s
}

// Add writes one row.
func (s *Sink[T]) Add(row T) error {
	switch {
	case s.form.encodes():
		if s.v.JSON != nil {
			return s.addValue(s.v.JSON(row))
		}
		return s.addValue(row)
	case s.form == formName:
		name := s.v.Name
		if name == nil {
			name = s.v.Columns[0].Value
		}
		return s.addName(name(row))
	case s.form == formPretty && s.v.Line != nil:
		s.v.Line(s.w, s.n, row)
		s.n++
		return nil
	}
	cells := make([]iostreams.Cell, 0, len(s.v.Columns))
	for _, c := range s.v.Columns {
		if c.Wide && s.form != formWide {
			continue
		}
		cell := iostreams.Cell{Text: c.Value(row)}
		if c.Tone != nil {
			cell.Tone = c.Tone(row)
		}
		cells = append(cells, cell)
	}
	return s.addCells(cells)
}

// Show writes rows as v and the flag say. As JSON they are an array, never null.
func Show[T any](o *Output, v View[T], rows []T) error {
	s := NewSink(o, v)
	for _, r := range rows {
		if err := s.Add(r); err != nil {
			return err
		}
	}
	return s.Close()
}

// ShowDocument writes something that is more than its rows: document is its
// JSON, the shape the HTTP API has, and text its pretty form. The table, the
// names and jsonl are made of rows; text may be nil where the table is the
// pretty form.
func ShowDocument[T any](o *Output, v View[T], document any, rows []T, text func(io.Writer) error) error {
	if done, err := o.document(v.Indent, document, text); done {
		return err
	}
	return Show(o, v, rows)
}

// document writes what has no rows, and reports whether that is the form asked
// for.
func (o *Output) document(indent string, document any, text func(io.Writer) error) (done bool, err error) {
	out := o.f.Streams.Out
	switch f := o.shape(); {
	case f == formJSON:
		return true, iostreams.WriteJSON(out, document, indentOf(indent))
	case f == formYAML:
		return true, iostreams.WriteYAML(out, document)
	case f == formTemplate:
		return true, executeTemplate(out, o.template, document)
	case f == formJQ:
		b := bufio.NewWriter(out)
		err := o.writeFiltered(b, document, indentOf(indent))
		return true, cmp.Or(err, b.Flush())
	case f == formPretty && text != nil:
		b := bufio.NewWriter(out)
		if err := text(b); err != nil {
			return true, err
		}
		return true, b.Flush()
	}
	return false, nil
}

// WriteTable writes rows to w as the table of v whatever form o has, for a text
// of which a table is one part. w is not flushed.
func WriteTable[T any](w io.Writer, o *Output, v View[T], rows []T) error {
	s := NewSink(o, v)
	s.form, s.w = formTable, bufio.NewWriter(w)
	for _, r := range rows {
		if err := s.Add(r); err != nil {
			return err
		}
	}
	return s.Close()
}

// sink is what of a Sink is the same for rows of every type. It stands for
// itself so that the program has it once, not once for each type.
type sink struct {
	out      *Output
	form     form
	template *template.Template // for its form
	color    bool
	columns  []column
	indent   string // of JSON
	empty    string // said in the pretty form when there are no rows
	header   bool   // in the pretty form
	w        *bufio.Writer
	n        int // rows so far
	table    *iostreams.Table
	kept     []any // for a template, and for --jq
}

// column is the head of a Column.
type column struct {
	name string
	wide bool
}

func indentOf(s string) string {
	if s == "" {
		return "    "
	}
	return s
}

// encodes reports whether f shows what a row is as JSON.
func (f form) encodes() bool {
	return f == formJSON || f == formYAML || f == formJSONL || f == formTemplate || f == formJQ
}

// addValue writes one row in a form that encodes.
func (s *sink) addValue(v any) error {
	defer func() { s.n++ }()
	switch {
	case s.form == formJSON:
		return s.addJSON(v)
	case s.form == formYAML:
		return iostreams.WriteYAML(s.w, []any{v})
	case s.form == formTemplate || s.form == formJQ:
		s.kept = append(s.kept, v)
		return nil
	case s.out.filter.On():
		return s.failed(s.out.writeFiltered(s.w, v, ""))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = s.w.Write(append(b, '\n'))
	return err
}

func (s *sink) addJSON(v any) error {
	b, err := json.MarshalIndent(v, s.indent, s.indent)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	if s.n == 0 {
		s.w.WriteString("[\n")
	} else {
		s.w.WriteString(",\n")
	}
	s.w.WriteString(s.indent)
	_, err = s.w.Write(b)
	return err
}

func (s *sink) addName(name string) error {
	s.n++
	_, err := fmt.Fprintln(s.w, name)
	return err
}

// addCells adds a row to the table, which keeps cells.
func (s *sink) addCells(cells []iostreams.Cell) error {
	s.n++
	if s.table == nil {
		s.startTable()
	}
	s.table.Cells(cells)
	if s.table.Len() >= tableChunk {
		return s.table.Write(s.w)
	}
	return nil
}

func (s *sink) startTable() {
	s.table = &iostreams.Table{Color: s.color}
	if s.form == formPretty && !s.header {
		return
	}
	var names []string
	for _, c := range s.columns {
		if !c.wide || s.form == formWide {
			names = append(names, c.name)
		}
	}
	s.table.Row(names...)
}

// Flush passes on what was written so far, for output that grows slowly.
func (s *sink) Flush() error { return s.w.Flush() }

// Close ends the output and writes what is still held.
func (s *sink) Close() error {
	var err error
	switch {
	case s.form == formJSON && s.n == 0:
		s.w.WriteString("[]\n")
	case s.form == formJSON:
		s.w.WriteString("\n]\n")
	case s.form == formYAML && s.n == 0:
		s.w.WriteString("[]\n")
	case s.form == formTemplate:
		err = executeTemplate(s.w, s.template, nonNil(s.kept))
	case s.form == formJQ:
		err = s.failed(s.out.writeFiltered(s.w, nonNil(s.kept), s.indent))
	case s.n == 0 && (s.form == formTable || s.form == formWide):
		s.startTable() // the header says what is missing
		err = s.table.Write(s.w)
	case s.table != nil:
		err = s.table.Write(s.w)
	case s.form == formPretty && s.n == 0 && s.empty != "":
		fmt.Fprintln(s.w, s.empty)
	}
	if err != nil {
		return err
	}
	return s.w.Flush()
}

// failed returns err, and where there is one passes on what was written before
// it: an expression of --jq fails at what it does not fit.
func (s *sink) failed(err error) error {
	if err != nil {
		return cmp.Or(s.w.Flush(), err)
	}
	return nil
}

// nonNil is for JSON, where an empty list is not the same as none.
func nonNil(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}
