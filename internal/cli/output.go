package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// form is one of the shapes a command's output can have.
type form string

const (
	formPretty       form = "pretty" // the text Consul's command prints, where it has one
	formTable        form = "table"
	formWide         form = "wide" // the table with all columns
	formJSON         form = "json"
	formYAML         form = "yaml"
	formJSONL        form = "jsonl" // one JSON object a line
	formName         form = "name"  // what names a row, one a line
	formTemplate     form = "go-template"
	formTemplateFile form = "go-template-file"
)

// forms lists all shapes in the order help shows them.
func forms() []string {
	return []string{"pretty", "table", "wide", "json", "yaml", "jsonl", "name", "go-template=TEMPLATE", "go-template-file=FILE"}
}

// formatFlag is the name of the flag; -o is the same.
const formatFlag = "format"

// Output is the flag --format, short -o, of a command, and where its results
// go. One is made for every command that has results; what is shown is
// declared by a View and written by Show, ShowDocument or a Sink.
type Output struct {
	f        *Factory
	form     form
	text     string // as given
	template *template.Template
	only     []form // the forms known; nil for all
}

// Output gives cmd the flag --format and returns what writes its results.
func (f *Factory) Output(cmd *cobra.Command) *Output {
	o := &Output{f: f, form: formPretty, text: string(formPretty)}
	cmd.Flags().VarP(o, formatFlag, "o", "output `FORMAT`: pretty, table, wide, json, yaml, jsonl, name or go-template=TEMPLATE")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(formatFlag, completeForms)
	return o
}

func completeForms(_ *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, f := range forms() {
		name, _, argument := strings.Cut(f, "=")
		if argument {
			name += "="
		}
		names = append(names, name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// String implements pflag.Value.
func (o *Output) String() string { return o.text }

// Type implements pflag.Value.
func (o *Output) Type() string { return "string" }

// Set implements pflag.Value. A template is read and parsed here, so that a
// wrong one is refused before anything is asked or done.
func (o *Output) Set(s string) error {
	name, argument, given := strings.Cut(s, "=")
	if form(s) == formTable && o.only != nil {
		s, name = string(formPretty), string(formPretty)
	}
	if o.only != nil && !slices.Contains(o.only, form(s)) {
		return errFormat
	}
	switch f := form(name); f {
	case formTemplate, formTemplateFile:
		return o.setTemplate(f, argument, s)
	case formPretty, formTable, formWide, formJSON, formYAML, formJSONL, formName:
		if !given {
			o.form, o.text = f, s
			return nil
		}
	}
	return fmt.Errorf("must be one of: %s%s", strings.Join(forms(), ", "), suggestWord(name, forms()))
}

func (o *Output) setTemplate(f form, argument, text string) error {
	if argument == "" {
		return fmt.Errorf("needs a template behind it: -o %s=...", f)
	}
	source := argument
	if f == formTemplateFile {
		data, err := os.ReadFile(argument)
		if err != nil {
			return fmt.Errorf("read template: %w", err)
		}
		source = string(data)
	}
	t, err := template.New("-o").Funcs(templateFuncs()).Parse(source)
	if err != nil {
		return fmt.Errorf("parse template: %w", err)
	}
	o.form, o.text, o.template = formTemplate, text, t
	return nil
}

// JSON reports whether JSON was asked for. Commands whose output Show cannot
// write use it; others leave it to Show.
func (o *Output) JSON() bool { return o.form == formJSON }

// Pretty reports whether the text is shown that people read by default.
func (o *Output) Pretty() bool { return o.form == formPretty }

// machine reports whether the output is for a program, whose errors shall be
// JSON too.
func (o *Output) machine() bool {
	return o.form == formJSON || o.form == formJSONL || o.form == formYAML
}

// Column is one column of a table.
type Column[T any] struct {
	Name  string
	Wide  bool // only with -o wide
	Value func(T) string
	Tone  func(T) iostreams.Tone // nil for none
}

// View declares how a listing is shown: everything a command has to say about
// it, in every format.
type View[T any] struct {
	Columns []Column[T]
	// Name is what a row is called, for -o name; nil takes the first column.
	Name func(T) string
	// Line writes row number i, from 0, as text. Nil means the pretty form
	// is the table. Errors stay in w, which is buffered.
	Line func(w io.Writer, i int, row T)
	// Empty is said in the pretty form when there are no rows; without it,
	// nothing is.
	Empty string
	// NoHeader leaves the header off the pretty form.
	NoHeader bool
	// Document says that the pretty form is the JSON.
	Document bool
	// JSON returns what a row is as JSON; nil takes the row itself.
	JSON func(T) any
	// Indent is the indentation of JSON; empty means four spaces.
	Indent string
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
	out := o.f.Streams.Out
	switch {
	case o.form == formJSON:
		return iostreams.WriteJSON(out, document, indentOf(v.Indent))
	case o.form == formYAML:
		return writeYAML(out, document)
	case o.form == formTemplate:
		return executeTemplate(out, o.template, document)
	case o.form == formPretty && text != nil:
		b := bufio.NewWriter(out)
		if err := text(b); err != nil {
			return err
		}
		return b.Flush()
	default:
		return Show(o, v, rows)
	}
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

func indentOf(s string) string {
	if s == "" {
		return "    "
	}
	return s
}

// tableChunk is how many rows of a table are looked at for the widths of its
// columns. A longer table is written in pieces, so that it needs no memory for
// all its rows.
const tableChunk = 10_000

// Sink writes rows as they come, in constant memory: it keeps none of them,
// except the first ones of a table, and all for a template. Close must be
// called after the last row; without it the output is not complete.
type Sink[T any] struct {
	o     *Output
	form  form
	v     View[T]
	w     *bufio.Writer
	n     int
	table *iostreams.Table
	kept  []any // for a template
}

// NewSink returns a sink for the format o was given.
func NewSink[T any](o *Output, v View[T]) *Sink[T] {
	s := &Sink[T]{o: o, form: o.form, v: v, w: bufio.NewWriterSize(o.f.Streams.Out, 64<<10)}
	if v.Name == nil && len(v.Columns) > 0 {
		s.v.Name = v.Columns[0].Value
	}
	if v.Document && s.form == formPretty {
		s.form = formJSON
	}
	if v.JSON == nil {
		s.v.JSON = func(row T) any { return row }
	}
	return s
}

// Add writes one row.
func (s *Sink[T]) Add(row T) error {
	defer func() { s.n++ }()
	switch s.form {
	case formJSON:
		return s.addJSON(row)
	case formYAML:
		return writeYAML(s.w, []any{s.v.JSON(row)})
	case formJSONL:
		b, err := json.Marshal(s.v.JSON(row))
		if err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
		_, err = s.w.Write(append(b, '\n'))
		return err
	case formName:
		_, err := fmt.Fprintln(s.w, s.v.Name(row))
		return err
	case formTemplate:
		s.kept = append(s.kept, s.v.JSON(row))
		return nil
	case formPretty:
		if s.v.Line != nil {
			s.v.Line(s.w, s.n, row)
			return nil
		}
	}
	return s.addCells(row)
}

func (s *Sink[T]) addJSON(row T) error {
	indent := indentOf(s.v.Indent)
	b, err := json.MarshalIndent(s.v.JSON(row), indent, indent)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	if s.n == 0 {
		s.w.WriteString("[\n")
	} else {
		s.w.WriteString(",\n")
	}
	s.w.WriteString(indent)
	_, err = s.w.Write(b)
	return err
}

func (s *Sink[T]) addCells(row T) error {
	if s.table == nil {
		s.startTable()
	}
	var cells []iostreams.Cell
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
	s.table.Cells(cells)
	if s.table.Len() >= tableChunk {
		return s.table.Write(s.w)
	}
	return nil
}

func (s *Sink[T]) startTable() {
	s.table = &iostreams.Table{Color: s.o.f.Streams.ColorOut()}
	if s.form == formPretty && s.v.NoHeader {
		return
	}
	var names []string
	for _, c := range s.v.Columns {
		if !c.Wide || s.form == formWide {
			names = append(names, c.Name)
		}
	}
	s.table.Row(names...)
}

// Flush passes on what was written so far, for output that grows slowly.
func (s *Sink[T]) Flush() error { return s.w.Flush() }

// Close ends the output and writes what is still held.
func (s *Sink[T]) Close() error {
	var err error
	switch {
	case s.form == formJSON && s.n == 0:
		s.w.WriteString("[]\n")
	case s.form == formJSON:
		s.w.WriteString("\n]\n")
	case s.form == formYAML && s.n == 0:
		s.w.WriteString("[]\n")
	case s.form == formTemplate:
		if s.kept == nil {
			s.kept = []any{}
		}
		err = executeTemplate(s.w, s.o.template, s.kept)
	case s.n == 0 && (s.form == formTable || s.form == formWide):
		s.startTable() // the header says what is missing
		err = s.table.Write(s.w)
	case s.table != nil:
		err = s.table.Write(s.w)
	case s.form == formPretty && s.n == 0 && s.v.Empty != "":
		fmt.Fprintln(s.w, s.v.Empty)
	}
	if err != nil {
		return err
	}
	return s.w.Flush()
}

// WriteJSON writes v with the indentation all commands use.
func WriteJSON(w io.Writer, v any) error { return iostreams.WriteJSON(w, v, "    ") }
