package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

// completed is a command whose arguments and flags are completed live.
func completed(f *cli.Factory) *cobra.Command {
	cmd := &cobra.Command{Use: "c", RunE: func(*cobra.Command, []string) error { return nil }}
	cmd.Flags().String("service", "", "")
	cmd.Flags().String("node", "", "")
	cmd.Flags().String("member", "", "")
	cmd.Flags().String("id", "", "")
	conn := f.ConnectServer(cmd)
	cmd.ValidArgsFunction = conn.Complete(cli.LiveKeys, 1)
	conn.CompleteFlag(cmd, "service", cli.LiveServices)
	conn.CompleteFlag(cmd, "node", cli.LiveNodes)
	conn.CompleteFlag(cmd, "member", cli.LiveMembers)
	conn.CompleteFlag(cmd, "id", cli.LiveInstances)
	return cmd
}

func TestLiveCompletions(t *testing.T) {
	t.Parallel()
	agent := clitest.NewAgent(t, map[string]clitest.Answer{
		"GET /v1/kv/?keys=&separator=%2F":     {Body: `["a/","ab","b"]`},
		"GET /v1/kv/a/?keys=&separator=%2F":   {Body: `["a/x","a/y/"]`},
		"GET /v1/catalog/services":            {Body: `{"web":[],"wiki":["v1"],"db":[]}`},
		"GET /v1/catalog/nodes":               {Body: `[{"Node":"n2"},{"Node":"n1"}]`},
		"GET /v1/agent/members":               {Body: `[{"Name":"m1"},{"Name":"m2"}]`},
		"GET /v1/agent/services":              {Body: `{"web-1":{"Service":"web"},"web-2":{}}`},
		"GET /v1/catalog/datacenters":         {Body: `["dc1","dc2"]`},
		"GET /v1/catalog/datacenters?dc=gone": {Status: 500, Body: "No path to datacenter"},
	})
	for _, c := range []struct{ name, args, want string }{
		{"keys, one level", "c _", "a/\nab\nb\n:6\n"},
		{"keys that begin so", "c ab", "ab\n:4\n"},
		{"keys of the next level", "c a/", "a/x\na/y/\n:6\n"},
		{"only one argument", "c a _", ":4\n"},
		{"services", "c -service w", "web\nwiki\n:4\n"},
		{"services, two dashes and =", "c --service=d", "db\n:4\n"},
		{"nodes, sorted", "c -node _", "n1\nn2\n:4\n"},
		{"members", "c -member m", "m1\nm2\n:4\n"},
		{"instances", "c -id _", "web-1\nweb-2\n:4\n"},
		{"datacenters", "c -datacenter _", "dc1\ndc2\n:4\n"},
		{"an error is no answer", "c -datacenter gone -datacenter _", ":4\n"},
		{"no token command is run", "c -token-command false -node n", "n1\nn2\n:4\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"__completeNoDesc"}, strings.Fields(c.args)...)
			for i := range args {
				if args[i] == "_" {
					args[i] = ""
				}
			}
			got := clitest.Do(t, completed, clitest.Run{Args: args, Agent: agent, CompletionTime: time.Minute})
			if got.Out != c.want {
				t.Errorf("got %q, want %q", got.Out, c.want)
			}
		})
	}
}

// TestCompletionDoesNotWait asks an agent that never answers.
func TestCompletionDoesNotWait(t *testing.T) {
	t.Parallel()
	var mute atomic.Bool
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if mute.Load() {
			<-r.Context().Done()
			return
		}
		w.Write([]byte(`["n"]`))
	}))
	defer srv.Close()
	cache := t.TempDir()
	env := map[string]string{"CTL_HTTP_ADDR": srv.URL, "XDG_CACHE_HOME": cache}
	complete := func(limit time.Duration) string {
		return clitest.Do(t, completed, clitest.Run{Args: []string{"__completeNoDesc", "c", "-datacenter", ""}, Env: env, CompletionTime: limit}).Out
	}
	for i := range 2 {
		if got := complete(time.Minute); got != "n\n:4\n" || asked.Load() != 1 {
			t.Errorf("completion %d: %q, asked %d times, want once", i+1, got, asked.Load())
		}
	}
	// The answer is old now, and the agent says no more.
	mute.Store(true)
	files, err := filepath.Glob(filepath.Join(cache, "ctl", "completion", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	old := time.Now().Add(-time.Minute).Format(time.RFC3339)
	if err := os.WriteFile(files[0], []byte(`{"At":"`+old+`","Names":["old"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const usual = 0 // the 300 ms of the program
	start := time.Now()
	if got := complete(usual); got != "old\n:4\n" { // without a limit, it never returns
		t.Errorf("completion of a mute agent: %q", got)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("the agent had %v to answer, want 300 ms", took)
	}
	env["CTL_HTTP_TOKEN"] = "other"
	if got := complete(usual); got != ":4\n" {
		t.Errorf("the answer to another token was used: %q", got)
	}
}
