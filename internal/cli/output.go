package cli

import (
	"fmt"
	"io"
	"os"
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
	formJQ           form = "jq" // not given: what --jq makes of the JSON
)

// forms lists all shapes in the order help shows them.
func forms() []string {
	return []string{"pretty", "table", "wide", "json", "yaml", "jsonl", "name", "go-template=TEMPLATE", "go-template-file=FILE"}
}

// formatFlag is the name of the flag; -o is the same.
const formatFlag = "format"

// Output is the flags --format, short -o, and --jq of a command, and where its
// results go. One is made for every command that has results; what is shown is
// declared by a View and written by Show, ShowDocument or a Sink.
type Output struct {
	f        *Factory
	form     form
	text     string // as given
	template *template.Template
	filter   *Filter
}

// Output gives cmd the flags --format and --jq and returns what writes its
// results.
func (f *Factory) Output(cmd *cobra.Command) *Output {
	o := &Output{f: f, form: formPretty, text: string(formPretty)}
	cmd.Flags().VarP(o, formatFlag, "o", "output `FORMAT`: pretty, table, wide, json, yaml, jsonl, name or go-template=TEMPLATE")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(formatFlag, completeForms)
	o.filter = f.Filter(cmd, o.fits)
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
	switch f := form(name); f {
	case formTemplate, formTemplateFile:
		return o.setTemplate(f, argument, s)
	case formPretty, formTable, formWide, formJSON, formYAML, formJSONL, formName:
		if !given {
			o.form, o.text = f, s
			return o.fits()
		}
	default: // no form that can be asked for here
	}
	return fmt.Errorf("must be one of: %s%s", strings.Join(forms(), ", "), suggestWord(name, forms()))
}

func (o *Output) setTemplate(f form, argument, text string) error {
	if argument == "" {
		return fmt.Errorf("needs a template behind it: -o %s=TEMPLATE", f)
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
	return o.fits()
}

// fits says where -o and --jq exclude each other. Either may be the first.
func (o *Output) fits() error {
	if !o.filter.On() || o.form == formPretty || o.form == formJSON || o.form == formJSONL {
		return nil
	}
	return fmt.Errorf("--%s filters JSON: it goes with -o json, with -o jsonl or without -o, not with -o %s", jqFlag, o.form)
}

// shape is the form results have: the one that was given, or that of --jq. With
// -o jsonl the expression is applied to every row by itself.
func (o *Output) shape() form {
	if o.filter.On() && o.form != formJSONL {
		return formJQ
	}
	return o.form
}

// writeFiltered writes what the expression of --jq makes of v, indented where
// -o json was given.
func (o *Output) writeFiltered(w io.Writer, v any, indent string) error {
	if o.form != formJSON {
		indent = ""
	}
	return o.filter.Write(w, v, indent)
}

// JSON reports whether JSON was asked for. Commands whose output Show cannot
// write use it; others leave it to Show.
func (o *Output) JSON() bool { return o.shape() == formJSON }

// Pretty reports whether the text is shown that people read by default.
func (o *Output) Pretty() bool { return o.shape() == formPretty }

// Text reports whether people read what is shown: as text or as a table.
func (o *Output) Text() bool {
	f := o.shape()
	return f == formPretty || f == formTable || f == formWide
}

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

// WriteJSON writes v with the indentation all commands use.
func WriteJSON(w io.Writer, v any) error { return iostreams.WriteJSON(w, v, "    ") }
