package catalog

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// NodeNamed returns the node of the name, in any case, or nil.
func NodeNamed(tx *store.Txn, name string) (*Node, error) {
	if name == "" {
		return nil, nil
	}
	row, err := tx.First(TableNodes, store.IndexID, name)
	if err != nil {
		return nil, fmt.Errorf("get node %s: %w", name, err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Node), nil
}

// Nodes returns every node in the order of the names. The index is the table's.
func Nodes(ws store.WatchSet, tx *store.Txn) ([]*Node, query.Result, error) {
	nodes, err := all[Node](ws, tx, TableNodes)
	return nodes, query.Result{Index: store.MaxIndex(tx, TableNodes), Found: true}, err
}

// NodeServices returns a node and the services on it, or nil for a node that
// does not exist. The index is that of the two, whatever other nodes do.
func NodeServices(ws store.WatchSet, tx *store.Txn, name string) (*Node, []*Service, query.Result, error) {
	_, res, err := watchedNode.watch(ws, tx, name)
	if err != nil || !res.Found {
		return nil, nil, res, err
	}
	n, err := NodeNamed(tx, name)
	if err != nil {
		return nil, nil, res, err
	}
	services, err := allOf[Service](nil, tx, TableServices, name)
	return n, services, res, err
}

// NodeChecks returns the checks on a node, none for a node that does not exist.
// The index is theirs alone.
func NodeChecks(ws store.WatchSet, tx *store.Txn, name string) ([]*Check, query.Result, error) {
	_, res, err := watchedChecks.watch(ws, tx, name)
	if err != nil {
		return nil, res, err
	}
	checks, err := allOf[Check](nil, tx, TableChecks, name)
	return checks, res, err
}

// ServiceChecks returns the checks of the instances of a service, without those
// of their nodes. The index is the service's.
func ServiceChecks(ws store.WatchSet, tx *store.Txn, service string) ([]*Check, query.Result, error) {
	_, res, err := watchedService.watch(ws, tx, service)
	if err != nil {
		return nil, res, err
	}
	checks, err := rowsOf[Check](tx, TableChecks, byName, strings.ToLower(service))
	return checks, res, err
}

// ChecksInState returns the checks with the status, or all of them for "any".
func ChecksInState(ws store.WatchSet, tx *store.Txn, status string) ([]*Check, query.Result, error) {
	checks, err := all[Check](ws, tx, TableChecks)
	res := query.Result{Index: store.MaxIndex(tx, TableChecks), Found: true}
	if status == "any" {
		return checks, res, err
	}
	var matching []*Check
	for _, c := range checks {
		if c.Status == status {
			matching = append(matching, c)
		}
	}
	return matching, res, err
}

// Services returns every instance of every service, in the order of the nodes.
// The index is that of the table.
func Services(ws store.WatchSet, tx *store.Txn) ([]*Service, query.Result, error) {
	services, err := all[Service](ws, tx, TableServices)
	return services, query.Result{Index: store.MaxIndex(tx, TableServices), Found: true}, err
}

// Instance is an instance of a service and the node it is on.
type Instance struct {
	Node    *Node
	Service *Service
}

// AllInstances returns the instances of all services, in the order of the
// nodes. The index is that of the nodes and services, whichever changed last.
func AllInstances(ws store.WatchSet, tx *store.Txn) ([]Instance, query.Result, error) {
	services, res, err := Services(ws, tx)
	if err != nil {
		return nil, res, err
	}
	nodes, of, err := Nodes(ws, tx)
	if err != nil {
		return nil, res, err
	}
	res.Index = max(res.Index, of.Index)
	byName := make(map[string]*Node, len(nodes))
	for _, n := range nodes {
		byName[strings.ToLower(n.Node)] = n
	}
	instances := make([]Instance, 0, len(services))
	for _, s := range services {
		if n := byName[strings.ToLower(s.Node)]; n != nil {
			instances = append(instances, Instance{Node: n, Service: s})
		}
	}
	return instances, res, nil
}

// Target names what is looked up: a service, in any case, or with Connect the
// mesh endpoints that represent it.
type Target struct {
	Service string
	Connect bool
}

// Watch returns the head of a target, nil for one that is not there, and its
// index. It costs the same however many instances there are: while the head is
// the same pointer, so is everything Instances and Healths return.
func Watch(ws store.WatchSet, tx *store.Txn, t Target) (*Head, query.Result, error) {
	if t.Connect {
		return watchedConnect.watch(ws, tx, t.Service)
	}
	return watchedService.watch(ws, tx, t.Service)
}

// Instances returns the instances of a target in the order of the nodes. It
// looks at no other service. Who wants to wait for a change calls Watch.
func Instances(tx *store.Txn, t Target) ([]Instance, error) {
	index := byName
	if t.Connect {
		index = byRepresented
	}
	services, err := rowsOf[Service](tx, TableServices, index, strings.ToLower(t.Service))
	if err != nil {
		return nil, err
	}
	instances := make([]Instance, 0, len(services))
	for _, s := range services {
		n, err := NodeNamed(tx, s.Node)
		if err != nil {
			return nil, err
		}
		if n != nil {
			instances = append(instances, Instance{Node: n, Service: s})
		}
	}
	return instances, nil
}

// Health is an instance with the checks that say how it is: those of its node
// and its own.
type Health struct {
	Instance
	Checks []*Check
}

// Healths returns the instances of a target with their checks, those of the
// node first. It looks at no other service.
func Healths(tx *store.Txn, t Target) ([]Health, error) {
	instances, err := Instances(tx, t)
	if err != nil {
		return nil, err
	}
	healths := make([]Health, len(instances))
	for i, in := range instances {
		ofNode, err := checksOf(tx, in.Service.Node, "")
		if err != nil {
			return nil, err
		}
		own, err := checksOf(tx, in.Service.Node, in.Service.ID)
		if err != nil {
			return nil, err
		}
		healths[i] = Health{Instance: in, Checks: append(ofNode, own...)}
	}
	return healths, nil
}

// Passing reports whether every check passes. An instance without checks does.
func (h *Health) Passing() bool {
	for _, c := range h.Checks {
		if c.Status != Passing {
			return false
		}
	}
	return true
}

// ServiceName returns the name of the service that has the id on the node, ""
// for an id that none has.
func ServiceName(tx *store.Txn, node, id string) (string, error) {
	s, err := serviceOn(tx, node, id)
	if err != nil || s == nil {
		return "", err
	}
	return s.Service, nil
}

// CheckOn returns a check, or nil.
func CheckOn(tx *store.Txn, node, id string) (*Check, error) {
	row, err := tx.First(TableChecks, store.IndexID, strings.ToLower(node), id)
	if err != nil {
		return nil, fmt.Errorf("get check %s on %s: %w", id, node, err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Check), nil
}

func serviceOn(tx *store.Txn, node, id string) (*Service, error) {
	row, err := tx.First(TableServices, store.IndexID, strings.ToLower(node), id)
	if err != nil {
		return nil, fmt.Errorf("get service %s on %s: %w", id, node, err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Service), nil
}

// checksOf returns the checks of an instance, or with "" those of the node.
func checksOf(tx *store.Txn, node, service string) ([]*Check, error) {
	return rowsOf[Check](tx, TableChecks, byInstance, onNode(node, service))
}

// rowsOf returns the rows whose key in an index of pairs begins with first.
func rowsOf[Row any](tx *store.Txn, table, index, first string) ([]*Row, error) {
	it, err := tx.Get(table, index+"_prefix", first)
	if err != nil {
		return nil, fmt.Errorf("list %s by %s %q: %w", table, index, first, err)
	}
	return store.Collect[Row](it), nil
}

func all[Row any](ws store.WatchSet, tx *store.Txn, table string) ([]*Row, error) {
	it, err := tx.Get(table, store.IndexID)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", table, err)
	}
	ws.Add(it.WatchCh())
	return store.Collect[Row](it), nil
}

func allOf[Row any](ws store.WatchSet, tx *store.Txn, table, node string) ([]*Row, error) {
	it, err := tx.Get(table, store.IndexID+"_prefix", strings.ToLower(node))
	if err != nil {
		return nil, fmt.Errorf("list %s of %s: %w", table, node, err)
	}
	ws.Add(it.WatchCh())
	return store.Collect[Row](it), nil
}
