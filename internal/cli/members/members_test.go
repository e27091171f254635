package members

import (
	"net/http"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

const (
	ask    = "GET /v1/agent/members?segment=_all"
	askWAN = "GET /v1/agent/members?segment=&wan=1"
)

// The answer of an agent, in no order, as the HTTP API gives it.
const four = `[
{"Name":"web1","Addr":"10.0.0.9","Port":8301,"Tags":{"role":"node","dc":"dc1","build":"1.21.4:59b8b905","vsn":"2"},"Status":4,"ProtocolMin":1,"ProtocolMax":5,"ProtocolCur":2,"DelegateMin":2,"DelegateMax":5,"DelegateCur":4},
{"Name":"s2","Addr":"fd00::2","Port":8301,"Tags":{"role":"consul","dc":"dc1","build":"1.21.4","vsn":"2","port":"8300"},"Status":1},
{"Name":"app","Addr":"10.0.0.8","Port":8301,"Tags":{"role":"node","dc":"dc1","build":"1.21.4","vsn":"2","segment":"zone-a","ap":"team"},"Status":3},
{"Name":"s1","Addr":"10.0.0.1","Port":8301,"Tags":{"role":"consul","dc":"dc1","build":"1.21.4","vsn":"2"},"Status":1},
{"Name":"odd","Addr":"10.0.0.7","Port":1,"Tags":{},"Status":2}
]`

func TestMembers(t *testing.T) {
	answer := func(line, body string) map[string]clitest.Answer {
		return map[string]clitest.Answer{line: {Body: body}}
	}
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "one server, as Consul prints it", Args: "members",
			Answers: answer(ask, `[{"Name":"n1","Addr":"127.0.0.1","Port":8301,"Tags":{"role":"consul","dc":"dc1","build":"1.21.4:59b8b905","vsn":"2"},"Status":1}]`),
			Out: "Node  Address         Status  Type    Build   Protocol  DC   Partition  Segment\n" +
				"n1    127.0.0.1:8301  alive   server  1.21.4  2         dc1  default    <all>\n",
			Asked: []string{ask},
		},
		{
			Name: "servers first, then segment, partition, name", Args: "members", Answers: answer(ask, four),
			Out: "" +
				"Node  Address         Status   Type     Build   Protocol  DC   Partition  Segment\n" +
				"s1    10.0.0.1:8301   alive    server   1.21.4  2         dc1  default    <all>\n" +
				"s2    [fd00::2]:8301  alive    server   1.21.4  2         dc1  default    <all>\n" +
				"odd   10.0.0.7:1      leaving  unknown\n" +
				"web1  10.0.0.9:8301   failed   client   1.21.4  2         dc1  default    <default>\n" +
				"app   10.0.0.8:8301   left     client   1.21.4  2         dc1  team       zone-a\n",
		},
		{
			Name: "detailed: sorted tags, ap added", Args: "members -detailed -status alive", Answers: answer(ask, four),
			Out: "" +
				"Node  Address         Status  Tags\n" +
				"s1    10.0.0.1:8301   alive   ap=default,build=1.21.4,dc=dc1,role=consul,vsn=2\n" +
				"s2    [fd00::2]:8301  alive   ap=default,build=1.21.4,dc=dc1,port=8300,role=consul,vsn=2\n",
		},
		{
			Name: "status is a regular expression", Args: "members -status ^(left|failed)$ -format json", Answers: answer(ask, four),
			Out: jsonLeftAndFailed,
		},
		{Name: "nothing matched", Args: "members -status none", Answers: answer(ask, four), Code: 2},
		{Name: "nothing matched, JSON", Args: "members -status none -format json", Answers: answer(ask, four), Code: 2, Out: "[]\n"},
		{Name: "null from the agent", Args: "members", Answers: answer(ask, `null`), Code: 2},
		{Name: "wan", Args: "members -wan -status x", Answers: answer(askWAN, four), Code: 2, Asked: []string{askWAN}},
		{
			Name: "filter", Args: "members -filter Name==s1 -status x", Code: 2,
			Answers: answer("GET /v1/agent/members?filter=Name%3D%3Ds1&segment=_all", four),
		},
		{Name: "wrong expression", Args: "members -status (", Code: 1, Err: "Failed to compile status regexp: error parsing regexp"},
		{
			Name: "error of the agent", Args: "members", Code: 1,
			Answers: map[string]clitest.Answer{ask: {Status: http.StatusForbidden, Body: "ACL not found"}},
			Err:     "Error retrieving members: Unexpected response code: 403 (ACL not found)\n",
		},
		{Name: "argument", Args: "members x", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
	})
}

const jsonLeftAndFailed = `[
    {
        "Name": "web1",
        "Addr": "10.0.0.9",
        "Port": 8301,
        "Tags": {
            "build": "1.21.4:59b8b905",
            "dc": "dc1",
            "role": "node",
            "vsn": "2"
        },
        "Status": 4,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4
    },
    {
        "Name": "app",
        "Addr": "10.0.0.8",
        "Port": 8301,
        "Tags": {
            "ap": "team",
            "build": "1.21.4",
            "dc": "dc1",
            "role": "node",
            "segment": "zone-a",
            "vsn": "2"
        },
        "Status": 3,
        "ProtocolMin": 0,
        "ProtocolMax": 0,
        "ProtocolCur": 0,
        "DelegateMin": 0,
        "DelegateMax": 0,
        "DelegateCur": 0
    }
]
`

func TestJoin(t *testing.T) {
	const refused = "1 error occurred:\n\t* Failed to join 10.0.0.2:8301: connection refused"
	clitest.Check(t, NewJoinCommand, []clitest.Case{
		{
			Name: "all answer", Args: "join 10.0.0.1 10.0.0.2:9301",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/join/10.0.0.1": {}, "PUT /v1/agent/join/10.0.0.2:9301": {}},
			Out:     "Successfully joined cluster by contacting 2 nodes.\n",
		},
		{
			Name: "one of two answers", Args: "join 10.0.0.2 10.0.0.1",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/join/10.0.0.1": {}, "PUT /v1/agent/join/10.0.0.2": {Status: 500, Body: refused}},
			Out:     "Successfully joined cluster by contacting 1 nodes.\n",
			Err:     "Error joining address '10.0.0.2': Unexpected response code: 500 (" + refused + ")\n",
		},
		{
			Name: "none answers", Args: "join 10.0.0.2",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/join/10.0.0.2": {Status: 500, Body: refused}},
			Code:    1,
			Err:     "Error joining address '10.0.0.2': Unexpected response code: 500 (" + refused + ")\nFailed to join any nodes.\n",
		},
		{
			Name: "wan", Args: "join -wan 10.0.0.1",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/join/10.0.0.1?wan=1": {}},
			Out:     "Successfully joined cluster by contacting 1 nodes.\n",
		},
		{Name: "no address", Args: "join", Code: 1, Err: "At least one address to join must be specified.\n"},
	})
}

func TestLeave(t *testing.T) {
	clitest.Check(t, NewLeaveCommand, []clitest.Case{
		{Name: "leaves", Args: "leave", Answers: map[string]clitest.Answer{"PUT /v1/agent/leave": {}}, Out: "Graceful leave complete\n"},
		{
			Name: "refused", Args: "leave", Code: 1, Answers: map[string]clitest.Answer{"PUT /v1/agent/leave": {Status: 500, Body: "busy"}},
			Err: "Error leaving: Unexpected response code: 500 (busy)\n",
		},
		{Name: "argument", Args: "leave now", Code: 1, Err: "Too many arguments"},
	})
}

func TestForceLeave(t *testing.T) {
	const unknown = "agent: No node found with name 'n9'"
	clitest.Check(t, NewForceLeaveCommand, []clitest.Case{
		{Name: "silent on success", Args: "force-leave n1", Answers: map[string]clitest.Answer{"PUT /v1/agent/force-leave/n1": {}}},
		{Name: "prune behind the name", Args: "force-leave n1 -prune", Answers: map[string]clitest.Answer{"PUT /v1/agent/force-leave/n1?prune=1": {}}},
		{Name: "wan behind the name", Args: "force-leave n1.dc1 -wan -prune", Answers: map[string]clitest.Answer{"PUT /v1/agent/force-leave/n1.dc1?prune=1&wan=1": {}}},
		{
			Name: "unknown node", Args: "force-leave n9", Code: 1,
			Answers: map[string]clitest.Answer{"PUT /v1/agent/force-leave/n9": {Status: 500, Body: unknown}},
			Err:     "Error force leaving: Unexpected response code: 500 (" + unknown + ")\n",
		},
		{Name: "no name", Args: "force-leave", Code: 1, Err: "A single node name must be specified to force leave.\n"},
		{Name: "two names", Args: "force-leave a b", Code: 1, Err: "A single node name must be specified to force leave.\n"},
	})
}
