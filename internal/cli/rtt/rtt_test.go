package rtt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

type answers = map[string]clitest.Answer

func at(node, segment string, ms float64) string {
	return fmt.Sprintf(`{"Node":%q,"Segment":%q,"Coord":{"Vec":[%g,0,0,0,0,0,0,0],"Error":0.1,"Adjustment":0,"Height":0.0001}}`, node, segment, ms/1000)
}

func TestRTT(t *testing.T) {
	const nodes, dcs, self = "GET /v1/coordinate/nodes", "GET /v1/coordinate/datacenters", "GET /v1/agent/self"
	lan := answers{
		nodes: {Body: "[" + strings.Join([]string{at("n1", "", 0), at("n2", "", 0.41), at("n3", "x", 5), at("n1", "x", 2),
			`{"Node":"n4","Segment":"","Coord":{"Vec":[1],"Height":0}}`, `{"Node":"n5","Segment":"","Coord":null}`}, ",") + "]"},
		self: {Body: `{"Config":{"NodeName":"n1","Datacenter":"dc1"}}`},
	}
	wan := answers{
		dcs:  {Body: `[{"Datacenter":"dc1","AreaID":"wan","Coordinates":[` + at("n1", "", 0) + `]},{"Datacenter":"dc2","AreaID":"wan","Coordinates":[` + at("n1", "", 71) + `]}]`},
		self: lan[self],
	}
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "two nodes", Args: "rtt n1 n2", Answers: lan, Out: "Estimated n1 <-> n2 rtt: 0.610 ms (using LAN coordinates)\n", Asked: []string{nodes}},
		{Name: "a node and the agent", Args: "rtt n2", Answers: lan, Out: "Estimated n2 <-> n1 rtt: 0.610 ms (using LAN coordinates)\n"},
		{Name: "names in any case", Args: "rtt N1 n2", Answers: lan, Out: "Estimated N1 <-> n2 rtt: 0.610 ms (using LAN coordinates)\n"},
		{Name: "in a segment", Args: "rtt n1 n3", Answers: lan, Out: "Estimated n1 <-> n3 rtt: 3.200 ms (using LAN coordinates)\n"},
		{Name: "a node and itself", Args: "rtt n1 n1", Answers: lan, Out: "Estimated n1 <-> n1 rtt: 0.200 ms (using LAN coordinates)\n"},
		{Name: "servers of two datacenters", Args: "rtt -wan n1.dc1 n1.dc2", Answers: wan, Out: "Estimated n1.dc1 <-> n1.dc2 rtt: 71.200 ms (using WAN coordinates)\n"},
		{Name: "a server and the agent", Args: "rtt -wan n1.dc2", Answers: wan, Out: "Estimated n1.dc2 <-> n1.dc1 rtt: 71.200 ms (using WAN coordinates)\n"},
		{
			Name: "JSON", Args: "rtt -format json n1 n2", Answers: lan,
			Out: "{\n    \"From\": \"n1\",\n    \"To\": \"n2\",\n    \"Milliseconds\": 0.61,\n    \"Coordinates\": \"LAN\"\n}\n",
		},
		{Name: "an unknown node", Args: "rtt n1 n9", Answers: lan, Code: 1, Err: "Could not find a coordinate for node \"n9\"\n"},
		{Name: "a name without its datacenter", Args: "rtt -wan n1 n1.dc2", Answers: wan, Code: 1, Err: "Could not find a coordinate for node \"n1\": with -wan, names are NODE.DATACENTER\n"},
		{Name: "other dimensions", Args: "rtt n2 n4", Answers: lan, Code: 1, Err: "The coordinates of \"n2\" and \"n4\" cannot be compared"},
		{Name: "no coordinate inside", Args: "rtt n2 n5", Answers: lan, Code: 1, Err: "The coordinates of \"n2\" and \"n5\" cannot be compared"},
		{Name: "different segments", Args: "rtt n2 n3", Answers: lan, Code: 1, Err: "The coordinates of \"n2\" and \"n3\" cannot be compared"},
		{Name: "no node", Args: "rtt", Code: 1, Err: "One or two node names must be specified (got 0).\n"},
		{Name: "three nodes", Args: "rtt a b c", Code: 1, Err: "One or two node names must be specified (got 3).\n"},
		{
			Name: "disabled", Args: "rtt n1 n2", Code: 1, Answers: answers{nodes: {Status: 401, Body: "Coordinate support disabled"}},
			Err: "Error getting coordinates: Unexpected response code: 401 (Coordinate support disabled)\n",
		},
		{Name: "another datacenter", Args: "rtt -datacenter dc2 n1 n2", Answers: answers{nodes + "?dc=dc2": lan[nodes]}, Out: "Estimated n1 <-> n2 rtt: 0.610 ms (using LAN coordinates)\n"},
	})
}

func TestNamesAreCompleted(t *testing.T) {
	agent := clitest.NewAgent(t, answers{"GET /v1/coordinate/nodes": {Body: "[" + at("n2", "", 0) + "," + at("n1", "", 0) + "," + at("n1", "x", 0) + "]"}})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"rtt", ""}, "n1\nn2\n:4\n"},
		{[]string{"rtt", "n1", ""}, "n2\n:4\n"},
		{[]string{"rtt", "n1", "n2", ""}, ":4\n"},
		{[]string{"rtt", "-wan", ""}, ":4\n"},
	} {
		got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"__complete"}, c.args...), Agent: agent})
		if got.Code != 0 || got.Out != c.want {
			t.Errorf("%q: exit code %d, got %q, want %q (%s)", c.args, got.Code, got.Out, c.want, got.Err)
		}
	}
}
