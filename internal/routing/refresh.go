package routing

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/ctl-sh/ctl/internal/gossip"
)

// refresh makes the table anew from the sources, keeping the order.
func (r *Router) refresh() {
	found, members := r.read()
	r.update(func(t *table) bool {
		next := make(map[string][]gossip.Server, len(found))
		for dc, servers := range found {
			next[dc] = merge(t.byDC[dc], servers)
		}
		changed := t.members != members || !maps.EqualFunc(t.byDC, next, slices.Equal)
		t.byDC, t.members = next, members
		return changed
	})
}

// key tells servers apart: by node id, and by name where they have none.
type key struct{ id, name string }

func keyOf(s gossip.Server) key {
	if s.ID != "" {
		return key{id: s.ID}
	}
	return key{name: s.Name}
}

// read collects the servers of all sources by datacenter, and counts members.
func (r *Router) read() (found map[string]map[key]gossip.Server, members int) {
	found = make(map[string]map[key]gossip.Server)
	// owner is the source that tells of a datacenter: one that left the LAN
	// pool must not come back through the WAN pool, at its WAN address.
	owner := map[string]int{r.cfg.Datacenter: 0}
	for i, source := range r.cfg.Sources {
		for _, m := range source.Members() {
			members++
			s, ok := gossip.ServerOf(m)
			if !ok {
				continue
			}
			if _, ok := owner[s.Datacenter]; !ok {
				owner[s.Datacenter] = i
			}
			if owner[s.Datacenter] == i && s.Status != gossip.StatusLeft && s.Status != gossip.StatusNone {
				add(found, s)
			}
		}
	}
	return found, members
}

func add(found map[string]map[key]gossip.Server, s gossip.Server) {
	dc := found[s.Datacenter]
	if dc == nil {
		dc = make(map[key]gossip.Server)
		found[s.Datacenter] = dc
	}
	// A renamed server is there twice for a while: the one alive counts.
	if old, ok := dc[keyOf(s)]; !ok || rank(s) < rank(old) {
		dc[keyOf(s)] = s
	}
}

// merge returns the found servers in the old order. New ones come at random
// places, but not first: who is being asked stays first.
func merge(old []gossip.Server, found map[key]gossip.Server) []gossip.Server {
	next := make([]gossip.Server, 0, len(found))
	placed := make(map[key]bool, len(found))
	for _, o := range old {
		if s, ok := found[keyOf(o)]; ok {
			next = append(next, s)
			placed[keyOf(o)] = true
		}
	}
	if len(next) == 0 {
		return shuffled(slices.Collect(maps.Values(found)))
	}
	for k, s := range found {
		if !placed[k] {
			next = slices.Insert(next, 1+rand.IntN(len(next)), s)
		}
	}
	return aliveFirst(next)
}
