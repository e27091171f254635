package watch_test

import (
	"net/http"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/watch"
)

func TestWatchWithoutAProgram(t *testing.T) {
	clitest.Check(t, watch.NewCommand, []clitest.Case{
		{
			Name: "a key", Args: "watch -type=key -key=a/b",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a/b": {Body: `[{"Key":"a/b","Value":"eA==","ModifyIndex":4}]`}},
			Out:     "{\n    \"Key\": \"a/b\",\n    \"CreateIndex\": 0,\n    \"ModifyIndex\": 4,\n    \"LockIndex\": 0,\n    \"Flags\": 0,\n    \"Value\": \"eA==\",\n    \"Session\": \"\"\n}\n",
		},
		{
			Name: "the type of a key goes without saying", Args: "watch -key=a", Out: "null\n",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": {Status: 404, Header: http.Header{"X-Consul-Index": {"3"}}}},
		},
		{
			Name: "a service of another datacenter", Args: "watch -type=service -service=web -tag=a -tag=b -passingonly -datacenter=dc2 -stale",
			Answers: map[string]clitest.Answer{"GET /v1/health/service/web?dc=dc2&passing=1&stale=&tag=a&tag=b": {Body: "[]"}}, Out: "[]\n",
		},
		{
			Name: "a refusal", Args: "watch -type=services -filter=x", Code: 1,
			Answers: map[string]clitest.Answer{"GET /v1/catalog/services?filter=x": {Status: 500, Body: "bad filter"}},
			Err:     "Error querying agent: Unexpected response code: 500 (bad filter)\n",
		},
		{Name: "no type", Args: "watch", Code: 1, Err: "Watch type must be specified\n"},
		{Name: "unknown type", Args: "watch -type=nods", Code: 1, Err: "Unsupported watch type: nods\n"},
		{Name: "a program and an address", Args: "watch -type=nodes -post=http://a/b cat", Code: 1, Err: "Only one of -post and a program may be given\n"},
		{Name: "an address that is none", Args: "watch -type=nodes -post=here", Code: 1, Err: "-post \"here\" is no URL"},
		{
			Name: "an agent that refuses is not waited for", Args: "watch -type=nodes cat", Code: 1,
			Answers: map[string]clitest.Answer{"GET /v1/catalog/nodes": {Status: 403, Body: "Permission denied"}},
			Err:     "Error querying agent: Unexpected response code: 403 (Permission denied)\n",
		},
	})
}
