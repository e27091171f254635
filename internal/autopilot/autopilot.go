// Package autopilot holds the replicated settings of autopilot: when a server
// counts as healthy, and whether dead ones are removed.
//
// It is only the rules of one row. The supervision itself, which watches the
// servers and promotes or removes them, is in the server's assembly; the HTTP
// routes are in operatorapi.
//
// Source: the public documentation of autopilot.
package autopilot

import (
	"fmt"
	"time"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// TypeChange is this noun's command type in the log; never reused.
const TypeChange uint8 = 20

// Table is the table of the one row.
const Table = "autopilot"

// Default returns the settings of a cluster that nobody configured.
func Default() Config {
	return Config{
		CleanupDeadServers:      true,
		LastContactThreshold:    200 * time.Millisecond,
		MaxTrailingLogs:         250,
		ServerStabilizationTime: 10 * time.Second,
	}
}

// Module returns the noun's table and command.
func Module() store.Module {
	return store.Module{
		Name: "autopilot",
		Tables: []store.Table{{
			Schema: &store.TableSchema{Name: Table, Indexes: map[string]*store.IndexSchema{
				store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.Key(func(*Config) string { return Table })},
			}},
			New: func() codec.Message { return new(Config) },
		}},
		Commands: []store.Command{{Type: TypeChange, Name: "autopilot.change", Apply: applyChange}},
	}
}

// applyChange runs a Change. Its value is a bool: whether it stored anything.
func applyChange(tx *store.WriteTxn, body []byte) (any, error) {
	var c Change
	if err := codec.Decode(body, &c); err != nil {
		return nil, err
	}
	old, err := current(tx.Txn)
	if err != nil {
		return nil, err
	}
	row := c.Config
	row.CreateIndex, row.ModifyIndex = tx.Index, tx.Index
	if old != nil {
		if c.IfAbsent || c.CAS && c.Index != old.ModifyIndex {
			return false, nil
		}
		row.CreateIndex = old.CreateIndex
	} else if c.CAS && c.Index != 0 {
		return false, nil
	}
	return true, tx.Put(Table, &row)
}

func current(tx *store.Txn) (*Config, error) {
	row, err := tx.First(Table, store.IndexID, Table)
	if err != nil {
		return nil, fmt.Errorf("get autopilot settings: %w", err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Config), nil
}

// Get returns the settings in force: the stored ones, or the defaults.
func Get(ws store.WatchSet, tx *store.Txn) (Config, query.Result, error) {
	watch, row, err := tx.FirstWatch(Table, store.IndexID, Table)
	if err != nil {
		return Config{}, query.Result{}, fmt.Errorf("get autopilot settings: %w", err)
	}
	ws.Add(watch)
	if row == nil {
		return Default(), query.Result{}, nil
	}
	c := row.(*Config)
	return *c, query.Result{Index: c.ModifyIndex, Found: true}, nil
}
