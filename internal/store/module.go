package store

import (
	"fmt"

	"github.com/hashicorp/go-memdb"

	"github.com/ctl-sh/ctl/internal/codec"
)

// Index is a position in the replicated log. A row's CreateIndex and
// ModifyIndex are the indexes of the entries that made and last changed it.
type Index = uint64

// Names of memdb that nouns need, so that they need not import it.
type (
	// Txn reads tables; every read inside one Txn sees the same state.
	Txn = memdb.Txn
	// WatchSet collects the channels that close when what was read changes.
	WatchSet = memdb.WatchSet
	// TableSchema declares a table's indexes; "id" must be unique.
	TableSchema = memdb.TableSchema
	// IndexSchema declares one index of a table.
	IndexSchema = memdb.IndexSchema
	// Iterator walks rows; Next returns nil at the end.
	Iterator = memdb.ResultIterator
)

// IndexID is the name of every table's unique index.
const IndexID = "id"

// Table is a table and how its rows travel in a snapshot.
type Table struct {
	Schema *TableSchema
	// New returns an empty row to decode into. Rows of the table are of
	// this type: pointers, never changed after Put.
	New func() codec.Message
}

// Command changes tables when an entry of its type is applied.
type Command struct {
	// Type stands at the front of the log entry. Once released it is never
	// used for anything else.
	Type uint8
	Name string // noun.verb, for logs and metrics
	// Apply does the work. It must be deterministic: no clock, no
	// randomness, no map order, nothing outside tx and body. body is only
	// valid during the call and may come from an older or newer server. An
	// error refuses the entry: its changes are undone and the error is the
	// result the proposer sees.
	Apply func(tx *WriteTxn, body []byte) (any, error)
}

// Trigger runs inside the same write when a row of Table is removed: the
// relational ON DELETE, declared by the noun that depends on the row.
type Trigger struct {
	Name  string
	Table string
	// OnDelete gets the removed row. Like Apply it must be deterministic;
	// an error refuses the whole entry.
	OnDelete func(tx *WriteTxn, row any) error
}

// Module is all that one noun brings to the state.
type Module struct {
	Name     string
	Tables   []Table
	Commands []Command
	Triggers []Trigger
}

// schema is the checked sum of all modules.
type schema struct {
	memdb    *memdb.DBSchema
	tables   map[string]Table
	order    []string // table names as they stand in a snapshot
	commands [256]*Command
	triggers map[string][]Trigger
}

func compile(modules []Module) (*schema, error) {
	s := &schema{
		memdb:    &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}},
		tables:   map[string]Table{},
		triggers: map[string][]Trigger{},
	}
	for _, m := range append([]Module{indexModule()}, modules...) {
		for _, t := range m.Tables {
			name := t.Schema.Name
			if _, ok := s.tables[name]; ok {
				return nil, fmt.Errorf("module %s: table %q is already declared", m.Name, name)
			}
			s.tables[name], s.memdb.Tables[name] = t, t.Schema
			s.order = append(s.order, name)
		}
		for _, c := range m.Commands {
			if old := s.commands[c.Type]; old != nil {
				return nil, fmt.Errorf("module %s: command type %d is both %s and %s", m.Name, c.Type, old.Name, c.Name)
			}
			s.commands[c.Type] = &c
		}
		for _, t := range m.Triggers {
			s.triggers[t.Table] = append(s.triggers[t.Table], t)
		}
	}
	for table := range s.triggers {
		if _, ok := s.tables[table]; !ok {
			return nil, fmt.Errorf("trigger on table %q, which no module declares", table)
		}
	}
	if err := s.memdb.Validate(); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return s, nil
}
