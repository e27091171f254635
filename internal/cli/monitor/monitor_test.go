package monitor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMonitor(t *testing.T) {
	const ended = "The agent ended the log stream: "
	lines := "2026-11-23 [INFO] a\n\n2026-11-23 [INFO] b\n"
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "lines until the agent ends", Args: "monitor", Code: 1,
			Answers: map[string]clitest.Answer{"GET /v1/agent/monitor?loglevel=INFO": {Body: lines}},
			Out:     "2026-11-23 [INFO] a\n \n2026-11-23 [INFO] b\n", Err: ended,
		},
		{
			Name: "level and JSON", Args: "monitor -log-level debug -log-json", Code: 1,
			Answers: map[string]clitest.Answer{"GET /v1/agent/monitor?logjson=true&loglevel=debug": {Body: "{}\n"}},
			Out:     "{}\n", Err: ended,
		},
		{
			Name: "unknown level", Args: "monitor -log-level loud", Code: 1,
			Answers: map[string]clitest.Answer{"GET /v1/agent/monitor?loglevel=loud": {Status: 400, Body: "Unknown log level: loud"}},
			Err:     "Error starting monitor: Unexpected response code: 400 (Unknown log level: loud)\n",
		},
		{Name: "argument", Args: "monitor x", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
	})
}

// TestInterrupted checks that ending the command while the agent streams is
// success, and leaves no goroutine behind.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("one line\n"))
		w.(http.Flusher).Flush()
		interrupt()
		<-r.Context().Done()
	}))
	defer srv.Close()
	got := clitest.DoContext(ctx, NewCommand, clitest.Run{Args: []string{"monitor", "-http-addr", srv.URL}})
	if got.Code != 0 || got.Err != "" {
		t.Errorf("exit code %d, error %q", got.Code, got.Err)
	}
}
