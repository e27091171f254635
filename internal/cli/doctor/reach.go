package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// gossip is what an agent tells of gossip in its diagnosis.
type gossip struct {
	Encrypted bool
	Probes    []probe
	Refused   []struct {
		Host, Reason string
		Count        uint64
		SecondsAgo   float64
	}
	Joins []struct {
		Pool, State string
		Attempts    int
		Failures    []struct{ Address, Error, Reason string }
	}
}

// probe is one member as an agent reaches it.
type probe struct {
	Member, Address string
	Status          int
	PingSeconds     *float64
	PingError       string
	StreamError     string
	HeardSecondsAgo *float64
}

func (p *probe) failed() bool { return p.PingError != "" || p.StreamError != "" }

// rounds is how often a probe that failed is repeated. A packet may get lost
// once; and only in a later round can an agent say that it heard the ping of an
// earlier one.
const rounds = 2

// confirm repeats the probes that failed, from both ends where both were asked.
// A member that does not answer anybody is no matter of gossip: checkMembers has
// it.
func (o *options) confirm(ctx context.Context, c *cluster) {
	c.since = time.Now()
	wanted := map[*view][]string{}
	want := func(v *view, member string) {
		if !slices.Contains(wanted[v], member) && len(wanted[v]) < maxMembersAsked {
			wanted[v] = append(wanted[v], member)
		}
	}
	for _, v := range c.home() {
		if v.gossip() == nil {
			continue
		}
		for _, p := range v.gossip().Probes {
			other := c.view(p.Member)
			if !p.failed() || other == nil && p.Status != statusAlive {
				continue
			}
			want(v, p.Member)
			if other != nil && other.gossip() != nil {
				want(other, v.node())
			}
		}
	}
	for range rounds {
		var wg sync.WaitGroup
		turn := make(chan struct{}, maxAsked)
		for v, members := range wanted {
			wg.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				o.probeAgain(ctx, v, members)
			})
		}
		wg.Wait()
	}
}

// maxMembersAsked is how many members an agent probes in one request.
const maxMembersAsked = 16

// probeAgain keeps what came of it; an agent that does not answer any more keeps
// what it said.
func (o *options) probeAgain(ctx context.Context, v *view, members []string) {
	var d diagnosis
	path := "/v1/ctl/diagnose?" + url.Values{"member": members}.Encode()
	if _, err := o.get(ctx, v, path, &d); err != nil || d.Gossip == nil {
		return
	}
	v.again = map[string]probe{}
	for _, p := range d.Gossip.Probes {
		v.again[p.Member] = p
	}
}

// gossip is what the agent tells of gossip, nil where it cannot.
func (v *view) gossip() *gossip {
	if v.diagnosis == nil {
		return nil
	}
	return v.diagnosis.Gossip
}

// view returns the view of the agent of that name, nil if it was not asked.
func (c *cluster) view(node string) *view { return c.byNode[node] }

// ways are what is wrong on the way between two agents.
type way int

const (
	wayOpen   way = iota
	wayThere      // packets of the first do not reach the second
	wayBack       // the reverse
	wayBoth       // neither
	wayNoPong     // packets come both ways, and still no ping is answered
	waySilent     // the second was not asked, and does not answer the first
	wayStream     // packets pass, but no TCP connection can be opened
)

// trouble is the way between two agents, of which the second may not have been
// asked.
type trouble struct {
	from, to       *view // to is nil if it was not asked
	name           string
	there, back    probe
	way            way
	evidence       []string
	sender, target string // names, of the shut direction
}

// troubles are all pairs between which gossip does not pass, each once.
func (c *cluster) troubles() []*trouble {
	var list []*trouble
	seen := map[[2]string]bool{}
	for _, v := range c.home() {
		for _, name := range slices.Sorted(maps.Keys(v.again)) {
			there := v.again[name]
			pair := [2]string{min(v.node(), name), max(v.node(), name)}
			if seen[pair] {
				continue
			}
			t := &trouble{from: v, to: c.view(name), name: name, there: there, sender: v.node(), target: name}
			if t.to != nil {
				t.back = t.to.again[v.node()]
			}
			if t.way = c.wayOf(t); t.way == wayOpen {
				continue
			}
			seen[pair] = true
			if t.way == wayBack {
				t.sender, t.target = name, v.node()
			}
			t.evidence = c.evidenceOf(t)
			list = append(list, t)
		}
	}
	return list
}

// wayOf decides by who heard whom since probing once more began: both ends have
// sent since then.
func (c *cluster) wayOf(t *trouble) way {
	known := t.to != nil && t.back.Member != ""
	if t.there.PingError == "" || known && t.back.PingError == "" {
		if t.there.StreamError != "" {
			return wayStream
		}
		return wayOpen
	}
	comes, arrives := c.heard(t.there), known && c.heard(t.back)
	switch {
	case comes && arrives:
		return wayNoPong
	case comes:
		return wayThere
	case arrives:
		return wayBack
	case known:
		return wayBoth
	default:
		return waySilent
	}
}

func (c *cluster) heard(p probe) bool {
	return p.HeardSecondsAgo != nil && *p.HeardSecondsAgo <= time.Since(c.since).Seconds()
}

func (c *cluster) evidenceOf(t *trouble) []string {
	list := sideEvidence(t.from.where(), t.name, t.there)
	if t.to != nil && t.back.Member != "" {
		list = append(list, sideEvidence(t.to.where(), t.from.node(), t.back)...)
	}
	return list
}

// sideEvidence is what one agent says of a probe of the other.
func sideEvidence(who, of string, p probe) []string {
	at := fmt.Sprintf("%s at %s", of, p.Address)
	var list []string
	if p.PingError != "" {
		list = append(list, fmt.Sprintf("%s pinged %s over UDP: no answer", who, at))
	} else {
		list = append(list, fmt.Sprintf("%s pinged %s over UDP: answered in %.1f ms", who, at, 1000**p.PingSeconds))
	}
	if p.StreamError != "" {
		list = append(list, fmt.Sprintf("%s opens no TCP connection to %s: %s", who, at, p.StreamError))
	}
	switch ago := p.HeardSecondsAgo; {
	case ago == nil:
		list = append(list, fmt.Sprintf("%s has never heard a packet from %s", who, of))
	default:
		list = append(list, fmt.Sprintf("%s heard %s %s ago", who, of, seconds(*ago)))
	}
	if p.Status == statusFailed {
		list = append(list, fmt.Sprintf("%s sees %s failed", who, of))
	}
	return list
}

func seconds(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.1f s", s)
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// checkReach says between whom gossip does not pass: one finding for all that
// one agent does not reach in the same way.
func checkReach(c *cluster) []finding {
	type group struct {
		way    way
		sender string
	}
	groups := map[group][]*trouble{}
	var order []group
	for _, t := range c.troubles() {
		g := group{t.way, t.sender}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], t)
	}
	var list []finding
	for _, g := range order {
		var targets, evidence []string
		for _, t := range groups[g] {
			targets = append(targets, t.target)
			evidence = append(evidence, t.evidence...)
		}
		to := strings.Join(targets, ", ")
		f := finding{Severity: critical, Check: "gossip", Subject: g.sender, Evidence: evidence}
		f.Summary, f.Fix = c.reachText(g.way, g.sender, to)
		list = append(list, f)
	}
	return list
}

func (c *cluster) reachText(w way, from, to string) (summary, fix string) {
	const open = "Open the gossip port (8301 by default), UDP and TCP, "
	switch w {
	case wayThere, wayBack:
		return fmt.Sprintf("Gossip gets through one way only: what %s sends does not reach %s, but the reverse does.", from, to),
			fmt.Sprintf(open+"from %s to %s: look at the firewall rules of both machines, for what leaves the first and what enters the others, and of the network between.", from, to)
	case wayBoth:
		return fmt.Sprintf("Gossip gets through neither way between %s and %s, though both answer HTTP.", from, to),
			fmt.Sprintf(open+"both ways between %s and %s: firewalls, routes, and the address each advertises (`ctl members`).", from, to)
	case wayNoPong:
		return fmt.Sprintf("Packets pass both ways between %s and %s, and still no ping is answered.", from, to),
			"Compare the address and port that each advertises (advertise_addr, `ctl members`) with those it listens on, and the gossip keys; an agent without processor time answers late, too."
	case wayStream:
		return fmt.Sprintf("Gossip of %s reaches %s over UDP, but not over TCP.", from, to),
			fmt.Sprintf("Open the gossip port (8301 by default) for TCP from %s to %s: without it agents join, and repair what they missed, badly or not at all.", from, to)
	default:
		return fmt.Sprintf("%s gets no answer to its gossip from %s, though it counts as alive: others reach it, or it has just failed.", from, to),
			fmt.Sprintf("Ask %s, too (-addr), to learn which way is shut. "+open+"both ways between them.", to)
	}
}

// pairsExplain reports whether all that agents see differently about a member is
// between those that do not reach each other, which checkReach says.
func pairsExplain(troubles []*trouble, o *opinion) bool {
	for _, v := range slices.Concat(o.failed, o.absent) {
		if !slices.ContainsFunc(troubles, func(t *trouble) bool {
			return t.from == v && t.name == o.member.Name || t.to == v && t.from.node() == o.member.Name
		}) {
			return false
		}
	}
	return true
}
