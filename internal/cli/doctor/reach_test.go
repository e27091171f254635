package doctor

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

// probeOf is how an agent reaches a member: ping, stream and when it was heard
// ("null" for never).
func probeOf(member, ping, stream, heard string) string {
	seconds := "0.001"
	if ping != "" {
		seconds = "null"
	}
	return fmt.Sprintf(`{"Member":%q,"Address":"10.0.0.%s:8301","Status":1,"PingSeconds":%s,"PingError":%q,"StreamError":%q,"HeardSecondsAgo":%s}`,
		member, member[1:], seconds, ping, stream, heard)
}

// gossipOf is the diagnosis of an agent with these parts of Gossip.
func gossipOf(probes []string, more string) clitest.Answer {
	if more == "" {
		more = `"Refused":[],"Joins":[]`
	}
	return clitest.Answer{Body: `{"Gossip":{"Encrypted":true,"Probes":[` + strings.Join(probes, ",") + `],` + more + `}}`}
}

// probed answers both a sample and a question for one member.
func probed(member, probe string) answers {
	return answers{diagnoseURL: gossipOf([]string{probe}, ""), diagnoseURL + "?member=" + member: gossipOf([]string{probe}, "")}
}

const silent = "no answer"

// TestWays has two of three agents tell how they reach each other.
func TestWays(t *testing.T) {
	for _, c := range []struct {
		name         string
		there, back  string // s1 of s2, s2 of s1; no back is that s2 was not asked
		found        string
		summary, fix string
	}{
		{"both reached", probeOf("s2", "", "", "0"), probeOf("s1", "", "", "0"), "", "", ""},
		{
			"s2 hears s1, not the reverse", probeOf("s2", silent, silent, "40"), probeOf("s1", silent, silent, "0"),
			"critical gossip/s2", "what s2 sends does not reach s1", "from s2 to s1",
		},
		{
			"s1 hears s2, not the reverse", probeOf("s2", silent, silent, "0"), probeOf("s1", silent, silent, "null"),
			"critical gossip/s1", "what s1 sends does not reach s2", "from s1 to s2",
		},
		{
			"neither hears the other", probeOf("s2", silent, silent, "60"), probeOf("s1", silent, silent, "61"),
			"critical gossip/s1", "neither way between s1 and s2", "both ways between s1 and s2",
		},
		{
			"each hears the other", probeOf("s2", silent, "", "0"), probeOf("s1", silent, "", "0"),
			"critical gossip/s1", "no ping is answered", "advertise_addr",
		},
		{
			"one ping was lost", probeOf("s2", silent, "", "0"), probeOf("s1", "", "", "0"),
			"", "", "",
		},
		{
			"UDP passes and TCP does not", probeOf("s2", "", "connection refused", "0"), probeOf("s1", "", "", "0"),
			"critical gossip/s1", "but not over TCP", "for TCP from s1 to s2",
		},
		{
			"TCP does not pass in the reverse", probeOf("s2", "", "", "0"), probeOf("s1", "", "connection refused", "0"),
			"critical gossip/s2", "but not over TCP", "for TCP from s2 to s1",
		},
		{
			"s2 is silent and was not asked", probeOf("s2", silent, silent, "60"), "",
			"critical gossip/s1", "gets no answer to its gossip from s2", "Ask s2, too",
		},
		{
			"s2 was not asked, and is heard", probeOf("s2", silent, silent, "0"), "",
			"critical gossip/s1", "what s1 sends does not reach s2", "from s1 to s2",
		},
		{
			"a failed member that was not asked", strings.Replace(probeOf("s2", silent, silent, "60"), `"Status":1`, `"Status":4`, 1), "",
			"", "", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var args []string
			if c.back != "" {
				second := healthy(probed("s1", c.back))
				second[selfURL] = selfOf("s2", "", "true")
				args = []string{"-addr", clitest.NewAgent(t, second).URL}
			}
			r, _ := seek(t, healthy(probed("s2", c.there)), args...)
			if got := r.found(); got != c.found {
				t.Fatalf("found %q, want %q: %+v", got, c.found, r.Findings)
			}
			if c.found == "" {
				return
			}
			if f := r.Findings[0]; !strings.Contains(f.Summary, c.summary) || !strings.Contains(f.Fix, c.fix) || len(f.Evidence) < 2 {
				t.Errorf("got %+v", f)
			}
		})
	}
}

// TestAFailureBehindACutIsNotTwoFindings has s1 see s2 failed, because nothing
// of it arrives.
func TestAFailureBehindACutIsNotTwoFindings(t *testing.T) {
	there := strings.Replace(probeOf("s2", silent, silent, "60"), `"Status":1`, `"Status":4`, 1)
	first, second := healthy(probed("s2", there)), healthy(probed("s1", probeOf("s1", silent, silent, "0")))
	first[membersURL] = list(server(1, 1), server(2, 4), server(3, 1))
	second[selfURL] = selfOf("s2", "", "true")
	r, _ := seek(t, first, "-addr", clitest.NewAgent(t, second).URL)
	if len(r.Findings) != 1 || r.Findings[0].Subject != "s2" || !strings.Contains(strings.Join(r.Findings[0].Evidence, "\n"), "sees s2 failed") {
		t.Errorf("got %+v", r.Findings)
	}
}

// TestProbesAreRepeated has a probe that fails only the first time.
func TestProbesAreRepeated(t *testing.T) {
	a := probed("s2", probeOf("s2", silent, silent, "0"))
	maps.Copy(a, answers{diagnoseURL + "?member=s2": gossipOf([]string{probeOf("s2", "", "", "0")}, "")})
	if r, code := seek(t, healthy(a)); code != 0 || len(r.Findings) > 0 {
		t.Errorf("exit code %d, findings %+v", code, r.Findings)
	}
}

func TestGossipKeys(t *testing.T) {
	refused := func(host, reason, ago string) answers {
		return answers{diagnoseURL: gossipOf(nil, fmt.Sprintf(`"Refused":[{"Host":%q,"Reason":%q,"Count":7,"SecondsAgo":%s}],"Joins":[]`, host, reason, ago))}
	}
	alone := func(reason string) answers {
		return answers{
			membersURL: list(server(1, 1)), leaderURL: {Body: `""`}, raftURL + "?stale": {Body: `{"Servers":[]}`},
			diagnoseURL: gossipOf(nil, fmt.Sprintf(`"Refused":[],"Joins":[{"Pool":"lan","State":"trying","Attempts":4,"Failures":[{"Address":"10.0.0.2:8301","Error":"why\n\tnot","Reason":%q}]}]`, reason)),
		}
	}
	joins := `"RetryJoinLAN":["10.0.0.66"]`
	for _, c := range []struct {
		name                   string
		answers                answers
		found                  string
		summary, evidence, fix string
	}{
		{"another key", refused("10.0.0.66", "other-key", "20"), "critical gossip-key/10.0.0.66", "has another gossip key", "refused gossip of 10.0.0.66 7 times, 20s ago", "close the gossip port"},
		{"no key there", refused("10.0.0.66", "no-key-there", "2"), "critical gossip-key/10.0.0.66", "has no gossip key", "2.0 s ago the last: it is not encrypted", "Set encrypt"},
		{"no key here", refused("10.0.0.66", "no-key-here", "2"), "critical gossip-key/10.0.0.66", "the others have none", "this agent has no key", "encrypt-gossip.md"},
		{"a key of long ago", refused("10.0.0.66", "other-key", "900"), "", "", "", ""},
		{"a host that has joined since", refused("10.0.0.2", "other-key", "90"), "", "", "", ""},
		{"a member with another key", refused("10.0.0.2", "other-key", "9"), "critical gossip-key/s2", "s2 (10.0.0.2) has another", "7 times", "s2 (10.0.0.2)"},
		{"no gossip at all", refused("10.0.0.66", "unreadable", "9"), "", "", "", ""},
		{"it joins nobody for its key", alone("other-key"), "critical gossip-key/s1", "s1 (10.0.0.1) has another", "tried 4 times to join, and is alone: 10.0.0.2:8301: why not", "local.keyring"},
		{"it joins nobody for want of a key", alone("no-key-here"), "critical gossip-key/s1", "s1 (10.0.0.1) has no gossip key", "tried 4 times", "Set encrypt"},
		{"it joins nobody, who have no key", alone("no-key-there"), "critical gossip-key/s1", "s1 (10.0.0.1) has a gossip key, and the others have none", "tried 4 times", "encrypt-gossip.md"},
		{"it joins nobody for another reason", alone(""), "critical leader, warning join/s1", "no leader", "bootstrap_expect is 3", "bootstrap_expect"},
		{
			"an address to join that is refused", merged(refused("10.0.0.66", "other-key", "20"), answers{selfURL: selfOf("s1", joins, "true")}),
			"critical gossip-key/10.0.0.66", "", "refused", "",
		},
		{
			"a failed member that is refused", merged(refused("10.0.0.3", "other-key", "20"), answers{membersURL: list(server(1, 1), server(2, 1), server(3, 4))}),
			"critical gossip-key/s3", "", "sees s3 failed", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := seek(t, healthy(c.answers))
			if got := r.found(); got != c.found {
				t.Fatalf("found %q, want %q: %+v", got, c.found, r.Findings)
			}
			if c.found == "" {
				return
			}
			f := r.Findings[0]
			for _, part := range []struct{ in, want string }{{f.Summary, c.summary}, {strings.Join(f.Evidence, "\n"), c.evidence}, {f.Fix, c.fix}} {
				if !strings.Contains(part.in, part.want) {
					t.Errorf("no %q in %q", part.want, part.in)
				}
			}
		})
	}
}

func merged(a, b answers) answers {
	maps.Copy(a, b)
	return a
}
