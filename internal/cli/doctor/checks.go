package doctor

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Status numbers of members, which are Serf's.
const (
	statusAlive  = 1
	statusFailed = 4
)

// checks are all there is to look for, in the order it is shown.
var checks = []func(*cluster) []finding{
	checkAgents, checkLeader, checkKeys, checkStalePeers, checkMembers, checkServers, checkReach, checkGossip, checkJoin, checkVersions,
	checkClocks, plainGossip.find, checkScripts, plainHTTP.find, unverifiedRPC.find, unverifiedHTTPS.find, checkCertificates, checkDisks,
}

func checkAgents(c *cluster) []finding {
	var list []finding
	for _, v := range c.views {
		if v.err != nil && v.named {
			list = append(list, finding{
				warning, "agent", v.address, "The agent at " + v.address + " could not be asked.", []string{v.err.Error()},
				"Start it, or take the address out of -addr or of the context (`ctl context show`).",
			})
		}
	}
	return list
}

func checkLeader(c *cluster) []finding {
	if len(c.home()) == 0 {
		return nil // all are kept out by their gossip key, which explains it
	}
	leaders := map[string][]string{}
	var without []string
	unexplained := 0
	for _, v := range c.home() {
		switch {
		case v.leaderErr != nil:
			without = append(without, fmt.Sprintf("%s cannot tell the leader: %v", v.where(), v.leaderErr))
		case v.leader == "":
			without = append(without, v.where()+" knows no leader")
		default:
			leaders[v.leader] = append(leaders[v.leader], v.where())
			continue
		}
		if !v.stuck() {
			unexplained++
		}
	}
	switch {
	case len(leaders) > 1:
		var evidence []string
		for _, leader := range slices.Sorted(maps.Keys(leaders)) {
			evidence = append(evidence, leader+" for "+strings.Join(leaders[leader], ", "))
		}
		return []finding{{
			critical, "leader", "", "Agents name different leaders.", evidence,
			"During an election this passes within seconds. Where it stays, the network is split: mend the server RPC port (8300) between the servers.",
		}}
	case len(leaders) == 1 && unexplained > 0:
		return []finding{{
			critical, "leader", "", "Some agents know no leader.", without,
			"Mend their way to the servers: gossip (8301) and server RPC (8300); `ctl monitor` at each says what fails.",
		}}
	case len(leaders) == 1:
		return nil
	}
	return []finding{c.leaderless(without)}
}

// leaderless says why there is no leader, as far as that is known.
func (c *cluster) leaderless(evidence []string) finding {
	f := finding{Severity: critical, Check: "leader", Summary: "The cluster has no leader.", Evidence: evidence}
	if c.raft == nil || len(c.raft.Servers) == 0 {
		servers, expect := 0, ""
		for _, m := range c.ok()[0].members {
			if m.Tags["role"] == "consul" && m.Status == statusAlive {
				servers++
				expect = max(expect, m.Tags["expect"])
			}
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees %d live servers", c.ok()[0].where(), servers))
		if expect != "" {
			f.Evidence = append(f.Evidence, "bootstrap_expect is "+expect)
		}
		f.Fix = "Start as many servers as bootstrap_expect says, with the same bootstrap_expect, gossip key and retry_join on all; `ctl monitor` at a server says what it waits for."
		return f
	}
	voters, alive := c.voters()
	var missing []string
	for _, s := range c.raft.Servers {
		if m := c.member(s); s.Voter && !living(m) {
			missing = append(missing, fmt.Sprintf("%s (%s) is %s for %s", nameOf(s, m), s.Address, state(m), c.raftFrom.where()))
		}
	}
	need := voters/2 + 1
	if alive >= need {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%d of %d voting servers are alive, enough for a leader", alive, voters))
		f.Fix = "During an election this passes within seconds. Where it stays, mend the server RPC port (8300) between the servers; `ctl monitor` at each says what fails."
		return f
	}
	f.Check = "quorum"
	f.Summary = fmt.Sprintf("No quorum: %d of %d voting servers alive, %d needed; nothing can be written.", alive, voters, need)
	f.Evidence = append(f.Evidence, missing...)
	f.Fix = fmt.Sprintf("Start %d or more of the missing servers again, with their data directories. See \"A majority lost for good\" in docs/how-to/recover.md where they are lost.", need-alive)
	return f
}

// voters counts the voting servers, and those of them that are alive.
func (c *cluster) voters() (all, alive int) {
	for _, s := range c.raft.Servers {
		if !s.Voter {
			continue
		}
		all++
		if living(c.member(s)) {
			alive++
		}
	}
	return all, alive
}

// spare returns how many voting servers may still be lost, by who is alive now.
// Autopilot says the same some seconds later.
func (c *cluster) spare() int {
	all, alive := c.voters()
	return max(0, alive-(all/2+1))
}

func living(m *api.AgentMember) bool { return m != nil && m.Status == statusAlive }

// member returns the member a raft peer is, nil for none.
func (c *cluster) member(s *api.RaftServer) *api.AgentMember {
	var byAddress *api.AgentMember
	for _, m := range c.raftFrom.members {
		if m.Tags["role"] != "consul" {
			continue
		}
		if m.Tags["id"] == s.ID {
			return m
		}
		if m.Tags["id"] == "" && net.JoinHostPort(m.Addr, m.Tags["port"]) == s.Address {
			byAddress = m
		}
	}
	return byAddress
}

func nameOf(s *api.RaftServer, m *api.AgentMember) string {
	switch {
	case m != nil:
		return m.Name
	case s.Node != "" && s.Node != "(unknown)":
		return s.Node
	default:
		return s.ID
	}
}

func state(m *api.AgentMember) string {
	if m == nil {
		return "no member"
	}
	if i := m.Status; i > 0 && i < 5 {
		return [...]string{"", "alive", "leaving", "left", "failed"}[i]
	}
	return "in an unknown state"
}

// checkStalePeers looks for raft peers that are gone: they count in the quorum
// and never vote. A failed member may come back; checkMembers has it.
func checkStalePeers(c *cluster) []finding {
	if c.raft == nil {
		return nil
	}
	var list []finding
	for _, s := range c.raft.Servers {
		m := c.member(s)
		if m != nil && (m.Status == statusAlive || m.Status == statusFailed) {
			continue
		}
		fix := "Remove it: `ctl operator raft remove-peer -id " + s.ID + "`"
		if c.raftFrom.leader == "" {
			fix = "As soon as there is a leader again, remove it: `ctl operator raft remove-peer -id " + s.ID + "`"
		}
		list = append(list, finding{
			warning, "stale-peer", nameOf(s, m), fmt.Sprintf("%s is a raft peer, but no live server: it counts in the quorum and never votes.", nameOf(s, m)),
			[]string{fmt.Sprintf("raft has %s at %s (voter: %t)", s.ID, s.Address, s.Voter), fmt.Sprintf("it is %s for %s", state(m), c.raftFrom.where())},
			fix + ". Where that server does run, it cannot join: compare its gossip key and the gossip port (8301).",
		})
	}
	return list
}

func checkMembers(c *cluster) []finding {
	var list []finding
	for _, o := range c.opinions {
		if len(o.failed) == 0 || o.split() || c.keptOut(o.member.Addr) != nil {
			continue
		}
		m := o.member
		f := finding{
			Severity: warning, Check: "member", Subject: m.Name, Summary: fmt.Sprintf("The client %s has failed.", m.Name),
			Fix: fmt.Sprintf("Start the agent on %s again, or mend its network (gossip port 8301, TCP and UDP); if it ended by itself, the end of its log says why. If it is gone for good: `ctl force-leave %s`", m.Name, m.Name),
		}
		for _, v := range o.failed {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees %s (%s) failed", v.where(), m.Name, m.Addr))
		}
		if m.Tags["role"] == "consul" {
			f.Severity, f.Summary = critical, fmt.Sprintf("The server %s has failed.", m.Name)
			if c.raft != nil {
				f.Evidence = append(f.Evidence, fmt.Sprintf("the servers can lose %d more", c.spare()))
			}
			if id := m.Tags["id"]; id != "" && c.raft != nil && slices.ContainsFunc(c.raft.Servers, func(s *api.RaftServer) bool { return s.ID == id }) {
				f.Evidence = append(f.Evidence, "it is still a raft peer, and counts in the quorum")
				f.Fix += fmt.Sprintf(", and if it stays a raft peer `ctl operator raft remove-peer -id %s`", id)
			}
		}
		f.Fix += "."
		list = append(list, f)
	}
	return list
}

// neverContact is shorter than the time autopilot gives where there was none.
const neverContact = 10 * 365 * day

func checkServers(c *cluster) []finding {
	if c.autopilot == nil {
		return nil
	}
	var list []finding
	leader := c.autopilot.Servers[c.autopilot.Leader]
	for _, id := range slices.Sorted(maps.Keys(c.autopilot.Servers)) {
		s := c.autopilot.Servers[id]
		if s.Healthy || s.NodeStatus != "alive" {
			continue // one that is not alive is a failed member
		}
		if v := c.view(s.Name); v != nil && v.stuck() {
			continue // checkDisks has it
		}
		f := finding{
			Severity: warning, Check: "server", Subject: s.Name,
			Summary: fmt.Sprintf("The server %s is alive, but not healthy: it does not keep up with the leader.", s.Name),
			Fix:     "After a start this passes. Where it stays, look at that server's disk and network, and at `ctl monitor -http-addr` there; the limits are in `ctl operator autopilot get-config`.",
		}
		switch {
		case s.LastContact == nil:
		case s.LastContact.Duration() > neverContact:
			f.Evidence = append(f.Evidence, "the leader has had no contact with it")
		default:
			f.Evidence = append(f.Evidence, "last contact with the leader "+s.LastContact.String()+" ago")
		}
		if leader.LastIndex > s.LastIndex {
			f.Evidence = append(f.Evidence, fmt.Sprintf("it is %d log entries behind", leader.LastIndex-s.LastIndex))
		}
		f.Evidence = append(f.Evidence, "autopilot calls it unhealthy; status "+string(s.Status))
		list = append(list, f)
	}
	return list
}

func checkVersions(c *cluster) []finding {
	builds := map[string][]string{}
	from := c.ok()[0]
	for _, m := range from.members {
		if m.Status == statusAlive && m.Tags["build"] != "" {
			builds[m.Tags["build"]] = append(builds[m.Tags["build"]], m.Name)
		}
	}
	if len(builds) < 2 {
		return nil
	}
	var evidence []string
	for _, build := range slices.Sorted(maps.Keys(builds)) {
		names := builds[build]
		slices.Sort(names)
		text := strings.Join(names[:min(len(names), 10)], ", ")
		if len(names) > 10 {
			text += fmt.Sprintf(" and %d more", len(names)-10)
		}
		evidence = append(evidence, fmt.Sprintf("%s: %s", build, text))
	}
	return []finding{{
		warning, "version", "", fmt.Sprintf("Members run %d different versions.", len(builds)), evidence,
		"Finish the upgrade: servers first, the leader last, then clients. `ctl members -detailed` shows the builds.",
	}}
}
