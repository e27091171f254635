package catalog

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// watched is a sort of thing that is watched one by one, so that a change of
// one wakes nobody who waits for another.
//
// Each thing has a Head as long as it is there. When it goes the head goes too,
// and who asks for what is not there is told the index of the last time one of
// that sort went: above every index the thing ever had, so that an index never
// goes back and whoever waits for it wakes.
type watched struct {
	prefix string // of its heads' keys
	gone   string // the store's name for the index of the last one that went
	// table and index are where a row of the thing's name shows that it is
	// there.
	table, index string
}

// The things that are watched. Names are those of the rows, in lower case.
var (
	// A service: its instances, their checks, the data and checks of the
	// nodes they are on.
	watchedService = watched{"service/", "catalog.services-gone", TableServices, byName + "_prefix"}
	// The mesh endpoints of a service, in the same way.
	watchedConnect = watched{"connect/", "catalog.connect-gone", TableServices, byRepresented + "_prefix"}
	// A node and the services on it, without checks.
	watchedNode = watched{"node/", "catalog.nodes-gone", TableNodes, store.IndexID}
	// The checks of a node and of the services on it.
	watchedChecks = watched{"checks/", "catalog.checks-gone", TableChecks, store.IndexID + "_prefix"}
)

func (k watched) there(tx *store.Txn, name string) (bool, error) {
	row, err := tx.First(k.table, k.index, name)
	if err != nil {
		return false, fmt.Errorf("look for %s%s: %w", k.prefix, name, err)
	}
	return row != nil, nil
}

// moved notes that the thing changed, came or went with the entry of tx.
func (k watched) moved(tx *store.WriteTxn, name string) error {
	name = strings.ToLower(name)
	there, err := k.there(tx.Txn, name)
	if err != nil {
		return err
	}
	row, err := tx.First(TableHeads, store.IndexID, k.prefix+name)
	if err != nil {
		return fmt.Errorf("get head of %s%s: %w", k.prefix, name, err)
	}
	switch {
	case there && row != nil && row.(*Head).Index == tx.Index:
		return nil // noted already
	case there:
		return tx.Put(TableHeads, &Head{Key: k.prefix + name, Index: tx.Index})
	case row != nil:
		if err := tx.Remove(TableHeads, row); err != nil {
			return err
		}
	}
	tx.Touch(k.gone)
	return nil
}

// watch returns the thing's head, nil where it is not there, and what a read of
// it is to wait for.
func (k watched) watch(ws store.WatchSet, tx *store.Txn, name string) (*Head, query.Result, error) {
	name = strings.ToLower(name)
	ch, row, err := tx.FirstWatch(TableHeads, store.IndexID, k.prefix+name)
	if err != nil {
		return nil, query.Result{}, fmt.Errorf("get head of %s%s: %w", k.prefix, name, err)
	}
	ws.Add(ch)
	if row != nil {
		h := row.(*Head)
		return h, query.Result{Index: h.Index, Found: true}, nil
	}
	there, err := k.there(tx, name)
	if err != nil || !there {
		return nil, query.Result{Index: store.MaxIndex(tx, k.gone)}, err
	}
	// The row is from a snapshot older than heads: follow all there is.
	for _, table := range []string{TableNodes, TableServices, TableChecks} {
		it, err := tx.Get(table, store.IndexID)
		if err != nil {
			return nil, query.Result{}, fmt.Errorf("list %s: %w", table, err)
		}
		ws.Add(it.WatchCh())
	}
	return nil, query.Result{Index: store.MaxIndex(tx, TableNodes, TableServices, TableChecks), Found: true}, nil
}

// serviceMoved notes a change of an instance or of its checks.
func serviceMoved(tx *store.WriteTxn, s *Service) error {
	if err := watchedService.moved(tx, s.Service); err != nil {
		return err
	}
	if name := s.Represents(); name != "" {
		return watchedConnect.moved(tx, name)
	}
	return nil
}

// servicesMoved notes a change of what all services on a node share.
func servicesMoved(tx *store.WriteTxn, node string) error {
	services, err := allOf[Service](nil, tx.Txn, TableServices, node)
	if err != nil {
		return err
	}
	for _, s := range services {
		if err := serviceMoved(tx, s); err != nil {
			return err
		}
	}
	return nil
}

// checkMoved notes a change of a check.
func checkMoved(tx *store.WriteTxn, c *Check) error {
	if err := watchedChecks.moved(tx, c.Node); err != nil {
		return err
	}
	if c.ServiceID == "" {
		return servicesMoved(tx, c.Node)
	}
	s, err := serviceOn(tx.Txn, c.Node, c.ServiceID)
	if err != nil || s == nil {
		return err
	}
	return serviceMoved(tx, s)
}

// instanceMoved notes that an instance came, changed or went.
func instanceMoved(tx *store.WriteTxn, s *Service) error {
	if err := watchedNode.moved(tx, s.Node); err != nil {
		return err
	}
	return serviceMoved(tx, s)
}
