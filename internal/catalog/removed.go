package catalog

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// thing is what tells removed things of a node apart.
func (r *Removed) thing() string {
	if r.ServiceID != "" {
		return "service/" + r.ServiceID
	}
	return "check/" + r.CheckID
}

// rememberRemoved notes a removal for the agent of the node, and reports whether
// there is one: a node that gossip does not know and that has no serfHealth has no
// agent to learn of it.
func rememberRemoved(tx *store.WriteTxn, r *Removal) (bool, error) {
	health, err := CheckOn(tx.Txn, r.Node, SerfHealth)
	if err != nil || health == nil && !r.Member || r.CheckID == SerfHealth {
		return false, err
	}
	return true, tx.Put(TableRemoved, &Removed{Node: r.Node, ServiceID: r.ServiceID, CheckID: r.CheckID, At: r.At})
}

// forgetRemoved forgets that a thing was removed: it is back.
func forgetRemoved(tx *store.WriteTxn, r *Removed) error {
	row, err := tx.First(TableRemoved, store.IndexID, strings.ToLower(r.Node), r.thing())
	if err != nil {
		return fmt.Errorf("look whether %s of %s was removed: %w", r.thing(), r.Node, err)
	}
	if row == nil {
		return nil
	}
	return tx.Remove(TableRemoved, row)
}

// applyForget runs a Forgetting. It has no value.
func applyForget(tx *store.WriteTxn, body []byte) (any, error) {
	var f Forgetting
	if err := codec.Decode(body, &f); err != nil {
		return nil, err
	}
	rows, err := all[Removed](nil, tx.Txn, TableRemoved)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.At >= f.Before {
			continue
		}
		if err := tx.Remove(TableRemoved, r); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// RemovedOf returns what was removed of a node and its agent has not registered
// again, in the order of the ids. The index is that of all that was removed.
func RemovedOf(ws store.WatchSet, tx *store.Txn, node string) ([]*Removed, query.Result, error) {
	rows, err := allOf[Removed](ws, tx, TableRemoved, node)
	return rows, query.Result{Index: store.MaxIndex(tx, TableRemoved), Found: true}, err
}

// RemovedBefore reports whether anything is remembered that was removed before a
// time, in seconds of Unix time.
func RemovedBefore(tx *store.Txn, before int64) (bool, error) {
	rows, err := all[Removed](nil, tx, TableRemoved)
	for _, r := range rows {
		if r.At < before {
			return true, err
		}
	}
	return false, err
}
