package kv

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/store"
)

// Child returns what of key is directly below prefix: the key cut behind the
// first separator after the prefix. ok is false for a key that is not below.
func Child(prefix, key, separator string) (child string, ok bool) {
	if !strings.HasPrefix(key, prefix) || len(key) == len(prefix) {
		return "", false
	}
	return cut(key, len(prefix), separator), true
}

// IsChild reports whether a child of a level, as Child returns it, is there: a
// key, or for one that ends in separator any key that begins with it.
func IsChild(tx *store.Txn, child, separator string) (bool, error) {
	if !strings.HasSuffix(child, separator) {
		e, err := entry(tx, child)
		return e != nil, err
	}
	row, err := tx.First(TableEntries, store.IndexID+"_prefix", child)
	if err != nil {
		return false, fmt.Errorf("look below kv %q: %w", child, err)
	}
	return row != nil, nil
}

// Children calls visit with what is directly below prefix, in byte order, until
// it fails. It costs the same however many keys are further below.
func Children(tx *store.Txn, prefix, separator string, visit func(child string) error) error {
	for from := prefix; ; {
		it, err := tx.LowerBound(TableEntries, store.IndexID, from)
		if err != nil {
			return fmt.Errorf("list kv from %q: %w", from, err)
		}
		row := it.Next()
		if row == nil {
			return nil
		}
		key := row.(*Entry).Key
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		if key == prefix { // a key that is named as its level stands above it
			from = key + "\x00"
			continue
		}
		child := cut(key, len(prefix), separator)
		if err := visit(child); err != nil {
			return err
		}
		if from = child + "\x00"; strings.HasSuffix(child, separator) {
			last := len(child) - 1
			from = child[:last] + string(child[last]+1)
		}
	}
}
