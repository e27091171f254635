package maint_test

import (
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/maint"
)

const checks = "GET /v1/agent/checks"

func TestADryRunAsksForNothing(t *testing.T) {
	agent := clitest.NewAgent(t, nil)
	r := clitest.Do(t, maint.NewCommand, clitest.Run{Args: strings.Fields("maint -enable -service=web -dry-run"), Agent: agent})
	if want := `Would enable maintenance of service "web"`; r.Code != 0 || !strings.Contains(r.Out, want) || len(agent.Lines()) > 0 {
		t.Errorf("got %+v and %v, want %q and no request", r, agent.Lines(), want)
	}
}

func TestMaint(t *testing.T) {
	two := map[string]clitest.Answer{checks: {Body: `{
		"service:web": {"Node": "n", "CheckID": "service:web", "Notes": "no"},
		"_service_maintenance:web": {"Node": "n", "CheckID": "_service_maintenance:web", "ServiceID": "web", "Notes": "release"},
		"_node_maintenance": {"Node": "n", "CheckID": "_node_maintenance", "Notes": "disk"}}`}}
	clitest.Check(t, maint.NewCommand, []clitest.Case{
		{Name: "nothing is in maintenance", Args: "maint", Answers: map[string]clitest.Answer{checks: {Body: `{}`}}},
		{
			Name: "what is in maintenance, the node first", Args: "maint", Answers: two,
			Out: "Node:\n  Name:   n\n  Reason: disk\n\nService:\n  ID:     web\n  Reason: release\n\n",
		},
		{Name: "as a table", Args: "maint -o table", Answers: two, Out: "Kind     ID   Reason\nnode     n    disk\nservice  web  release\n"},
		{
			Name: "the node, with a reason", Args: "maint -enable -reason=disk",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/maintenance?enable=true&reason=disk": {}},
			Out:     "Node maintenance is now enabled\n",
		},
		{
			Name: "the node, back", Args: "maint -disable", Answers: map[string]clitest.Answer{"PUT /v1/agent/maintenance?enable=false": {}},
			Out: "Node maintenance is now disabled\n",
		},
		{
			Name: "a service", Args: "maint -enable -service=web -reason=r",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/service/maintenance/web?enable=true&reason=r": {}},
			Out:     "Service maintenance is now enabled for \"web\"\n",
		},
		{
			Name: "a service the agent does not have", Args: "maint -disable -service=x",
			Answers: map[string]clitest.Answer{"PUT /v1/agent/service/maintenance/x?enable=false": {Status: 404, Body: "Unknown service ID \"x\""}},
			Code:    1, Err: "Error setting service maintenance: Unexpected response code: 404 (Unknown service ID \"x\")\n",
		},
		{Name: "both ways", Args: "maint -enable -disable", Code: 1, Err: "Only one of -enable or -disable may be provided\n"},
		{Name: "a reason for nothing", Args: "maint -disable -reason=x", Code: 1, Err: "Reason may only be provided with -enable\n"},
		{Name: "a service and nothing to do", Args: "maint -service=x", Code: 1, Err: "Service requires either -enable or -disable\n"},
	})
}
