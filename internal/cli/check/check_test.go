package check

import (
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

type answers = map[string]clitest.Answer

const (
	three = `[{"Name":"s1","Status":1,"Tags":{"role":"consul","id":"i1"}},{"Name":"s2","Status":1,"Tags":{"role":"consul","id":"i2"}},{"Name":"s3","Status":1,"Tags":{"role":"consul","id":"i3"}}]`
	web   = `[{"Node":{"Node":"n"},"Service":{"ID":"w1"},"Checks":[{"Status":"passing"}]},{"Node":{"Node":"n"},"Service":{"ID":"w2"},"Checks":[{"Status":"critical"}]}]`
)

func raft(second string) string {
	return `{"Servers":[{"ID":"i1","Node":"s1","Leader":true,"Voter":true,"LastIndex":20000},` +
		`{"ID":"i2","Node":"s2","Voter":true,"LastIndex":` + second + `},{"ID":"i3","Node":"s3","Voter":true,"LastIndex":20000}]}`
}

// cluster is a cluster of three servers; stale is how it is asked without a leader.
func cluster(leader, members, raft string) answers {
	m := answers{"GET /v1/status/leader": {Body: `"` + leader + `"`}, "GET /v1/health/service/web": {Body: web}}
	stale := ""
	if leader == "" {
		stale = "?stale="
	}
	m["GET /v1/agent/members"+stale] = clitest.Answer{Body: members}
	m["GET /v1/operator/raft/configuration"+stale] = clitest.Answer{Body: raft}
	return m
}

func TestCheck(t *testing.T) {
	healthy := cluster("10.0.0.1:8300", three, raft("19990"))
	oneFailed := strings.Replace(three, `"s3","Status":1`, `"s3","Status":4`, 1)
	twoFailed := strings.Replace(oneFailed, `"s2","Status":1`, `"s2","Status":4`, 1)
	const all = "OK        leader: 10.0.0.1:8300\nOK        servers: 3 of 3 voters alive, 1 can be lost\n"
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "all is well", Args: "check", Answers: healthy,
			Out: all + "OK        gap: s2 is 10 entries behind the leader\nOK        members: 3 alive, 0 failed\nOK\n",
		},
		{
			Name: "a service with few instances is a warning", Args: "check -service web:2", Code: 1, Answers: healthy,
			Out: all + "OK        gap: s2 is 10 entries behind the leader\nOK        members: 3 alive, 0 failed\nWARNING   service/web: 1 of 2 instances passing\nWARNING\n",
		},
		{
			Name: "with too few it is critical", Args: "check -service web:3:2", Code: 2, Answers: healthy,
			Out: all + "OK        gap: s2 is 10 entries behind the leader\nOK        members: 3 alive, 0 failed\nCRITICAL  service/web: 1 of 2 instances passing\nCRITICAL\n",
		},
		{
			Name: "one server less is a warning", Args: "check", Code: 1, Answers: cluster("10.0.0.1:8300", oneFailed, raft("20000")),
			Out: "OK        leader: 10.0.0.1:8300\nWARNING   servers: 2 of 3 voters alive, 0 can be lost; missing: s3\n" +
				"OK        gap: no server is behind the leader\nWARNING   members: 2 alive, 1 failed: s3\nWARNING\n",
		},
		{
			Name: "unless nobody asked for more; a failed member is one all the same", Args: "check -tolerance 0", Code: 1, Answers: cluster("10.0.0.1:8300", oneFailed, raft("20000")),
			Out: "OK        leader: 10.0.0.1:8300\nOK        servers: 2 of 3 voters alive, 0 can be lost; missing: s3\n" +
				"OK        gap: no server is behind the leader\nWARNING   members: 2 alive, 1 failed: s3\nWARNING\n",
		},
		{
			Name: "no leader and no quorum", Args: "check", Code: 2, Answers: cluster("", twoFailed, raft("0")),
			Out: "CRITICAL  leader: the cluster has no leader\nCRITICAL  servers: 1 of 3 voters alive, 0 can be lost; missing: s2, s3; no quorum\n" +
				"WARNING   members: 1 alive, 2 failed: s2, s3\nCRITICAL\n",
		},
		{
			Name: "a server far behind", Args: "check -format nagios", Code: 2, Answers: cluster("10.0.0.1:8300", three, raft("10000")),
			Out: "CTL CRITICAL - gap: s2 is 10000 entries behind the leader | 'leader'=1;;1: 'servers'=1;1:;0: 'gap'=10000;1000;10000 'members'=0;0;\n" +
				"OK: leader: 10.0.0.1:8300\nOK: servers: 3 of 3 voters alive, 1 can be lost\nCRITICAL: gap: s2 is 10000 entries behind the leader\nOK: members: 3 alive, 0 failed\n",
		},
		{
			Name: "a plugin's line when all is well", Args: "check -o nagios -service web", Answers: healthy,
			Out: "CTL OK - 5 checks passed | 'leader'=1;;1: 'servers'=1;1:;0: 'gap'=10;1000;10000 'members'=0;0; 'service/web'=1;1:;1:\n" +
				"OK: leader: 10.0.0.1:8300\nOK: servers: 3 of 3 voters alive, 1 can be lost\nOK: gap: s2 is 10 entries behind the leader\nOK: members: 3 alive, 0 failed\nOK: service/web: 1 of 2 instances passing\n",
		},
		{
			Name: "filtered", Args: "check --jq .Status,(.Checks[]|select(.Value==10).Check)", Answers: healthy, Out: "OK\ngap\n",
		},
		{
			Name: "filtered, though it is no JSON", Args: "check --jq . -o nagios", Code: 3, Answers: healthy,
			Err: "-jq filters JSON: it goes with -format json or without -format, not with -format nagios",
		},
		{
			Name: "a filter that does not fit", Args: "check --jq .Status.x", Code: 3, Answers: healthy, Err: `--jq: expected an object but got: string ("OK")`,
		},
		{
			Name: "for Prometheus", Args: "check -format prometheus -service web:2", Code: 1, Answers: healthy,
			Out: `# HELP ctl_check_status State of a check: 0 ok, 1 warning, 2 critical, 3 unknown.
# TYPE ctl_check_status gauge
ctl_check_status{check="leader"} 0
ctl_check_status{check="servers"} 0
ctl_check_status{check="gap"} 0
ctl_check_status{check="members"} 0
ctl_check_status{check="service/web"} 1
# HELP ctl_check_value What a check looked at: servers that can be lost, entries behind, failed members, passing instances.
# TYPE ctl_check_value gauge
ctl_check_value{check="leader"} 1
ctl_check_value{check="servers"} 1
ctl_check_value{check="gap"} 10
ctl_check_value{check="members"} 0
ctl_check_value{check="service/web"} 1
# HELP ctl_check_overall The worst state of all checks, in which unknown is less than critical.
# TYPE ctl_check_overall gauge
ctl_check_overall 1
`,
		},
		{
			Name: "what may not be read is unknown, not ok", Args: "check", Code: 3,
			Answers: answers{
				"GET /v1/status/leader": {Body: `"10.0.0.1:8300"`}, "GET /v1/agent/members": {Body: three},
				"GET /v1/operator/raft/configuration": {Status: 403, Body: "Permission denied"},
			},
			Out: "OK        leader: 10.0.0.1:8300\nUNKNOWN   servers: Unexpected response code: 403 (Permission denied)\n" +
				"UNKNOWN   gap: Unexpected response code: 403 (Permission denied)\nOK        members: 3 alive, 0 failed\nUNKNOWN\n",
		},
		{Name: "a format nobody knows", Args: "check -format xml", Code: 3, Err: `-format "xml" must be one of: text, nagios, prometheus, json. `},
		{Name: "an option nobody knows", Args: "check -servce web", Code: 3, Err: "unknown flag: --servce. "},
		{Name: "an argument", Args: "check web", Code: 3, Err: "Too many arguments (expected 0, got 1). "},
		{Name: "no number", Args: "check -service web:many", Code: 3, Err: `-service "web:many": "many" is no number of instances. `},
		{Name: "thresholds the wrong way round", Args: "check -service web:1:2", Code: 3, Err: `-service "web:1:2": critical below 2 would come before the warning below 1. `},
		{Name: "no name", Args: "check -service :2", Code: 3, Err: `-service ":2" is not NAME[:WARNING[:CRITICAL]]. `},
		{Name: "gaps the wrong way round", Args: "check -gap-critical 5", Code: 3, Err: "-gap-critical 5 is less than -gap-warning 1000. "},
	})
}

func TestJSON(t *testing.T) {
	agent := clitest.NewAgent(t, cluster("10.0.0.1:8300", three, raft("20000")))
	got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"check", "-o", "json"}, Agent: agent})
	for _, text := range []string{"\"Status\": \"OK\",\n    \"Code\": 0,", "\"Check\": \"servers\",\n            \"Status\": \"OK\",", "\"Value\": 1,\n            \"Warning\": \"1:\",\n            \"Critical\": \"0:\""} {
		if !strings.Contains(got.Out, text) {
			t.Errorf("JSON lacks %s:\n%s", text, got.Out)
		}
	}
}

func TestUnreachableIsUnknown(t *testing.T) {
	got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"check", "-o", "nagios"}, Env: map[string]string{"CTL_HTTP_ADDR": "http://127.0.0.1:1"}})
	if got.Code != 3 || !strings.HasPrefix(got.Out, "CTL UNKNOWN - leader: ") || !strings.Contains(got.Out, "connection refused") {
		t.Errorf("got %+v", got)
	}
}

func TestTextOfOthersDoesNotBreakTheFormats(t *testing.T) {
	if got := oneLine("a|b\nc"); got != "a/b c" {
		t.Errorf("got %q", got)
	}
	if got := label("a\"\\\n"); got != `a\"\\\n` {
		t.Errorf("got %q", got)
	}
}
