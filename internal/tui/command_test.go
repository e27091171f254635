package tui

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// own is a command on key X, or the one given.
func own(t *testing.T, c Command, words ...string) Command {
	t.Helper()
	if c.Key == "" {
		c.Key = "X"
	}
	c, err := NewCommand(c, words)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// commanding returns a dashboard with commands of the operator's.
func commanding(t *testing.T, s *source.State, path string, commands ...Command) *driver {
	t.Helper()
	d := newDriver(t, s, path)
	d.c.Commands = commands
	d.c.Session.Environ = []string{"CTL_HTTP_TOKEN=secret", "CTL_CONTEXT=prod"}
	var bindings []ui.Binding
	for _, c := range commands {
		bindings = append(bindings, ui.Binding{Action: ui.CommandAction(c.Name), Keys: []string{c.Key}, Help: c.Help, Mutates: c.Writes})
	}
	k, err := ui.DefaultKeys().WithCommands(bindings)
	if err != nil {
		t.Fatal(err)
	}
	d.c.Keys = k
	return d
}

const script = `echo "node $CTL_SELECTED_NODE, address $1"; echo "at $CONSUL_HTTP_ADDR as $CTL_HTTP_TOKEN in $CTL_CONTEXT"; exit $2`

func TestCommands(t *testing.T) {
	node := []string{"node"}
	for _, c := range []struct {
		name     string
		state    func() *source.State
		path     string
		commands func(t *testing.T) []Command
		keys     []string
		shows    []string
		hides    []string
	}{
		{"its output is shown", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: node}, "sh", "-c", script, "sh", "{{.Address}}", "0")}
		}, []string{"j", "X"}, []string{"Nodes › look", "node client-2, address 10.0.0.9", "at 127.0.0.1:8500 as secret in prod", "exit code 0"}, nil},
		{"what failed is shown with its exit code", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: node}, "sh", "-c", "echo what is wrong >&2; exit 7")}
		}, []string{"X"}, []string{"what is wrong", "look failed: exit code 7"}, nil},
		{"a program that is not there", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look"}, "no-such-program-anywhere")}
		}, []string{"X"}, []string{"look failed", "no-such-program-anywhere", "not found"}, nil},
		{"one that does not end", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", Timeout: 30 * time.Millisecond}, "sh", "-c", "echo begun; sleep 100")}
		}, []string{"X"}, []string{"it did not end within 30ms and was ended"}, nil},
		{"of those on a key, the one for what is selected", tuitest.Live, "services", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "a", On: node}, "echo", "of a node"), own(t, Command{Name: "b", On: []string{"service"}}, "echo", "of", "{{.Service}}", "{{.Health}}")}
		}, []string{"X"}, []string{"of api passing"}, nil},
		{"none is for what is selected", tuitest.Live, "services", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: []string{"node", "key"}}, "echo")}
		}, []string{"X"}, []string{"Look is for a node, a key, and a service is selected."}, nil},
		{"by its name", tuitest.Live, "kv/greeting", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: []string{"key"}}, "echo", "key={{.Key}} in {{.Datacenter}}")}
		}, strings.Split(":|r|u|n| |l|o|o|k|enter", "|"), []string{"key=greeting in dc1"}, nil},
		{"a question first", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: node, Confirm: true}, "echo", "{{.Node}} it is", "a b")}
		}, []string{"X"}, []string{"Run look?", "object   client-1", "prod / dc1", "command  echo 'client-1 it is' 'a b'"}, []string{"exit code"}},
		{"answered with yes", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: node, Confirm: true}, "echo", "{{.Node}} it is")}
		}, []string{"X", "y"}, []string{"client-1 it is"}, nil},
		{"answered with no", tuitest.Live, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", On: node, Confirm: true}, "echo", "{{.Node}} it is")}
		}, []string{"X", "esc"}, []string{"Nothing was done."}, []string{"it is"}},
		{"one that writes, where nothing may be changed", tuitest.ReadOnly, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look", Writes: true}, "echo", "written")}
		}, []string{"X"}, []string{"Nothing can be changed now: the context prod is read-only."}, []string{"written"}},
		{"one that reads, where nothing may be changed", tuitest.ReadOnly, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "look"}, "echo", "only", "read")}
		}, []string{"X"}, []string{"only read"}, nil},
		{"a name that would be an option", func() *source.State {
			s := tuitest.Live()
			s.Nodes.Rows = []*source.Node{{Name: "-oProxyCommand=evil"}}
			return s
		}, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "ssh", On: node}, "echo", "{{.Node}}")}
		}, []string{"X"}, []string{"begins with a dash and would be taken for an option"}, []string{"exit code"}},
		{"the same after two dashes", func() *source.State {
			s := tuitest.Live()
			s.Nodes.Rows = []*source.Node{{Name: "-oProxyCommand=evil"}}
			return s
		}, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "ssh", On: node}, "echo", "--", "{{.Node}}")}
		}, []string{"X"}, []string{"-- -oProxyCommand=evil"}, nil},
		{"a name that would be a script is a word", func() *source.State {
			s := tuitest.Live()
			s.Nodes.Rows = []*source.Node{{Name: "$(echo gone); x"}}
			return s
		}, "nodes", func(t *testing.T) []Command {
			return []Command{own(t, Command{Name: "ssh", On: node}, "sh", "-c", `echo "$1 $CTL_SELECTED_NODE"`, "sh", "{{.Node}}")}
		}, []string{"X"}, []string{"$(echo gone); x $(echo gone); x"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := commanding(t, c.state(), c.path, c.commands(t)...)
			for _, k := range c.keys {
				d.press(k)
			}
			d.shows(c.shows...)
			for _, no := range c.hides {
				if s := d.screen(); strings.Contains(s, no) {
					t.Errorf("%q is on the screen:\n%s", no, s)
				}
			}
		})
	}
}

// TestACommandThatWritesInAProtectedContext wants the name typed, even where no
// question was asked for.
func TestACommandThatWritesInAProtectedContext(t *testing.T) {
	d := commanding(t, tuitest.Live(), "nodes", own(t, Command{Name: "change", Writes: true}, "echo", "was changed"))
	d.c.Session.Require = "prod"
	d.press("X")
	d.press("y")
	d.press("enter")
	if s := d.screen(); strings.Contains(s, "exit code") {
		t.Fatalf("it ran:\n%s", s)
	}
	d.press("X")
	d.write("prod")
	d.press("enter")
	d.shows("was changed")
}

// TestACommandWithTheTerminal has it while it runs; what it says of its failure is
// shown afterwards.
func TestACommandWithTheTerminal(t *testing.T) {
	for _, c := range []struct {
		name, script string
		shows        string
	}{
		{"it is done", "echo seen; exit 0", "edit is done: exit code 0"},
		{"it fails", "echo no such host >&2; exit 255", "no such host"},
		{"it fails without a word", "exit 4", "edit failed: exit code 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := commanding(t, tuitest.Live(), "nodes", own(t, Command{Name: "edit", Terminal: true}, "sh", "-c", c.script))
			_, cmd := d.Update(tea.KeyPressMsg(tea.Key{Code: 'X', Text: "X"}))
			msg, ok := cmd().(tea.BatchMsg)
			var e editMsg
			if ok && len(msg) == 1 {
				e, ok = msg[0]().(editMsg)
			} else {
				e, ok = cmd().(editMsg)
			}
			if !ok {
				t.Fatal("the terminal is not given away")
			}
			var out bytes.Buffer
			o := &outside{Cmd: e.cmd, errors: e.errors}
			o.SetStdout(&out)
			o.SetStderr(io.Discard)
			d.Update(e.then(o.Run()))
			d.shows(c.shows)
			if strings.Contains(c.script, "seen") && out.String() != "seen\n" {
				t.Errorf("it wrote %q to the terminal", out.String())
			}
		})
	}
}

// TestWhoGoesOnKeepsTheOutput: nobody is taken away from where they are.
func TestWhoGoesOnKeepsTheOutput(t *testing.T) {
	d := commanding(t, tuitest.Live(), "nodes", own(t, Command{Name: "look"}, "echo", "late news"))
	_, cmd := d.Update(tea.KeyPressMsg(tea.Key{Code: 'X', Text: "X"}))
	d.press("3")
	d.do(cmd)
	d.shows("Services", "look is done: exit code 0", ":output shows what it said")
	d.press(":")
	d.write("output")
	d.press("enter")
	d.shows("late news")
	d.press("esc")
	d.shows("Nodes")
}

// TestCommandsEndWithTheDashboard: none is left behind.
func TestCommandsEndWithTheDashboard(t *testing.T) {
	d := commanding(t, tuitest.Live(), "nodes", own(t, Command{Name: "look", Timeout: time.Hour}, "sh", "-c", "sleep 3600"))
	_, cmd := d.Update(tea.KeyPressMsg(tea.Key{Code: 'X', Text: "X"}))
	done := make(chan tea.Msg, 1)
	go func() { done <- cmd() }()
	d.commands.end()
	msg := <-done // a message, or nil where it had not begun
	if r, ok := msg.(ranMsg); ok && r.err == nil {
		t.Error("it ended by itself")
	}
	if _, _, ok := d.commands.begin(); ok {
		t.Error("another one may begin after the end")
	}
}

func TestWrongCommands(t *testing.T) {
	for _, c := range []struct {
		name  string
		on    []string
		words []string
		want  string
	}{
		{"no program", nil, nil, "a program is wanted"},
		{"the program from a field", []string{"node"}, []string{"{{.Node}}"}, "without fields"},
		{"a script with a field", []string{"node"}, []string{"/bin/sh", "-c", "ping {{.Node}}"}, "would become part of a script"},
		{"a script with a field on Windows", []string{"node"}, []string{"cmd.exe", "/C", "ping {{.Node}}"}, "would become part of a script"},
		{"a field that is not closed", []string{"node"}, []string{"x", "{{.Node"}, "a field is written as {{.Name}}"},
		{"an expression", []string{"node"}, []string{"x", "{{printf .Node}}"}, "a field is written as {{.Name}}"},
		{"a field that one of the kinds lacks", []string{"instance", "node"}, []string{"x", "{{.Port}}"}, `node has no field "Port"`},
		{"a key that is missing", []string{"node"}, []string{"x", "{{.Meta}}"}, "{{.Meta.KEY}} is wanted"},
		{"a key too much", []string{"node"}, []string{"x", "{{.Node.x}}"}, "{{.Node}} has nothing below it"},
		{"a field where nothing is selected", nil, []string{"x", "{{.Node}}"}, "there are Context, Datacenter, Agent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewCommand(Command{Name: "x", On: c.on}, c.words)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestFieldsHaveValues: every field that is told of is there.
func TestFieldsHaveValues(t *testing.T) {
	s := tuitest.Live()
	s.Services.Rows[0] = &source.Service{Name: "api", Kind: "connect-proxy", Tags: []string{"KEY=1"}, Counted: true, Passing: 1}
	s.Service.Rows[0].Tags, s.Service.Rows[0].Meta = []string{"KEY=1"}, map[string]string{"KEY": "1"}
	n := s.Nodes.Rows[0]
	n.ID, n.Datacenter, n.Maintenance, n.MaintenanceReason, n.Meta = "n1", "dc1", true, "why", map[string]string{"KEY": "1"}
	s.Members.LAN[0].Tags = map[string]string{"KEY": "1"}
	p := *s.Problems.Rows[0]
	p.Notes = "n"
	s.Problems.Rows = []*source.Check{&p}
	s.Cluster.Peers[0].Version = "1.2"
	paths := map[string]string{"service": "services", "instance": "services/web", "node": "nodes", "member": "members", "check": "overview", "key": "kv/greeting", "server": "raft"}
	for _, kind := range page.Kinds() {
		d := newDriver(t, s, paths[kind])
		c, ok := d.at.page.(page.Chooser)
		if !ok {
			t.Fatalf("%s: nothing can be chosen", kind)
		}
		o, ok := c.Object()
		if !ok || o.Kind != kind {
			t.Fatalf("%s: chosen is %+v", kind, o)
		}
		for _, f := range page.Fields(kind) {
			text := "{{." + f.Name + "}}"
			if f.Keyed {
				text = "{{ ." + f.Name + ".KEY }}"
			}
			tm, err := page.ParseTemplate(text, []string{kind})
			if err != nil {
				t.Error(err)
			}
			if got := tm.Expand(o, nil); got == "" || f.Keyed && got != "1" {
				t.Errorf("%s: %s is %q", kind, text, got)
			}
		}
	}
}

func TestColumns(t *testing.T) {
	columns := map[string][]page.Column{
		"instances": {{Title: "Version", Value: "v{{.Meta.version}}", Width: 8, After: "Health"}, {Title: "Where", Value: "{{.NodeAddress}}/{{.Port}}"}, {Title: "Checks", Hide: true}, {Title: "Says", Width: 12}},
		"services":  {{Title: "Colour", Value: "{{.Tag.blue}}"}},
		"members":   {{Title: "Role", Value: "{{.Tag.role}}", Right: true}},
	}
	for list, all := range columns {
		if err := page.CheckColumns(list, all); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"services/web", "services", "members"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for _, size := range sizes {
				c := config(t, tuitest.NewFeed(tuitest.Live()), path)
				c.Columns = columns
				m := New(c)
				fmt.Fprintf(&b, "=== %dx%d\n%s\n", size[0], size[1], strings.TrimRight(screen(t, m, size[0], size[1]), "\n"))
			}
			golden(t, "things/columns-"+strings.ReplaceAll(path, "/", "-"), b.String())
		})
	}
	for _, c := range []struct {
		name, list string
		column     page.Column
		want       string
	}{
		{"no title", "nodes", page.Column{Value: "{{.Node}}"}, "needs a title"},
		{"a width that is none", "nodes", page.Column{Title: "Node", Width: -1}, "from 1 to 500"},
		{"after one that is not there", "nodes", page.Column{Title: "x", Value: "{{.Node}}", After: "y"}, `no column "y"`},
		{"a title that is there", "nodes", page.Column{Title: "node", Value: "{{.ID}}"}, "is there already"},
		{"hidden with a value", "nodes", page.Column{Title: "x", Value: "{{.ID}}", Hide: true}, "has a value and is hidden"},
		{"a field of another kind", "checks", page.Column{Title: "x", Value: "{{.Port}}"}, `check has no field "Port"`},
		{"what is the same in every row", "nodes", page.Column{Title: "x", Value: "{{.Context}}"}, "the same in every row"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := page.CheckColumns(c.list, []page.Column{c.column}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestCommandsLineByLine(t *testing.T) {
	c := config(t, tuitest.NewFeed(tuitest.Live()), "nodes")
	c.Commands = []Command{own(t, Command{Name: "look", On: []string{"node"}, Confirm: true}, "echo", "it is {{.Node}}")}
	k, err := ui.DefaultKeys().WithCommands([]ui.Binding{{Action: ui.CommandAction("look"), Keys: []string{"X"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.Keys = k
	var out bytes.Buffer
	if err := Lines(t.Context(), c, Streams{In: strings.NewReader("do run:look 2\nno\ndo run:look 3\nyes\nquit\n"), Out: &out}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Nothing was done.", "Running: echo 'it is server-1'", "it is server-1", "look: exit code 0"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "it is client-2\n") {
		t.Errorf("it ran without a yes:\n%s", out.String())
	}
}
