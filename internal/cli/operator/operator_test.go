package operator

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/google/go-cmp/cmp"
)

type answers = map[string]clitest.Answer

func TestRaft(t *testing.T) {
	const three = `{"Servers":[
{"ID":"id-1","Node":"n1","Address":"127.0.0.1:8300","Leader":true,"ProtocolVersion":"3","Voter":true,"LastIndex":225},
{"ID":"id-2","Node":"n2","Address":"127.0.0.2:8300","Leader":false,"ProtocolVersion":"3","Voter":true,"LastIndex":223},
{"ID":"id-3","Node":"(unknown)","Address":"127.0.0.3:8300","Leader":false,"ProtocolVersion":"3","Voter":false,"LastIndex":226}],"Index":1}`
	const noLeader = `{"Servers":[{"ID":"id-2","Node":"n2","Address":"127.0.0.2:8300","Leader":false,"ProtocolVersion":"3","Voter":true,"LastIndex":223}],"Index":1}`
	conf := "GET /v1/operator/raft/configuration"
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "list-peers", Args: "operator raft list-peers", Answers: answers{conf: {Body: three}},
			Out: "" +
				"Node       ID    Address         State     Voter  RaftProtocol  Commit Index  Trails Leader By\n" +
				"n1         id-1  127.0.0.1:8300  leader    true   3             225           -\n" +
				"n2         id-2  127.0.0.2:8300  follower  true   3             223           2 commits\n" +
				"(unknown)  id-3  127.0.0.3:8300  follower  false  3             226           0 commits\n",
		},
		{
			Name: "list-peers without a leader", Args: "operator raft list-peers -stale", Answers: answers{conf + "?stale=": {Body: noLeader}},
			Out: "" +
				"Node  ID    Address         State     Voter  RaftProtocol  Commit Index  Trails Leader By\n" +
				"n2    id-2  127.0.0.2:8300  follower  true   3             223           -\n",
		},
		{
			Name: "list-peers as JSON", Args: "operator raft list-peers -format json", Answers: answers{conf: {Body: noLeader}},
			Out: `{
    "Servers": [
        {
            "ID": "id-2",
            "Node": "n2",
            "Address": "127.0.0.2:8300",
            "Leader": false,
            "ProtocolVersion": "3",
            "Voter": true,
            "LastIndex": 223
        }
    ],
    "Index": 1
}
`,
		},
		{
			Name: "list-peers refused", Args: "operator raft list-peers", Code: 1, Answers: answers{conf: {Status: 500, Body: "No cluster leader"}},
			Err: "Error getting peers: Unexpected response code: 500 (No cluster leader)\n",
		},
		{Name: "list-peers with an argument", Args: "operator raft list-peers x", Code: 1, Err: "Too many arguments (expected 0, got 1)\n"},
		{
			Name: "remove-peer by id", Args: "operator raft remove-peer -id x", Answers: answers{"DELETE /v1/operator/raft/peer?id=x": {}},
			Out: "Removed peer with id \"x\"\n",
		},
		{
			Name: "remove-peer by address", Args: "operator raft remove-peer -address 127.0.0.1:8300",
			Answers: answers{"DELETE /v1/operator/raft/peer?address=127.0.0.1%3A8300": {}}, Out: "Removed peer with address \"127.0.0.1:8300\"\n",
		},
		{
			Name: "remove-peer unknown", Args: "operator raft remove-peer -id x", Code: 1,
			Answers: answers{"DELETE /v1/operator/raft/peer?id=x": {Status: 500, Body: `id "x" was not found in the Raft configuration`}},
			Err:     "Error removing peer: Unexpected response code: 500 (id \"x\" was not found in the Raft configuration)\n",
		},
		{Name: "remove-peer of nobody", Args: "operator raft remove-peer", Code: 1, Err: "Give either -id or -address"},
		{Name: "remove-peer of two", Args: "operator raft remove-peer -id x -address y", Code: 1, Err: "Give either -id or -address"},
		{
			Name: "transfer-leader", Args: "operator raft transfer-leader", Answers: answers{"POST /v1/operator/raft/transfer-leader": {Body: `{"Success":true}`}},
			Out: "Success\n",
		},
		{
			Name: "transfer-leader to one", Args: "operator raft transfer-leader -id x",
			Answers: answers{"POST /v1/operator/raft/transfer-leader?id=x": {Body: `{"Success":true}`}}, Out: "Success\n",
		},
		{
			Name: "transfer-leader refused", Args: "operator raft transfer-leader", Code: 1,
			Answers: answers{"POST /v1/operator/raft/transfer-leader": {Status: 500, Body: "cannot find peer"}},
			Err:     "Error transferring leadership: Unexpected response code: 500 (cannot find peer)\n",
		},
		{
			Name: "transfer-leader not carried out", Args: "operator raft transfer-leader", Code: 1,
			Answers: answers{"POST /v1/operator/raft/transfer-leader": {Body: `{"Success":false}`}}, Err: "Error transferring leadership: ",
		},
		{Name: "group alone", Args: "operator raft", Code: 1, Err: "ctl operator raft: a command is missing\n"},
	})
}

const config = `{"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,"MinQuorum":0,"ServerStabilizationTime":"10s","RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":4,"ModifyIndex":5}`

const configURL = "/v1/operator/autopilot/configuration"

func TestAutopilotConfig(t *testing.T) {
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "get-config", Args: "operator autopilot get-config", Answers: answers{"GET " + configURL: {Body: config}},
			Out: `CleanupDeadServers = true
LastContactThreshold = 200ms
MaxTrailingLogs = 250
MinQuorum = 0
ServerStabilizationTime = 10s
RedundancyZoneTag = ""
DisableUpgradeMigration = false
UpgradeVersionTag = ""
`,
		},
		{
			Name: "get-config as JSON", Args: "operator autopilot get-config -o json", Answers: answers{"GET " + configURL: {Body: config}},
			Out: `{
    "CleanupDeadServers": true,
    "LastContactThreshold": "200ms",
    "MaxTrailingLogs": 250,
    "MinQuorum": 0,
    "ServerStabilizationTime": "10s",
    "RedundancyZoneTag": "",
    "DisableUpgradeMigration": false,
    "UpgradeVersionTag": "",
    "CreateIndex": 4,
    "ModifyIndex": 5
}
`,
		},
		{
			Name: "set-config", Args: "operator autopilot set-config -stale -min-quorum=3",
			Answers: answers{"GET " + configURL: {Body: config}, "PUT " + configURL + "?cas=5": {Body: "true"}},
			Out:     "Configuration updated!\n",
		},
		{
			Name: "set-config overtaken", Args: "operator autopilot set-config -min-quorum=3", Code: 1,
			Answers: answers{"GET " + configURL: {Body: config}, "PUT " + configURL + "?cas=5": {Body: "false"}},
			Err:     "Configuration could not be atomically updated, please try again\n",
		},
		{
			Name: "set-config with a wrong time", Args: "operator autopilot set-config -last-contact-threshold=soon", Code: 1,
			Err: "invalid argument \"soon\" for \"--last-contact-threshold\" flag",
		},
	})
}

// TestSetConfigChangesOnlyWhatIsGiven checks what is sent.
func TestSetConfigChangesOnlyWhatIsGiven(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want map[string]any // changes to config
	}{
		{"nothing", nil, nil},
		{"a boolean set to false", []string{"-cleanup-dead-servers=false"}, map[string]any{"CleanupDeadServers": false}},
		{
			"all", []string{
				"-cleanup-dead-servers=false", "-last-contact-threshold=1s", "-max-trailing-logs=9", "-min-quorum=3",
				"-server-stabilization-time=20s", "-redundancy-zone-tag=z", "-disable-upgrade-migration", "-upgrade-version-tag=v",
			}, map[string]any{
				"CleanupDeadServers": false, "LastContactThreshold": "1s", "MaxTrailingLogs": 9.0, "MinQuorum": 3.0,
				"ServerStabilizationTime": "20s", "RedundancyZoneTag": "z", "DisableUpgradeMigration": true, "UpgradeVersionTag": "v",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			agent := clitest.NewAgent(t, answers{"GET " + configURL: {Body: config}, "PUT " + configURL + "?cas=5": {Body: "true"}})
			got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"operator", "autopilot", "set-config"}, c.args...), Agent: agent})
			if got.Code != 0 {
				t.Fatal(got.Err)
			}
			var want, sent map[string]any
			if err := json.Unmarshal([]byte(config), &want); err != nil {
				t.Fatal(err)
			}
			maps.Copy(want, c.want)
			if err := json.Unmarshal([]byte(agent.Requests()[1].Body), &sent); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(sent, want); d != "" {
				t.Errorf("sent (-), want (+):\n%s", d)
			}
		})
	}
}

func TestAutopilotState(t *testing.T) {
	const state = `{"Healthy":true,"FailureTolerance":0,"OptimisticFailureTolerance":0,"Leader":"id-1","Voters":["id-1"],"Servers":{
"id-1":{"ID":"id-1","Name":"n1","Address":"127.0.0.1:8300","NodeStatus":"alive","Version":"1.21.4","LastContact":"0s","LastTerm":2,"LastIndex":225,"Healthy":true,"StableSince":"2026-11-23T10:00:00Z","ReadReplica":false,"Status":"leader","Meta":{"consul-version":"1.21.4","a":"b"},"NodeType":"voter"},
"id-0":{"ID":"id-0","Name":"n0","Address":"127.0.0.2:8300","NodeStatus":"failed","Version":"1.21.4","LastContact":"1m0s","LastTerm":1,"LastIndex":20,"Healthy":false,"StableSince":"2026-11-23T10:00:00Z","Status":"non-voter","Meta":null,"NodeType":"voter"}}}`
	clitest.Check(t, NewCommand, []clitest.Case{{
		Name: "state", Args: "operator autopilot state", Answers: answers{"GET /v1/operator/autopilot/state": {Body: state}},
		Out: `Healthy:                      true
Failure Tolerance:            0
Optimistic Failure Tolerance: 0
Leader:                       id-1
Voters:
   id-1
Servers:
   id-0
      Name:            n0
      Address:         127.0.0.2:8300
      Version:         1.21.4
      Status:          non-voter
      Node Type:       voter
      Node Status:     failed
      Healthy:         false
      Last Contact:    1m0s
      Last Term:       1
      Last Index:      20
   id-1
      Name:            n1
      Address:         127.0.0.1:8300
      Version:         1.21.4
      Status:          leader
      Node Type:       voter
      Node Status:     alive
      Healthy:         true
      Last Contact:    0s
      Last Term:       2
      Last Index:      225
      Meta
         "a": "b"
         "consul-version": "1.21.4"
`,
	}, {
		Name: "refused", Args: "operator autopilot state -format json", Code: 1,
		Answers: answers{"GET /v1/operator/autopilot/state": {Status: 403, Body: "Permission denied"}},
		Err:     "{\n    \"Class\": \"permission-denied\",\n",
	}})
}
