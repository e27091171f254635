package services_test

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/services"
)

const (
	catalog = "GET /v1/catalog/services"
	web     = "GET /v1/health/service/web"
	db      = "GET /v1/health/service/db"

	webBody = `[
{"Node":{"Node":"n2","Address":"10.0.0.2"},"Service":{"ID":"web2","Service":"web","Port":80,"Tags":["v2"]},"Checks":[{"CheckID":"serfHealth","Status":"critical"},{"CheckID":"http","Status":"warning","ServiceID":"web2"}]},
{"Node":{"Node":"n1","Address":"10.0.0.1"},"Service":{"ID":"web1","Service":"web","Address":"fd00::1","Port":80,"Tags":["v1"],"Meta":{"b":"2","a":"1"}},"Checks":[{"CheckID":"http","Status":"passing"}]},
{"Node":{"Node":"n3","Address":"10.0.0.3"},"Service":{"ID":"web3","Service":"web"},"Checks":[{"CheckID":"http","Status":"warning"}]},
{"Node":{"Node":"n4","Address":"10.0.0.4"},"Service":{"ID":"web4","Service":"web"},"Checks":[{"CheckID":"_node_maintenance","Status":"critical"}]}]`
	dbBody = `[{"Node":{"Node":"n1"},"Service":{"ID":"db","Service":"db"},"Checks":[]}]`
)

func TestList(t *testing.T) {
	answers := map[string]clitest.Answer{
		catalog: {Body: `{"web":["v2","v1"],"db":[],"gone":[]}`}, web: {Body: webBody}, db: {Body: dbBody},
		"GET /v1/health/service/gone": {Body: `[]`},
	}
	const summaries = "GET /v1/ctl/services"
	both := map[string]clitest.Answer{summaries: {Body: `[
		{"Name":"db","Kind":"","Tags":[],"Instances":1,"Passing":1,"Warning":0,"Critical":0,"Maintenance":0},
		{"Name":"web","Kind":"","Tags":["v1","v2"],"Instances":4,"Passing":1,"Warning":1,"Critical":2,"Maintenance":1}]`}}
	clitest.Check(t, services.NewCommand, []clitest.Case{
		{
			Name: "one request", Args: "services list", Answers: both, Asked: []string{summaries},
			Out: "Service  Instances  Passing  Warning  Critical  Maintenance  Tags\n" +
				"db       1          1        0        0         0\n" +
				"web      4          1        1        1         1            v1,v2\n",
		},
		{Name: "one request, those that do not pass", Args: "services list -failing -o name", Answers: both, Out: "web\n"},
		{
			Name: "summaries that cannot be read", Args: "services list", Code: 1, Err: "Error listing services: Unexpected response code: 500 (boom)",
			Answers: map[string]clitest.Answer{summaries: {Status: 500, Body: "boom"}},
		},
		{
			Name: "instances by health, the node's checks too; no check is passing", Args: "services list", Answers: answers,
			Out: "Service  Instances  Passing  Warning  Critical  Maintenance  Tags\n" +
				"db       1          1        0        0         0\n" +
				"web      4          1        1        1         1            v1,v2\n",
		},
		{Name: "those that do not pass", Args: "service list -failing -o name", Answers: answers, Out: "web\n"},
		{
			Name: "none fails", Args: "services list -failing", Out: "There are no such services.\n",
			Answers: map[string]clitest.Answer{catalog: {Body: `{"db":[]}`}, db: {Body: dbBody}},
		},
		{
			Name: "one that cannot be read fails the whole", Args: "services list", Code: 1, Err: "Error listing services: ",
			Answers: map[string]clitest.Answer{catalog: {Body: `{"db":[]}`}, db: {Status: 500, Body: "boom"}},
		},
		{Name: "an argument", Args: "services list web", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
	})
}

func TestShow(t *testing.T) {
	clitest.Check(t, services.NewCommand, []clitest.Case{
		{
			Name: "instances with what does not pass, sorted by node", Args: "services show web", Answers: map[string]clitest.Answer{web: {Body: webBody}},
			Out: "Instance  Node  Address       Health       Not passing        Tags\n" +
				"web1      n1    [fd00::1]:80  passing                         v1\n" +
				"web2      n2    10.0.0.2:80   critical     http, serfHealth   v2\n" +
				"web3      n3    10.0.0.3      warning      http\n" +
				"web4      n4    10.0.0.4      maintenance  _node_maintenance\n",
		},
		{
			Name: "a tag", Args: "services show -tag v1 -o name web",
			Answers: map[string]clitest.Answer{web + "?tag=v1": {Body: webBody}}, Out: "web1\nweb2\nweb3\nweb4\n",
		},
		{
			Name: "unknown", Args: "services show nobody", Code: 13, Answers: map[string]clitest.Answer{"GET /v1/health/service/nobody": {Body: `[]`}},
			Err: "There is no service \"nobody\". `ctl services list` shows those there are.\n",
		},
		{
			Name: "no instance with the tag", Args: "services show -tag v9 web", Code: 13, Answers: map[string]clitest.Answer{web + "?tag=v9": {Body: `[]`}},
			Err: "Service \"web\" has no instance with tag \"v9\".",
		},
		{Name: "no name", Args: "services show", Code: 1, Err: "the name of one service is wanted, 0 were given\n"},
	})
}
