package dashboard

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestWrongCalls(t *testing.T) {
	for _, c := range []struct {
		name, settings, args string
		code                 int
		err                  []string
	}{
		{"a screen that does not exist", "", "dash nonsense", 1, []string{`no screen is called "nonsense"`, "overview, members, services"}},
		{"something below a screen that has nothing below", "", "dash raft/x", 1, []string{`there is nothing below it called "x"`}},
		{"two screens", "", "dash services nodes", 1, []string{"Too many arguments (expected 1, got 2)"}},
		{"a theme that does not exist", "", "dash --theme=pink", 1, []string{`no theme is called "pink"`, "colour-blind"}},
		{"settings that are no JSON", "{\n  \"theme\": pink\n}", "dash --print-keys", 1, []string{"dashboard.json:2:", "invalid character"}},
		{"settings with a key nobody knows", "{\n  \"colour\": 1\n}", "dash --print-keys", 1, []string{"dashboard.json:2:", `unknown field "colour"`, "known are $schema, theme"}},
		{"a theme in the settings that does not exist", "{\n\"theme\": \"pink\"}", "dash --print-keys", 1, []string{`dashboard.json:2: theme: no theme is called "pink"`}},
		{"a key for two things", "{\n\n\"keys\": {\"delete\": [\"j\"]}}", "dash --print-keys", 1, []string{"dashboard.json:3:", `key "j" is bound to`}},
		{"an action nobody knows", `{"keys": {"fly": ["x"]}}`, "dash --print-keys", 1, []string{`no action is called "fly"`}},
		{"a saved filter with a blank in its name", "{\"filters\": {\n\"a b\": \"x\"}}", "dash --print-keys", 1, []string{"dashboard.json:2: filters: \"a b\"", "without blanks"}},
		{"a saved filter that is empty", `{"filters": {"a": ""}}`, "dash --print-keys", 1, []string{"dashboard.json:1:", "not empty"}},
		{"a list that does not exist", "{\n\"columns\": {\"pods\": []}}", "dash --print-keys", 1, []string{"dashboard.json:2: columns: pods:", "there are services, instances, nodes"}},
		{"a column without a field like that", "{\"columns\": {\n\"nodes\": [{\"title\": \"Owner\", \"value\": \"{{.Owner}}\"}]}}", "dash --print-keys", 1, []string{"dashboard.json:2: columns: nodes: column \"Owner\"", `node has no field "Owner": there are Node`, "Meta"}},
		{"a column that is not there to be changed", `{"columns": {"nodes": [{"title": "Owner", "width": 3}]}}`, "dash --print-keys", 1, []string{`column "Owner" is none of the list`, "Node, Health"}},
		{"a member of a column that nobody knows", "{\"columns\": {\"nodes\": [\n{\"titel\": \"x\"}]}}", "dash --print-keys", 1, []string{"dashboard.json:2:", `unknown field "titel"`}},
		{"a command without a key", "{\"commands\": {\n\"ssh\": {\"run\": [\"ssh\"]}}}", "dash --print-keys", 1, []string{"dashboard.json:2: commands: ssh: key:"}},
		{"a command that runs nothing", `{"commands": {"ssh": {"key": "X"}}}`, "dash --print-keys", 1, []string{"commands: ssh: run: a program is wanted"}},
		{"a command on a key that is taken", `{"commands": {"ssh": {"key": "j", "run": ["ssh"]}}}`, "dash --print-keys", 1, []string{`key "j" is bound to down and to run:ssh`}},
		{"two commands on a key for the same", `{"commands": {"a": {"key": "X", "on": ["node"], "run": ["x"]}, "b": {"key": "X", "on": ["check", "node"], "run": ["x"]}}}`, "dash --print-keys", 1, []string{`commands: b: key "X" runs a already`}},
		{"a command on a key for everything", `{"commands": {"a": {"key": "X", "run": ["x"]}, "b": {"key": "X", "on": ["node"], "run": ["x"]}}}`, "dash --print-keys", 1, []string{`commands: b: key "X" runs a already`}},
		{"a command for a kind nobody knows", `{"commands": {"ssh": {"key": "X", "on": ["pod"], "run": ["x"]}}}`, "dash --print-keys", 1, []string{`commands: ssh: on: nothing is called "pod": there are service, instance`}},
		{"a command with a field its objects lack", `{"commands": {"ssh": {"key": "X", "on": ["node"], "run": ["ssh", "{{.Port}}"]}}}`, "dash --print-keys", 1, []string{`node has no field "Port"`}},
		{"a command whose script has fields", `{"commands": {"ssh": {"key": "X", "on": ["node"], "run": ["bash", "-lc", "ssh {{.Node}}"]}}}`, "dash --print-keys", 1, []string{"would become part of a script", "CTL_SELECTED_NODE"}},
		{"a command whose output goes nowhere", `{"commands": {"ssh": {"key": "X", "output": "void", "run": ["x"]}}}`, "dash --print-keys", 1, []string{`output: "void" is neither page nor terminal`}},
		{"a timeout that is none", `{"commands": {"ssh": {"key": "X", "timeout": "soon", "run": ["x"]}}}`, "dash --print-keys", 1, []string{`timeout: "soon" is no time`}},
		{"no agent", "", "dash --once --http-addr=127.0.0.1:1", 1, []string{"reach the agent at http://127.0.0.1:1", "connection refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.settings != "" {
				if err := os.Mkdir(filepath.Join(dir, "ctl"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "ctl", "dashboard.json"), []byte(c.settings), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := clitest.Do(t, NewCommand, clitest.Run{Args: strings.Fields(c.args), Env: map[string]string{"XDG_CONFIG_HOME": dir}})
			if got.Code != c.code || got.Out != "" {
				t.Errorf("exit code %d, output %q", got.Code, got.Out)
			}
			for _, want := range c.err {
				if !strings.Contains(got.Err, want) {
					t.Errorf("%q is not in\n%s", want, got.Err)
				}
			}
		})
	}
}

func TestPrintKeys(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ctl"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ctl", "dashboard.json"), []byte(`{"keys": {"delete": ["X"]}, "commands": {"ping": {"key": "P", "help": "is it there?", "on": ["node", "member"], "run": ["ping", "-c1", "{{.Address}}"]}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"XDG_CONFIG_HOME": dir}
	got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"dash", "-print-keys"}, Env: env})
	if got.Code != 0 || !strings.Contains(got.Out, "delete           X  ") || !strings.Contains(got.Out, "is it there? (node, member)") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Out, got.Err)
	}
	got = clitest.Do(t, NewCommand, clitest.Run{Args: []string{"dash", "-print-keys", "-o", "json"}, Env: env})
	if got.Code != 0 || !strings.Contains(got.Out, `"Action": "delete"`) {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Out, got.Err)
	}
}
