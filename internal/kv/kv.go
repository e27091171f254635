// Package kv holds the rules of the key/value store: its rows, the commands
// that change them and the reads that can be watched.
//
// Keys are any bytes in byte order; "/" means nothing but to a separator.
// Every change moves the index of exactly what it touched: a key has its own
// ModifyIndex, a prefix the highest ModifyIndex or tombstone below it, so a
// watcher is only woken by what it asked for. Writing what is already there
// moves nothing. Indexes never go back, not even when tombstones are
// forgotten: the highest forgotten index stays as a floor.
//
// It knows no network, no HTTP and no clock. Locks come with sessions.
//
// Source: the public documentation of the KV store and of blocking queries.
package kv

import (
	"bytes"
	"fmt"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
)

// Command types of this noun in the log; never reused.
const (
	TypeChange uint8 = 10
	TypeReap   uint8 = 11
)

// Table and index names.
const (
	TableEntries    = "kvs"
	TableTombstones = "tombstones"
	// indexReaped is the highest tombstone index that was forgotten.
	indexReaped = "tombstones.reaped"
)

// Module returns the noun's tables and commands.
func Module() store.Module {
	return store.Module{
		Name: "kv",
		Tables: []store.Table{
			{
				Schema: &store.TableSchema{Name: TableEntries, Indexes: map[string]*store.IndexSchema{
					store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.Key(func(e *Entry) string { return e.Key })},
				}},
				New: func() codec.Message { return new(Entry) },
			},
			{
				// A tombstone's key may be empty no more than an entry's.
				Schema: &store.TableSchema{Name: TableTombstones, Indexes: map[string]*store.IndexSchema{
					store.IndexID: {Name: store.IndexID, Unique: true, Indexer: store.Key(func(t *Tombstone) string { return t.Key })},
				}},
				New: func() codec.Message { return new(Tombstone) },
			},
		},
		Commands: []store.Command{
			{Type: TypeChange, Name: "kv.change", Apply: applyChange},
			{Type: TypeReap, Name: "kv.reap", Apply: applyReap},
		},
	}
}

// applyChange runs a Change. Its value is a bool: whether a check-and-set
// found what it expected; true for every other operation.
func applyChange(tx *store.WriteTxn, body []byte) (any, error) {
	var c Change
	if err := codec.Decode(body, &c); err != nil {
		return nil, err
	}
	return c.apply(tx)
}

func (c *Change) apply(tx *store.WriteTxn) (bool, error) {
	if c.Op == DeleteTree {
		return true, deleteTree(tx, c.Key)
	}
	if c.Key == "" {
		return false, failure.New(failure.Invalid, failure.TextMissingKey)
	}
	old, err := entry(tx.Txn, c.Key)
	if err != nil {
		return false, err
	}
	switch c.Op {
	case Set:
		return true, set(tx, old, c)
	case SetCAS:
		if c.Index != modifyIndex(old) {
			return false, nil
		}
		return true, set(tx, old, c)
	case Delete:
		return true, remove(tx, old)
	case DeleteCAS:
		// Deleting what is not there is already done.
		if old != nil && c.Index != old.ModifyIndex {
			return false, nil
		}
		return true, remove(tx, old)
	default:
		return false, failure.Newf(failure.Unsupported, "kv change has the unknown operation %d", c.Op)
	}
}

func modifyIndex(e *Entry) uint64 {
	if e == nil {
		return 0
	}
	return e.ModifyIndex
}

// set writes c over old, which may be nil. A lock and its holder stay as they
// are; writing what is already there moves nothing.
func set(tx *store.WriteTxn, old *Entry, c *Change) error {
	e := &Entry{Key: c.Key, Value: c.Value, Flags: c.Flags, CreateIndex: tx.Index, ModifyIndex: tx.Index}
	if old != nil {
		if old.Flags == c.Flags && bytes.Equal(old.Value, c.Value) {
			return nil
		}
		e.Key, e.CreateIndex, e.LockIndex, e.Session = old.Key, old.CreateIndex, old.LockIndex, old.Session
	}
	return tx.Put(TableEntries, e)
}

func remove(tx *store.WriteTxn, old *Entry) error {
	if old == nil {
		return nil
	}
	if err := tx.Remove(TableEntries, old); err != nil {
		return err
	}
	return tx.Put(TableTombstones, &Tombstone{Key: old.Key, Index: tx.Index})
}

// deleteTree removes everything below prefix and leaves one tombstone for all
// of it. The empty prefix needs none: its index is the table's.
func deleteTree(tx *store.WriteTxn, prefix string) error {
	it, err := tx.Get(TableEntries, store.IndexID+"_prefix", prefix)
	if err != nil {
		return fmt.Errorf("list kv below %q: %w", prefix, err)
	}
	entries := store.Collect[Entry](it)
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		if err := tx.Remove(TableEntries, e); err != nil {
			return err
		}
	}
	if prefix == "" {
		return nil
	}
	return tx.Put(TableTombstones, &Tombstone{Key: prefix, Index: tx.Index})
}

// applyReap forgets tombstones up to an index and keeps that index as the
// floor of every prefix. Its value is how many went.
func applyReap(tx *store.WriteTxn, body []byte) (any, error) {
	var r Reap
	if err := codec.Decode(body, &r); err != nil {
		return nil, err
	}
	it, err := tx.Get(TableTombstones, store.IndexID)
	if err != nil {
		return nil, fmt.Errorf("list tombstones: %w", err)
	}
	reaped := 0
	for _, t := range store.Collect[Tombstone](it) {
		if t.Index > r.Index {
			continue
		}
		if err := tx.Remove(TableTombstones, t); err != nil {
			return nil, err
		}
		tx.TouchAt(indexReaped, t.Index)
		reaped++
	}
	return reaped, nil
}
