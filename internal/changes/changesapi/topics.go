package changesapi

import (
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/changes"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/store"
)

// separator parts levels of keys.
const separator = "/"

// guard names what a row shows: whoever sees the row must be allowed to read
// all of it.
type guard struct{ node, service, key, level string }

func (g guard) allowed(auth authz.Authorizer) bool {
	return (g.node == "" || auth.Allow(authz.Node, g.node, authz.Read)) &&
		(g.service == "" || auth.Allow(authz.Service, g.service, authz.Read)) &&
		(g.key == "" || auth.Allow(authz.Key, g.key, authz.Read)) &&
		(g.level == "" || auth.Allow(authz.Key, g.level, authz.List))
}

// topicOf returns the topic of a name such as "services" or "kv:app/".
func topicOf(name string) (changes.Topic, error) {
	kind, arg, has := strings.Cut(name, ":")
	if !has {
		switch kind {
		case "services":
			return services(), nil
		case "nodes":
			return nodes(), nil
		case "checks":
			return checks(name, func(*catalog.Check) bool { return true }), nil
		}
	} else {
		switch kind {
		case "checks":
			if arg == "failing" {
				return checks(name, func(c *catalog.Check) bool { return c.Status != catalog.Passing }), nil
			}
			return changes.Topic{}, failure.Newf(failure.BadRequest, "topic %q: only checks and checks:failing are there", name)
		case "kv":
			return keys(name, arg), nil
		case "level":
			return level(name, arg), nil
		}
		if arg == "" {
			return changes.Topic{}, failure.Newf(failure.BadRequest, "topic %q: the name after the colon is missing", name)
		}
		switch kind {
		case "key":
			return key(name, arg), nil
		case "service":
			return service(name, arg), nil
		case "node":
			return node(name, arg), nil
		}
	}
	return changes.Topic{}, failure.Newf(failure.BadRequest, "unknown topic %q: topics are members, members:wan, raft, services, service:NAME, nodes, node:NAME, checks, checks:failing, kv:PREFIX, level:PREFIX, key:KEY and log:LEVEL", name)
}

// pair makes one key of a node and an id on it.
func pair(node, id string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(node) + "/" + id
}

func unpair(key string) (node, id string) {
	node, id, _ = strings.Cut(key, "/")
	return strings.NewReplacer("%2F", "/", "%25", "%").Replace(node), id
}

// moved calls add with the names of the things of a sort that a change of the
// table of heads tells of.
func moved(c store.Change, sort string, add func(name string)) {
	if c.Table != catalog.TableHeads {
		return
	}
	row := c.After
	if row == nil {
		row = c.Before
	}
	if h, ok := row.(*catalog.Head); ok {
		if s, name, ok := h.Moved(); ok && s == sort {
			add(name)
		}
	}
}

// serviceRow is a row of the topic services.
type serviceRow struct {
	Name      string
	Kind      string
	Tags      []string
	Instances int
	Passing   int
	Warning   int
	Critical  int
}

// AppendJSON implements changes.Appender: there are thousands of these in a list.
func (r serviceRow) AppendJSON(dst []byte) []byte {
	dst = changes.AppendString(append(dst, `{"Name":`...), r.Name)
	dst = changes.AppendString(append(dst, `,"Kind":`...), r.Kind)
	dst = append(dst, `,"Tags":`...)
	if r.Tags == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '[')
		for i, t := range r.Tags {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = changes.AppendString(dst, t)
		}
		dst = append(dst, ']')
	}
	dst = strconv.AppendInt(append(dst, `,"Instances":`...), int64(r.Instances), 10)
	dst = strconv.AppendInt(append(dst, `,"Passing":`...), int64(r.Passing), 10)
	dst = strconv.AppendInt(append(dst, `,"Warning":`...), int64(r.Warning), 10)
	dst = strconv.AppendInt(append(dst, `,"Critical":`...), int64(r.Critical), 10)
	return append(dst, '}')
}

func services() changes.Topic {
	row := func(s *catalog.ServiceSummary) changes.Row {
		return changes.Row{Key: strings.ToLower(s.Name), Guard: guard{service: s.Name}, Value: serviceRow{
			Name: s.Name, Kind: s.Kind, Tags: s.Tags, Instances: s.Instances, Passing: s.Passing, Warning: s.Warning, Critical: s.Critical,
		}}
	}
	return changes.Topic{
		Name: "services",
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			moved(c, catalog.MovedService, add)
			return nil
		},
		Row: func(tx *store.Txn, key string) (changes.Row, bool, error) {
			s, err := catalog.SummaryOf(tx, key)
			if err != nil || s == nil {
				return changes.Row{}, false, err
			}
			return row(s), true, nil
		},
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			return catalog.Summaries(nil, tx, nil, func(s *catalog.ServiceSummary) error { return visit(row(s)) })
		},
	}
}

// instanceRow is a row of the topic service:NAME. Its shape is that of
// /v1/health/service, without what nobody looks at.
type instanceRow struct {
	Node    *catalog.Node
	Service onNode
	Checks  []*checkRow
}

// onNode is an instance below its node.
type onNode struct {
	Kind        string `json:",omitempty"`
	ID          string
	Service     string
	Tags        []string
	Address     string
	Meta        catalog.Labels
	Port        int
	Weights     catalog.Weights
	CreateIndex uint64
	ModifyIndex uint64
}

func newOnNode(s *catalog.Service) onNode {
	return onNode{
		Kind: s.Kind, ID: s.ID, Service: s.Service, Tags: s.Tags, Address: s.Address, Meta: s.Meta, Port: s.Port,
		Weights: s.Weights, CreateIndex: s.CreateIndex, ModifyIndex: s.ModifyIndex,
	}
}

// checkRow is a row of the topic checks. Its shape is that of /v1/health/state.
type checkRow struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string
	Type        string
	Interval    string
	Timeout     string
	CreateIndex uint64
	ModifyIndex uint64
}

func newCheckRow(c *catalog.Check) *checkRow {
	return &checkRow{
		Node: c.Node, CheckID: c.CheckID, Name: c.Name, Status: c.Status, Notes: c.Notes, Output: c.Output,
		ServiceID: c.ServiceID, ServiceName: c.ServiceName, ServiceTags: c.ServiceTags, Type: c.Type,
		Interval: c.Interval, Timeout: c.Timeout, CreateIndex: c.CreateIndex, ModifyIndex: c.ModifyIndex,
	}
}

func service(topic, name string) changes.Topic {
	row := func(h *catalog.Health) changes.Row {
		r := instanceRow{Node: h.Node, Service: newOnNode(h.Service), Checks: make([]*checkRow, 0, len(h.Checks))}
		for _, c := range h.Checks {
			r.Checks = append(r.Checks, newCheckRow(c))
		}
		return changes.Row{
			Key: pair(strings.ToLower(h.Node.Node), h.Service.ID), Value: r,
			Guard: guard{node: h.Node.Node, service: h.Service.Service},
		}
	}
	each := func(tx *store.Txn, visit func(*catalog.Health) error) error {
		healths, err := catalog.Healths(tx, catalog.Target{Service: name})
		if err != nil {
			return err
		}
		for i := range healths {
			if err := visit(&healths[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return changes.Topic{
		Name: topic,
		Touch: func(tx *store.Txn, c store.Change, add func(string)) error {
			node := ""
			for _, row := range []any{c.Before, c.After} {
				switch r := row.(type) {
				case *catalog.Service:
					if r != nil && strings.EqualFold(r.Service, name) {
						add(pair(strings.ToLower(r.Node), r.ID))
					}
				case *catalog.Check:
					switch {
					case r.ServiceID == "":
						node = r.Node
					case strings.EqualFold(r.ServiceName, name):
						add(pair(strings.ToLower(r.Node), r.ServiceID))
					}
				case *catalog.Node:
					node = r.Node
				}
			}
			if node == "" {
				return nil
			}
			return each(tx, func(h *catalog.Health) error {
				if strings.EqualFold(h.Node.Node, node) {
					add(pair(strings.ToLower(node), h.Service.ID))
				}
				return nil
			})
		},
		Row: func(tx *store.Txn, key string) (changes.Row, bool, error) {
			n, id := unpair(key)
			h, err := catalog.InstanceOn(tx, n, id)
			if err != nil || h == nil || !strings.EqualFold(h.Service.Service, name) {
				return changes.Row{}, false, err
			}
			return row(h), true, nil
		},
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			return each(tx, func(h *catalog.Health) error { return visit(row(h)) })
		},
	}
}

// nodeRow is a row of the topic nodes.
type nodeRow struct {
	ID                string
	Node              string
	Address           string
	Datacenter        string
	Meta              catalog.Labels
	Services          int
	Passing           int
	Warning           int
	Critical          int
	Maintenance       bool   `json:",omitempty"`
	MaintenanceReason string `json:",omitempty"`
	ModifyIndex       uint64
}

func newNodeRow(s *catalog.NodeSummary) nodeRow {
	return nodeRow{
		ID: s.ID, Node: s.Node.Node, Address: s.Address, Datacenter: s.Datacenter, Meta: s.Meta,
		Services: s.Services, Passing: s.Passing, Warning: s.Warning, Critical: s.Critical,
		Maintenance: s.Maintenance, MaintenanceReason: s.MaintenanceReason, ModifyIndex: s.ModifyIndex,
	}
}

func nodes() changes.Topic {
	rowOf := func(tx *store.Txn, key string) (changes.Row, bool, error) {
		s, err := catalog.NodeSummaryOf(tx, key)
		if err != nil || s == nil {
			return changes.Row{}, false, err
		}
		return changes.Row{Key: strings.ToLower(s.Node.Node), Value: newNodeRow(s), Guard: guard{node: s.Node.Node}}, true, nil
	}
	return changes.Topic{
		Name: "nodes",
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			moved(c, catalog.MovedNode, add)
			moved(c, catalog.MovedChecks, add)
			return nil
		},
		Row: rowOf,
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			all, _, err := catalog.Nodes(nil, tx)
			if err != nil {
				return err
			}
			for _, n := range all {
				row, ok, err := rowOf(tx, n.Node)
				if err != nil {
					return err
				}
				if ok {
					if err := visit(row); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// The keys of the rows of the topic node:NAME: the node itself, and what is on
// it by id.
const (
	theNode  = "node"
	aService = "service/"
	aCheck   = "check/"
)

func node(topic, name string) changes.Topic {
	checkOf := func(c *catalog.Check) changes.Row {
		return changes.Row{Key: aCheck + c.CheckID, Value: newCheckRow(c), Same: c, Guard: guard{node: c.Node, service: c.ServiceName}}
	}
	serviceOf := func(s *catalog.Service) changes.Row {
		return changes.Row{Key: aService + s.ID, Value: newOnNode(s), Same: s, Guard: guard{node: s.Node, service: s.Service}}
	}
	return changes.Topic{
		Name: topic,
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			for _, row := range []any{c.Before, c.After} {
				switch r := row.(type) {
				case *catalog.Node:
					if strings.EqualFold(r.Node, name) {
						add(theNode)
					}
				case *catalog.Service:
					if strings.EqualFold(r.Node, name) {
						add(aService + r.ID)
					}
				case *catalog.Check:
					if strings.EqualFold(r.Node, name) {
						add(aCheck + r.CheckID)
					}
				}
			}
			return nil
		},
		Row: func(tx *store.Txn, key string) (changes.Row, bool, error) {
			if id, ok := strings.CutPrefix(key, aService); ok {
				h, err := catalog.InstanceOn(tx, name, id)
				if err != nil || h == nil {
					return changes.Row{}, false, err
				}
				return serviceOf(h.Service), true, nil
			}
			if id, ok := strings.CutPrefix(key, aCheck); ok {
				c, err := catalog.CheckOn(tx, name, id)
				if err != nil || c == nil {
					return changes.Row{}, false, err
				}
				return checkOf(c), true, nil
			}
			n, err := catalog.NodeNamed(tx, name)
			if err != nil || n == nil {
				return changes.Row{}, false, err
			}
			return changes.Row{Key: theNode, Value: n, Same: n, Guard: guard{node: n.Node}}, true, nil
		},
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			n, err := catalog.NodeNamed(tx, name)
			if err != nil || n == nil {
				return err
			}
			if err := visit(changes.Row{Key: theNode, Value: n, Guard: guard{node: n.Node}}); err != nil {
				return err
			}
			services, checks, err := catalog.OnNode(tx, name)
			if err != nil {
				return err
			}
			for _, s := range services {
				if err := visit(serviceOf(s)); err != nil {
					return err
				}
			}
			for _, c := range checks {
				if err := visit(checkOf(c)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func checks(topic string, shown func(*catalog.Check) bool) changes.Topic {
	rowOf := func(c *catalog.Check) changes.Row {
		return changes.Row{Key: pair(strings.ToLower(c.Node), c.CheckID), Value: newCheckRow(c), Same: c, Guard: guard{node: c.Node, service: c.ServiceName}}
	}
	return changes.Topic{
		Name: topic,
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			for _, row := range []any{c.Before, c.After} {
				if r, ok := row.(*catalog.Check); ok {
					add(pair(strings.ToLower(r.Node), r.CheckID))
				}
			}
			return nil
		},
		Row: func(tx *store.Txn, key string) (changes.Row, bool, error) {
			n, id := unpair(key)
			c, err := catalog.CheckOn(tx, n, id)
			if err != nil || c == nil || !shown(c) {
				return changes.Row{}, false, err
			}
			return rowOf(c), true, nil
		},
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			all, _, err := catalog.ChecksInState(nil, tx, "any")
			if err != nil {
				return err
			}
			for _, c := range all {
				if shown(c) {
					if err := visit(rowOf(c)); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

func entryRow(e *kv.Entry) changes.Row {
	return changes.Row{Key: e.Key, Value: e, Same: e, Guard: guard{key: e.Key}}
}

// entries calls visit with the entries that a change is about.
func entries(c store.Change, visit func(*kv.Entry)) {
	for _, row := range []any{c.Before, c.After} {
		if e, ok := row.(*kv.Entry); ok {
			visit(e)
		}
	}
}

func oneKey(tx *store.Txn, key string) (changes.Row, bool, error) {
	e, _, err := kv.Get(nil, tx, key)
	if err != nil || e == nil {
		return changes.Row{}, false, err
	}
	return entryRow(e), true, nil
}

func keys(topic, prefix string) changes.Topic {
	return changes.Topic{
		Name: topic,
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			entries(c, func(e *kv.Entry) {
				if strings.HasPrefix(e.Key, prefix) {
					add(e.Key)
				}
			})
			return nil
		},
		Row: oneKey,
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			all, _, err := kv.List(nil, tx, prefix)
			if err != nil {
				return err
			}
			for _, e := range all {
				if err := visit(entryRow(e)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func key(topic, name string) changes.Topic {
	return changes.Topic{
		Name: topic,
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			entries(c, func(e *kv.Entry) {
				if e.Key == name {
					add(name)
				}
			})
			return nil
		},
		Row: oneKey,
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			row, ok, err := oneKey(tx, name)
			if err != nil || !ok {
				return err
			}
			return visit(row)
		},
	}
}

// levelRow is a row of the topic level:PREFIX.
type levelRow struct {
	Key string
	// Dir says that there are keys below.
	Dir bool
}

// level is what is directly below a prefix.
func level(topic, prefix string) changes.Topic {
	rowOf := func(child string) changes.Row {
		r := levelRow{Key: child, Dir: strings.HasSuffix(child, separator)}
		return changes.Row{Key: child, Value: r, Same: r, Guard: guard{level: child}}
	}
	return changes.Topic{
		Name: topic,
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			if c.Before != nil && c.After != nil {
				return nil // a new value is no new name
			}
			entries(c, func(e *kv.Entry) {
				if child, ok := kv.Child(prefix, e.Key, separator); ok {
					add(child)
				}
			})
			return nil
		},
		Row: func(tx *store.Txn, child string) (changes.Row, bool, error) {
			ok, err := kv.IsChild(tx, child, separator)
			return rowOf(child), ok, err
		},
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			return kv.Children(tx, prefix, separator, func(child string) error { return visit(rowOf(child)) })
		},
	}
}
