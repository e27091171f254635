package catalog_test

import (
	"bytes"
	"testing"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// headless is the catalog as it was before there were heads.
func headless() store.Module {
	m := catalog.Module()
	m.Triggers = nil
	m.Tables = m.Tables[:3]
	m.Commands = []store.Command{{Type: catalog.TypeRegister, Name: "old", Apply: func(tx *store.WriteTxn, body []byte) (any, error) {
		var r catalog.Registration
		if err := codec.Decode(body, &r); err != nil {
			return nil, err
		}
		r.Service.Node = r.Node.Node
		if err := tx.Put(catalog.TableNodes, &r.Node); err != nil {
			return nil, err
		}
		return nil, tx.Put(catalog.TableServices, r.Service)
	}}}
	return m
}

func TestSnapshotFromBeforeHeads(t *testing.T) {
	old, db := storetest.Open(t, headless()), storetest.Open(t, catalog.Module())
	storetest.Apply(t, old, 5, catalog.TypeRegister, registration("n1", "id-1", "10.0.0.1", catalog.Passing))
	if err := db.Load(bytes.NewReader(storetest.Dump(t, old))); err != nil {
		t.Fatal(err)
	}
	tx, _ := db.Read()
	ws := store.WatchSet{}
	head, res, err := catalog.Watch(ws, tx, catalog.Target{Service: "consul"})
	if err != nil || head != nil || !res.Found || res.Index != 5 {
		t.Errorf("head %v, result %+v, error %v", head, res, err)
	}
	storetest.Apply(t, db, 6, catalog.TypeDeregister, &catalog.Removal{Node: "n1", ServiceID: "consul"})
	if !closed(ws) {
		t.Error("nobody was woken")
	}
	tx, _ = db.Read()
	if _, res, _ = catalog.Watch(nil, tx, catalog.Target{Service: "consul"}); res.Found || res.Index != 6 {
		t.Errorf("afterwards %+v", res)
	}
}
