package reload

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestReload(t *testing.T) {
	url := "PUT /v1/agent/reload"
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "reloads", Args: "reload", Answers: map[string]clitest.Answer{url: {}}, Out: "Configuration reload triggered\n"},
		{
			Name: "mistake in the files", Args: "reload", Code: 1,
			Answers: map[string]clitest.Answer{url: {Status: 500, Body: "server.json:3:5: servr: no such key"}},
			Err:     "Error reloading: Unexpected response code: 500 (server.json:3:5: servr: no such key)\n",
		},
		{Name: "argument", Args: "reload x", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
	})
}
