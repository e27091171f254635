package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/google/go-cmp/cmp"
)

type answers = map[string]clitest.Answer

const (
	selfURL     = "GET /v1/agent/self"
	membersURL  = "GET /v1/agent/members"
	leaderURL   = "GET /v1/status/leader"
	diagnoseURL = "GET /v1/ctl/diagnose"
	metricsURL  = "GET /v1/agent/metrics"
	raftURL     = "GET /v1/operator/raft/configuration"
	stateURL    = "GET /v1/operator/autopilot/state"
	rootsURL    = "GET /v1/connect/ca/roots?stale"
)

// server is how a member of three healthy servers is listed.
func server(i, status int) string {
	return fmt.Sprintf(`{"Name":"s%d","Addr":"10.0.0.%d","Status":%d,"Tags":{"role":"consul","id":"id%d","port":"8300","build":"1.21.4:a","expect":"3"}}`, i, i, status, i)
}

func list(items ...string) clitest.Answer {
	return clitest.Answer{Body: "[" + strings.Join(items, ",") + "]"}
}

// self is what agent s of three servers says, with more settings and Stats'
// serf_lan.
func selfOf(name, settings, serf string) clitest.Answer {
	if settings != "" {
		settings = "," + settings
	}
	return clitest.Answer{Body: fmt.Sprintf(`{"Config":{"Datacenter":"dc1","NodeName":%q,"Server":true},
"DebugConfig":{"HTTPAddrs":["tcp://127.0.0.1:8500"],"HTTPSAddrs":[],"SerfBindAddrLAN":"127.0.0.1:8301","RetryJoinLAN":["10.0.0.1","10.0.0.2:8301"]%s},
"Stats":{"serf_lan":{"encrypted":%q}}}`, name, settings, serf)}
}

func diagnosisOf(free, total, fsync, err string) clitest.Answer {
	return clitest.Answer{Body: fmt.Sprintf(`{"DataDir":{"Path":"/data","FreeBytes":%s,"TotalBytes":%s,"FsyncSeconds":%s,"Error":%q}}`, free, total, fsync, err)}
}

const raftBody = `{"Servers":[
{"ID":"id1","Node":"s1","Address":"10.0.0.1:8300","Leader":true,"Voter":true},
{"ID":"id2","Node":"s2","Address":"10.0.0.2:8300","Voter":true},
{"ID":"id3","Node":"s3","Address":"10.0.0.3:8300","Voter":true}%s]}`

func raftOf(more string) clitest.Answer {
	return clitest.Answer{Body: fmt.Sprintf(raftBody, more)}
}

func stateOf(s3 string) clitest.Answer {
	return clitest.Answer{Body: fmt.Sprintf(`{"Healthy":true,"FailureTolerance":1,"Leader":"id1","Servers":{
"id1":{"ID":"id1","Name":"s1","NodeStatus":"alive","Healthy":true,"LastIndex":900,"LastContact":"0s","Status":"leader"},
"id3":{"ID":"id3","Name":"s3","NodeStatus":"alive","LastContact":"3s","LastIndex":100,"Status":"voter",%s}}}`, s3)}
}

func rootsOf(left time.Duration) clitest.Answer {
	return clitest.Answer{Body: fmt.Sprintf(`{"Roots":[{"ID":"r","Name":"the root","Active":true,"NotAfter":%q}]}`, time.Now().Add(left).UTC().Format(time.RFC3339))}
}

// healthy is what s1 of three healthy servers answers, with some answers put in
// the place of these.
func healthy(change answers) answers {
	a := answers{
		selfURL:     selfOf("s1", "", "true"),
		membersURL:  list(server(1, 1), server(2, 1), server(3, 1)),
		leaderURL:   {Body: `"10.0.0.1:8300"`},
		diagnoseURL: diagnosisOf("50000000000", "100000000000", "0.002", ""),
		raftURL:     raftOf(""),
		stateURL:    stateOf(`"Healthy":true`),
		rootsURL:    rootsOf(9 * 365 * day),
	}
	maps.Copy(a, change)
	return a
}

// dated is an answer that was given at another time by the agent's clock.
func dated(a clitest.Answer, ahead time.Duration) clitest.Answer {
	a.Header = http.Header{"Date": {time.Now().Add(ahead).UTC().Format(http.TimeFormat)}}
	return a
}

// seek runs doctor, and returns its report and exit code.
func seek(t *testing.T, a answers, args ...string) (report, int) {
	t.Helper()
	got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"doctor", "-o", "json"}, args...), Agent: clitest.NewAgent(t, a)})
	var r report
	if err := json.Unmarshal([]byte(got.Out), &r); err != nil {
		t.Fatalf("exit code %d, standard error %q, output %q: %v", got.Code, got.Err, got.Out, err)
	}
	return r, got.Code
}

// found lists all findings, as severity check/subject.
func (r report) found() string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, f.Severity+" "+findingView.Name(f))
	}
	return strings.Join(list, ", ")
}

func TestHealthyClusterHasNothingWrong(t *testing.T) {
	r, code := seek(t, healthy(nil))
	if code != 0 || !r.Healthy || len(r.Findings) > 0 || len(r.Unchecked) > 0 || len(r.Agents) != 1 || r.Agents[0].Node != "s1" {
		t.Errorf("exit code %d, report %+v", code, r)
	}
}

// TestEveryFinding has a cluster with one thing wrong for each finding: it, and
// nothing else, must be found, with what shows it and the cure.
func TestEveryFinding(t *testing.T) {
	open := `"HTTPAddrs":["tcp://10.0.0.1:8500"]`
	for _, c := range []struct {
		name     string
		answers  answers
		found    string // severity check/subject, of all findings
		evidence string // is in the evidence of the first
		fix      string // is in its fix
	}{
		{
			"two of three servers gone: no quorum",
			answers{
				leaderURL: {Body: `""`}, raftURL + "?stale": raftOf(""), membersURL: list(server(1, 1), server(2, 4), server(3, 4)),
			},
			"critical quorum, critical member/s2, critical member/s3", "s2 (10.0.0.2:8300) is failed for s1", "Start 1 or more of the missing servers",
		},
		{
			"no leader though enough servers are alive",
			answers{leaderURL: {Body: `""`}, raftURL + "?stale": raftOf("")},
			"critical leader", "3 of 3 voting servers are alive", "8300",
		},
		{
			"never bootstrapped",
			answers{leaderURL: {Body: `""`}, raftURL + "?stale": {Body: `{"Servers":[]}`}, membersURL: list(server(1, 1), server(2, 1))},
			"critical leader", "bootstrap_expect is 3", "as many servers as bootstrap_expect",
		},
		{
			"an agent that cannot ask for the leader",
			answers{leaderURL: {Status: 500, Body: "No cluster leader"}, raftURL + "?stale": {Status: 500, Body: "No cluster leader"}},
			"critical leader", "No cluster leader", "bootstrap_expect",
		},
		{
			"a raft peer that is no member",
			answers{raftURL: raftOf(`,{"ID":"id9","Node":"(unknown)","Address":"10.0.0.9:8300","Voter":true}`)},
			"warning stale-peer/id9", "raft has id9 at 10.0.0.9:8300", "ctl operator raft remove-peer -id id9",
		},
		{
			"a raft peer that left",
			answers{membersURL: list(server(1, 1), server(2, 1), server(3, 3))},
			"warning stale-peer/s3", "raft has id3", "ctl operator raft remove-peer -id id3",
		},
		{
			"a raft peer without a leader is removed later",
			answers{
				leaderURL: {Body: `""`}, raftURL + "?stale": raftOf(""), membersURL: list(server(1, 1), server(2, 1), server(3, 3)),
			},
			"critical leader, warning stale-peer/s3", "2 of 3", "election",
		},
		{
			"a failed server",
			answers{membersURL: list(server(1, 1), server(2, 1), server(3, 4))},
			"critical member/s3", "sees s3 (10.0.0.3) failed", "ctl force-leave s3",
		},
		{
			"a failed client",
			answers{membersURL: list(server(1, 1), server(2, 1), server(3, 1), `{"Name":"c1","Addr":"10.0.0.7","Status":4,"Tags":{"role":"node"}}`)},
			"warning member/c1", "sees c1 (10.0.0.7) failed", "ctl force-leave c1",
		},
		{
			"a server that does not keep up",
			answers{stateURL: stateOf(`"Healthy":false`)},
			"warning server/s3", "last contact with the leader 3s ago", "that server's disk",
		},
		{
			"an address to join that never became a member",
			answers{selfURL: selfOf("s1", `"RetryJoinLAN":["10.0.0.66","provider=aws x=y","s9.example.com"]`, "true")},
			"warning join/s1", "has 10.0.0.66", "gossip key",
		},
		{
			"several versions",
			answers{membersURL: list(server(1, 1), server(2, 1), strings.Replace(server(3, 1), "1.21.4:a", "1.22.0:b", 1))},
			"warning version", "1.21.4:a: s1, s2", "Finish the upgrade",
		},
		{
			"a clock that is ahead",
			answers{membersURL: dated(list(server(1, 1), server(2, 1), server(3, 1)), time.Minute)},
			"warning clock/s1", "ahead of this machine's", "time service",
		},
		{
			"a clock that is behind",
			answers{membersURL: dated(list(server(1, 1), server(2, 1), server(3, 1)), -time.Minute)},
			"warning clock/s1", "behind this machine's", "time service",
		},
		{
			"gossip without a key on the network",
			answers{selfURL: selfOf("s1", `"SerfBindAddrLAN":"0.0.0.0:8301"`, "false")},
			"warning encryption/s1", "gossips at 0.0.0.0:8301", "ctl keygen",
		},
		{
			"scripts for everybody on the network",
			answers{selfURL: selfOf("s1", open+`,"EnableRemoteScriptChecks":true`, "true")},
			"critical script-checks/s1, warning http/s1", "API at tcp://10.0.0.1:8500", "enable_local_script_checks",
		},
		{
			"scripts for those who may write",
			answers{selfURL: selfOf("s1", open+`,"EnableRemoteScriptChecks":true,"AllowWriteHTTPFrom":["10.1.0.0/16"]`, "true")},
			"warning script-checks/s1, warning http/s1", "API at tcp://10.0.0.1:8500", "enable_local_script_checks",
		},
		{
			"HTTP on the network",
			answers{selfURL: selfOf("s1", open, "true")},
			"warning http/s1", "listens for HTTP at tcp://10.0.0.1:8500", "client_addr",
		},
		{
			"certificates that nobody else needs",
			answers{selfURL: selfOf("s1", `"TLS":{"InternalRPC":{"CertFile":"a.pem","VerifyIncoming":false},"HTTPS":{}}`, "true"), metricsURL: {Body: `{"Gauges":[]}`}},
			"warning tls/s1", "verify_incoming off for internal_rpc", "verify_incoming",
		},
		{
			"HTTPS without client certificates is a note",
			answers{selfURL: selfOf("s1", `"HTTPSAddrs":["tcp://0.0.0.0:8501"],"TLS":{"InternalRPC":{},"HTTPS":{"CertFile":"a.pem"}}`, "true")},
			"note tls/s1", "verify_incoming off for https", "tls.https.verify_incoming",
		},
		{
			"a certificate near its end",
			answers{
				selfURL:    selfOf("s1", `"TLS":{"InternalRPC":{"CertFile":"a.pem","VerifyIncoming":true},"HTTPS":{}}`, "true"),
				metricsURL: {Body: `{"Gauges":[{"Name":"consul.s1.agent.tls.cert.expiry","Value":864000}]}`},
			},
			"warning certificate/s1", "agent.tls.cert.expiry", "rotate-certificates",
		},
		{
			"a renewed certificate that was not renewed",
			answers{selfURL: selfOf("s1", `"AutoEncryptTLS":true`, "true"), metricsURL: {Body: `{"Gauges":[{"Name":"consul.agent.tls.cert.expiry","Value":-7200}]}`}},
			"critical certificate/s1", "agent.tls.cert.expiry", "renews it itself",
		},
		{
			"a root near its end", answers{rootsURL: rootsOf(day)},
			"critical certificate/root", "the root", "ctl connect ca rotate",
		},
		{
			"a disk nearly full", answers{diagnoseURL: diagnosisOf("4000000000", "100000000000", "0.002", "")},
			"critical disk/s1", "3.7 GiB of 93.1 GiB free at /data", "Make room",
		},
		{
			"less than 1 GiB", answers{diagnoseURL: diagnosisOf("1000000000", "2000000000", "0.002", "")},
			"critical disk/s1", "0.9 GiB of 1.9 GiB free", "Make room",
		},
		{
			"a full disk", answers{diagnoseURL: diagnosisOf("0", "100000000000", "null", "no space left on device")},
			"critical disk/s1", "no space left on device", "Make room",
		},
		{
			"a disk that is not writable", answers{diagnoseURL: diagnosisOf("50000000000", "100000000000", "null", "read-only file system")},
			"critical disk/s1", "read-only file system", "mounted read-only",
		},
		{
			"a slow disk", answers{diagnoseURL: diagnosisOf("50000000000", "100000000000", "0.25", "")},
			"warning disk/s1", "took 250 ms", "SSD",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, code := seek(t, healthy(c.answers))
			for _, f := range r.Findings {
				if f.Summary == "" || len(f.Evidence) == 0 || f.Fix == "" {
					t.Errorf("finding without summary, evidence or fix: %+v", f)
				}
			}
			if d := cmp.Diff(r.found(), c.found); d != "" {
				t.Fatalf("findings (- got, + want):\n%s%+v", d, r.Findings)
			}
			if f := r.Findings[0]; !strings.Contains(strings.Join(f.Evidence, "\n"), c.evidence) || !strings.Contains(f.Fix, c.fix) {
				t.Errorf("evidence %q, want %q; fix %q, want %q", f.Evidence, c.evidence, f.Fix, c.fix)
			}
			want := 16
			if strings.HasPrefix(c.found, note) {
				want = 0
			}
			if code != want || r.Healthy != (want == 0) {
				t.Errorf("exit code %d, healthy %t", code, r.Healthy)
			}
		})
	}
}

// TestDoorsOnLoopbackAreClosed has every open door where nobody but this machine
// comes by.
func TestDoorsOnLoopbackAreClosed(t *testing.T) {
	for _, settings := range []string{
		`"HTTPAddrs":["tcp://127.0.0.1:8500","unix:///run/ctl.sock","tcp://[::1]:8500"],"EnableRemoteScriptChecks":true`,
		`"HTTPSAddrs":["tcp://10.0.0.1:8501"],"TLS":{"InternalRPC":{},"HTTPS":{"CertFile":"a","VerifyIncoming":true}},"EnableRemoteScriptChecks":true`,
	} {
		r, code := seek(t, healthy(answers{selfURL: selfOf("s1", settings, "false")}))
		if code != 0 || len(r.Findings) > 0 {
			t.Errorf("%s: exit code %d, findings %+v", settings, code, r.Findings)
		}
	}
}

func TestViewsOfSeveralAgents(t *testing.T) {
	all := []string{server(1, 1), server(2, 1), server(3, 1)}
	for _, c := range []struct {
		name     string
		first    answers // of s1
		second   answers // of s2
		found    string
		evidence []string // without addresses
	}{
		{name: "agents that agree", second: answers{}},
		{
			name: "one sees failed what the other sees alive", first: answers{membersURL: list(server(1, 1), server(2, 1), server(3, 4))}, second: answers{},
			found: "critical gossip/s3", evidence: []string{"s1 sees it failed", "s2 sees it alive"},
		},
		{
			name: "a failed member that answers", first: answers{membersURL: list(server(1, 1), server(2, 4), server(3, 1))}, second: answers{},
			found: "critical gossip/s2", evidence: []string{"s1 sees it failed", "it answers HTTP itself at"},
		},
		{
			name: "both see it failed", first: answers{membersURL: list(server(1, 1), server(2, 1), server(3, 4))}, second: answers{membersURL: list(server(1, 1), server(2, 1), server(3, 4))},
			found: "critical member/s3", evidence: []string{"s1 sees s3 (10.0.0.3) failed", "s2 sees s3 (10.0.0.3) failed", "the servers can lose 0 more", "it is still a raft peer, and counts in the quorum"},
		},
		{
			name: "one has a member the other has not", first: answers{membersURL: list(all...)}, second: answers{membersURL: list(all[0], all[1])},
			found: "critical gossip/s3", evidence: []string{"s2 does not have it as a member", "s1 sees it alive"},
		},
		{
			name: "a leader that lost its disk", second: answers{leaderURL: {Body: `""`}, diagnoseURL: diagnosisOf("0", "100000000000", "null", "no space left on device")},
			first: answers{stateURL: {Body: strings.NewReplacer(`"id3"`, `"id2"`, `"s3"`, `"s2"`).Replace(stateOf(`"Healthy":false`).Body)}},
			found: "critical disk/s2", evidence: []string{"s2: no space left on device", "s2 has 0.0 MiB of 93.1 GiB free", "s2 knows no leader", "autopilot calls it unhealthy"},
		},
		{
			name: "different leaders", second: answers{leaderURL: {Body: `"10.0.0.2:8300"`}},
			found: "critical leader", evidence: []string{"10.0.0.1:8300 for s1", "10.0.0.2:8300 for s2"},
		},
		{
			name: "only one knows the leader", second: answers{leaderURL: {Body: `""`}},
			found: "critical leader", evidence: []string{"s2 knows no leader"},
		},
		{
			name: "all clocks differ alike: it is this one", first: answers{membersURL: dated(list(all...), time.Hour)}, second: answers{membersURL: dated(list(all...), time.Hour)},
			found: "warning clock/this machine", evidence: []string{"the clock of s1", "the clock of s2"},
		},
		{
			name: "one clock differs", second: answers{membersURL: dated(list(all...), time.Hour)},
			found: "warning clock/s2", evidence: []string{"the clock of s2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			second := healthy(answers{selfURL: selfOf("s2", "", "true")})
			maps.Copy(second, c.second)
			agent := clitest.NewAgent(t, second)
			r, _ := seek(t, healthy(c.first), "-addr", agent.URL)
			if len(r.Agents) != 2 {
				t.Fatalf("asked %+v", r.Agents)
			}
			var evidence []string
			for _, f := range r.Findings {
				evidence = append(evidence, f.Evidence...)
			}
			if d := cmp.Diff(r.found(), c.found); d != "" {
				t.Fatalf("findings (- got, + want):\n%s%+v", d, r.Findings)
			}
			if len(evidence) != len(c.evidence) {
				t.Fatalf("evidence %q, want %q", evidence, c.evidence)
			}
			for i, e := range evidence {
				for _, a := range r.Agents {
					e = strings.ReplaceAll(e, " ("+a.Address+")", "")
				}
				if !strings.HasPrefix(e, c.evidence[i]) {
					t.Errorf("evidence %q, want %q", e, c.evidence[i])
				}
			}
		})
	}
}

func TestAgentsThatDoNotAnswer(t *testing.T) {
	r, code := seek(t, healthy(nil), "-addr", "127.0.0.1:1")
	if code != 16 || len(r.Findings) != 1 || r.Findings[0].Check != "agent" || r.Findings[0].Subject != "http://127.0.0.1:1" {
		t.Errorf("exit code %d, findings %+v", code, r.Findings)
	}
	// The same agent twice is one, and a member that is only guessed at may
	// have its API elsewhere.
	agent := clitest.NewAgent(t, healthy(answers{membersURL: list(
		`{"Name":"s1","Addr":"127.0.0.1","Status":1,"Tags":{"role":"consul","id":"id1"}}`, `{"Name":"s2","Addr":"127.9.9.9","Status":1,"Tags":{"role":"consul","id":"id2"}}`,
		`{"Name":"s3","Addr":"127.9.9.8","Status":1,"Tags":{"role":"consul","id":"id3"}}`), selfURL: selfOf("s1", `"RetryJoinLAN":[]`, "true")}))
	got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"doctor", "-all", "-addr", strings.Replace(agent.URL, "127.0.0.1", "localhost", 1)}, Agent: agent})
	port := agent.URL[strings.LastIndex(agent.URL, ":"):]
	if got.Code != 0 || !strings.Contains(got.Out, "Asked s1 ("+agent.URL+").\nNothing wrong was found.\n\nNot checked\n  http://127.9.9.9"+port+" does not answer") {
		t.Errorf("exit code %d, output\n%s%s", got.Code, got.Out, got.Err)
	}
}

func TestNobodyToAsk(t *testing.T) {
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "no agent", Args: "doctor -http-addr 127.0.0.1:1", Code: 10, Err: "Error asking the agent at http://127.0.0.1:1: "},
		{Name: "none of several", Args: "doctor -http-addr 127.0.0.1:1 -addr 127.0.0.1:2", Code: 10, Err: "None of 2 agents could be asked: http://127.0.0.1:1: "},
		{Name: "no right", Args: "doctor", Code: 12, Answers: answers{selfURL: {Status: 403, Body: "Permission denied"}}, Err: "Error asking the agent at "},
		{Name: "no agent but something else", Args: "doctor", Code: 1, Answers: answers{selfURL: {Body: `{}`}}, Err: "Error asking the agent at "},
		{Name: "no time", Args: "doctor -timeout 0s", Code: 1, Err: "-timeout 0s: a time above 0 is wanted"},
	})
}

func TestForms(t *testing.T) {
	sick := healthy(answers{diagnoseURL: {Status: 404, Body: "Invalid URL path"}, raftURL: raftOf(`,{"ID":"id9","Address":"10.0.0.9:8300"}`), rootsURL: rootsOf(-day)})
	agent := clitest.NewAgent(t, sick)
	for args, want := range map[string]string{
		"-o name": "certificate/root\nstale-peer/id9\n",
		"-o table": "Severity  Check        Subject  Finding\n" +
			"critical  certificate  root     The active root certificate of Connect ended 24 hours ago.\n" +
			"warning   stale-peer   id9      id9 is a raft peer, but no live server: it counts in the quorum and never votes.\n",
		"": "Asked s1 (" + agent.URL + ").\n\nCRITICAL\n  certificate: The active root certificate of Connect ended 24 hours ago.\n    seen: \"the root\" ends at ",
	} {
		got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"doctor"}, strings.Fields(args)...), Agent: agent})
		if got.Code != 16 || got.Err != "" || !strings.HasPrefix(got.Out, want) || (args != "" && got.Out != want) {
			t.Errorf("%s: exit code %d, output\n%s%s\nwant\n%s", args, got.Code, got.Out, got.Err, want)
		}
		if tail := "\n\nNot checked\n  disk and gossip probes of s1 (" + agent.URL + "): Unexpected response code: 404 (Invalid URL path)\n"; args == "" && !strings.HasSuffix(got.Out, tail) {
			t.Errorf("output\n%s\nwant it to end with\n%s", got.Out, tail)
		}
	}
}

func TestSkew(t *testing.T) {
	sent := time.Date(2026, 1, 2, 3, 4, 5, 900e6, time.UTC)
	for _, c := range []struct {
		date          string
		took          time.Duration
		ahead, margin time.Duration
	}{
		{"Fri, 02 Jan 2026 03:04:05 GMT", 0, -400 * time.Millisecond, 500 * time.Millisecond},
		{"Fri, 02 Jan 2026 03:04:08 GMT", 200 * time.Millisecond, 2500 * time.Millisecond, 600 * time.Millisecond},
	} {
		if s := skewOf(c.date, sent, sent.Add(c.took)); !s.known || s.ahead != c.ahead || s.margin != c.margin {
			t.Errorf("%s: %+v", c.date, s)
		}
	}
	if skewOf("", sent, sent).known {
		t.Error("no date, but a skew")
	}
}
