package doctor

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Status numbers of members, which are Serf's.
const (
	statusAlive  = 1
	statusFailed = 4
)

// checks are all there is to look for, in the order it is shown.
var checks = []func(*cluster) []finding{
	checkAgents, checkLeader, checkStalePeers, checkMembers, checkServers, checkGossip, checkJoin, checkVersions,
	checkClocks, checkEncryption, checkScripts, checkHTTP, checkTLS, checkCertificates, checkDisks,
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
	leaders := map[string][]string{}
	var without []string
	for _, v := range c.home() {
		switch {
		case v.leaderErr != nil:
			without = append(without, fmt.Sprintf("%s cannot tell the leader: %v", v.where(), v.leaderErr))
		case v.leader == "":
			without = append(without, v.where()+" knows no leader")
		default:
			leaders[v.leader] = append(leaders[v.leader], v.where())
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
	case len(leaders) == 1 && len(without) > 0:
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
	voters, alive := 0, 0
	var missing []string
	for _, s := range c.raft.Servers {
		if !s.Voter {
			continue
		}
		voters++
		m := c.member(s)
		if m != nil && m.Status == statusAlive {
			alive++
			continue
		}
		missing = append(missing, fmt.Sprintf("%s (%s) is %s for %s", nameOf(s, m), s.Address, state(m), c.raftFrom.where()))
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

// home are the views of agents in the datacenter of the first that answered.
func (c *cluster) home() []*view {
	views := c.ok()
	dc := views[0].self.Config.Datacenter
	return slices.DeleteFunc(views, func(v *view) bool { return v.self.Config.Datacenter != dc })
}

// opinion is how agents see one member.
type opinion struct {
	member        *api.AgentMember // as the first who has it sees it
	alive, failed []*view
	absent        []*view // who do not have it
	itself        *view   // what it says itself; nil if it was not asked
}

// split reports whether agents see the member differently, or see as failed one
// that answers.
func (o *opinion) split() bool {
	return len(o.failed) > 0 && (len(o.alive) > 0 || o.itself != nil) || len(o.alive) > 0 && len(o.absent) > 0
}

// opinions are by name of the member. What a member says of itself does not
// count: it is alive to itself.
func (c *cluster) opinions() []*opinion {
	byName := map[string]*opinion{}
	views := c.home()
	for _, v := range views {
		for _, m := range v.members {
			o := byName[m.Name]
			if o == nil {
				o = &opinion{member: m}
				byName[m.Name] = o
			}
			switch {
			case v.node() == m.Name:
				o.itself = v
			case m.Status == statusAlive:
				o.alive = append(o.alive, v)
			case m.Status == statusFailed:
				o.failed = append(o.failed, v)
			}
		}
	}
	var list []*opinion
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		o := byName[name]
		for _, v := range views {
			if !slices.ContainsFunc(v.members, func(m *api.AgentMember) bool { return m.Name == name }) {
				o.absent = append(o.absent, v)
			}
		}
		if o.itself != nil && len(o.alive) == 0 && len(o.absent) > 0 {
			o.alive = append(o.alive, o.itself) // it runs, and others do not have it
		}
		list = append(list, o)
	}
	return list
}

func checkMembers(c *cluster) []finding {
	var list []finding
	for _, o := range c.opinions() {
		if len(o.failed) == 0 || o.split() {
			continue
		}
		m := o.member
		f := finding{
			Severity: warning, Check: "member", Subject: m.Name, Summary: fmt.Sprintf("The client %s has failed.", m.Name),
			Fix: fmt.Sprintf("Start the agent on %s again, or mend its network (gossip port 8301, TCP and UDP). If it is gone for good: `ctl force-leave %s`", m.Name, m.Name),
		}
		for _, v := range o.failed {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees %s (%s) failed", v.where(), m.Name, m.Addr))
		}
		if m.Tags["role"] == "consul" {
			f.Severity, f.Summary = critical, fmt.Sprintf("The server %s has failed.", m.Name)
			if c.autopilot != nil {
				f.Evidence = append(f.Evidence, fmt.Sprintf("the servers can lose %d more", c.autopilot.FailureTolerance))
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
		f := finding{
			Severity: warning, Check: "server", Subject: s.Name,
			Summary: fmt.Sprintf("The server %s is alive, but not healthy: it does not keep up with the leader.", s.Name),
			Fix:     "After a start this passes. Where it stays, look at that server's disk and network, and at `ctl monitor -http-addr` there; the limits are in `ctl operator autopilot get-config`.",
		}
		if s.LastContact != nil {
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

func checkGossip(c *cluster) []finding {
	var list []finding
	for _, o := range c.opinions() {
		if !o.split() {
			continue
		}
		f := finding{
			Severity: critical, Check: "gossip", Subject: o.member.Name,
			Summary: fmt.Sprintf("Agents disagree about %s (%s): gossip does not get through everywhere.", o.member.Name, o.member.Addr),
			Fix:     "Open the gossip port (8301, TCP and UDP) both ways between those named. Where one is no member for another, also compare their gossip keys (`ctl keyring list`) and retry_join. While a failure is being noticed this passes: ask again.",
		}
		for _, part := range []struct {
			views []*view
			text  string
		}{{o.failed, "sees it failed"}, {o.absent, "does not have it as a member"}, {o.alive, "sees it alive"}} {
			for _, v := range part.views {
				if v != o.itself {
					f.Evidence = append(f.Evidence, v.where()+" "+part.text)
				}
			}
		}
		if o.itself != nil {
			f.Evidence = append(f.Evidence, "it answers HTTP itself at "+o.itself.address)
		}
		list = append(list, f)
	}
	return list
}

// checkJoin looks for addresses to join that are no member's: an agent that does
// not run, is not reached, or has another gossip key. Names and cloud providers
// are not resolved, because another machine may resolve them otherwise.
func checkJoin(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		known := map[netip.Addr]bool{}
		for _, m := range v.members {
			if a, err := netip.ParseAddr(m.Addr); err == nil {
				known[a.Unmap()] = true
			}
		}
		var missing []string
		for _, address := range v.settings.retryJoin {
			host := address
			if h, _, err := net.SplitHostPort(address); err == nil {
				host = h
			}
			a, err := netip.ParseAddr(strings.Trim(host, "[]"))
			if err == nil && !known[a.Unmap()] && !slices.Contains(missing, address) {
				missing = append(missing, address)
			}
		}
		if len(missing) > 0 {
			list = append(list, finding{
				warning, "join", v.node(), fmt.Sprintf("%s is to join %s, which is no member for it.", v.node(), strings.Join(missing, ", ")),
				[]string{fmt.Sprintf("retry_join of %s has %s", v.where(), strings.Join(missing, ", ")), fmt.Sprintf("its %d members have other addresses", len(v.members))},
				"An agent there does not run, its gossip port (8301) is not reached, or it has another gossip key (encrypt): `ctl keyring list` on both sides, and \"decrypt\" in the log (`ctl monitor`). An address that is out of use goes out of retry_join.",
			})
		}
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

// Clocks: an answer's date is cut to seconds, so less than a second is unseen.
const (
	skewWarning = 2 * time.Second
	skewProven  = time.Second
)

func checkClocks(c *cluster) []finding {
	var off []*view
	known := 0
	for _, v := range c.ok() {
		if !v.skew.known {
			continue
		}
		known++
		if size := v.skew.ahead.Abs(); size >= skewWarning && size-v.skew.margin >= skewProven {
			off = append(off, v)
		}
	}
	evidence := func(v *view) string {
		word := "ahead of"
		if v.skew.ahead < 0 {
			word = "behind"
		}
		return fmt.Sprintf("the clock of %s is %v %s this machine's, give or take %v", v.where(),
			v.skew.ahead.Abs().Round(100*time.Millisecond), word, v.skew.margin.Round(100*time.Millisecond))
	}
	const fix = "Run a time service (chrony, systemd-timesyncd) there and let it step the clock; certificates, TTLs and logs rely on it."
	agree := known > 1 && len(off) == known
	for _, v := range off {
		agree = agree && (v.skew.ahead-off[0].skew.ahead).Abs() < skewWarning
	}
	var list []finding
	for i, v := range off {
		f := finding{warning, "clock", v.node(), fmt.Sprintf("The clock of %s differs from this machine's.", v.node()), []string{evidence(v)}, fix}
		if agree {
			if i > 0 {
				list[0].Evidence = append(list[0].Evidence, evidence(v))
				continue
			}
			f.Subject, f.Summary = "this machine", "The clock of this machine differs from that of all agents asked, which agree."
		}
		list = append(list, f)
	}
	return list
}

// public reports whether an address is reached from other machines, as far as
// the address says.
func public(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "/") || address == "" {
		return false
	}
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return !a.Unmap().IsLoopback()
	}
	return host != "localhost"
}

// publicOf returns those addresses that are public.
func publicOf(addresses []string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return !public(a) })
}

func checkEncryption(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.self.Stats["serf_lan"]["encrypted"] == "false" && public(v.settings.serfAddr) {
			list = append(list, finding{
				warning, "encryption", v.node(), fmt.Sprintf("Gossip of %s is not encrypted: whoever reaches its port can join and read.", v.node()),
				[]string{fmt.Sprintf("%s has no gossip key, and gossips at %s", v.where(), v.settings.serfAddr)},
				"Make a key with `ctl keygen`, and set encrypt on all agents as docs/how-to/encrypt-gossip.md says.",
			})
		}
	}
	return list
}

// checkScripts looks for agents that run what anybody tells them to.
func checkScripts(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		s := v.settings
		open := publicOf(s.httpAddrs)
		if !s.tls.HTTPS.VerifyIncoming {
			open = append(open, publicOf(s.httpsAddrs)...)
		}
		if !s.remoteScripts || len(open) == 0 {
			continue
		}
		f := finding{
			critical, "script-checks", v.node(), fmt.Sprintf("Whoever reaches the HTTP API of %s can run commands there.", v.node()),
			[]string{fmt.Sprintf("%s has enable_script_checks on, and its API at %s", v.where(), strings.Join(open, ", "))},
			"Set enable_local_script_checks in place of enable_script_checks: scripts then come only from the agent's files. Or let the API listen on loopback only (client_addr).",
		}
		if len(s.writeFrom) > 0 {
			f.Severity = warning
			f.Summary = fmt.Sprintf("Whoever may write to the HTTP API of %s can run commands there.", v.node())
			f.Evidence = append(f.Evidence, "allow_write_http_from has "+strings.Join(s.writeFrom, ", "))
		}
		list = append(list, f)
	}
	return list
}

func checkHTTP(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if open := publicOf(v.settings.httpAddrs); len(open) > 0 {
			list = append(list, finding{
				warning, "http", v.node(), fmt.Sprintf("The HTTP API of %s is open to the network, without TLS.", v.node()),
				[]string{fmt.Sprintf("%s listens for HTTP at %s", v.where(), strings.Join(open, ", "))},
				"Let HTTP listen on loopback only (client_addr or addresses.http = \"127.0.0.1\"), and open ports.https with certificates for others: docs/how-to/tls-cluster.md.",
			})
		}
	}
	return list
}

func checkTLS(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		s := v.settings
		if s.tls.InternalRPC.CertFile != "" && !s.tls.InternalRPC.VerifyIncoming && v.self.Config.Server {
			list = append(list, finding{
				warning, "tls", v.node(), fmt.Sprintf("The server %s has a certificate, but takes calls of whoever has none.", v.node()),
				[]string{v.where() + " has verify_incoming off for internal_rpc"},
				"Set tls.internal_rpc.verify_incoming (or tls.defaults) to true once all agents have certificates.",
			})
		}
		if open := publicOf(s.httpsAddrs); s.tls.HTTPS.CertFile != "" && !s.tls.HTTPS.VerifyIncoming && len(open) > 0 {
			list = append(list, finding{
				note, "tls", v.node(), fmt.Sprintf("The HTTPS API of %s asks nobody for a certificate.", v.node()),
				[]string{fmt.Sprintf("%s has verify_incoming off for https, at %s", v.where(), strings.Join(open, ", "))},
				"Where only those with a certificate shall come in, set tls.https.verify_incoming to true.",
			})
		}
	}
	return list
}

const day = 24 * time.Hour

// Before a certificate ends: one that is a file, or a root, somebody has to
// replace; one of auto_encrypt the agent renews by itself, long before its end.
const (
	expirySoon     = 30 * day
	expiryUrgent   = 2 * day
	expiryRenewing = 6 * time.Hour
)

func checkCertificates(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.expiry == nil {
			continue
		}
		left, soon, urgent := *v.expiry, expirySoon, expiryUrgent
		fix := "Replace the file before, and reload: docs/how-to/rotate-certificates.md."
		if v.settings.autoEncrypt {
			soon, urgent = expiryRenewing, 0
			fix = "The agent renews it itself, and could not: see that it reaches the servers, and that they have a leader; `ctl monitor` says what fails."
		}
		if left < soon {
			list = append(list, expiring(left, urgent, v.node(), "The TLS certificate of "+v.node(), v.where()+" reports it as agent.tls.cert.expiry", fix))
		}
	}
	if c.roots == nil {
		return list
	}
	for _, root := range c.roots.Roots {
		if left := root.NotAfter.Sub(c.now); root.Active && !root.NotAfter.IsZero() && left < expirySoon {
			list = append(list, expiring(left, expiryUrgent, "root", "The active root certificate of Connect", fmt.Sprintf("%q ends at %s", root.Name, root.NotAfter.UTC().Format(time.RFC3339)),
				"Rotate it: `ctl connect ca rotate`, docs/how-to/rotate-the-root.md."))
		}
	}
	return list
}

func expiring(left, urgent time.Duration, subject, what, evidence, fix string) finding {
	f := finding{warning, "certificate", subject, fmt.Sprintf("%s ends in %s.", what, roughly(left)), []string{evidence}, fix}
	if left < urgent || left <= 0 {
		f.Severity = critical
	}
	if left <= 0 {
		f.Summary = fmt.Sprintf("%s ended %s ago.", what, roughly(-left))
	}
	return f
}

func roughly(d time.Duration) string {
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}

// Limits of a data directory's disk.
const (
	leastFree      = 1 << 30
	leastFreeShare = 0.05
	slowFsync      = 0.1
)

func checkDisks(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.diagnosis == nil || v.diagnosis.DataDir == nil {
			continue // it keeps nothing on disk, or cannot tell
		}
		d := v.diagnosis.DataDir
		if d.TotalBytes > 0 && (d.FreeBytes < leastFree || float64(d.FreeBytes) < leastFreeShare*float64(d.TotalBytes)) {
			list = append(list, finding{
				critical, "disk", v.node(), fmt.Sprintf("The disk of %s is nearly full.", v.node()),
				[]string{fmt.Sprintf("%s has %.1f of %.1f GiB free at %s", v.where(), gib(d.FreeBytes), gib(d.TotalBytes), d.Path)},
				"Make room there, or move data_dir to a larger disk: a server that cannot write its log stops.",
			})
		}
		if d.Error != "" {
			list = append(list, finding{
				critical, "disk", v.node(), fmt.Sprintf("The data directory of %s cannot be written.", v.node()),
				[]string{v.where() + ": " + d.Error},
				"Make room there, or give the agent's user the right to write; see that the disk is not mounted read-only.",
			})
		}
		if d.FsyncSeconds != nil && *d.FsyncSeconds > slowFsync {
			list = append(list, finding{
				warning, "disk", v.node(), fmt.Sprintf("The disk of %s is slow.", v.node()),
				[]string{fmt.Sprintf("%s took %.0f ms to have 4 KiB on disk at %s", v.where(), 1000**d.FsyncSeconds, d.Path)},
				"Every write to the cluster waits for the servers' disks. Put data_dir on a disk of its own, an SSD; look for what else writes there.",
			})
		}
	}
	return list
}

func gib(n uint64) float64 { return float64(n) / (1 << 30) }
