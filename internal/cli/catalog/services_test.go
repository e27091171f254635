package catalog

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

func TestServices(t *testing.T) {
	url := "GET /v1/catalog/services"
	three := answers{url: {Body: `{"consul":[],"api":["blue.green","V1"],"web":["b","a"]}`}}
	node := answers{"GET /v1/catalog/node/n1": {Body: `{"Node":{"Node":"n1"},"Services":{"w1":{"ID":"w1","Service":"web","Tags":["b"]},"w2":{"ID":"w2","Service":"web","Tags":["a","b"]},"db":{"ID":"db","Service":"db","Tags":[]}}}`}}
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "names", Args: "catalog services", Answers: three, Out: "api\nconsul\nweb\n"},
		{Name: "with tags", Args: "catalog services -tags", Answers: three, Out: "api         V1,blue.green\nconsul      \nweb         a,b\n"},
		{Name: "JSON", Args: "catalog services -format json", Answers: answers{url: {Body: `{"web":["b","a"]}`}}, Out: "{\n    \"web\": [\n        \"a\",\n        \"b\"\n    ]\n}\n"},
		{Name: "a table", Args: "catalog services -o table", Answers: answers{url: {Body: `{"web":["b","a"]}`}}, Out: "Service  Tags\nweb      a,b\n"},
		{Name: "of a node", Args: "catalog services -node n1 -tags", Answers: node, Out: "db       \nweb      a,b\n"},
		{Name: "of a node that is not there", Args: "catalog services -node=n1", Answers: answers{"GET /v1/catalog/node/n1": {Body: `null`}}, Out: "No services match the given query - try expanding your search.\n"},
		{Name: "of nodes with metadata", Args: "catalog services -node-meta rack=r1", Answers: answers{url + "?node-meta=rack%3Ar1": {Body: `{}`}}, Out: "No services match the given query - try expanding your search.\n"},
		{Name: "none, JSON", Args: "catalog services -format json", Answers: answers{url: {Body: `null`}}, Out: "{}\n"},
		{Name: "both selections", Args: "catalog services -node n1 -node-meta a=b", Code: 1, Err: "Error! -node and -node-meta cannot be used together\n"},
		{Name: "refused", Args: "catalog services", Code: 1, Answers: answers{url: {Status: 500, Body: "boom"}}, Err: "Error listing services: Unexpected response code: 500 (boom)\n"},
	})
}

func TestPrune(t *testing.T) {
	const found = `[
{"Node":"n1","CheckID":"service:web","ServiceID":"web","Since":"2026-01-01T00:00:00Z","Seconds":7200},
{"Node":"n1","CheckID":"web 2","ServiceID":"web","Since":"2025-12-31T23:00:00Z","Seconds":10800},
{"Node":"n1","CheckID":"disk","ServiceID":"","Since":"2026-01-01T00:00:00Z","Seconds":7200},
{"Node":"n1","CheckID":"c","ServiceID":"consul","Since":"2026-01-01T00:00:00Z","Seconds":7200},
{"Node":"old 3","CheckID":"serfHealth","ServiceID":"","Since":"2026-01-01T00:00:00Z","Seconds":90061},
{"Node":"old 3","CheckID":"service:db","ServiceID":"db","Since":"2026-01-01T00:00:00Z","Seconds":90061}]`
	list := "GET /v1/ctl/critical?for=1h0m0s"
	all := answers{list: {Body: found}, "GET /v1/catalog/node/old%203": {Body: `{"Node":{"Node":"old 3"},"Services":{"db":{"ID":"db"},"a":{"ID":"a"}}}`}, "GET /v1/catalog/node/old 3": {Body: `{"Node":{"Node":"old 3"},"Services":{"db":{"ID":"db"},"a":{"ID":"a"}}}`},
		"PUT /v1/catalog/deregister": {Body: "true"}, "PUT /v1/agent/force-leave/old 3?prune=1": {}, "PUT /v1/agent/force-leave/old%203?prune=1": {}}
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "dry", Args: "catalog prune -critical-for 1h -dry-run", Answers: all,
			Out: "ctl force-leave -prune 'old 3'  # critical for 25h1m1s: serfHealth; with it: a, db\n" +
				"ctl services deregister -node=n1 -id=web  # critical for 3h0m0s: service:web, web 2\n",
		},
		{Name: "for good", Args: "catalog prune -critical-for=1h -yes", Answers: all, Out: "Removed node old 3\nRemoved service web on n1\n"},
		{Name: "nothing", Args: "catalog prune -critical-for=1h", Answers: answers{list: {Body: `[]`}}, Out: "Nothing has been critical for that long.\n"},
		{Name: "without a time", Args: "catalog prune", Code: 1, Err: "Error! Missing -critical-for: how long something must have been critical to be removed, such as -critical-for=1h\n"},
		{Name: "other servers", Args: "catalog prune -critical-for=1h", Code: 1, Answers: answers{list: {Status: 404}}, Err: "Error listing critical checks: the servers do not tell since when checks are critical; they are not of ctl, or of an older version\n"},
	})
}
