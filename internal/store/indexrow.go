package store

import (
	"fmt"

	"github.com/ctl-sh/ctl/internal/codec"
)

//go:generate go tool -modfile=../../tools/go.mod msgp -file indexrow.go -o indexrow_gen.go -io=false -tests=false

// tableIndexes holds a row for each table that ever changed.
const tableIndexes = "indexes"

// IndexRow is the index at which a table, or a part of one that a noun names,
// last changed. It travels in snapshots, so that indexes never go back.
type IndexRow struct {
	Name  string `msg:"n"`
	Value uint64 `msg:"v"`
}

func indexModule() Module {
	return Module{Name: "store", Tables: []Table{{
		Schema: &TableSchema{Name: tableIndexes, Indexes: map[string]*IndexSchema{
			IndexID: {Name: IndexID, Unique: true, Indexer: Key(func(r *IndexRow) string { return r.Name })},
		}},
		New: func() codec.Message { return new(IndexRow) },
	}}}
}

// MaxIndex returns the highest index at which any of the named tables changed;
// zero when none ever did.
func MaxIndex(tx *Txn, names ...string) Index {
	var highest Index
	for _, name := range names {
		row, err := tx.First(tableIndexes, IndexID, name)
		if err != nil {
			panic(fmt.Sprintf("store: index of %q: %v", name, err)) // the schema is ours: cannot happen
		}
		if row != nil {
			highest = max(highest, row.(*IndexRow).Value)
		}
	}
	return highest
}

// Count returns how many rows a table has. It walks the table.
func Count(tx *Txn, table string) (int, error) {
	it, err := tx.Get(table, IndexID)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", table, err)
	}
	n := 0
	for it.Next() != nil {
		n++
	}
	return n, nil
}
