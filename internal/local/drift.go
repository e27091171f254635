package local

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Node is what the catalog should know of this node.
type Node struct {
	ID              string
	Name            string
	Address         string
	Datacenter      string
	TaggedAddresses map[string]string
	Meta            map[string]string
}

// Remote is what the catalog knows of this node.
type Remote struct {
	// Node is nil when the catalog does not know it.
	Node     *RemoteNode
	Services []*Service
	Checks   []*Check
	// Removed is what others removed from the catalog, of what it does not have.
	Removed Removed
}

// RemoteNode is the node as the catalog has it.
type RemoteNode struct {
	ID, Address           string
	TaggedAddresses, Meta map[string]string
}

// drift is what the catalog has not been told. The numbers tell a mark from a
// later one of the same thing.
type drift struct {
	last         uint64
	node         uint64
	services     map[string]uint64
	checks       map[string]uint64
	goneServices map[string]gone
	goneChecks   map[string]gone
}

// gone is something the catalog may still have.
type gone struct {
	mark  uint64
	token string
}

func newDrift() drift {
	return drift{services: map[string]uint64{}, checks: map[string]uint64{}, goneServices: map[string]gone{}, goneChecks: map[string]gone{}}
}

func (s *State) mark() uint64 {
	s.drift.last++
	s.changed.Set(s.drift.last)
	return s.drift.last
}

func (s *State) markService(id string) {
	delete(s.drift.goneServices, id)
	s.drift.services[id] = s.mark()
}

func (s *State) markCheck(id string) {
	delete(s.drift.goneChecks, id)
	s.drift.checks[id] = s.mark()
}

func (s *State) goneService(id, token string) {
	delete(s.drift.services, id)
	s.drift.goneServices[id] = gone{s.mark(), token}
}

func (s *State) goneCheck(id, token string) {
	delete(s.drift.checks, id)
	s.drift.goneChecks[id] = gone{s.mark(), token}
}

// Item is one thing to tell the catalog. What it is about is in the one field
// that is set; Token is the secret to do it with, "" for the agent's own.
type Item struct {
	Node      bool
	Service   *Service
	Checks    []*Check // with Service: its checks to tell in the same write; alone: one
	GoneID    string   // of a service that is no more
	GoneCheck string   // of a check that is no more
	Token     string

	marks []uint64
}

// Node returns this node as the catalog should have it. Its maps are shared.
func (s *State) Node() Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.Node
}

// SetNodeMeta replaces the node's metadata, as a reload does. The map must not
// change afterwards.
func (s *State) SetNodeMeta(meta map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(s.cfg.Node.Meta, meta) {
		s.cfg.Node.Meta = meta
		s.drift.node = s.mark()
	}
}

// Drift returns what the catalog has to be told, removals first, and a service
// before the checks that are not told with it. It is empty when there is
// nothing to tell.
func (s *State) Drift() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []Item
	d := &s.drift
	for id, g := range d.goneServices {
		items = append(items, Item{GoneID: id, Token: g.token, marks: []uint64{g.mark}})
	}
	for id, g := range d.goneChecks {
		items = append(items, Item{GoneCheck: id, Token: g.token, marks: []uint64{g.mark}})
	}
	if d.node != 0 {
		items = append(items, Item{Node: true, marks: []uint64{d.node}})
	}
	with := map[string]*Item{}
	items = slices.Grow(items, len(d.services)+len(d.checks)) // with points into it
	for id, mark := range d.services {
		i := s.services[id]
		items = append(items, Item{Service: i.row, Token: i.token, marks: []uint64{mark}})
		with[id] = &items[len(items)-1]
	}
	for _, id := range slices.Sorted(maps.Keys(d.checks)) {
		c, mark := s.checks[id], d.checks[id]
		if item := with[c.row.ServiceID]; item != nil && item.Token == c.token {
			item.Checks, item.marks = append(item.Checks, c.row), append(item.marks, mark)
			continue
		}
		items = append(items, Item{Checks: []*Check{c.row}, Token: c.token, marks: []uint64{mark}})
	}
	return items
}

// Told says that the catalog was told an item of Drift. What changed since
// stays to be told.
func (s *State) Told(item *Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.drift
	switch {
	case item.Node:
		if d.node == item.marks[0] {
			d.node = 0
		}
		return
	case item.GoneID != "":
		if d.goneServices[item.GoneID].mark == item.marks[0] {
			delete(d.goneServices, item.GoneID)
		}
		return
	case item.GoneCheck != "":
		if d.goneChecks[item.GoneCheck].mark == item.marks[0] {
			delete(d.goneChecks, item.GoneCheck)
		}
		return
	}
	marks := item.marks
	if item.Service != nil {
		if d.services[item.Service.ID] == marks[0] {
			delete(d.services, item.Service.ID)
			s.services[item.Service.ID].told = true
		}
		marks = marks[1:]
	}
	for i, c := range item.Checks {
		if d.checks[c.CheckID] == marks[i] {
			delete(d.checks, c.CheckID)
			s.checks[c.CheckID].told = true
		}
	}
}

// Compare takes note of what the catalog has: Drift is afterwards exactly what
// differs. What others removed there is removed here, too. It also takes over what the catalog decides: the tags of services
// with enable_tag_override, and addresses tagged "consul-…".
func (s *State) Compare(r *Remote) {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letGo(r)
	fresh := newDrift()
	fresh.last = s.drift.last
	old := s.drift
	s.drift = fresh
	if !s.sameNode(r.Node) {
		s.drift.node = s.mark()
	}
	s.compareServices(r, &old)
	s.compareChecks(r, &old)
}

func (s *State) sameNode(n *RemoteNode) bool {
	if n == nil {
		return false
	}
	want := &s.cfg.Node
	return strings.EqualFold(n.ID, want.ID) && n.Address == want.Address && maps.Equal(n.TaggedAddresses, want.TaggedAddresses) && maps.Equal(n.Meta, want.Meta)
}

func (s *State) compareServices(r *Remote, old *drift) {
	there := map[string]bool{}
	for _, theirs := range r.Services {
		there[theirs.ID] = true
		i := s.services[theirs.ID]
		switch {
		case i != nil:
			s.adopt(i, theirs)
			if i.row.same(theirs) {
				i.told = true
			} else {
				s.markService(theirs.ID)
			}
		case theirs.ID != consulService:
			s.goneService(theirs.ID, old.goneServices[theirs.ID].token)
		}
	}
	for id := range s.services {
		if !there[id] {
			s.markService(id)
		}
	}
}

// adopt takes over what the catalog decides about a service.
func (s *State) adopt(i *instance, theirs *Service) {
	row := *i.row
	changed := false
	if row.EnableTagOverride && !slices.Equal(row.Tags, theirs.Tags) {
		row.Tags, changed = append([]string{}, theirs.Tags...), true
	}
	for name, a := range theirs.TaggedAddresses {
		if strings.HasPrefix(name, "consul-") && row.TaggedAddresses[name] != a {
			row.TaggedAddresses = maps.Clone(row.TaggedAddresses)
			if row.TaggedAddresses == nil {
				row.TaggedAddresses = map[string]Address{}
			}
			row.TaggedAddresses[name], changed = a, true
		}
	}
	if changed {
		i.row = &row
		s.changed.Set(s.drift.last)
	}
}

func (s *State) compareChecks(r *Remote, old *drift) {
	there := map[string]bool{}
	for _, theirs := range r.Checks {
		there[theirs.CheckID] = true
		c := s.checks[theirs.CheckID]
		switch {
		case c != nil:
			if s.sameCheck(c, theirs) {
				c.told = true
			} else {
				s.markCheck(theirs.CheckID)
			}
		case theirs.CheckID == serfHealth || theirs.ServiceID == consulService:
		case theirs.ServiceID != "" && s.drift.goneServices[theirs.ServiceID].mark != 0:
			// It goes with its service.
		default:
			s.goneCheck(theirs.CheckID, old.goneChecks[theirs.CheckID].token)
		}
	}
	for id := range s.checks {
		if !there[id] {
			s.markCheck(id)
		}
	}
}

func (s *Service) same(o *Service) bool {
	return s.Service == o.Service && slices.Equal(s.Tags, o.Tags) && maps.Equal(s.Meta, o.Meta) && s.Port == o.Port &&
		s.Address == o.Address && s.SocketPath == o.SocketPath && maps.Equal(s.TaggedAddresses, o.TaggedAddresses) &&
		s.Weights == o.Weights && s.EnableTagOverride == o.EnableTagOverride && s.Kind == o.Kind &&
		(s.Connect != nil) == (o.Connect != nil && o.Connect.Native) && (s.Proxy == nil || s.Proxy.same(o.Proxy))
}

// same compares meanings: the order of members is nobody's.
func (p *Proxy) same(o *Proxy) bool { return reflect.DeepEqual(p.plain(), o.plain()) }

func (p *Proxy) plain() (v any) {
	if b, err := json.Marshal(p); err == nil {
		_ = json.Unmarshal(b, &v) // what was just made from JSON
	}
	return v
}

// sameCheck leaves out an output that waits to be told, and the tags of a
// service whose tags are the catalog's.
func (s *State) sameCheck(c *check, o *Check) bool {
	a := c.row
	if c.deferred == nil && a.Output != o.Output {
		return false
	}
	if i := s.services[a.ServiceID]; (i == nil || !i.row.EnableTagOverride) && !slices.Equal(a.ServiceTags, o.ServiceTags) {
		return false
	}
	return a.Name == o.Name && a.Status == o.Status && a.Notes == o.Notes && a.ServiceID == o.ServiceID &&
		a.ServiceName == o.ServiceName && a.Type == o.Type && a.Interval == o.Interval && a.Timeout == o.Timeout
}
