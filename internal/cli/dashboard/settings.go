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
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/tui"
	"github.com/ctl-sh/ctl/internal/tui/page"
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
	// Columns are columns of lists, by the names of page.Lists.
	Columns map[string][]column `json:"columns" doc:"Columns of lists, by the names of the lists."`
	// Commands are programs on keys, by their names.
	Commands map[string]command `json:"commands" doc:"Programs on keys, by name; :run NAME runs one, too."`

	file string
	data []byte
}

// column is a column of a list: a new one where it has a value, else a change of
// the one that has the title.
type column struct {
	Title string `json:"title" doc:"What stands above it, or above the one to change."`
	Value string `json:"value" doc:"What stands in a new column: text with fields such as {{.Meta.owner}}."`
	Width int    `json:"width" doc:"The greatest width in cells; without it 40, or as it is."`
	Right bool   `json:"right" doc:"Put the text at the right edge, as for numbers."`
	Wide  bool   `json:"wide" doc:"Show it in wide mode only."`
	Hide  bool   `json:"hide" doc:"Take the column away."`
	After string `json:"after" doc:"The title of the column before a new one; without it stands last."`
}

// command is a program on a key.
type command struct {
	Key     string   `json:"key" doc:"The key that runs it. Commands for different kinds of objects can share one."`
	Help    string   `json:"help" doc:"What it does, in a few words."`
	On      []string `json:"on" doc:"The kinds of objects it is for; none is for everything."`
	Run     []string `json:"run" doc:"The program and its arguments, with fields such as {{.Node}}; no shell reads them."`
	Confirm bool     `json:"confirm" doc:"Ask before it is run."`
	Writes  bool     `json:"writes" doc:"It changes something: refuse it where nothing may be changed, and want the name of a protected context typed."`
	Output  string   `json:"output" doc:"Show what it printed as a page once it has ended, or give it the terminal meanwhile; page if not given."`
	Timeout string   `json:"timeout" doc:"When one whose output is a page is ended, such as 5m; 1m if not given."`
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
	for _, list := range slices.Sorted(maps.Keys(s.Columns)) {
		if err := page.CheckColumns(list, s.columns(list)); err != nil {
			return fmt.Errorf("%s:%d: columns: %s: %w", s.file, s.line(list), list, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Commands)) {
		if _, err := s.command(name); err != nil {
			return fmt.Errorf("%s:%d: commands: %s: %w", s.file, s.line(name), name, err)
		}
	}
	return nil
}

// columns returns those of a list.
func (s *settings) columns(list string) []page.Column {
	var out []page.Column
	for _, c := range s.Columns[list] {
		out = append(out, page.Column(c))
	}
	return out
}

// allColumns returns the columns of all lists.
func (s *settings) allColumns() map[string][]page.Column {
	out := map[string][]page.Column{}
	for list := range s.Columns {
		out[list] = s.columns(list)
	}
	return out
}

// command returns the command of a name, or what is wrong with it.
func (s *settings) command(name string) (tui.Command, error) {
	c := s.Commands[name]
	out := tui.Command{Name: name, Key: c.Key, Help: c.Help, On: c.On, Confirm: c.Confirm, Writes: c.Writes, Terminal: c.Output == "terminal"}
	switch {
	case name == "" || strings.ContainsAny(name, " :"):
		return out, errors.New("a name without blanks and colons is wanted")
	case c.Key == "":
		return out, errors.New("key: the key that runs it is wanted")
	case c.Output != "" && c.Output != "page" && c.Output != "terminal":
		return out, fmt.Errorf("output: %q is neither page nor terminal", c.Output)
	case c.Timeout != "" && c.Output == "terminal":
		return out, errors.New("timeout: one that has the terminal is ended by whoever sits there")
	}
	if c.Timeout != "" {
		d, err := time.ParseDuration(c.Timeout)
		if err != nil || d <= 0 {
			return out, fmt.Errorf("timeout: %q is no time such as 30s or 5m", c.Timeout)
		}
		out.Timeout = d
	}
	return tui.NewCommand(out, c.Run)
}

// commands returns all commands, by name in order. They have been checked.
func (s *settings) commands() []tui.Command {
	var out []tui.Command
	for _, name := range slices.Sorted(maps.Keys(s.Commands)) {
		if c, err := s.command(name); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// keymap returns the keys of actions and commands.
func (s *settings) keymap() (*ui.KeyMap, error) {
	k, err := ui.DefaultKeys().Rebind(s.Keys)
	if err != nil {
		return nil, cli.Failf("%s:%d: %w", s.file, s.line("keys"), err)
	}
	var own []ui.Binding
	taken := map[[2]string]string{} // by key and kind
	for _, c := range s.commands() {
		for _, kind := range append(slices.Clone(c.On), "")[:max(1, len(c.On))] {
			for _, other := range []string{taken[[2]string{c.Key, kind}], taken[[2]string{c.Key, ""}]} {
				if other != "" {
					return nil, cli.Failf("%s:%d: commands: %s: key %q runs %s already; only commands for different kinds of objects can share one", s.file, s.line(c.Name), c.Name, c.Key, other)
				}
			}
			taken[[2]string{c.Key, kind}] = c.Name
		}
		help := c.Help
		if help == "" {
			help = c.Name
		}
		if len(c.On) > 0 {
			help += " (" + strings.Join(c.On, ", ") + ")"
		}
		own = append(own, ui.Binding{Action: ui.CommandAction(c.Name), Keys: []string{c.Key}, Help: help, Mutates: c.Writes})
	}
	if k, err = k.WithCommands(own); err != nil {
		return nil, cli.Failf("%s:%d: commands: %w; \"keys\" gives the action another one", s.file, s.line("commands"), err)
	}
	return k, nil
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
