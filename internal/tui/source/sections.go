package source

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// catalogView is what the lists of services and nodes are made of where the
// agent gives no summaries. It is guarded by the source's lock.
type catalogView struct {
	sections Section
	names    map[string][]string // services with their tags
	nodes    []*jsonNode
	all      []*jsonCheck // every check, now and then
	critical []*jsonCheck // those in that state, as they change
	warning  []*jsonCheck
	have     [5]bool
	stale    bool
}

// countPause is how often every check is read, to count instances. What fails
// is told at once by the two short lists.
const countPause = 5 * time.Second

// catalog watches the lists of services and nodes, and of failing checks, by
// blocking queries.
func (v *visit) catalog(ctx context.Context, sections Section) {
	view := &catalogView{sections: sections}
	fail := notes(view.parts()...)
	note := func(i int, m *model, stale bool) {
		view.have[i], view.stale = true, stale
		view.publish(m)
	}
	states := func(i int, state string, least time.Duration, into *[]*jsonCheck) {
		v.spawn(func() {
			block(ctx, v, "/v1/health/state/"+state, nil, least, fail, func(m *model, all []*jsonCheck, stale bool) {
				*into = all
				note(i, m, stale)
			})
		})
	}
	states(3, Critical, blockPause, &view.critical)
	states(4, Warning, blockPause, &view.warning)
	if !view.has(SectionServices | SectionNodes) {
		return
	}
	states(2, "any", countPause, &view.all)
	v.spawn(func() {
		block(ctx, v, "/v1/catalog/services", nil, blockPause, fail, func(m *model, names map[string][]string, stale bool) {
			view.names = names
			note(0, m, stale)
		})
	})
	v.spawn(func() {
		block(ctx, v, "/v1/catalog/nodes", nil, blockPause, fail, func(m *model, nodes []*jsonNode, stale bool) {
			view.nodes = nodes
			note(1, m, stale)
		})
	})
}

func (c *catalogView) has(s Section) bool { return c.sections&s != 0 }

// parts are the sections that fail with a request.
func (c *catalogView) parts() []part {
	var out []part
	if c.has(SectionServices) {
		out = append(out, inServices)
	}
	if c.has(SectionNodes) {
		out = append(out, inNodes)
	}
	if c.has(SectionProblems) {
		out = append(out, inProblems)
	}
	return out
}

// publish makes rows of what is there.
func (c *catalogView) publish(m *model) {
	if c.has(SectionProblems) && c.have[3] && c.have[4] {
		m.setProblems(checksOf(c.critical, c.warning), c.stale)
	}
	if c.has(SectionServices) && c.have[0] && c.have[2] && c.have[3] && c.have[4] {
		rows := c.services()
		for i, r := range rows {
			if old := m.services.get(r.Name); old != nil && sameService(old, r) {
				rows[i] = old
			}
		}
		m.setServices(rows, c.stale)
	}
	if c.has(SectionNodes) && c.have[1] && c.have[2] && c.have[3] && c.have[4] {
		rows := c.nodeRows()
		for i, r := range rows {
			if old := m.nodes.get(r.Name); old != nil && sameNode(old, r) {
				rows[i] = old
			}
		}
		m.setNodes(rows, c.stale)
	}
}

func checksOf(lists ...[]*jsonCheck) []*Check {
	var out []*Check
	for _, l := range lists {
		for _, j := range l {
			out = append(out, j.check())
		}
	}
	return out
}

// states returns the newest state of every check: that of the short lists, and
// passing for what is in neither of them.
func (c *catalogView) states(visit func(j *jsonCheck, status string)) {
	failing := make(map[[2]string]string, len(c.critical)+len(c.warning))
	for _, l := range [][]*jsonCheck{c.warning, c.critical} {
		for _, j := range l {
			failing[[2]string{j.Node, j.CheckID}] = j.Status
		}
	}
	for _, j := range c.all {
		key := [2]string{j.Node, j.CheckID}
		status, ok := failing[key]
		if !ok {
			status = Passing
		}
		delete(failing, key)
		visit(j, status)
	}
	for _, l := range [][]*jsonCheck{c.warning, c.critical} { // newer than the long list
		for _, j := range l {
			if failing[[2]string{j.Node, j.CheckID}] != "" {
				visit(j, j.Status)
			}
		}
	}
}

func (c *catalogView) services() []*Service {
	type instance struct{ service, node, id string }
	worst, nodes := map[instance]int{}, map[string]int{}
	c.states(func(j *jsonCheck, status string) {
		r := rank(status)
		if j.ServiceName == "" {
			if old, ok := nodes[j.Node]; !ok || r < old {
				nodes[j.Node] = r
			}
			return
		}
		key := instance{j.ServiceName, j.Node, j.ServiceID}
		if old, ok := worst[key]; !ok || r < old {
			worst[key] = r
		}
	})
	rows := make(map[string]*Service, len(c.names))
	for name, tags := range c.names {
		rows[name] = &Service{Name: name, Tags: slices.Sorted(slices.Values(tags))}
	}
	for key, r := range worst {
		row := rows[key.service]
		if row == nil {
			continue
		}
		row.Counted = true
		row.Instances++
		if n, ok := nodes[key.node]; ok {
			r = min(r, n)
		}
		switch r {
		case 0:
			row.Critical++
		case 1:
			row.Warning++
		default:
			row.Passing++
		}
	}
	return slices.Collect(maps.Values(rows))
}

func (c *catalogView) nodeRows() []*Node {
	rows := make(map[string]*Node, len(c.nodes))
	for _, j := range c.nodes {
		n := j.node()
		n.Counted = true
		rows[n.Name] = n
	}
	services := map[[2]string]bool{}
	c.states(func(j *jsonCheck, status string) {
		row := rows[j.Node]
		if row == nil {
			return
		}
		row.count(status)
		if j.CheckID == nodeMaintenance {
			row.Maintenance, row.MaintenanceReason = true, j.Notes
		}
		if id := [2]string{j.Node, j.ServiceID}; j.ServiceID != "" && !services[id] {
			services[id] = true
			row.Services++
		}
	})
	return slices.Collect(maps.Values(rows))
}

func (n *Node) count(status string) {
	switch status {
	case Critical:
		n.Critical++
	case Warning:
		n.Warning++
	default:
		n.Passing++
	}
}

// problems watches the failing checks alone.
func (v *visit) problems(ctx context.Context) {
	v.catalog(ctx, SectionProblems)
}

func (v *visit) instances(ctx context.Context, name string) {
	block(ctx, v, "/v1/health/service/"+url.PathEscape(name), nil, blockPause, notes(inService), func(m *model, all []*jsonInstance, stale bool) {
		rows := make([]*Instance, 0, len(all))
		for _, j := range all {
			rows = append(rows, j.instance())
		}
		m.setInstances(name, rows, stale)
	})
}

// jsonOnNode is a node and the services on it.
type jsonOnNode struct {
	Node     *jsonNode
	Services []*jsonService
}

// node watches a node with its services, and its checks.
func (v *visit) node(ctx context.Context, name string) {
	var on jsonOnNode // these are guarded by the source's lock
	var checks []*jsonCheck
	var have [2]bool
	publish := func(m *model, stale bool) {
		if have[0] && have[1] {
			m.setNode(name, on.Node, on.Services, checks, stale)
		}
	}
	v.spawn(func() {
		block(ctx, v, "/v1/health/node/"+url.PathEscape(name), nil, blockPause, notes(inNode), func(m *model, all []*jsonCheck, stale bool) {
			checks, have[1] = all, true
			publish(m, stale)
		})
	})
	block(ctx, v, "/v1/catalog/node-services/"+url.PathEscape(name), nil, blockPause, notes(inNode), func(m *model, is jsonOnNode, stale bool) {
		on, have[0] = is, true
		publish(m, stale)
	})
}

func (m *model) setNode(name string, node *jsonNode, services []*jsonService, checks []*jsonCheck, stale bool) {
	if m.node != name {
		return
	}
	before, known := m.theNode, m.asked[inNode]
	m.ready(inNode, stale)
	m.theNode = nil
	defer func() {
		if known {
			m.noteTheNode(before)
		}
	}()
	if node == nil {
		m.onNode.replace(nil, nil)
		m.nodeChecks.replace(nil, nil)
		return
	}
	n := node.node()
	n.Counted, n.Services = true, len(services)
	rows := make([]*Check, 0, len(checks))
	for _, j := range checks {
		c := j.check()
		m.course(c)
		n.count(c.Status)
		if c.ID == nodeMaintenance {
			n.Maintenance, n.MaintenanceReason = true, c.Notes
		}
		rows = append(rows, c)
	}
	m.theNode = n
	m.nodeChecks.replace(rows, nil)
	instances := make([]*Instance, 0, len(services))
	for _, j := range services {
		i := (&jsonInstance{Node: *node, Service: *j}).instance()
		for _, c := range rows {
			if c.ServiceID == "" || c.ServiceID == i.ID {
				i.Checks = append(i.Checks, c)
			}
		}
		i.judge()
		instances = append(instances, i)
	}
	m.onNode.replace(instances, nil)
	m.forgetHistories()
}

// level watches what is directly below a prefix, or reads it now and then.
func (v *visit) level(ctx context.Context, prefix string, now bool) {
	least := blockPause
	if now {
		least = levelPause
	}
	q := url.Values{"keys": {""}, "separator": {"/"}}
	fail := func(m *model, p *Problem) { m.failLevel(prefix, p) }
	block(ctx, v, keyPath(prefix), q, least, fail, func(m *model, keys []string, stale bool) {
		m.setLevel(prefix, childrenOf(prefix, keys), stale)
	})
}

func childrenOf(prefix string, keys []string) []Child {
	out := make([]Child, 0, len(keys))
	for _, k := range keys {
		if k != prefix { // a key that is named as its level stands above it
			out = append(out, Child{Key: k, Dir: strings.HasSuffix(k, "/")})
		}
	}
	return out
}

func (v *visit) key(ctx context.Context, key string) {
	block(ctx, v, keyPath(key), nil, blockPause, notes(inKey), func(m *model, all []*jsonEntry, stale bool) {
		k := Key{Key: key}
		if len(all) > 0 {
			k = all[0].key()
		}
		m.setKey(k, stale)
	})
}

func (j *jsonEntry) key() Key {
	return Key{
		Key: j.Key, Found: true, Value: j.Value, Flags: j.Flags, Session: j.Session,
		CreateIndex: j.CreateIndex, ModifyIndex: j.ModifyIndex, LockIndex: j.LockIndex,
	}
}

func (v *visit) sessions(ctx context.Context) {
	block(ctx, v, "/v1/session/list", nil, blockPause, notes(inSessions), func(m *model, all []*jsonSession, stale bool) {
		m.ready(inSessions, stale)
		rows := make([]*Session, 0, len(all))
		for _, j := range all {
			rows = append(rows, j.session())
		}
		m.sessions.replace(rows, nil)
	})
}

// datacenters polls: they have no index.
func (v *visit) datacenters(ctx context.Context) {
	for {
		var names []string
		if _, err := v.c.get(ctx, "/v1/catalog/datacenters", nil, &names); err != nil {
			v.failed(ctx, err, inDatacenters)
		} else {
			v.s.update(func(m *model) {
				if m.status[inDatacenters].Phase != Ready || !slices.Equal(m.dcs, names) {
					m.ready(inDatacenters, false)
					m.dcs = names
				}
			})
		}
		if !sleep(ctx, longPause) {
			return
		}
	}
}
