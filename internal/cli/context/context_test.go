package context

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/contextfile"
)

// TestStory runs one command after the other over the same file.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	agent := clitest.NewAgent(t, map[string]clitest.Answer{
		"GET /v1/agent/self":    {Body: `{"Config":{"Datacenter":"dc1","Version":"1.21.4"}}`},
		"GET /v1/status/leader": {Body: `"10.0.0.1:8300"`},
	})
	for _, s := range []struct {
		args     string
		env      map[string]string
		code     int
		out, err string // what the streams begin with
	}{
		{args: "list", out: "There are no contexts. Make one with `ctl context add`.\n"},
		{args: "show", code: 1, err: "No context is in use. Name one, or choose one with `ctl context use`.\n"},
		{args: "previous", code: 1, err: "No other context was in use before.\n"},
		{args: "add", code: 1, err: "One NAME must be given.\n"},
		{args: "add local", out: "Added context local; it is in use now\n"},
		{args: "add local", code: 1, err: "There is a context \"local\" already. Give --replace to write over it.\n"},
		{args: "add a/b", code: 1, err: "\"a/b\" is no name for a context"},
		{args: "add prod -token secret", code: 1, err: "A token would stand readable in the file of contexts."},
		{args: "add prod -client-key k", code: 1, err: "context \"prod\": client_cert and client_key belong together\n"},
		{args: "add prod -http-addr AGENT -http-addr http://127.0.0.1:1 -ca-file ca.pem -token-file t -protected -tint red", out: "Added context prod\n"},
		{args: "add prod -replace -http-addr AGENT -http-addr http://127.0.0.1:1 -token secret -store-token -protected -readonly -tint red -datacenter dc2", out: "Added context prod\n"},
		{args: "add bad -http-addr ftp://h", code: 1, err: "context \"bad\": address \"ftp://h\": unknown scheme \"ftp\", use http://, https:// or unix://\n"},
		{args: "add bad -http-addr h:1,i:1", code: 1, err: "context \"bad\": address \"h:1,i:1\" holds several: give --http-addr once for each\n"},
		{args: "add bad -http-addr h:x", code: 1, err: "context \"bad\": address \"h:x\" is not HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:///PATH: invalid port \":x\" after host\n"},
		{args: "add bad -http-addr h:1 -http-addr https://", code: 1, err: "context \"bad\": address \"https://\": nothing after the scheme\n"},
		{args: "use nowhere", code: 1, err: "there is no context \"nowhere\"; there are: local, prod\n"},
		{args: "use prod", out: "Using context prod (AGENT, http://127.0.0.1:1)\n"},
		{args: "use prod", env: map[string]string{"CONSUL_HTTP_ADDR": "x"}, out: "Using context prod", err: "Note: CONSUL_HTTP_ADDR is set and wins over this choice.\n"},
		{args: "list", out: "" +
			"Current  Name   Addresses"},
		{args: "list -o name", out: "local\nprod\n"},
		{args: "show", out: "Name:            prod\nAddress:         AGENT\n                 http://127.0.0.1:1\nDatacenter:      dc2\nToken:           (secret)\nMarks:           read-only,protected\nColor:           red\n"},
		{args: "show local -o yaml", out: "name: local\ncurrent: false\naddresses:\n  - http://127.0.0.1:8500\n"},
		{args: "show -o json", out: "{\n    \"name\": \"prod\",\n    \"current\": true,\n"},
		{args: "show", env: map[string]string{"CTL_CONTEXT": "local"}, out: "Name:            local\n"},
		{args: "validate -o go-template={{range.}}{{.OK}}:{{.Leader}}:{{end}}", code: 10, out: "true:10.0.0.1:8300:false::"},
		{args: "validate prod nowhere -o name", code: 10, out: "AGENT\nhttp://127.0.0.1:1\n\n"},
		{args: "previous", out: "Using context local ("},
		{args: "previous", out: "Using context prod ("},
		{args: "rename prod production", out: "Renamed context prod to production\n"},
		{args: "rename prod", code: 1, err: "The names OLD and NEW must be given.\n"},
		{args: "import old", code: 1, err: "No variable CTL_* or CONSUL_* that says how to reach an agent is set.\n"},
		{args: "import old", env: map[string]string{"CONSUL_HTTP_ADDR": "10.0.0.1:8500", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_TOKEN": "s"}, out: "Added context old\n", err: "Note: the token was left out."},
		{args: "show old", out: "Name:            old\nAddress:         https://10.0.0.1:8500\n"},
		{args: "import old -replace -store-token", env: map[string]string{"CTL_HTTP_ADDR": "a:1", "CONSUL_HTTP_TOKEN": "s"}, out: "Added context old\n"},
		{args: "remove old -dry-run", out: "Dry run, nothing was changed. Would remove context old\n"},
		{args: "remove older -dry-run", code: 1, err: "there is no context \"older\""},
		{args: "use old -dry-run", env: map[string]string{"CTL_CONTEXT": "local"}, out: "Dry run, nothing was changed. Would use context old\n"},
		{args: "add new -dry-run -o json", out: "[\n    {\n        \"Action\": \"context add\",\n        \"Message\": \"Dry run, nothing was changed. Would add context new (http://127.0.0.1:8500)\",\n        \"DryRun\": true\n    }\n]\n"},
		{args: "rename old older -o name", out: "older\n"},
		{args: "rename older old -o jsonl", out: `{"Action":"context rename","Object":"old","Message":"Renamed context older to old"}` + "\n"},
		{args: "remove old production", out: "Removed context old, production\n"},
		{args: "remove old", code: 1, err: "there is no context \"old\"; there are: local\n"},
		{args: "validate local -x", code: 1, err: "unknown shorthand flag: 'x' in -x\n"},
	} {
		env := map[string]string{"XDG_CONFIG_HOME": dir}
		maps.Copy(env, s.env)
		fill := strings.NewReplacer("AGENT", agent.URL, "{{range.}}", "{{range .}}")
		args := []string{"context"}
		for a := range strings.FieldsSeq(s.args) {
			args = append(args, fill.Replace(a))
		}
		got := clitest.Do(t, NewCommand, clitest.Run{Args: args, Env: env})
		if got.Code != s.code || !strings.HasPrefix(got.Out, fill.Replace(s.out)) || !strings.HasPrefix(got.Err, s.err) || (s.err == "") != (got.Err == "") {
			t.Errorf("ctl context %s: exit code %d\n%s\n%s, want %d\n%s\n%s", s.args, got.Code, got.Out, got.Err, s.code, s.out, s.err)
		}
		if strings.Contains(got.Out, "secret\"") {
			t.Errorf("ctl context %s shows a token: %s", s.args, got.Out)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "ctl", "config.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of contexts: %v, %v", info, err)
	}
}

// TestPathsAreWhole checks that a context works from any directory.
func TestPathsAreWhole(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	got := clitest.Do(t, NewCommand, clitest.Run{Env: map[string]string{"XDG_CONFIG_HOME": dir},
		Args: []string{"context", "add", "a", "-token-file", "t", "-ca-file", "ca", "-ca-path", "d", "-client-cert", "c", "-client-key", "k"}})
	if got.Code != 0 {
		t.Fatal(got.Err)
	}
	file, err := contextfile.Load(filepath.Join(dir, "ctl", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := file.Contexts["a"]
	for _, path := range []string{c.TokenFile, c.CAFile, c.CAPath, c.ClientCert, c.ClientKey} {
		if !filepath.IsAbs(path) {
			t.Errorf("path %q", path)
		}
	}
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	f := &contextfile.File{Contexts: map[string]*contextfile.Context{"prod": {Addresses: []string{"x"}}, "dev": {Addresses: []string{"x"}}}}
	if err := f.Save(filepath.Join(dir, "ctl", "config.json")); err != nil {
		t.Fatal(err)
	}
	got := clitest.Do(t, NewCommand, clitest.Run{Env: map[string]string{"XDG_CONFIG_HOME": dir}, Args: []string{"__complete", "context", "use", ""}})
	if got.Out != "dev\nprod\n:4\n" {
		t.Errorf("completions %q", got.Out)
	}
}
