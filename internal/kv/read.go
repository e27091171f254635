package kv

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

func entry(tx *store.Txn, key string) (*Entry, error) {
	row, err := tx.First(TableEntries, store.IndexID, key)
	if err != nil {
		return nil, fmt.Errorf("get kv %q: %w", key, err)
	}
	if row == nil {
		return nil, nil
	}
	return row.(*Entry), nil
}

// Get returns the entry of key, or nil, and the index to wait on: the entry's
// ModifyIndex, or of a key that does not exist the table's. ws may be nil.
func Get(ws store.WatchSet, tx *store.Txn, key string) (*Entry, query.Result, error) {
	watch, row, err := tx.FirstWatch(TableEntries, store.IndexID, key)
	if err != nil {
		return nil, query.Result{}, fmt.Errorf("get kv %q: %w", key, err)
	}
	ws.Add(watch)
	if row == nil {
		return nil, query.Result{Index: tableIndex(tx)}, nil
	}
	e := row.(*Entry)
	return e, query.Result{Index: e.ModifyIndex, Found: true}, nil
}

func tableIndex(tx *store.Txn) uint64 { return store.MaxIndex(tx, TableEntries, TableTombstones) }

// List returns the entries whose key begins with prefix, in byte order, and
// the index to wait on: the highest of what is or was below the prefix, or the
// table's where nothing is.
func List(ws store.WatchSet, tx *store.Txn, prefix string) ([]*Entry, query.Result, error) {
	var entries []*Entry
	res, err := walk(ws, tx, prefix, func(e *Entry) { entries = append(entries, e) })
	return entries, res, err
}

// Keys returns the keys that begin with prefix, in byte order, cut behind the
// first separator after the prefix and each of them once. An empty separator
// cuts nothing. The index is that of List.
func Keys(ws store.WatchSet, tx *store.Txn, prefix, separator string) ([]string, query.Result, error) {
	var keys []string
	res, err := walk(ws, tx, prefix, func(e *Entry) {
		key := cut(e.Key, len(prefix), separator)
		if n := len(keys); n == 0 || keys[n-1] != key {
			keys = append(keys, key)
		}
	})
	return keys, res, err
}

// cut shortens key to end with the first separator at or after byte from.
func cut(key string, from int, separator string) string {
	if separator == "" {
		return key
	}
	if i := strings.Index(key[from:], separator); i >= 0 {
		return key[:from+i+len(separator)]
	}
	return key
}

// walk calls visit for every entry below prefix and returns the prefix's index.
func walk(ws store.WatchSet, tx *store.Txn, prefix string, visit func(*Entry)) (query.Result, error) {
	it, err := tx.Get(TableEntries, store.IndexID+"_prefix", prefix)
	if err != nil {
		return query.Result{}, fmt.Errorf("list kv below %q: %w", prefix, err)
	}
	ws.Add(it.WatchCh())
	var res query.Result
	for r := it.Next(); r != nil; r = it.Next() {
		e := r.(*Entry)
		res.Found, res.Index = true, max(res.Index, e.ModifyIndex)
		visit(e)
	}
	if prefix == "" || !res.Found {
		// An empty prefix follows the table: whatever emptied it, be it the
		// deletion of a shorter prefix, is below that index.
		res.Index = tableIndex(tx)
		return res, nil
	}
	deleted, err := deletedIndex(tx, prefix)
	res.Index = max(res.Index, deleted)
	return res, err
}

// deletedIndex returns the index of the last deletion below prefix, or of the
// last deletion that was forgotten, which may have been one.
func deletedIndex(tx *store.Txn, prefix string) (uint64, error) {
	it, err := tx.Get(TableTombstones, store.IndexID+"_prefix", prefix)
	if err != nil {
		return 0, fmt.Errorf("list tombstones below %q: %w", prefix, err)
	}
	index := store.MaxIndex(tx, indexReaped)
	for r := it.Next(); r != nil; r = it.Next() {
		index = max(index, r.(*Tombstone).Index)
	}
	return index, nil
}

// HasTombstones reports whether any deletion up to index is still remembered;
// a leader that has none to reap writes nothing.
func HasTombstones(tx *store.Txn, index uint64) bool {
	it, err := tx.Get(TableTombstones, store.IndexID)
	if err != nil {
		return false
	}
	for r := it.Next(); r != nil; r = it.Next() {
		if r.(*Tombstone).Index <= index {
			return true
		}
	}
	return false
}
