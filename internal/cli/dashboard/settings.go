package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// settings are what an operator wants of every dashboard, from dashboard.json in
// the directory of the contexts.
//
// The tag doc of a field is its description in the schema, see there.
type settings struct {
	// Schema is for editors; the dashboard does not read it.
	Schema string `json:"$schema" doc:"The schema of this file, for editors; ctl dash --print-schema prints it."`
	// Theme is a name of ui.Themes.
	Theme string `json:"theme" doc:"Colours; --theme is stronger."`
	// ASCII avoids all other signs, NoMouse leaves the mouse to the terminal.
	ASCII   bool `json:"ascii" doc:"Use no signs but those of ASCII."`
	NoMouse bool `json:"no_mouse" doc:"Leave the mouse to the terminal."`
	// Keys are the keys of actions, by the names that --print-keys shows.
	Keys map[ui.Action][]string `json:"keys" doc:"Keys of actions, by the names that ctl dash --print-keys shows. A key can mean one thing only."`
	// Filters are saved under names, which the filter line takes as @name.
	Filters map[string]string `json:"filters" doc:"Filters by name; /@name filters by one."`

	file string
	data []byte
}

// settings reads the file. One that does not exist says nothing; one that is not
// understood is an error, with its line.
func (o *options) settings() (*settings, error) {
	s := &settings{}
	_, contexts, err := o.f.Contexts()
	if err != nil {
		return nil, err
	}
	if contexts != "" {
		s.file = filepath.Join(filepath.Dir(contexts), "dashboard.json")
		if err := s.read(); err != nil {
			return nil, cli.Failf("Error in the dashboard's settings: %w", err)
		}
	}
	if o.theme != "" && !slices.Contains(ui.Themes(), o.theme) {
		return nil, cli.Failf("no theme is called %q: there are %s", o.theme, strings.Join(ui.Themes(), ", "))
	}
	return s, nil
}

func (s *settings) read() error {
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.data = data
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("%s:%d: %w; known are %s", s.file, lineOf(data, err), err, members())
	}
	if s.Theme != "" && !slices.Contains(ui.Themes(), s.Theme) {
		return fmt.Errorf("%s:%d: theme: no theme is called %q: there are %s", s.file, s.line("theme"), s.Theme, strings.Join(ui.Themes(), ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Filters)) {
		if name == "" || strings.ContainsAny(name, " @") || strings.TrimSpace(s.Filters[name]) == "" {
			return fmt.Errorf("%s:%d: filters: %q: a name without blanks and @, and a filter that is not empty, are wanted", s.file, s.line(name), name)
		}
	}
	return nil
}

// line returns the line that first has a name, in quotes as keys are.
func (s *settings) line(name string) int {
	return 1 + bytes.Count(s.data[:max(0, bytes.Index(s.data, []byte(`"`+name+`"`)))], []byte("\n"))
}

// lineOf returns the line that a decoding error is about.
func lineOf(data []byte, err error) int {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	at := 0
	switch {
	case errors.As(err, &syntax):
		at = int(syntax.Offset)
	case errors.As(err, &kind):
		at = int(kind.Offset)
	default:
		// An unknown field has no offset, only its name, in quotes.
		if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
			at = bytes.Index(data, []byte(name))
		}
	}
	return 1 + bytes.Count(data[:max(0, min(at, len(data)))], []byte("\n"))
}

// binding is a key, or several, and what it does.
type binding struct {
	Action  ui.Action
	Keys    []string
	Help    string
	Mutates bool
}

var bindings = cli.View[binding]{
	Columns: []cli.Column[binding]{
		{Name: "Action", Value: func(b binding) string { return string(b.Action) }},
		{Name: "Keys", Value: func(b binding) string { return strings.Join(b.Keys, " ") }},
		{Name: "What it does", Value: func(b binding) string { return b.Help }},
	},
}

// writeKeys prints the keys.
func (o *options) writeKeys(k *ui.KeyMap) error {
	var rows []binding
	for _, b := range k.Bindings() {
		rows = append(rows, binding{b.Action, b.Keys, b.Help, b.Mutates})
	}
	return cli.Show(o.format, bindings, rows)
}
