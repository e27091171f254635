// Package catalog holds the rules of the catalog: which nodes there are, which
// services run on them and how healthy both are.
//
// Rules: node names are keys without regard to case; a service belongs to a
// node, a check to a node or a service; what belongs to something goes with
// it, in the same entry. Registering what is already there moves no index. A
// node id that comes with a new name is a rename; a name held by a node of
// another id is refused while that node is healthy.
//
// It knows no network, no gossip and no clock: the leader's reconciliation and
// the HTTP edge are in catalogapi.
//
// Source: the public documentation of the catalog.
package catalog

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
)

// Command types of this noun in the log; never reused.
const (
	TypeRegister   uint8 = 1
	TypeDeregister uint8 = 2
	TypeForget     uint8 = 3
)

// Table names.
const (
	TableNodes    = "nodes"
	TableServices = "services"
	TableChecks   = "checks"
	TableHeads    = "heads"
	TableRemoved  = "removed"
)

// Names of indexes.
const (
	byNodeID      = "uuid"        // nodes by their id
	byName        = "name"        // services, and checks of services, by the service's name
	byRepresented = "represented" // services by what they represent in the mesh
	byInstance    = "instance"    // checks by the instance they are of
)

// Module returns the noun's tables, commands and triggers.
func Module() store.Module {
	return store.Module{
		Name:   "catalog",
		Tables: tables(),
		Commands: []store.Command{
			{Type: TypeRegister, Name: "catalog.register", Apply: applyRegister},
			{Type: TypeDeregister, Name: "catalog.deregister", Apply: applyDeregister},
			{Type: TypeForget, Name: "catalog.forget", Apply: applyForget},
		},
		Triggers: []store.Trigger{
			{Name: "catalog.services-of-node", Table: TableNodes, OnDelete: func(tx *store.WriteTxn, row any) error {
				return removeAll[Service](tx, TableServices, row.(*Node).Node)
			}},
			{Name: "catalog.checks-of-node", Table: TableNodes, OnDelete: func(tx *store.WriteTxn, row any) error {
				return removeAll[Check](tx, TableChecks, row.(*Node).Node)
			}},
			{Name: "catalog.head-of-node", Table: TableNodes, OnDelete: func(tx *store.WriteTxn, row any) error {
				return watchedNode.moved(tx, row.(*Node).Node)
			}},
			{Name: "catalog.checks-of-service", Table: TableServices, OnDelete: func(tx *store.WriteTxn, row any) error {
				return removeChecksOf(tx, row.(*Service))
			}},
			{Name: "catalog.heads-of-service", Table: TableServices, OnDelete: func(tx *store.WriteTxn, row any) error {
				return instanceMoved(tx, row.(*Service))
			}},
			{Name: "catalog.heads-of-check", Table: TableChecks, OnDelete: func(tx *store.WriteTxn, row any) error {
				return checkMoved(tx, row.(*Check))
			}},
		},
	}
}

func removeAll[Row any](tx *store.WriteTxn, table, node string) error {
	it, err := tx.Get(table, store.IndexID+"_prefix", strings.ToLower(node))
	if err != nil {
		return fmt.Errorf("list %s of %s: %w", table, node, err)
	}
	for _, row := range store.Collect[Row](it) {
		if err := tx.Remove(table, row); err != nil {
			return err
		}
	}
	return nil
}

func removeChecksOf(tx *store.WriteTxn, s *Service) error {
	checks, err := checksOf(tx.Txn, s.Node, s.ID)
	if err != nil {
		return err
	}
	for _, c := range checks {
		if err := tx.Remove(TableChecks, c); err != nil {
			return err
		}
	}
	return nil
}

// applyRegister runs a Registration. It has no value.
func applyRegister(tx *store.WriteTxn, body []byte) (any, error) {
	var r Registration
	if err := codec.Decode(body, &r); err != nil {
		return nil, err
	}
	if err := r.Complete(); err != nil {
		return nil, err
	}
	if err := putNode(tx, &r); err != nil {
		return nil, err
	}
	if r.Service != nil {
		if err := putService(tx, r.Service); err != nil {
			return nil, err
		}
	}
	for _, c := range r.Checks {
		c.Since = r.At
		if err := putCheck(tx, c); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func putNode(tx *store.WriteTxn, r *Registration) error {
	n := r.Node
	old, err := NodeNamed(tx.Txn, n.Node)
	if err != nil {
		return err
	}
	if old != nil && r.SkipNodeUpdate {
		return nil
	}
	if n.ID != "" {
		if err := takeName(tx, &n, old); err != nil {
			return err
		}
	}
	n.CreateIndex, n.ModifyIndex = tx.Index, tx.Index
	if old != nil {
		if old.same(&n) {
			return nil
		}
		n.CreateIndex = old.CreateIndex
	}
	if err := tx.Put(TableNodes, &n); err != nil {
		return err
	}
	if err := watchedNode.moved(tx, n.Node); err != nil {
		return err
	}
	return servicesMoved(tx, n.Node)
}

// takeName clears the way for n: the row its id had under another name goes,
// and another node's hold on the name is respected while that node is healthy.
func takeName(tx *store.WriteTxn, n, holder *Node) error {
	if holder != nil && holder.ID != "" && !strings.EqualFold(holder.ID, n.ID) {
		healthy, err := tx.First(TableChecks, store.IndexID, strings.ToLower(holder.Node), SerfHealth)
		if err != nil {
			return fmt.Errorf("get health of node %s: %w", holder.Node, err)
		}
		if healthy != nil && healthy.(*Check).Status != Critical {
			return failure.Newf(failure.Invalid, "Node name %s is reserved by node %s with name %s (%s)", n.Node, holder.ID, holder.Node, holder.Address)
		}
	}
	row, err := tx.First(TableNodes, byNodeID, n.ID)
	if err != nil {
		return fmt.Errorf("get node by id %s: %w", n.ID, err)
	}
	if row != nil && !strings.EqualFold(row.(*Node).Node, n.Node) {
		return tx.Remove(TableNodes, row)
	}
	return nil
}

func putService(tx *store.WriteTxn, s *Service) error {
	if err := forgetRemoved(tx, &Removed{Node: s.Node, ServiceID: s.ID}); err != nil {
		return err
	}
	old, err := serviceOn(tx.Txn, s.Node, s.ID)
	if err != nil {
		return err
	}
	s.CreateIndex, s.ModifyIndex = tx.Index, tx.Index
	if old != nil {
		s.CreateIndex = old.CreateIndex
		if old.same(s) {
			return nil
		}
	}
	if err := tx.Put(TableServices, s); err != nil {
		return err
	}
	if old != nil {
		if err := leaveName(tx, old, s); err != nil {
			return err
		}
	}
	return instanceMoved(tx, s)
}

// leaveName finishes the change of an instance from old to s: its checks take a
// new name along, and who watches what it was before is told.
func leaveName(tx *store.WriteTxn, old, s *Service) error {
	if old.Service != s.Service {
		checks, err := checksOf(tx.Txn, s.Node, s.ID)
		if err != nil {
			return err
		}
		for _, c := range checks {
			renamed := *c
			renamed.ServiceName, renamed.ServiceTags, renamed.ModifyIndex = s.Service, s.Tags, tx.Index
			if err := tx.Put(TableChecks, &renamed); err != nil {
				return err
			}
		}
		if len(checks) > 0 {
			if err := watchedChecks.moved(tx, s.Node); err != nil {
				return err
			}
		}
	}
	return serviceMoved(tx, old)
}

// putCheck puts a check in place, whose Since is the time of the entry.
func putCheck(tx *store.WriteTxn, c *Check) error {
	if err := forgetRemoved(tx, &Removed{Node: c.Node, CheckID: c.CheckID}); err != nil {
		return err
	}
	if c.ServiceID != "" {
		s, err := serviceOn(tx.Txn, c.Node, c.ServiceID)
		if err != nil {
			return err
		}
		if s == nil {
			return failure.Newf(failure.Invalid, "Unknown service ID '%s' for check ID '%s'", c.ServiceID, c.CheckID)
		}
		c.ServiceName, c.ServiceTags = s.Service, s.Tags
	}
	if c.Status == "" {
		c.Status = Critical
	}
	old, err := CheckOn(tx.Txn, c.Node, c.CheckID)
	if err != nil {
		return err
	}
	c.CreateIndex, c.ModifyIndex = tx.Index, tx.Index
	if old != nil {
		c.CreateIndex = old.CreateIndex
		if old.same(c) {
			return nil
		}
		if old.Status == c.Status {
			c.Since = old.Since
		}
	}
	if err := tx.Put(TableChecks, c); err != nil {
		return err
	}
	if old != nil && old.ServiceID != c.ServiceID {
		if err := checkMoved(tx, old); err != nil {
			return err
		}
	}
	return checkMoved(tx, c)
}

// applyDeregister runs a Removal. Its value is whether the agent of the node has
// to learn of it. Removing what is not there is done already.
func applyDeregister(tx *store.WriteTxn, body []byte) (any, error) {
	var r Removal
	if err := codec.Decode(body, &r); err != nil {
		return nil, err
	}
	table, id := TableNodes, []any{r.Node}
	switch {
	case r.ServiceID != "":
		table, id = TableServices, []any{strings.ToLower(r.Node), r.ServiceID}
	case r.CheckID != "":
		table, id = TableChecks, []any{strings.ToLower(r.Node), r.CheckID}
	}
	row, err := tx.First(table, store.IndexID, id...)
	if err != nil || row == nil {
		return false, err
	}
	if err := tx.Remove(table, row); err != nil {
		return false, err
	}
	if !r.Remember || table == TableNodes {
		return false, nil
	}
	return rememberRemoved(tx, &r)
}
