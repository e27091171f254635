// Package clitest runs commands in tests: against an agent of canned answers,
// with streams in memory. It is not for production code.
package clitest

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// Answer is what the agent says to one request. A zero Status means 200.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Agent is an HTTP server that answers "METHOD /path?query" with what Answers
// holds for it, and 404 "no answer planned" to everything else. It remembers
// the requests. Several requests of the same name get the same answer.
type Agent struct {
	URL     string
	Answers map[string]Answer

	mu       sync.Mutex
	requests []Request
}

// Request is one request an Agent got.
type Request struct {
	Line   string // METHOD /path?query
	Header http.Header
	Body   string
}

// NewAgent starts an agent that lives as long as the test.
func NewAgent(t *testing.T, answers map[string]Answer) *Agent {
	t.Helper()
	a := &Agent{Answers: answers}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.URL = srv.URL
	return a
}

// ServeHTTP implements http.Handler.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.RequestURI()
	a.mu.Lock()
	a.requests = append(a.requests, Request{Line: line, Header: r.Header, Body: string(body)})
	answer, ok := a.Answers[line]
	a.mu.Unlock()
	if !ok {
		http.Error(w, "no answer planned: "+line, http.StatusNotFound)
		return
	}
	maps.Copy(w.Header(), answer.Header)
	if answer.Status != 0 {
		w.WriteHeader(answer.Status)
	}
	_, _ = io.WriteString(w, answer.Body)
}

// Requests returns what the agent was asked, in order.
func (a *Agent) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Request(nil), a.requests...)
}

// Lines returns the request lines the agent got, in order.
func (a *Agent) Lines() []string {
	var lines []string
	for _, r := range a.Requests() {
		lines = append(lines, r.Line)
	}
	return lines
}

// Run is one run of a command.
type Run struct {
	Args []string
	In   string
	// Env is the whole environment. Agent is put into it as the address.
	Env   map[string]string
	Agent *Agent
	Build buildinfo.Info
	// Terminal says that all three streams are terminals.
	Terminal bool
	// CompletionTime and Dial are the factory's.
	CompletionTime time.Duration
	Dial           Dialer
}

// Result is what a run left behind.
type Result struct {
	Code     int
	Out, Err string
}

// Do runs the command build makes, as `ctl Args...`.
func Do(t *testing.T, build func(*cli.Factory) *cobra.Command, run Run) Result {
	t.Helper()
	return DoContext(t.Context(), build, run)
}

// DoContext is Do under a context of its own.
func DoContext(ctx context.Context, build func(*cli.Factory) *cobra.Command, run Run) Result {
	streams, out, errOut := iostreams.Test(run.In)
	env := map[string]string{}
	if run.Agent != nil {
		env["CTL_HTTP_ADDR"] = run.Agent.URL
	}
	maps.Copy(env, run.Env)
	f := &cli.Factory{
		Streams: streams,
		Build:   run.Build,

		CompletionTime: run.CompletionTime,
		Dial:           run.Dial,
		LookupEnv: func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		},
	}
	streams.LookupEnv = f.LookupEnv
	streams.InTerminal, streams.OutTerminal, streams.ErrTerminal = run.Terminal, run.Terminal, run.Terminal
	version := &cobra.Command{Use: "version", Short: "Show the version", RunE: func(*cobra.Command, []string) error { return nil }}
	cmd := build(f)
	if cmd.Name() == "version" {
		version = &cobra.Command{Use: "other", Hidden: true, RunE: version.RunE}
	}
	root := f.Root("ctl", "Test", "Test.", version, cmd)
	code := f.Run(ctx, root, run.Args)
	return Result{Code: code, Out: out.String(), Err: errOut.String()}
}

// Case is a row of a table test: a command line and all it must lead to.
type Case struct {
	Name    string
	Args    string // split at blanks; '' is an empty argument
	In      string
	Answers map[string]Answer
	Code    int
	Out     string
	Err     string   // what standard error begins with; empty means nothing there
	Asked   []string // the request lines, where they matter
}

// Check runs every case against an agent of its own.
func Check(t *testing.T, build func(*cli.Factory) *cobra.Command, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			agent := NewAgent(t, c.Answers)
			got := Do(t, build, Run{Args: split(c.Args), In: c.In, Agent: agent})
			if got.Code != c.Code {
				t.Errorf("exit code %d, want %d", got.Code, c.Code)
			}
			if d := cmp.Diff(got.Out, c.Out); d != "" {
				t.Errorf("standard output (- got, + want):\n%s", d)
			}
			if (c.Err == "") != (got.Err == "") || !strings.HasPrefix(got.Err, c.Err) {
				t.Errorf("standard error\n%s, want it to begin with\n%s", got.Err, c.Err)
			}
			if c.Asked != nil {
				if d := cmp.Diff(agent.Lines(), c.Asked); d != "" {
					t.Errorf("requests (- got, + want):\n%s", d)
				}
			}
		})
	}
}

func split(line string) []string {
	args := strings.Fields(line)
	for i, a := range args {
		if a == "''" {
			args[i] = ""
		}
	}
	return args
}
