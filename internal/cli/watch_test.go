package cli_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/iostreams"
)

// watched is a command that watches keys.
func watched(f *cli.Factory) *cobra.Command {
	var conn *cli.Conn
	var watch *cli.Watch
	view := cli.View[*api.KVPair]{Columns: []cli.Column[*api.KVPair]{
		{Name: "Key", Value: func(p *api.KVPair) string { return p.Key }},
		{Name: "Value", Value: func(p *api.KVPair) string { return string(p.Value) }},
	}, JSON: func(p *api.KVPair) any { return string(p.Value) }}
	cmd := &cobra.Command{Use: "keys", RunE: func(cmd *cobra.Command, _ []string) error {
		client, err := conn.Client()
		if err != nil {
			return err
		}
		_, err = cli.Read(cmd.Context(), watch, view, func(p *api.KVPair) string { return p.Key },
			func(q *api.QueryOptions) ([]*api.KVPair, *api.QueryMeta, error) { return client.KV().List("", q) })
		return err
	}}
	out := f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

// step is one answer of the scripted agent.
type step struct {
	status, index int
	keys          string // k=v k=v
}

// scripted answers one step after the other, and holds the request that comes
// after the last one. It remembers the indexes it was asked for.
type scripted struct {
	mu    sync.Mutex
	steps []step
	asked []string
	done  chan struct{} // closed when the last step was answered and asked beyond
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Query().Get("index"))
	if len(s.steps) == 0 {
		if s.done != nil {
			close(s.done)
			s.done = nil
		}
		s.mu.Unlock()
		<-r.Context().Done()
		return
	}
	now := s.steps[0]
	s.steps = s.steps[1:]
	s.mu.Unlock()
	w.Header().Set("X-Consul-Index", fmt.Sprint(now.index))
	if now.status != 0 {
		w.WriteHeader(now.status)
		io.WriteString(w, "trouble")
		return
	}
	pairs := []string{}
	for p := range strings.FieldsSeq(now.keys) {
		k, v, _ := strings.Cut(p, "=")
		pairs = append(pairs, fmt.Sprintf(`{"Key":%q,"Value":%q}`, k, base64.StdEncoding.EncodeToString([]byte(v))))
	}
	io.WriteString(w, "["+strings.Join(pairs, ",")+"]")
}

func TestWatchShowsChanges(t *testing.T) {
	t.Parallel()
	agent := &scripted{done: make(chan struct{}), steps: []step{
		{index: 10, keys: "a=1 b=1"},
		{index: 12, keys: "a=2 b=1"},
		{status: 500},
		{index: 15, keys: "b=1 c=1"}, // answered at once
		{index: 16, keys: "b=1 c=1"}, // another key's index: nothing to show
		{index: 4, keys: "b=9"},      // the servers were restored
	}}
	srv := httptest.NewServer(agent)
	defer srv.Close()
	done := agent.done
	f, out, errOut := factory(srv.URL)
	root := f.Root("ctl", "Test", "Test.", &cobra.Command{Use: "version", Run: func(*cobra.Command, []string) {}}, watched(f))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-done
		cancel()
	}()
	if code := f.Run(ctx, root, []string{"keys", "-watch"}); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	want := `{"Event":"current","Index":10,"Key":"a","Row":"1"}
{"Event":"current","Index":10,"Key":"b","Row":"1"}
{"Event":"changed","Index":12,"Key":"a","Row":"2"}
{"Event":"added","Index":15,"Key":"c","Row":"1"}
{"Event":"removed","Index":15,"Key":"a","Row":"2"}
{"Event":"changed","Index":4,"Key":"b","Row":"9"}
{"Event":"removed","Index":4,"Key":"c","Row":"1"}
`
	if d := cmp.Diff(out.String(), want); d != "" {
		t.Errorf("events (- got, + want):\n%s", d)
	}
	if want := "Unexpected response code: 500 (trouble); trying again in 250ms\n"; errOut.String() != want {
		t.Errorf("standard error %q, want %q", errOut, want)
	}
	agent.mu.Lock()
	defer agent.mu.Unlock()
	if d := cmp.Diff(agent.asked, []string{"", "10", "12", "", "15", "16", "4"}); d != "" {
		t.Errorf("indexes asked for (- got, + want):\n%s", d)
	}
}

func TestWatchEnds(t *testing.T) {
	// Go's own handling of signals begins with the first call, and must not do so in a bubble.
	_, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	stop()
	t.Parallel()
	for _, c := range []struct {
		name, args string
		steps      []step
		terminal   bool
		code       int
		out, err   string
	}{
		{name: "no watch", args: "keys", steps: []step{{index: 1, keys: "a=1"}}, out: "Key  Value\na    1\n"},
		{name: "--once ends with the first change", args: "keys -watch -once", steps: []step{{index: 1, keys: "a=1"}, {index: 2, keys: "a=1"}, {index: 3, keys: "a=2"}},
			out: `{"Event":"current","Index":1,"Key":"a","Row":"1"}` + "\n" + `{"Event":"changed","Index":3,"Key":"a","Row":"2"}` + "\n"},
		{name: "--once alone", args: "keys -once", code: 1, err: "--once needs --watch\n"},
		{name: "negative time", args: "keys -timeout -1s", code: 1, err: "--timeout -1s is negative\n"},
		{name: "time ran out: a watch ends well", args: "keys -watch -timeout 100ms", steps: []step{{index: 1, keys: "a=1"}}, out: `{"Event":"current","Index":1,"Key":"a","Row":"1"}` + "\n"},
		{name: "time ran out waiting for a change", args: "keys -watch -once -timeout 100ms -exit-codes detailed", steps: []step{{index: 1, keys: "a=1"}}, code: 15,
			out: `{"Event":"current","Index":1,"Key":"a","Row":"1"}` + "\n", err: "Nothing changed within 100ms.\n"},
		{name: "time ran out before the first answer", args: "keys -timeout 50ms -exit-codes detailed", code: 15, err: "no answer within 50ms (--timeout): Get \""},
		{name: "the first read fails", args: "keys -watch", steps: []step{{status: 500}}, code: 1, err: "Unexpected response code: 500 (trouble)"},
		{name: "nothing there yet", args: "keys -watch -once", steps: []step{{index: 1}, {index: 2, keys: "a=1"}}, out: `{"Event":"added","Index":2,"Key":"a","Row":"1"}` + "\n"},
		{name: "a terminal is painted anew", args: "keys -watch -once -color never", terminal: true, steps: []step{{index: 1, keys: "a=1"}, {index: 2, keys: "a=2"}},
			out: "\x1b[H\x1b[2J\x1b[3JTIME, watching; Ctrl-C ends\n\nKey  Value\na    1\n\x1b[H\x1b[2J\x1b[3JTIME, watching; Ctrl-C ends\n\nKey  Value\na    2\n"},
		{name: "--jq is applied to every version", args: "keys -watch -once --jq .", steps: []step{{index: 1, keys: "a=1"}, {index: 2, keys: "a=1"}, {index: 3, keys: "a=1 b=2"}},
			out: `["1"]` + "\n" + `["1","2"]` + "\n"},
		{name: "--jq on a terminal", args: "keys -watch -once --jq .[]", terminal: true, steps: []step{{index: 1, keys: "a=1"}, {index: 2, keys: "a=2"}},
			out: "\x1b[H\x1b[2J\x1b[3JTIME, watching; Ctrl-C ends\n\n1\n\x1b[H\x1b[2J\x1b[3JTIME, watching; Ctrl-C ends\n\n2\n"},
		{name: "--jq with jsonl is applied to every event", args: "keys -watch -once -o jsonl --jq .Event+.Key", steps: []step{{index: 1, keys: "a=1"}, {index: 2, keys: "b=1"}},
			out: "currenta\naddedb\nremoveda\n"},
		{name: "--jq that fails ends a watch", args: "keys -watch --jq .[].x", steps: []step{{index: 1, keys: "a=1"}}, code: 1, err: `--jq: expected an object but got: string ("1")`},
		{name: "a terminal with jsonl gets events", args: "keys -watch -once -o jsonl", terminal: true, steps: []step{{index: 1}, {index: 2, keys: "a=2"}}, out: `{"Event":"added","Index":2,"Key":"a","Row":"2"}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got := clitest.Do(t, watched, clitest.Run{
					Args: strings.Fields(c.args), Env: map[string]string{"NO_COLOR": "1"}, Terminal: c.terminal,
					Dial: clitest.InMemory(t, &scripted{steps: c.steps}),
				})
				if got.Code != c.code || !strings.HasPrefix(got.Err, c.err) || (c.err == "") != (got.Err == "") {
					t.Errorf("exit code %d, error %q, want %d, %q", got.Code, got.Err, c.code, c.err)
				}
				if out := clock.ReplaceAllString(got.Out, "TIME"); out != c.out {
					t.Errorf("output\n%q, want\n%q", out, c.out)
				}
			})
		})
	}
}

// cancelling is an output that ends a context with what first comes.
type cancelling struct{ cancel context.CancelFunc }

func (c cancelling) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

// TestTheContextEndsAFilter runs an expression that has results for ever. It is not
// in fake time, which does not pass while something runs.
func TestTheContextEndsAFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, args string
		code       int
	}{
		{"of a read", "keys --jq repeat(1)", 1},
		{"of a watch", "keys -watch --jq repeat(1)", 130},
		{"of an event", "keys -watch -o jsonl --jq repeat(1)", 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(&scripted{steps: []step{{index: 1, keys: "a=1"}}})
			defer srv.Close()
			f, _, _ := factory(srv.URL)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.Streams.Out = iostreams.NewWriter(cancelling{cancel})
			root := f.Root("ctl", "Test", "Test.", &cobra.Command{Use: "version", Run: func(*cobra.Command, []string) {}}, watched(f))
			if code := f.Run(ctx, root, strings.Fields(c.args)); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
		})
	}
}

// counted is a command that watches keys and how many there are.
func counted(f *cli.Factory) *cobra.Command {
	var conn *cli.Conn
	var watch *cli.Watch
	view := cli.View[string]{Columns: []cli.Column[string]{{Name: "Key", Value: func(k string) string { return k }}}}
	cmd := &cobra.Command{Use: "count", RunE: func(cmd *cobra.Command, _ []string) error {
		client, err := conn.Client()
		if err != nil {
			return err
		}
		_, err = cli.ReadDocument(cmd.Context(), watch, view, strings.ToLower, func(q *api.QueryOptions) (cli.Document[string], *api.QueryMeta, error) {
			pairs, meta, err := client.KV().List("", q)
			var d cli.Document[string]
			for _, p := range pairs {
				d.Rows = append(d.Rows, p.Key)
			}
			d.JSON, d.Head = map[string]any{"Keys": d.Rows, "Count": len(d.Rows)}, len(d.Rows)
			d.Text = func(w io.Writer) error {
				_, err := fmt.Fprintln(w, len(d.Rows), "keys")
				return err
			}
			return d, meta, err
		})
		return err
	}}
	out := f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

func TestWatchOfADocument(t *testing.T) {
	t.Parallel()
	steps := []step{{index: 1, keys: "a=1"}, {index: 2, keys: "a=2"}, {index: 3, keys: "a=1 b=1"}}
	for _, c := range []struct {
		name, args string
		terminal   bool
		out        string
	}{
		{"no watch", "count", false, "1 keys\n"},
		{"no watch, as JSON", "count -o json", false, "{\n    \"Count\": 1,\n    \"Keys\": [\n        \"a\"\n    ]\n}\n"},
		{"no watch, filtered", "count --jq .Count", false, "1\n"},
		{"every version of it, filtered", "count -watch -once --jq .Count", false, "1\n2\n"},
		{"what is beside the rows is a change too", "count -watch -once", false, `{"Event":"current","Index":1,"Key":"","Row":1}
{"Event":"current","Index":1,"Key":"a","Row":"a"}
{"Event":"changed","Index":3,"Key":"","Row":2}
{"Event":"added","Index":3,"Key":"b","Row":"b"}
`},
		{"its text is painted anew", "count -watch -once", true, "\x1b[H\x1b[2J\x1b[3JTIME, watching; Ctrl-C ends\n\n1 keys\n\x1b[H\x1b[2J\x1b[3JTIME, watching; Ctrl-C ends\n\n2 keys\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(&scripted{steps: steps})
			defer srv.Close()
			got := clitest.Do(t, counted, clitest.Run{Args: strings.Fields(c.args), Env: map[string]string{"CTL_HTTP_ADDR": srv.URL}, Terminal: c.terminal})
			if out := clock.ReplaceAllString(got.Out, "TIME"); out != c.out || got.Code != 0 || got.Err != "" {
				t.Errorf("%+v\nwant %q", got, c.out)
			}
		})
	}
}

var clock = regexp.MustCompile(`\d\d:\d\d:\d\d`)

func factory(address string) (f *cli.Factory, out, errOut *bytes.Buffer) {
	streams, out, errOut := iostreams.Test("")
	return &cli.Factory{Streams: streams, LookupEnv: func(name string) (string, bool) { return address, name == "CTL_HTTP_ADDR" }}, out, errOut
}
