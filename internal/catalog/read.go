package catalog

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

func node(tx *store.Txn, name string) (*Node, error) {
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
// does not exist.
func NodeServices(ws store.WatchSet, tx *store.Txn, name string) (*Node, []*Service, query.Result, error) {
	res := query.Result{Index: store.MaxIndex(tx, TableNodes, TableServices)}
	n, err := watchNode(ws, tx, name)
	if err != nil || n == nil {
		return nil, nil, res, err
	}
	res.Found = true
	services, err := allOf[Service](ws, tx, TableServices, n.Node)
	return n, services, res, err
}

// NodeChecks returns the checks on a node, none for a node that does not exist.
func NodeChecks(ws store.WatchSet, tx *store.Txn, name string) ([]*Check, query.Result, error) {
	checks, err := allOf[Check](ws, tx, TableChecks, name)
	return checks, query.Result{Index: store.MaxIndex(tx, TableChecks), Found: true}, err
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

// Instance is an instance of a service and the node it is on.
type Instance struct {
	Node    *Node
	Service *Service
}

// Instances returns the instances of a service, whose name is compared without
// case, or of all services for "", in the order of the nodes. The index is that
// of the nodes and services, whichever changed last.
func Instances(ws store.WatchSet, tx *store.Txn, service string) ([]Instance, query.Result, error) {
	res := query.Result{Index: store.MaxIndex(tx, TableNodes, TableServices)}
	nodes, err := all[Node](ws, tx, TableNodes)
	if err != nil {
		return nil, res, err
	}
	services, err := all[Service](ws, tx, TableServices)
	if err != nil {
		return nil, res, err
	}
	byName := make(map[string]*Node, len(nodes))
	for _, n := range nodes {
		byName[strings.ToLower(n.Node)] = n
	}
	var instances []Instance
	for _, s := range services {
		n := byName[strings.ToLower(s.Node)]
		if n != nil && (service == "" || strings.EqualFold(s.Service, service)) {
			instances = append(instances, Instance{Node: n, Service: s})
		}
	}
	res.Found = service == "" || len(instances) > 0
	return instances, res, nil
}

func watchNode(ws store.WatchSet, tx *store.Txn, name string) (*Node, error) {
	watch, row, err := tx.FirstWatch(TableNodes, store.IndexID, name)
	if err != nil {
		return nil, fmt.Errorf("get node %s: %w", name, err)
	}
	ws.Add(watch)
	if row == nil {
		return nil, nil
	}
	return row.(*Node), nil
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
