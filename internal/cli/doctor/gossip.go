package doctor

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/consul/api"
)

// opinion is how agents see one member.
type opinion struct {
	member        *api.AgentMember // as the first who has it sees it
	alive, failed []*view
	absent        []*view // who do not have it
	have          int     // how many do
	itself        *view   // what it says itself; nil if it was not asked
}

// split reports whether agents see the member differently, or see as failed one
// that answers.
func (o *opinion) split() bool {
	return len(o.failed) > 0 && (len(o.alive) > 0 || o.itself != nil) || len(o.alive) > 0 && len(o.absent) > 0
}

// opinionsOf returns what agents think of each member, by its name. What a member
// says of itself does not count: it is alive to itself.
func opinionsOf(views []*view) []*opinion {
	byName := map[string]*opinion{}
	for _, v := range views {
		for _, m := range v.members {
			o := byName[m.Name]
			if o == nil {
				o = &opinion{member: m}
				byName[m.Name] = o
			}
			o.have++
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
			if o.have < len(views) && !v.has(name) {
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

// has reports whether the agent has a member of that name.
func (v *view) has(name string) bool {
	if v.names == nil {
		v.names = make(map[string]bool, len(v.members))
		for _, m := range v.members {
			v.names[m.Name] = true
		}
	}
	return v.names[name]
}

func checkGossip(c *cluster) []finding {
	var list []finding
	troubles := c.troubles()
	for _, o := range c.opinions {
		if !o.split() || pairsExplain(troubles, o) {
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
