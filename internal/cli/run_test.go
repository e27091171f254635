package cli_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// demo is a group with a command that writes a key, one that fails as told and
// one that only prints.
func demo(f *cli.Factory) *cobra.Command {
	var conn *cli.Conn
	put := &cobra.Command{Use: "put [options] KEY", Short: "Put", Example: "ctl demo put k", RunE: func(cmd *cobra.Command, args []string) error {
		client, err := conn.Client()
		if err != nil {
			return err
		}
		if _, err := client.KV().Put(&api.KVPair{Key: "k"}, conn.Write(cmd.Context())); err != nil {
			return cli.Failf("Error! Failed writing data: %w", err)
		}
		return nil
	}}
	f.Output(put)
	conn = f.ConnectServer(put)
	fail := &cobra.Command{Use: "fail HOW", Short: "Fail", RunE: func(cmd *cobra.Command, args []string) error {
		return map[string]error{
			"plain": errors.New("plain"), "usage": cli.Usagef(cmd, "wrong %s", "use"),
			"nomatch": cli.ErrNoMatch, "reported": cli.ErrReported, "wrapped": fmt.Errorf("x: %w", cli.ErrNoMatch),
		}[args[0]]
	}}
	say := &cobra.Command{Use: "say", Short: "Say", Long: "Say something.", RunE: func(*cobra.Command, []string) error {
		_, err := fmt.Fprintln(f.Streams.Out, "something")
		return err
	}}
	group := cli.Group("demo", "Try", "", put, fail, say)
	group.Long = "Try things."
	return group
}

func TestExitCodesAndStreams(t *testing.T) {
	clitest.Check(t, demo, []clitest.Case{
		{Name: "success", Args: "demo say", Out: "something\n"},
		{Name: "no command at all", Args: "", Code: 127, Err: "a command is missing\n\nTest.\n"},
		{Name: "unknown command", Args: "frob", Code: 127, Err: "unknown command \"frob\"\n\nTest.\n"},
		{Name: "unknown command with flags", Args: "frob -o json", Code: 127, Err: "unknown command \"frob\"\n"},
		{Name: "unknown command, nearly right", Args: "dmeo", Code: 127, Err: "unknown command \"dmeo\"; did you mean ctl demo?\n"},
		{Name: "a command of Consul's that is missing", Args: "event -name x", Code: 127, Err: "unknown command \"event\"; Consul has it, this version of ctl does not yet. Nothing was done\n"},
		{Name: "help of a command of Consul's that is missing", Args: "help acl", Code: 127, Err: "unknown command or topic \"acl\"; Consul has it, this version of ctl does not yet. Nothing was done\n"},
		{Name: "group alone", Args: "demo", Code: 1, Err: "ctl demo: a command is missing\n\nTry things.\n"},
		{Name: "unknown command of a group", Args: "demo sya", Code: 1, Err: "unknown command \"sya\" for \"ctl demo\"; did you mean ctl demo say?\n"},
		{Name: "unknown flag", Args: "demo put -formta json", Code: 1, Err: "unknown flag: --formta; did you mean --format?\n\nUsage: ctl demo put [options] KEY\n"},
		{Name: "wrong value of a flag", Args: "demo put -format xml", Code: 1, Err: "invalid argument \"xml\" for \"-o, --format\" flag: must be one of: pretty, table, wide, json, yaml, jsonl, name, go-template=TEMPLATE, go-template-file=FILE\n"},
		{Name: "flag without its value", Args: "demo put -token", Code: 1, Err: "flag needs an argument: --token\n"},
		{Name: "plain error", Args: "demo fail plain", Code: 1, Err: "plain\n"},
		{Name: "usage error", Args: "demo fail usage", Code: 1, Err: "wrong use\n\nUsage: ctl demo fail HOW\nRun `ctl demo fail -h` for examples and options.\n"},
		{Name: "no match", Args: "demo fail nomatch", Code: 2},
		{Name: "already reported", Args: "demo fail reported", Code: 1},
		{Name: "help with one dash", Args: "demo say -help", Out: "Say something.\n\nUsage:\n  ctl demo say\n" + globalHelp},
		{Name: "help command", Args: "help demo say", Out: "Say something.\n\nUsage:\n  ctl demo say\n" + globalHelp},
		{Name: "help of what is not there", Args: "help demo sya", Code: 127, Err: "unknown command or topic \"sya\"; did you mean ctl demo say?\n"},
		{Name: "help of a topic that is nearly right", Args: "help exitcodes", Code: 127, Err: "unknown command or topic \"exitcodes\"; did you mean exit-codes?\n"},
		{Name: "flag before the command", Args: "-format json demo put -h", Out: putHelp},
		{Name: "completion with one dash", Args: "__complete demo put -form", Out: "-format\toutput FORMAT: pretty, table, wide, json, yaml, jsonl, name or go-template=TEMPLATE\n:4\n"},
		{Name: "completion of values", Args: "__complete demo put -format j", Out: "pretty\ntable\nwide\njson\nyaml\njsonl\nname\ngo-template=\ngo-template-file=\n:4\n"},
		{Name: "completion of commands", Args: "__completeNoDesc demo s", Out: "say\n:4\n"},
	})
}

const globalHelp = `
Global Options:
      --color WHEN        WHEN to use colour: auto, always or never
                          (default "auto")
      --exit-codes KIND   KIND of exit codes: consul (0, 1, 2) or
                          detailed (default "consul")
`

const putHelp = `Put.

Examples:
  ctl demo put k

Usage:
  ctl demo put [options] KEY

Command Options:
  -o, --format FORMAT   output FORMAT: pretty, table, wide, json, yaml,
                        jsonl, name or go-template=TEMPLATE (default "pretty")
      --jq EXPRESSION   filter the JSON by an EXPRESSION of jq; text is
                        printed as it is

HTTP API Options:
      --http-addr ADDRESS       ADDRESS of the agent: host:port, http://,
                                https:// or unix:///path (default
                                http://127.0.0.1:8500)
      --token TOKEN             ACL TOKEN to send with the request
      --token-file FILE         FILE that holds the ACL token
      --token-command COMMAND   COMMAND whose output is the ACL token
      --ca-file FILE            FILE with the CA certificates to trust
      --ca-path DIR             DIR with the CA certificates to trust
      --client-cert FILE        FILE with the client certificate, with
                                --client-key
      --client-key FILE         FILE with the key of the client certificate
      --tls-server-name NAME    NAME to expect in the agent's certificate
      --datacenter NAME         NAME of the datacenter to ask (default:
                                the agent's own)
      --stale                   take the answer of any server, even an old one
      --context NAME            NAME of the context to use; see "ctl context"
` + globalHelp

// TestTopics checks that every topic can be read and fits.
func TestTopics(t *testing.T) {
	for _, topic := range cli.Topics() {
		t.Run(topic.Name, func(t *testing.T) {
			got := clitest.Do(t, demo, clitest.Run{Args: []string{"help", topic.Name}})
			if got.Code != 0 || got.Err != "" || len(got.Out) < 400 {
				t.Errorf("exit code %d, error %q, %d bytes", got.Code, got.Err, len(got.Out))
			}
			for line := range strings.Lines(got.Out) {
				if len(line) > 80 {
					t.Errorf("line of %d characters: %s", len(line)-1, line)
				}
			}
			if listing := clitest.Do(t, demo, clitest.Run{Args: []string{"-h"}}); !strings.Contains(listing.Out, "\n  "+topic.Name+" ") {
				t.Error("help at the top does not name it")
			}
		})
	}
	environment := clitest.Do(t, demo, clitest.Run{Args: []string{"help", "environment"}}).Out
	for _, s := range cli.Settings() {
		if !s.Hidden && !strings.Contains(environment, "CTL_"+s.Env) {
			t.Errorf("CTL_%s is not among the variables", s.Env)
		}
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"nil", nil, 0},
		{"plain", errors.New("x"), 1},
		{"no match, wrapped", fmt.Errorf("x: %w", cli.ErrNoMatch), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := cli.ExitCode(c.err); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
	// The codes are known to scripts: a change here breaks them.
	var codes []int
	for _, row := range cli.ExitCodes() {
		codes = append(codes, row.Code)
	}
	if fmt.Sprint(codes) != "[0 1 2 3 10 11 12 13 14 15 16 127 130 143]" {
		t.Errorf("exit codes are %v", codes)
	}
}

func TestFailedRequests(t *testing.T) {
	put := "PUT /v1/kv/k"
	clitest.Check(t, demo, []clitest.Case{
		{
			Name: "outcome unknown", Args: "demo put k", Code: 1,
			Answers: map[string]clitest.Answer{put: {Status: 503, Header: http.Header{"X-Ctl-Outcome": {"unknown"}}, Body: "leadership lost"}},
			Err:     "Error! Failed writing data: Put \"",
		},
		{
			Name: "unavailable is a plain failure", Args: "demo put k", Code: 1,
			Answers: map[string]clitest.Answer{put: {Status: 503, Body: "shutting down"}},
			Err:     "Error! Failed writing data: Unexpected response code: 503 (shutting down)\nAgent address: http://",
		},
		{
			Name: "no leader", Args: "demo put k", Code: 1,
			Answers: map[string]clitest.Answer{put: {Status: 500, Body: "No cluster leader"}},
			Err:     "Error! Failed writing data: Unexpected response code: 500 (No cluster leader)\nAgent address: http://",
		},
		{
			Name: "server error without a hint", Args: "demo put k", Code: 1,
			Answers: map[string]clitest.Answer{put: {Status: 500, Body: "boom"}},
			Err:     "Error! Failed writing data: Unexpected response code: 500 (boom)\n",
		},
		{
			Name: "a setting that is not understood", Args: "demo put -http-addr ftp://x k", Code: 1,
			Err: "Error connecting to the agent: address \"ftp://x\" from --http-addr: unknown scheme",
		},
	})
}

func TestHints(t *testing.T) {
	closed := closedAddress(t)
	for _, c := range []struct {
		name   string
		answer *clitest.Answer
		env    map[string]string
		args   []string
		want   []string
	}{
		{"refused, default flag", nil, nil, []string{"-http-addr", closed},
			[]string{"connection refused", "Agent address: http://" + closed + " (from --http-addr)", "Check that an agent runs there"}},
		{"refused, from the environment", nil, map[string]string{"CONSUL_HTTP_ADDR": closed}, nil,
			[]string{"(from CONSUL_HTTP_ADDR)"}},
		{"outcome unknown", &clitest.Answer{Status: 503, Header: http.Header{"X-Ctl-Outcome": {"unknown"}}, Body: "leadership lost"}, nil, nil,
			[]string{"outcome unknown: Unexpected response code: 503 (leadership lost)", "Read it back", "-cas"}},
		{"nobody could answer", &clitest.Answer{Status: 500, Header: http.Header{"X-Ctl-Kind": {"unavailable"}}, Body: "connect to 10.0.0.1"}, nil, nil,
			[]string{"Unexpected response code: 500 (connect to 10.0.0.1)", "Nothing was changed. Try again"}},
		{"denied without a token", &clitest.Answer{Status: 403, Body: "Permission denied"}, nil, nil, []string{"No token was sent"}},
		{"denied with a token", &clitest.Answer{Status: 403, Body: "ACL not found"}, map[string]string{"CONSUL_HTTP_TOKEN": "secret"}, nil,
			[]string{"The token sent came from CONSUL_HTTP_TOKEN."}},
		{"no leader", &clitest.Answer{Status: 500, Body: "No cluster leader"}, nil, nil, []string{"ctl operator raft list-peers -stale"}},
		{"HTTPS to an HTTP port", &clitest.Answer{}, map[string]string{"CTL_HTTP_SSL": "true"}, nil, []string{"The agent speaks HTTP"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run := clitest.Run{Args: append([]string{"demo", "put"}, append(c.args, "k")...), Env: c.env}
			if c.answer != nil {
				run.Agent = clitest.NewAgent(t, map[string]clitest.Answer{"PUT /v1/kv/k": *c.answer})
			}
			got := clitest.Do(t, demo, run)
			for _, w := range c.want {
				if !strings.Contains(got.Err, w) {
					t.Errorf("standard error lacks %q:\n%s", w, got.Err)
				}
			}
			if got.Code != 1 || got.Out != "" || strings.Contains(got.Err, "secret") {
				t.Errorf("exit code %d, standard output %q, error\n%s", got.Code, got.Out, got.Err)
			}
		})
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestAnswerLost checks the difference between a write that was never sent and
// one whose answer never came.
func TestAnswerLost(t *testing.T) {
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
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			c.Close()
		}
	}()
	got := clitest.Do(t, demo, clitest.Run{Args: []string{"-http-addr", l.Addr().String(), "demo", "put", "k"}})
	if got.Code != 1 || !strings.Contains(got.Err, "outcome unknown: the request was sent but no answer came") ||
		!strings.Contains(got.Err, "Read it back") {
		t.Errorf("exit code %d, error\n%s", got.Code, got.Err)
	}
}

func TestErrorsAsJSON(t *testing.T) {
	agent := clitest.NewAgent(t, map[string]clitest.Answer{"PUT /v1/kv/k": {Status: 403, Body: "Permission denied"}})
	got := clitest.Do(t, demo, clitest.Run{Args: []string{"demo", "put", "-o", "json", "k"}, Agent: agent})
	want := fmt.Sprintf(`{
    "Class": "permission-denied",
    "Message": "Error! Failed writing data: Unexpected response code: 403 (Permission denied)",
    "Status": 403,
    "Address": %q,
    "AddressFrom": "CTL_HTTP_ADDR",
    "Hint": "No token was sent. Give one with --token-file, --token-command, CTL_HTTP_TOKEN_FILE or a context."
}
`, agent.URL)
	if got.Err != want || got.Code != 1 {
		t.Errorf("exit code %d, error\n%s, want\n%s", got.Code, got.Err, want)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLostOutputIsAnError(t *testing.T) {
	streams, _, errOut := iostreams.Test("")
	streams.Out = iostreams.NewWriter(fullDisk{})
	f := &cli.Factory{Streams: streams, LookupEnv: func(string) (string, bool) { return "", false }}
	quiet := &cobra.Command{Use: "quiet", RunE: func(*cobra.Command, []string) error {
		fmt.Fprintln(f.Streams.Out, "lost")
		return nil
	}}
	root := f.Root("ctl", "Test", "Test.", &cobra.Command{Use: "version"}, quiet)
	if code := f.Run(t.Context(), root, []string{"quiet"}); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(errOut.String(), "no space left on device") {
		t.Errorf("standard error: %s", errOut)
	}
}

func TestReadData(t *testing.T) {
	for _, c := range []struct {
		name, arg, in string
		terminal      bool
		want, err     string
		note          bool
	}{
		{"literal", "value", "", false, "value", "", false},
		{"empty", "", "", false, "", "", false},
		{"negative number", "-5", "", false, "-5", "", false},
		{"standard input", "-", "from stdin\n", false, "from stdin\n", "", false},
		{"standard input is a terminal", "-", "typed", true, "typed", "", true},
		{"file that is missing", "@/nonexistent/x", "", false, "", "read file: open /nonexistent/x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			streams, _, errOut := iostreams.Test(c.in)
			streams.InTerminal = c.terminal
			got, err := (&cli.Factory{Streams: streams}).ReadData(c.arg)
			if string(got) != c.want || (err == nil) != (c.err == "") || (err != nil && !strings.HasPrefix(err.Error(), c.err)) {
				t.Errorf("got %q, %v, want %q, %s", got, err, c.want, c.err)
			}
			if (errOut.Len() > 0) != c.note {
				t.Errorf("note on standard error: %q", errOut)
			}
		})
	}
}
