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
)

// Table names.
const (
	TableNodes    = "nodes"
	TableServices = "services"
	TableChecks   = "checks"
	byNodeID      = "uuid"
)

// Module returns the noun's tables, commands and triggers.
func Module() store.Module {
	return store.Module{
		Name: "catalog",
		Tables: []store.Table{
			{
				Schema: &store.TableSchema{Name: TableNodes, Indexes: map[string]*store.IndexSchema{
					store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.FoldKey(func(n *Node) string { return n.Node })},
					byNodeID:      {Name: byNodeID, AllowMissing: true, Indexer: store.FoldKey(func(n *Node) string { return n.ID })},
				}},
				New: func() codec.Message { return new(Node) },
			},
			{
				Schema: &store.TableSchema{Name: TableServices, Indexes: map[string]*store.IndexSchema{
					store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.PairKey(func(s *Service) (string, string) { return strings.ToLower(s.Node), s.ID }, false)},
				}},
				New: func() codec.Message { return new(Service) },
			},
			{
				Schema: &store.TableSchema{Name: TableChecks, Indexes: map[string]*store.IndexSchema{
					store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.PairKey(func(c *Check) (string, string) { return strings.ToLower(c.Node), c.CheckID }, false)},
				}},
				New: func() codec.Message { return new(Check) },
			},
		},
		Commands: []store.Command{
			{Type: TypeRegister, Name: "catalog.register", Apply: applyRegister},
			{Type: TypeDeregister, Name: "catalog.deregister", Apply: applyDeregister},
		},
		Triggers: []store.Trigger{
			{Name: "catalog.services-of-node", Table: TableNodes, OnDelete: func(tx *store.WriteTxn, row any) error {
				return removeAll[Service](tx, TableServices, row.(*Node).Node)
			}},
			{Name: "catalog.checks-of-node", Table: TableNodes, OnDelete: func(tx *store.WriteTxn, row any) error {
				return removeAll[Check](tx, TableChecks, row.(*Node).Node)
			}},
			{Name: "catalog.checks-of-service", Table: TableServices, OnDelete: removeChecksOf},
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

func removeChecksOf(tx *store.WriteTxn, row any) error {
	s := row.(*Service)
	it, err := tx.Get(TableChecks, store.IndexID+"_prefix", strings.ToLower(s.Node))
	if err != nil {
		return fmt.Errorf("list checks of %s: %w", s.Node, err)
	}
	for _, c := range store.Collect[Check](it) {
		if c.ServiceID != s.ID {
			continue
		}
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
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if err := putNode(tx, &r); err != nil {
		return nil, err
	}
	if r.Service != nil {
		r.Service.Node = r.Node.Node
		if err := putService(tx, r.Service); err != nil {
			return nil, err
		}
	}
	for _, c := range r.Checks {
		c.Node = r.Node.Node
		if err := putCheck(tx, c); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Validate checks what can be checked without the state. It fails with
// failure.Invalid.
func (r *Registration) Validate() error {
	switch {
	case r.Node.Node == "":
		return failure.New(failure.Invalid, "Must provide node")
	case r.Node.Address == "" && !r.SkipNodeUpdate:
		return failure.New(failure.Invalid, "Must provide address if SkipNodeUpdate is not set")
	case r.Service != nil && r.Service.Service == "":
		return failure.New(failure.Invalid, "Must provide service name (Service.Service)")
	}
	return nil
}

func putNode(tx *store.WriteTxn, r *Registration) error {
	n := r.Node
	old, err := node(tx.Txn, n.Node)
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
	return tx.Put(TableNodes, &n)
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
	if s.ID == "" {
		s.ID = s.Service
	}
	row, err := tx.First(TableServices, store.IndexID, strings.ToLower(s.Node), s.ID)
	if err != nil {
		return fmt.Errorf("get service %s on %s: %w", s.ID, s.Node, err)
	}
	s.CreateIndex, s.ModifyIndex = tx.Index, tx.Index
	if row != nil {
		old := row.(*Service)
		s.CreateIndex = old.CreateIndex
		if old.same(s) {
			return nil
		}
	}
	return tx.Put(TableServices, s)
}

func putCheck(tx *store.WriteTxn, c *Check) error {
	if c.ServiceID != "" {
		row, err := tx.First(TableServices, store.IndexID, strings.ToLower(c.Node), c.ServiceID)
		if err != nil {
			return fmt.Errorf("get service %s on %s: %w", c.ServiceID, c.Node, err)
		}
		if row == nil {
			return failure.Newf(failure.Invalid, "Unknown service ID '%s' for check ID '%s'", c.ServiceID, c.CheckID)
		}
		c.ServiceName, c.ServiceTags = row.(*Service).Service, row.(*Service).Tags
	}
	if c.Status == "" {
		c.Status = Critical
	}
	row, err := tx.First(TableChecks, store.IndexID, strings.ToLower(c.Node), c.CheckID)
	if err != nil {
		return fmt.Errorf("get check %s on %s: %w", c.CheckID, c.Node, err)
	}
	c.CreateIndex, c.ModifyIndex = tx.Index, tx.Index
	if row != nil {
		old := row.(*Check)
		c.CreateIndex = old.CreateIndex
		if old.same(c) {
			return nil
		}
	}
	return tx.Put(TableChecks, c)
}

// applyDeregister runs a Removal. Removing what is not there is done already.
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
		return nil, err
	}
	return nil, tx.Remove(table, row)
}
