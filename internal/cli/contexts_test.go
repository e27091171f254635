package cli_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/contextfile"
)

// home writes contexts where commands find them and returns the environment
// that leads there.
func home(t *testing.T, current string, contexts map[string]*contextfile.Context) map[string]string {
	t.Helper()
	dir := t.TempDir()
	f := &contextfile.File{Current: current, Contexts: contexts}
	if err := f.Save(filepath.Join(dir, "ctl", "config.json")); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"XDG_CONFIG_HOME": dir}
}

// refused is an address nothing listens on.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// TestBrokenFileOfContexts: an operator who names the agent needs no contexts.
func TestBrokenFileOfContexts(t *testing.T) {
	agent := clitest.NewAgent(t, map[string]clitest.Answer{"GET /v1/kv/k": {Status: 404}})
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "ctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ctl", "config.json")
	if err := os.WriteFile(file, []byte("{\n\"contexts\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := "Error connecting to the agent: " + file + ":2: unexpected EOF; mend the file of contexts, or move it away\n"
	for _, c := range []struct {
		name, args, variable string
		err                  string
	}{
		{"nothing names the agent", "trial get", "", broken},
		{"a flag does", "trial get -http-addr " + agent.URL, "", ""},
		{"a variable does", "trial get", "CONSUL_HTTP_ADDR", ""},
		{"a variable of our own does", "trial get", "CTL_HTTP_ADDR", ""},
		{"but a context is wanted", "trial get -context prod -http-addr " + agent.URL, "", broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"XDG_CONFIG_HOME": dir}
			if c.variable != "" {
				env[c.variable] = agent.URL
			}
			got := clitest.Do(t, trial, clitest.Run{Args: strings.Fields(c.args), Env: env})
			if got.Err != c.err || (got.Code != 0) != (c.err != "") {
				t.Errorf("got %d %q, want %q", got.Code, got.Err, c.err)
			}
		})
	}
}

// trial is a group with a command that reads and one that writes.
func trial(f *cli.Factory) *cobra.Command {
	var conn, other *cli.Conn
	var change *cli.Change
	get := &cobra.Command{Use: "get", RunE: func(cmd *cobra.Command, _ []string) error {
		client, err := conn.Client()
		if err != nil {
			return err
		}
		_, _, err = client.KV().Get("k", conn.Query(cmd.Context()))
		return err
	}}
	conn = f.ConnectServer(get)
	put := &cobra.Command{Use: "put", RunE: func(cmd *cobra.Command, _ []string) error {
		client, err := other.Client()
		if err != nil {
			return err
		}
		if ok, err := change.Begin("write key %s", "k"); !ok {
			return err
		}
		if _, err := client.KV().Put(&api.KVPair{Key: "k", Value: []byte("v")}, other.Write(cmd.Context())); err != nil {
			return err
		}
		return change.Printf("Written: %s", "k")
	}}
	other = f.ConnectServer(put)
	change = f.Change(put, other)
	sneak := &cobra.Command{Use: "sneak", RunE: func(cmd *cobra.Command, _ []string) error {
		client, err := other.Client()
		if err != nil {
			return err
		}
		_, err = client.KV().Delete("k", nil)
		return err
	}}
	return cli.Group("trial", "Try", "", get, put, sneak)
}

var answers = map[string]clitest.Answer{
	"GET /v1/kv/k": {Body: `[]`}, "PUT /v1/kv/k": {Body: "true"}, "GET /v1/kv/k?dc=dc7": {Body: `[]`},
	"DELETE /v1/kv/k": {Body: "true"},
}

func TestContextsReachTheirCluster(t *testing.T) {
	t.Parallel()
	agent, elsewhere := clitest.NewAgent(t, answers), clitest.NewAgent(t, answers)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("of-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	contexts := map[string]*contextfile.Context{
		"here":  {Addresses: []string{agent.URL}, TokenFile: token},
		"dc7":   {Addresses: []string{agent.URL}, Datacenter: "dc7", TokenCommand: "echo of-command"},
		"there": {Addresses: []string{elsewhere.URL}, Token: "inline"},
		"spare": {Addresses: []string{refused(t), refused(t), agent.URL}},
		"gone":  {Addresses: []string{refused(t), refused(t)}},
	}
	for _, c := range []struct {
		name, current string
		env           map[string]string
		args          string
		elsewhere     bool // who must be asked
		line, token   string
		fails         string
	}{
		{name: "the one chosen", current: "here", args: "trial get", line: "GET /v1/kv/k", token: "of-file"},
		{name: "by flag", current: "there", args: "trial get -context here", line: "GET /v1/kv/k", token: "of-file"},
		{name: "flag before the command", current: "there", args: "--context here trial get", line: "GET /v1/kv/k", token: "of-file"},
		{name: "by variable", current: "there", env: map[string]string{"CTL_CONTEXT": "here"}, args: "trial get", line: "GET /v1/kv/k", token: "of-file"},
		{name: "flag over variable", current: "there", env: map[string]string{"CTL_CONTEXT": "there"}, args: "trial get -context dc7", line: "GET /v1/kv/k?dc=dc7", token: "of-command"},
		{name: "flag for one setting over the context", current: "there", args: "trial get -context here -datacenter dc7", line: "GET /v1/kv/k?dc=dc7", token: "of-file"},
		{name: "token flag over the context", current: "here", args: "trial get -token mine", line: "GET /v1/kv/k", token: "mine"},
		{name: "token variable over the chosen context", current: "here", env: map[string]string{"CONSUL_HTTP_TOKEN": "env"}, args: "trial get", line: "GET /v1/kv/k", token: "env"},
		{name: "context named by flag over token variable", current: "", env: map[string]string{"CTL_HTTP_TOKEN": "env"}, args: "trial get -context here", line: "GET /v1/kv/k", token: "of-file"},
		{name: "context named by variable over CONSUL_", current: "", env: map[string]string{"CTL_CONTEXT": "here", "CONSUL_HTTP_TOKEN": "env", "CONSUL_HTTP_ADDR": elsewhere.URL}, args: "trial get", line: "GET /v1/kv/k", token: "of-file"},
		{name: "address variable leaves the chosen context aside, with its token", current: "here", env: map[string]string{"CONSUL_HTTP_ADDR": elsewhere.URL}, args: "trial get", elsewhere: true, line: "GET /v1/kv/k", token: ""},
		{name: "address flag leaves the chosen context aside", current: "here", args: "trial get -http-addr " + elsewhere.URL, elsewhere: true, line: "GET /v1/kv/k", token: ""},
		{name: "context flag wins over address variable", current: "", env: map[string]string{"CTL_HTTP_ADDR": elsewhere.URL}, args: "trial get -context here", line: "GET /v1/kv/k", token: "of-file"},
		{name: "context and address by flag: same cluster, another way", current: "", args: "trial get -context here -http-addr " + elsewhere.URL, elsewhere: true, line: "GET /v1/kv/k", token: "of-file"},
		{name: "next address where one cannot be reached", current: "spare", args: "trial get", line: "GET /v1/kv/k"},
		{name: "a write fails over too, with its body", current: "spare", args: "trial put", line: "PUT /v1/kv/k"},
		{name: "no address answers", current: "gone", args: "trial get", fails: "none of 2 addresses answers: http://127.0.0.1:"},
		{name: "unknown context", current: "", args: "trial get -context her", fails: `Error connecting to the agent: --context: there is no context "her"; there are: dc7, gone, here, spare, there; did you mean here?`},
		{name: "unknown context by variable", current: "", env: map[string]string{"CTL_CONTEXT": "x"}, args: "trial get", fails: `Error connecting to the agent: CTL_CONTEXT: there is no context "x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := home(t, c.current, contexts)
			maps.Copy(env, c.env)
			ask := agent
			if c.elsewhere {
				ask = elsewhere
			}
			before, all := len(ask.Requests()), len(agent.Requests())+len(elsewhere.Requests())
			got := clitest.Do(t, trial, clitest.Run{Args: strings.Fields(c.args), Env: env})
			if c.fails != "" {
				if got.Code != 1 || !strings.Contains(got.Err, c.fails) {
					t.Errorf("exit code %d, error %q, want %q", got.Code, got.Err, c.fails)
				}
				if len(agent.Requests())+len(elsewhere.Requests()) != all {
					t.Error("somebody was asked")
				}
				return
			}
			if got.Code != 0 {
				t.Fatalf("exit code %d: %s", got.Code, got.Err)
			}
			requests := ask.Requests()[before:]
			if len(requests) != 1 || requests[0].Line != c.line || requests[0].Header.Get("X-Consul-Token") != c.token {
				t.Errorf("asked %+v, want %q with token %q", requests, c.line, c.token)
			}
			if strings.HasPrefix(c.line, "PUT") && requests[0].Body != "v" {
				t.Errorf("the body was %q", requests[0].Body)
			}
		})
	}
}

func TestMarksKeepHandsOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, args, in string
		terminal       bool
		env            map[string]string
		context        contextfile.Context
		code           int
		out, err       string
		asked          int
	}{
		{name: "read-only: reading works", args: "trial get", context: contextfile.Context{ReadOnly: true}, asked: 1},
		{name: "read-only: writing is refused before any request", args: "trial put", context: contextfile.Context{ReadOnly: true}, code: 1,
			err: "Context prod is read-only: this command changes something, so nothing was sent."},
		{name: "read-only: --yes does not help", args: "trial put --yes=prod", context: contextfile.Context{ReadOnly: true}, code: 1, err: "Context prod is read-only"},
		{name: "read-only: detailed exit code", args: "trial put -exit-codes=detailed", context: contextfile.Context{ReadOnly: true}, code: 12, err: "Context prod is read-only"},
		{name: "read-only: a command that does not ask is refused by the client", args: "trial sneak", context: contextfile.Context{ReadOnly: true}, code: 1, err: "Delete \""},
		{name: "protected: without a terminal the name is demanded", args: "trial put", context: contextfile.Context{Protected: true}, code: 1,
			err: "Context prod is protected. To write key k, give --yes=prod. Nothing was changed.\n"},
		{name: "protected: --yes alone is not enough", args: "trial put --yes", context: contextfile.Context{Protected: true}, code: 1, err: "Context prod is protected."},
		{name: "protected: another name is refused", args: "trial put --yes=staging", context: contextfile.Context{Protected: true}, code: 1, err: "--yes=staging is not the name of the context in use, which is prod."},
		{name: "protected: the name", args: "trial put -yes=prod", context: contextfile.Context{Protected: true}, out: "Written: k\n", asked: 1},
		{name: "protected: the name typed", args: "trial put", in: "prod\n", terminal: true, context: contextfile.Context{Protected: true}, out: "Written: k\n", asked: 1,
			err: "About to write key k, in context prod (http://127.0.0.1:"},
		{name: "protected: something else typed", args: "trial put", in: "y\n", terminal: true, context: contextfile.Context{Protected: true}, code: 1, err: "About to write key k, in context prod"},
		{name: "protected: nothing typed", args: "trial put", terminal: true, context: contextfile.Context{Protected: true}, code: 1, err: "About to write key k, in context prod"},
		{name: "protected: a terminal where nobody may ask", args: "trial put", in: "prod\n", terminal: true, env: map[string]string{"CTL_NO_PROMPT": "1", "NO_COLOR": "1"}, context: contextfile.Context{Protected: true}, code: 1, err: "Context prod is protected."},
		{name: "plain: nothing is asked, as Consul", args: "trial put", terminal: true, out: "Written: k\n", asked: 1},
		{name: "plain: --yes for another context", args: "trial put --yes=prod2", code: 1, err: "--yes=prod2 names a context, but"},
		{name: "dry run", args: "trial put -dry-run", out: "Dry run, nothing was changed. Would write key k, in context prod (AGENT)\n"},
		{name: "dry run in a protected context", args: "trial put -dry-run", context: contextfile.Context{Protected: true}, out: "Dry run, nothing was changed. Would write key k, in context prod (AGENT)\n"},
		{name: "dry run as data", args: "trial put -dry-run -ojsonl", out: `{"Action":"trial put","Message":"Dry run, nothing was changed. Would write key k, in context prod (AGENT)","DryRun":true}` + "\n"},
		{name: "result as data", args: "trial put -ojsonl", out: `{"Action":"trial put","Message":"Written: k"}` + "\n", asked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			agent := clitest.NewAgent(t, answers)
			c.context.Addresses = []string{agent.URL}
			env := home(t, "prod", map[string]*contextfile.Context{"prod": &c.context})
			maps.Copy(env, c.env)
			got := clitest.Do(t, trial, clitest.Run{Args: strings.Fields(c.args), In: c.in, Env: env, Terminal: c.terminal})
			if got.Code != c.code || !strings.HasPrefix(got.Err, c.err) || (c.err == "" && got.Err != "") {
				t.Errorf("exit code %d, error %q, want %d, %q", got.Code, got.Err, c.code, c.err)
			}
			if want := strings.ReplaceAll(c.out, "AGENT", agent.URL); got.Out != want {
				t.Errorf("output %q, want %q", got.Out, want)
			}
			if n := len(agent.Requests()); n != c.asked {
				t.Errorf("%d requests, want %d: %q", n, c.asked, agent.Lines())
			}
		})
	}
}

// TestNothingIsSentTwice checks that a write that may have arrived is not sent
// to the next agent.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(c)) // read and hung up on
			c.Close()
		}
	}()
	agent := clitest.NewAgent(t, answers)
	env := home(t, "a", map[string]*contextfile.Context{"a": {Addresses: []string{"http://" + l.Addr().String(), agent.URL}}})
	got := clitest.Do(t, trial, clitest.Run{Args: []string{"trial", "put"}, Env: env})
	if got.Code != 1 || !strings.Contains(got.Err, "outcome unknown") || len(agent.Requests()) != 0 {
		t.Errorf("exit code %d, error %q, asked %q", got.Code, got.Err, agent.Lines())
	}
	if got := clitest.Do(t, trial, clitest.Run{Args: []string{"trial", "get"}, Env: env}); got.Code != 0 || len(agent.Requests()) != 1 {
		t.Errorf("a read was not sent on: exit code %d, %s", got.Code, got.Err)
	}
}

func TestTokenCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, command, token, err string }{
		{"what it prints", "echo secret", "secret", ""},
		{"blanks around it", "printf '  secret  \\n\\n'", "secret", ""},
		{"fails", "echo no >&2; exit 3", "", "no\nError connecting to the agent: token command from --token-command: \"echo no >&2; exit 3\": exit status 3"},
		{"prints nothing", "true", "", "Error connecting to the agent: token command from --token-command: \"true\" printed nothing"},
		{"prints two lines", "echo a; echo b", "", "Error connecting to the agent: token command from --token-command: \"echo a; echo b\" printed more than one line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			agent := clitest.NewAgent(t, answers)
			got := clitest.Do(t, trial, clitest.Run{Args: []string{"trial", "get", "-token-command", c.command}, Agent: agent})
			if !strings.HasPrefix(got.Err, c.err) || (c.err == "") != (got.Code == 0) {
				t.Fatalf("exit code %d, error %q, want %q", got.Code, got.Err, c.err)
			}
			if c.err == "" && agent.Requests()[0].Header.Get("X-Consul-Token") != c.token {
				t.Errorf("token %q was sent", agent.Requests()[0].Header.Get("X-Consul-Token"))
			}
		})
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	agent := clitest.NewAgent(t, answers)
	env := home(t, "", map[string]*contextfile.Context{"prod": {
		Addresses: []string{agent.URL, "unix:///run/x.sock"}, Token: "t", Datacenter: "dc7", ReadOnly: true, Protected: true, Color: "red",
	}})
	f := &cli.Factory{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	target, err := f.Target("prod")
	if err != nil {
		t.Fatal(err)
	}
	got := *target
	got.Client, got.Endpoints, got.Environ = nil, nil, nil // of the last, TestEnvironLeadsToTheSamePlace has all
	want := cli.Target{Context: "prod", AddressFrom: `context "prod"`, TokenFrom: `context "prod"`, Datacenter: "dc7", ReadOnly: got.ReadOnly, Protected: true, Color: "red"}
	if d := cmp.Diff(got, want); d != "" || !strings.Contains(got.ReadOnly, "read-only") {
		t.Errorf("(- got, + want):\n%s", d)
	}
	if e := target.Endpoints; len(e) != 2 || e[0].URL != agent.URL || e[1].URL != "http://localhost" || e[1].Address != "unix:///run/x.sock" {
		t.Errorf("endpoints %+v", e)
	}
	resp, err := target.Endpoints[0].HTTP.Get(target.Endpoints[0].URL + "/v1/kv/k")
	if err != nil || resp.StatusCode != 200 || agent.Requests()[0].Header.Get("X-Consul-Token") != "t" {
		t.Errorf("ask: %v, %v", resp, err)
	}
	if _, err := target.Endpoints[0].HTTP.Post(agent.URL, "", nil); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write in a read-only context: %v", err)
	}
	if _, err := f.Target("nope"); err == nil {
		t.Error("a context that is not there has a target")
	}
}

func TestErrorsNameTheContext(t *testing.T) {
	t.Parallel()
	env := home(t, "prod", map[string]*contextfile.Context{"prod": {Addresses: []string{refused(t)}}})
	got := clitest.Do(t, trial, clitest.Run{Args: []string{"trial", "put", "-o", "json"}, Env: env})
	var object struct{ Class, Context, Address, AddressFrom, Hint string }
	if err := json.Unmarshal([]byte(got.Err), &object); err != nil {
		t.Fatalf("%v: %s", err, got.Err)
	}
	if object.Class != "unavailable" || object.Context != "prod" || object.AddressFrom != `context "prod"` || object.Hint == "" {
		t.Errorf("error object %+v", object)
	}
}
