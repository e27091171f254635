package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestAgentDescribesItself(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		agent := v.api.Agent()
		self, err := agent.Self()
		must(t, err)
		for key, want := range map[string]any{
			"NodeName": v.p.Spec.Name, "Datacenter": "dc1", "PrimaryDatacenter": "dc1",
			"Server": v.p.Spec.Server, "Version": "1.21.4",
		} {
			if got := self["Config"][key]; got != want {
				t.Errorf("Config.%s = %v, want %v", key, got, want)
			}
		}
		if self["Member"]["Name"] != v.p.Spec.Name || self["Member"]["Addr"] != v.p.Spec.Bind || self["Coord"] == nil || self["DebugConfig"] == nil {
			t.Errorf("self has Member %v, Coord %v", self["Member"], self["Coord"])
		}
		for _, group := range []string{"agent", "build", "consul", "runtime", "serf_lan"} {
			if self["Stats"][group] == nil {
				t.Errorf("no Stats.%s", group)
			}
		}
		if _, ok := self["Stats"]["raft"]; ok != v.p.Spec.Server {
			t.Errorf("Stats.raft is there: %t", ok)
		}
		if name, err := agent.NodeName(); err != nil || name != v.p.Spec.Name {
			t.Errorf("node name %q, %v", name, err)
		}
		host, err := agent.Host()
		must(t, err)
		for _, part := range []string{"Memory", "CPU", "Host", "Disk", "CollectionTime"} {
			if host[part] == nil {
				t.Errorf("host has no %s", part)
			}
		}
		version, err := agent.Version()
		if err != nil || version["HumanVersion"] != "1.21.4" {
			t.Errorf("version %v, %v", version, err)
		}
	})
}

func TestAgentMembers(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		agent := v.api.Agent()
		for _, a := range shared.agents {
			awaitStatus(t, v, a.p.Spec.Name, 1)
		}
		members, err := agent.Members(false)
		must(t, err)
		for _, a := range shared.agents {
			i := slices.IndexFunc(members, func(m *api.AgentMember) bool { return m.Name == a.p.Spec.Name })
			if i < 0 {
				t.Fatalf("%s is not a member of %+v", a.p.Spec.Name, members)
			}
			m := members[i]
			if m.Addr != a.p.Spec.Bind || m.Port != 8301 || m.Status != 1 {
				t.Errorf("member %+v", m)
			}
			role, acls := "consul", api.MemberACLMode(api.ACLModeDisabled)
			if !a.p.Spec.Server {
				role, acls = "node", api.ACLModeUnknown
			}
			if m.Tags["role"] != role || m.Tags["dc"] != "dc1" || len(m.Tags["id"]) != 36 || m.ACLMode() != acls {
				t.Errorf("%s: tags %v, ACL mode %s", m.Name, m.Tags, m.ACLMode())
			}
		}
		want := servers
		if !v.p.Spec.Server {
			want = 0
		}
		within(t, "the servers have joined each other's WAN pools", func() error {
			wan, err := agent.Members(true)
			if err == nil && (len(wan) != want || want > 0 && !strings.HasSuffix(wan[0].Name, ".dc1")) {
				err = fmt.Errorf("%d WAN members, want %d", len(wan), want)
			}
			return err
		})
		some, err := agent.MembersOpts(api.MembersOpts{Segment: api.AllSegments, Filter: `Tags.role == "consul"`})
		if err != nil || len(some) != servers {
			t.Errorf("filtered: %d, %v", len(some), err)
		}
		_, err = agent.MembersOpts(api.MembersOpts{WAN: true, Segment: "alpha"})
		mustSay(t, err, "Cannot provide a segment with wan=true")
		_, err = agent.MembersOpts(api.MembersOpts{Filter: "Nope == 1"})
		mustSay(t, err, "Failed to create boolean expression evaluator")
	})
}

func TestAgentJoinAndForceLeave(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		agent := v.api.Agent()
		for _, a := range shared.agents { // itself is one of them
			must(t, agent.Join(a.p.Spec.Bind, false))
		}
		nobody := net.JoinHostPort(shared.alloc.Loopback(1)[0], "8301")
		err := agent.Join(nobody, false)
		mustSay(t, err, nobody)
		mustSay(t, err, "Failed to join")
		var status api.StatusError
		if !errors.As(err, &status) || status.Code != 500 {
			t.Errorf("status %d", status.Code)
		}
		mustSay(t, agent.ForceLeave("nobody"), "agent: No node found with name 'nobody'")
		mustSay(t, agent.ForceLeavePrune("nobody"), "agent: No node found with name 'nobody'")
	})
}

// memberStatus returns what v says of a member: 0 when there is none.
func memberStatus(v *via, name string) (int, error) {
	members, err := v.api.Agent().Members(false)
	for _, m := range members {
		if m.Name == name {
			return m.Status, err
		}
	}
	return 0, err
}

// awaitStatus waits until v says that a member has the status.
func awaitStatus(t *testing.T, v *via, name string, want int) {
	t.Helper()
	within(t, fmt.Sprintf("%s has status %d at the %s", name, want, v.role), func() error {
		got, err := memberStatus(v, name)
		if err == nil && got != want {
			err = fmt.Errorf("status %d", got)
		}
		return err
	})
}

// awaitEverywhere waits until all agents say so.
func awaitEverywhere(t *testing.T, name string, want int) {
	t.Helper()
	for _, v := range ways(t) {
		awaitStatus(t, v, name, want)
	}
}

func TestAgentLeaves(t *testing.T) {
	guest := shared.join(t, "leaver")
	awaitEverywhere(t, "leaver", 1)
	must(t, guest.api.Agent().Leave())
	select {
	case <-guest.p.Exited():
	case <-time.After(patience):
		t.Fatal("the agent still runs after it left")
	}
	if err := guest.p.Err(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, guest.p.LogTail(2000))
	}
	awaitEverywhere(t, "leaver", 3)
	must(t, ways(t)[1].api.Agent().ForceLeavePrune("leaver"))
	awaitEverywhere(t, "leaver", 0)
}

func TestAgentForceLeave(t *testing.T) {
	guest := shared.join(t, "killed")
	awaitEverywhere(t, "killed", 1)
	guest.p.Kill()
	awaitEverywhere(t, "killed", 4)
	must(t, ways(t)[2].api.Agent().ForceLeave("killed"))
	awaitEverywhere(t, "killed", 3)
	must(t, ways(t)[2].api.Agent().ForceLeaveOpts("killed", api.ForceLeaveOpts{Prune: true}))
	awaitEverywhere(t, "killed", 0)
}

func TestAgentReloadMonitorMetrics(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		agent := v.api.Agent()
		stop := make(chan struct{})
		defer close(stop)
		plain, err := agent.Monitor("debug", stop, nil)
		must(t, err)
		coded, err := agent.MonitorJSON("debug", stop, nil)
		must(t, err)
		must(t, agent.Reload()) // makes something to log
		var first string
		select {
		case first = <-plain:
		case <-time.After(patience):
		}
		if !strings.Contains(first, "[") {
			t.Errorf("first line %q", first)
		}
		select {
		case line := <-coded:
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
		case <-time.After(patience):
			t.Error("no line in JSON")
		}
		_, err = agent.Monitor("loud", stop, nil)
		mustSay(t, err, "Unknown log level: loud")
		metrics, err := agent.Metrics()
		must(t, err)
		if metrics.Timestamp == "" || len(metrics.Gauges) == 0 || len(metrics.Counters) == 0 && len(metrics.Samples) == 0 {
			t.Errorf("metrics of %q: %d gauges, %d counters, %d samples", metrics.Timestamp, len(metrics.Gauges), len(metrics.Counters), len(metrics.Samples))
		}
	})
}
