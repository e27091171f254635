package store

import (
	"fmt"
	"strings"
	"unsafe"
)

// Key makes an index of one string a row, compared byte by byte. The empty
// string is not indexed: a unique index on a row without one refuses the row,
// any other index needs AllowMissing.
//
// Unlike memdb's own field index it uses no reflection and puts no terminator
// behind the string, so a watch on a prefix sees exactly what is below it.
func Key[Row any](of func(*Row) string) *KeyIndexer[Row] { return &KeyIndexer[Row]{of: of} }

// FoldKey is Key without regard to letter case.
func FoldKey[Row any](of func(*Row) string) *KeyIndexer[Row] {
	return &KeyIndexer[Row]{of: of, fold: true}
}

// PairKey makes an index of two strings, looked up by both or, as a prefix,
// by the first alone.
func PairKey[Row any](of func(*Row) (string, string), fold bool) *PairIndexer[Row] {
	return &PairIndexer[Row]{of: of, fold: fold}
}

// KeyIndexer is made by Key and FoldKey.
type KeyIndexer[Row any] struct {
	of   func(*Row) string
	fold bool
}

// FromObject implements memdb.SingleIndexer.
func (k *KeyIndexer[Row]) FromObject(raw any) (bool, []byte, error) {
	row, ok := raw.(*Row)
	if !ok {
		return false, nil, fmt.Errorf("row is a %T, not a %T", raw, row)
	}
	s := k.of(row)
	if s == "" {
		return false, nil, nil
	}
	return true, k.bytes(s), nil
}

// FromArgs implements memdb.Indexer; it takes one string.
func (k *KeyIndexer[Row]) FromArgs(args ...any) ([]byte, error) {
	if len(args) == 1 {
		if s, ok := args[0].(string); ok {
			return k.bytes(s), nil
		}
	}
	return nil, fmt.Errorf("the index takes one string, got %v", args)
}

// PrefixFromArgs implements memdb.PrefixIndexer; the empty prefix is every row.
func (k *KeyIndexer[Row]) PrefixFromArgs(args ...any) ([]byte, error) { return k.FromArgs(args...) }

// bytes shares the memory of s: the tree under an index never writes to its
// keys, and a second copy of every key would be a tenth of a large state.
func (k *KeyIndexer[Row]) bytes(s string) []byte {
	if k.fold {
		s = strings.ToLower(s)
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// PairIndexer is made by PairKey.
type PairIndexer[Row any] struct {
	of   func(*Row) (string, string)
	fold bool
}

// FromObject implements memdb.SingleIndexer.
func (p *PairIndexer[Row]) FromObject(raw any) (bool, []byte, error) {
	row, ok := raw.(*Row)
	if !ok {
		return false, nil, fmt.Errorf("row is a %T, not a %T", raw, row)
	}
	a, b := p.of(row)
	return true, p.bytes(a, b), nil
}

// FromArgs implements memdb.Indexer; it takes two strings.
func (p *PairIndexer[Row]) FromArgs(args ...any) ([]byte, error) {
	if len(args) == 2 {
		a, okA := args[0].(string)
		b, okB := args[1].(string)
		if okA && okB {
			return p.bytes(a, b), nil
		}
	}
	return nil, fmt.Errorf("the index takes two strings, got %v", args)
}

// PrefixFromArgs implements memdb.PrefixIndexer; it takes no argument for
// every row, or the first string for every row that has it.
func (p *PairIndexer[Row]) PrefixFromArgs(args ...any) ([]byte, error) {
	switch len(args) {
	case 0:
		return nil, nil
	case 1:
		if s, ok := args[0].(string); ok {
			return p.bytes(s, ""), nil
		}
	}
	return nil, fmt.Errorf("the prefix takes at most one string, got %v", args)
}

// bytes parts the strings by a zero byte, which names never hold.
func (p *PairIndexer[Row]) bytes(a, b string) []byte {
	if p.fold {
		a, b = strings.ToLower(a), strings.ToLower(b)
	}
	out := make([]byte, 0, len(a)+1+len(b))
	out = append(out, a...)
	out = append(out, 0)
	return append(out, b...)
}
