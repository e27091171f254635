package doctor

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// keyRecent is for how long a refusal counts: an agent that cannot join tries
// again every 30 seconds, or as retry_interval says.
const keyRecent = 5 * time.Minute

// keyStale is when a refusal does not count any more where its host has become a
// member meanwhile.
const keyStale = time.Minute

// Reasons of refused gossip, as the agent says them.
const (
	otherKey   = "other-key"
	noKeyHere  = "no-key-here"
	noKeyThere = "no-key-there"
)

// keyTrouble is an address whose agent and the others do not read each other,
// because of the gossip key.
type keyTrouble struct {
	host     netip.Addr
	node     string // empty if nobody knows
	keyless  bool   // it has no key, and the others have one
	keyed    bool   // the reverse
	refusing string // the node of an agent that refuses its gossip; or empty
	evidence []string
}

// readKeys finds agents that are kept out by their gossip key: what others
// refuse of them, and what they say themselves.
func (c *cluster) readKeys() {
	c.byHost = map[netip.Addr]*keyTrouble{}
	trouble := func(host netip.Addr) *keyTrouble {
		k := c.byHost[host]
		if k == nil {
			k = &keyTrouble{host: host}
			c.keys = append(c.keys, k)
			c.byHost[host] = k
		}
		return k
	}
	for _, v := range c.ok() {
		v.readOwnKey(trouble)
	}
	for _, v := range c.ok() {
		if v.gossip() == nil || v.cutOff {
			continue
		}
		for _, r := range v.gossip().Refused {
			host, err := netip.ParseAddr(r.Host)
			ago := time.Duration(r.SecondsAgo * float64(time.Second))
			if err != nil || ago > keyRecent || ago > keyStale && v.aliveAt(host) ||
				r.Reason != otherKey && r.Reason != noKeyHere && r.Reason != noKeyThere {
				continue
			}
			k := trouble(host.Unmap())
			k.refusing = cmp.Or(k.refusing, v.node())
			k.keyless = k.keyless || r.Reason == noKeyThere
			k.keyed = k.keyed || r.Reason == noKeyHere
			times := "times"
			if r.Count == 1 {
				times = "time"
			}
			k.evidence = append(k.evidence, fmt.Sprintf("%s refused gossip of %s %d %s, %s ago the last: %s",
				v.where(), r.Host, r.Count, times, seconds(r.SecondsAgo), refusedText(r.Reason)))
		}
	}
	if len(c.keys) == 0 {
		return
	}
	for _, v := range c.ok() {
		for _, m := range v.members {
			k := c.keptOut(m.Addr)
			if k == nil {
				continue
			}
			k.node = cmp.Or(k.node, m.Name)
			if m.Status == statusFailed {
				k.evidence = append(k.evidence, fmt.Sprintf("%s sees %s failed", v.where(), m.Name))
			}
		}
	}
}

func refusedText(reason string) string {
	switch reason {
	case noKeyHere:
		return "it is encrypted, and this agent has no key"
	case noKeyThere:
		return "it is not encrypted, and this agent has a key"
	default:
		return "it is encrypted with a key that this agent does not have"
	}
}

// readOwnKey looks whether the agent itself joins nobody because of its key.
func (v *view) readOwnKey(trouble func(netip.Addr) *keyTrouble) {
	if v.gossip() == nil || v.othersAlive() {
		return
	}
	own, ok := v.ownAddress()
	if !ok {
		return
	}
	for _, j := range v.gossip().Joins {
		for _, f := range j.Failures {
			if j.Pool != "lan" || f.Reason == "" {
				continue
			}
			k := trouble(own)
			k.node, v.cutOff = v.node(), true
			k.keyless = k.keyless || f.Reason == noKeyHere
			k.keyed = k.keyed || f.Reason == noKeyThere
			k.evidence = append(k.evidence, fmt.Sprintf("%s tried %d times to join, and is alone: %s: %s", v.where(), j.Attempts, f.Address, oneLine(f.Error)))
		}
	}
}

func (v *view) othersAlive() bool {
	return slices.ContainsFunc(v.members, func(m *api.AgentMember) bool { return m.Name != v.node() && m.Status == statusAlive })
}

// ownAddress is where the agent gossips, as it tells others.
func (v *view) ownAddress() (netip.Addr, bool) {
	for _, m := range v.members {
		if m.Name == v.node() {
			a, err := netip.ParseAddr(m.Addr)
			return a.Unmap(), err == nil
		}
	}
	return netip.Addr{}, false
}

// aliveAt reports whether the agent has another alive member at the address.
func (v *view) aliveAt(host netip.Addr) bool {
	return slices.ContainsFunc(v.members, func(m *api.AgentMember) bool {
		a, err := netip.ParseAddr(m.Addr)
		return err == nil && a.Unmap() == host && m.Status == statusAlive && m.Name != v.node()
	})
}

// keptOut returns the trouble of the agent at an address, nil for none.
func (c *cluster) keptOut(address string) *keyTrouble {
	a, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil {
		return nil
	}
	return c.byHost[a.Unmap()]
}

func checkKeys(c *cluster) []finding {
	var list []finding
	for _, k := range c.keys {
		name := "the agent at " + k.host.String()
		if k.node != "" {
			name = fmt.Sprintf("%s (%s)", k.node, k.host)
		}
		whose := cmp.Or(k.refusing, "one of them")
		f := finding{
			Severity: critical, Check: "gossip-key", Subject: cmp.Or(k.node, k.host.String()), Evidence: k.evidence,
			Summary: upper(name) + " has another gossip key than the others: neither reads the other.",
			Fix: fmt.Sprintf("Give %s the key of the others: `ctl keyring list` at %s lists it, encrypt takes it. A file serf/local.keyring in data_dir wins over encrypt: move it away, and start that agent again.",
				name, whose),
		}
		switch {
		case k.keyless:
			f.Summary = upper(name) + " has no gossip key, and the others have one: it cannot join."
			f.Fix = fmt.Sprintf("Set encrypt of %s to the key of the others (`ctl keyring list` at %s), and start it again.", name, whose)
		case k.keyed:
			f.Summary = upper(name) + " has a gossip key, and the others have none: it cannot join."
			f.Fix = fmt.Sprintf("Take encrypt from %s, with the file serf/local.keyring in its data_dir, or better give all others that key: docs/how-to/encrypt-gossip.md.", name)
		}
		if k.node == "" {
			f.Fix += " If no agent of yours is at that address, somebody tries to join: close the gossip port to it."
		}
		list = append(list, f)
	}
	return list
}

func upper(s string) string {
	if rest, ok := strings.CutPrefix(s, "the "); ok {
		return "The " + rest
	}
	return s
}

// checkJoin looks for addresses to join that are no member's: an agent that does
// not run, or is not reached. Names and cloud providers are not resolved, because
// another machine may resolve them otherwise. A gossip key is checkKeys' matter.
func checkJoin(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.cutOff {
			continue
		}
		missing := v.notJoined(c)
		failures := v.joinFailures()
		if len(missing) == 0 && (len(failures) == 0 || v.othersAlive()) {
			continue
		}
		f := finding{
			Severity: warning, Check: "join", Subject: v.node(),
			Fix: "An agent there does not run, its gossip port (8301) is not reached, or it has another gossip key (encrypt): `ctl keyring list` on both sides, and \"decrypt\" in the log (`ctl monitor`). An address that is out of use goes out of retry_join.",
		}
		if len(missing) > 0 {
			f.Summary = fmt.Sprintf("%s is to join %s, which is no member for it.", v.node(), strings.Join(missing, ", "))
			f.Evidence = []string{fmt.Sprintf("retry_join of %s has %s", v.where(), strings.Join(missing, ", ")), fmt.Sprintf("its %d members have other addresses", len(v.members))}
		} else {
			f.Summary = fmt.Sprintf("%s joins nobody: none of the addresses in its retry_join answers.", v.node())
		}
		f.Evidence = append(f.Evidence, failures...)
		list = append(list, f)
	}
	return list
}

// notJoined returns the addresses of retry_join that are no member's, but for
// those that are kept out by their gossip key.
func (v *view) notJoined(c *cluster) []string {
	if len(v.settings.retryJoin) == 0 {
		return nil
	}
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
		if err == nil && !known[a.Unmap()] && !slices.Contains(missing, address) && c.keptOut(host) == nil {
			missing = append(missing, address)
		}
	}
	return missing
}

// joinFailures is what the agent's last attempt to join met, while it has not
// joined.
func (v *view) joinFailures() []string {
	var list []string
	if v.gossip() == nil {
		return nil
	}
	for _, j := range v.gossip().Joins {
		for _, f := range j.Failures {
			if j.Pool == "lan" && j.State != "joined" {
				list = append(list, fmt.Sprintf("%s tried %d times; %s: %s", v.where(), j.Attempts, f.Address, oneLine(f.Error)))
			}
		}
	}
	return list
}

// oneLine is for errors that list others over several lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
