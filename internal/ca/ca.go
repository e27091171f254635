package ca

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// Command types of this noun in the log; never reused.
const (
	TypeInstall uint8 = 60
	TypeChange  uint8 = 61
	TypeTake    uint8 = 62
	TypePrune   uint8 = 63
)

// Table names.
const (
	TableRoots     = "ca-roots"
	TableAuthority = "ca-authority"
	tableKeys      = "ca-keys"
	tableSerial    = "ca-serial"
)

// Module returns the noun's tables and commands.
func Module() store.Module {
	return store.Module{
		Name: "ca",
		Tables: []store.Table{
			{Schema: table(TableRoots, func(r *Root) string { return r.ID }), New: func() codec.Message { return new(Root) }},
			{Schema: table(TableAuthority, only[Authority]), New: func() codec.Message { return new(Authority) }},
			{Schema: table(tableKeys, only[Key]), New: func() codec.Message { return new(Key) }},
			{Schema: table(tableSerial, only[Counter]), New: func() codec.Message { return new(Counter) }},
		},
		Commands: []store.Command{
			{Type: TypeInstall, Name: "ca.install", Apply: applyInstall},
			{Type: TypeChange, Name: "ca.change", Apply: applyChange},
			{Type: TypeTake, Name: "ca.take", Apply: applyTake},
			{Type: TypePrune, Name: "ca.prune", Apply: applyPrune},
		},
	}
}

// theOne is the key of the row of a table that has only one.
const theOne = "1"

func only[Row any](*Row) string { return theOne }

func table[Row any](name string, key func(*Row) string) *store.TableSchema {
	return &store.TableSchema{Name: name, Indexes: map[string]*store.IndexSchema{
		store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.Key(key)},
	}}
}

// errMoved refuses a decision that was made about another root than the one
// that is active now.
func errMoved(decided, active string) error {
	return failure.Newf(failure.Conflict, "the active root is %q, not %q any more: it was rotated meanwhile; try again", active, decided)
}

// applyInstall makes a root the active one. The old one stays, and its key goes.
func applyInstall(tx *store.WriteTxn, body []byte) (any, error) {
	var c Install
	if err := codec.Decode(body, &c); err != nil {
		return nil, err
	}
	old, err := active(nil, tx.Txn)
	if err != nil {
		return nil, err
	}
	switch {
	case idOf(old) != c.Replaces:
		return nil, errMoved(c.Replaces, idOf(old))
	case c.Root.ID == "" || c.Key == "" || c.Root.ID == c.Replaces:
		return nil, failure.New(failure.Invalid, "a root needs an id of its own, and a key")
	}
	a, err := authority(nil, tx.Txn)
	if err != nil {
		return nil, err
	}
	row := Authority{ClusterID: c.ClusterID, CreateIndex: tx.Index}
	if a != nil {
		row = *a
	}
	row.Settings, row.ModifyIndex = c.Settings, tx.Index
	if err := tx.Put(TableAuthority, &row); err != nil {
		return nil, err
	}
	if old != nil {
		out := *old
		out.Active, out.RotatedOut, out.ModifyIndex = false, c.At, tx.Index
		if err := tx.Put(TableRoots, &out); err != nil {
			return nil, err
		}
	}
	root := c.Root
	root.Active, root.RotatedOut, root.LeafTTL = true, 0, c.Settings.LeafTTL
	root.CreateIndex, root.ModifyIndex = tx.Index, tx.Index
	if err := tx.Put(TableRoots, &root); err != nil {
		return nil, err
	}
	return nil, tx.Put(tableKeys, &Key{RootID: root.ID, PEM: c.Key})
}

// applyChange stores settings that need no new root.
func applyChange(tx *store.WriteTxn, body []byte) (any, error) {
	var c Change
	if err := codec.Decode(body, &c); err != nil {
		return nil, err
	}
	root, err := active(nil, tx.Txn)
	if err != nil {
		return nil, err
	}
	a, err := authority(nil, tx.Txn)
	if err != nil {
		return nil, err
	}
	if root == nil || a == nil || root.ID != c.Root {
		return nil, errMoved(c.Root, idOf(root))
	}
	if a.Settings != c.Settings {
		row := *a
		row.Settings, row.ModifyIndex = c.Settings, tx.Index
		if err := tx.Put(TableAuthority, &row); err != nil {
			return nil, err
		}
	}
	if c.Settings.LeafTTL <= root.LeafTTL {
		return nil, nil
	}
	longer := *root
	longer.LeafTTL, longer.ModifyIndex = c.Settings.LeafTTL, tx.Index
	return nil, tx.Put(TableRoots, &longer)
}

// Taken is the value of a Take: a serial number nobody else has, and the index
// at which it was taken.
type Taken struct {
	Serial, Index uint64
}

func applyTake(tx *store.WriteTxn, body []byte) (any, error) {
	var c Take
	if err := codec.Decode(body, &c); err != nil {
		return nil, err
	}
	if c.Root != "" {
		root, err := active(nil, tx.Txn)
		if err != nil {
			return nil, err
		}
		if idOf(root) != c.Root {
			return nil, errMoved(c.Root, idOf(root))
		}
	}
	row, err := tx.First(tableSerial, store.IndexID, theOne)
	if err != nil {
		return nil, fmt.Errorf("get the last serial number: %w", err)
	}
	next := Counter{Serial: 1}
	if row != nil {
		next.Serial = row.(*Counter).Serial + 1
	}
	return Taken{next.Serial, tx.Index}, tx.Put(tableSerial, &next)
}

// applyPrune drops roots, and with them the certificates by which they vouched
// for later ones. The active root is never dropped. Its value is the number of
// roots that went.
func applyPrune(tx *store.WriteTxn, body []byte) (any, error) {
	var c Prune
	if err := codec.Decode(body, &c); err != nil {
		return nil, err
	}
	dropped := 0
	for _, id := range c.IDs {
		row, err := tx.First(TableRoots, store.IndexID, id)
		if err != nil {
			return nil, fmt.Errorf("get root %s: %w", id, err)
		}
		if row == nil || row.(*Root).Active {
			continue
		}
		if err := tx.Remove(TableRoots, row); err != nil {
			return nil, err
		}
		dropped++
	}
	if dropped == 0 {
		return 0, nil
	}
	return dropped, trimIntermediates(tx)
}

// trimIntermediates takes the certificates out of the active root's that no
// root that is still listed has signed.
func trimIntermediates(tx *store.WriteTxn) error {
	roots, _, err := Roots(nil, tx.Txn)
	if err != nil {
		return err
	}
	for _, r := range roots {
		if !r.Active {
			continue
		}
		kept := vouched(r, roots)
		if len(kept) == len(r.Intermediates) {
			return nil
		}
		row := *r
		row.Intermediates, row.ModifyIndex = kept, tx.Index
		return tx.Put(TableRoots, &row)
	}
	return nil
}

// vouched returns the intermediates of r that lead to one of roots: from the
// front, as long as the issuer is listed.
func vouched(r *Root, roots []*Root) []string {
	for i, text := range r.Intermediates {
		cert, err := ParseCertificate(text)
		if err != nil {
			return r.Intermediates[:i]
		}
		issuer := KeyID(cert.AuthorityKeyId)
		if !slices.ContainsFunc(roots, func(o *Root) bool { return o.SigningKeyID == issuer && !o.Active }) {
			return r.Intermediates[:i]
		}
	}
	return r.Intermediates
}

func idOf(r *Root) string {
	if r == nil {
		return ""
	}
	return r.ID
}

func active(ws store.WatchSet, tx *store.Txn) (*Root, error) {
	roots, _, err := Roots(ws, tx)
	if err != nil {
		return nil, err
	}
	for _, r := range roots {
		if r.Active {
			return r, nil
		}
	}
	return nil, nil
}

func authority(ws store.WatchSet, tx *store.Txn) (*Authority, error) {
	watch, row, err := tx.FirstWatch(TableAuthority, store.IndexID, theOne)
	if err != nil {
		return nil, fmt.Errorf("get the settings of the certificate authority: %w", err)
	}
	ws.Add(watch)
	if row == nil {
		return nil, nil
	}
	return row.(*Authority), nil
}

// Roots returns all roots, the active one first and then the youngest first,
// and the index to wait on. There are none until a leader made the first one.
func Roots(ws store.WatchSet, tx *store.Txn) ([]*Root, query.Result, error) {
	it, err := tx.Get(TableRoots, store.IndexID)
	if err != nil {
		return nil, query.Result{}, fmt.Errorf("list roots: %w", err)
	}
	ws.Add(it.WatchCh())
	roots := store.Collect[Root](it)
	slices.SortFunc(roots, func(x, y *Root) int {
		switch {
		case x.Active != y.Active && x.Active:
			return -1
		case x.Active != y.Active:
			return 1
		case x.CreateIndex != y.CreateIndex && x.CreateIndex > y.CreateIndex:
			return -1
		case x.CreateIndex != y.CreateIndex:
			return 1
		}
		return strings.Compare(x.ID, y.ID)
	})
	return roots, query.Result{Index: store.MaxIndex(tx, TableRoots), Found: len(roots) > 0}, nil
}

// Active returns the root that signs, nil before there is one. ws may be nil.
func Active(ws store.WatchSet, tx *store.Txn) (*Root, error) { return active(ws, tx) }

// Get returns the authority, nil before there is one. ws may be nil.
func Get(ws store.WatchSet, tx *store.Txn) (*Authority, query.Result, error) {
	a, err := authority(ws, tx)
	if a == nil || err != nil {
		return nil, query.Result{}, err
	}
	return a, query.Result{Index: a.ModifyIndex, Found: true}, nil
}

// SigningKey returns the private key of the active root, nil before there is
// one. Only who signs may call it, and must let nobody see it.
func SigningKey(tx *store.Txn) (*Key, error) {
	row, err := tx.First(tableKeys, store.IndexID, theOne)
	if err != nil {
		return nil, fmt.Errorf("get the signing key: %w", err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Key), nil
}

// Doomed returns the roots that nobody can need at the given second since 1970:
// those rotated out longer ago than twice the life of any leaf they signed.
func Doomed(roots []*Root, now int64) []string {
	var ids []string
	for _, r := range roots {
		if !r.Active && now-r.RotatedOut > int64(2*r.LeafTTL.Seconds()) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
