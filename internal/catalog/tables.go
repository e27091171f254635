package catalog

import (
	"strings"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/store"
)

func tables() []store.Table {
	return []store.Table{
		{
			Schema: schema(TableNodes,
				unique(store.FoldKey(func(n *Node) string { return n.Node })),
				&store.IndexSchema{Name: byNodeID, Unique: true, AllowMissing: true, Indexer: store.FoldKey(func(n *Node) string { return n.ID })},
			),
			New: func() codec.Message { return new(Node) },
		},
		{
			Schema: schema(TableServices,
				unique(store.PairKey(func(s *Service) (string, string) { return strings.ToLower(s.Node), s.ID }, false)),
				named(byName, func(s *Service) (string, string) { return s.Service, onNode(s.Node, s.ID) }),
				named(byRepresented, func(s *Service) (string, string) { return s.Represents(), onNode(s.Node, s.ID) }),
			),
			New: func() codec.Message { return new(Service) },
		},
		{
			Schema: schema(TableChecks,
				unique(store.PairKey(func(c *Check) (string, string) { return strings.ToLower(c.Node), c.CheckID }, false)),
				named(byName, func(c *Check) (string, string) { return c.ServiceName, onNode(c.Node, c.CheckID) }),
				&store.IndexSchema{Name: byInstance, Unique: true, Indexer: store.PairKey(func(c *Check) (string, string) {
					return onNode(c.Node, c.ServiceID), c.CheckID
				}, false)},
			),
			New: func() codec.Message { return new(Check) },
		},
		{
			Schema: schema(TableHeads, unique(store.Key(func(h *Head) string { return h.Key }))),
			New:    func() codec.Message { return new(Head) },
		},
		{
			Schema: schema(TableRemoved, unique(store.PairKey(func(r *Removed) (string, string) { return strings.ToLower(r.Node), r.thing() }, false))),
			New:    func() codec.Message { return new(Removed) },
		},
	}
}

func schema(table string, indexes ...*store.IndexSchema) *store.TableSchema {
	s := &store.TableSchema{Name: table, Indexes: map[string]*store.IndexSchema{}}
	for _, i := range indexes {
		s.Indexes[i.Name] = i
	}
	return s
}

// indexer is what store's indexers are to memdb.
type indexer interface {
	FromObject(raw any) (bool, []byte, error)
	FromArgs(args ...any) ([]byte, error)
	PrefixFromArgs(args ...any) ([]byte, error)
}

func unique(of indexer) *store.IndexSchema {
	return &store.IndexSchema{Name: store.IndexID, Unique: true, Indexer: of}
}

// named is an index by a name in any case, in which rows without a name do not
// stand. Ask it by prefix for the rows of one name.
func named[Row any](name string, of func(*Row) (string, string)) *store.IndexSchema {
	return &store.IndexSchema{Name: name, Unique: true, AllowMissing: true, Indexer: namedRows[Row]{
		indexer: store.PairKey(func(r *Row) (string, string) {
			first, second := of(r)
			return strings.ToLower(first), second
		}, false),
		of: of,
	}}
}

type namedRows[Row any] struct {
	indexer
	of func(*Row) (string, string)
}

// FromObject leaves rows without a name out.
func (n namedRows[Row]) FromObject(raw any) (bool, []byte, error) {
	if row, ok := raw.(*Row); ok {
		if name, _ := n.of(row); name == "" {
			return false, nil, nil
		}
	}
	return n.indexer.FromObject(raw)
}

// onNode is the key of something on a node. Names never hold a zero byte.
func onNode(node, id string) string { return strings.ToLower(node) + "\x00" + id }
