package info

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestInfo(t *testing.T) {
	const self = `{"Config":{"NodeName":"n1"},"Stats":{"raft":{"term":"2","state":"Leader"},"agent":{"checks":"0","check_ttls":"1"},"build":{}}}`
	url := "GET /v1/agent/self"
	answer := func(body string) map[string]clitest.Answer { return map[string]clitest.Answer{url: {Body: body}} }
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "groups and keys sorted, tab before keys", Args: "info", Answers: answer(self),
			Out: "agent:\n\tcheck_ttls = 1\n\tchecks = 0\nbuild:\nraft:\n\tstate = Leader\n\tterm = 2\n",
		},
		{
			Name: "JSON", Args: "info -format json", Answers: answer(`{"Stats":{"raft":{"term":"2"}}}`),
			Out: "{\n    \"raft\": {\n        \"term\": \"2\"\n    }\n}\n",
		},
		{Name: "answer without numbers", Args: "info", Answers: answer(`{}`), Code: 1, Err: "Agent response did not contain 'Stats' key\n"},
		{Name: "answer that is no JSON", Args: "info", Answers: answer(`<html>`), Code: 1, Err: "Error querying agent: invalid character"},
		{Name: "argument", Args: "info x", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
	})
}
