// Package storetest holds what every module of the store must pass: the same
// log gives the same state, byte for byte, and a snapshot holds all of it.
package storetest

import (
	"bytes"
	"testing"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/store"
)

// Open returns an empty state of the modules.
func Open(t testing.TB, modules ...store.Module) *store.DB {
	t.Helper()
	db, err := store.Open(modules...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Apply applies one command at index and returns its value. It fails the test
// when the command is refused.
func Apply(t testing.TB, db *store.DB, index store.Index, typ uint8, body codec.Message) any {
	t.Helper()
	v, err := TryApply(t, db, index, typ, body)
	if err != nil {
		t.Fatalf("apply at %d: %v", index, err)
	}
	return v
}

// TryApply is Apply for a command that may be refused.
func TryApply(t testing.TB, db *store.DB, index store.Index, typ uint8, body codec.Message) (any, error) {
	t.Helper()
	b, err := codec.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	r := db.Apply([]store.Entry{{Index: index, Type: typ, Body: b}})[0]
	return r.Value, r.Err
}

// Dump returns the bytes of a snapshot of the state as it is now.
func Dump(t testing.TB, db *store.DB) []byte {
	t.Helper()
	tx, _ := db.Read()
	var out bytes.Buffer
	if err := db.Persist(tx, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Module checks that log, applied to two states of the modules, once an entry
// at a time and once as a whole, gives the same bytes, and that a third state
// restored from those bytes gives them again.
func Module(t testing.TB, log []store.Entry, modules ...store.Module) {
	t.Helper()
	one, all, restored := Open(t, modules...), Open(t, modules...), Open(t, modules...)
	var single []store.Result
	for i := range log {
		single = append(single, one.Apply(log[i:i+1])...)
	}
	for i, r := range all.Apply(log) {
		if r.Value != single[i].Value || (r.Err == nil) != (single[i].Err == nil) {
			t.Errorf("entry %d gives %+v in a batch and %+v alone", i, r, single[i])
		}
	}
	want := Dump(t, one)
	if !bytes.Equal(Dump(t, all), want) {
		t.Error("a batch and single entries give different states")
	}
	if err := restored.Load(bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Dump(t, restored), want) {
		t.Error("a restored state differs from what was saved")
	}
}
