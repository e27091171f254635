package fsm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/fsm"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func command(t *testing.T, index uint64, c kv.Change) *raft.Log {
	t.Helper()
	data, err := codec.EncodeEntry(kv.TypeChange, &c)
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Index: index, Type: raft.LogCommand, Data: data}
}

func value(t *testing.T, db *store.DB, key string) string {
	t.Helper()
	tx, _ := db.Read()
	e, _, err := kv.Get(nil, tx, key)
	if err != nil {
		t.Fatal(err)
	}
	if e == nil {
		return ""
	}
	return string(e.Value)
}

func TestApplyBatch(t *testing.T) {
	db := storetest.Open(t, kv.Module())
	m := fsm.New(db)
	got := m.ApplyBatch([]*raft.Log{
		{Index: 3, Type: raft.LogConfiguration, Data: []byte("not for us")},
		{Index: 4, Type: raft.LogCommand, Data: []byte{fsm.TypeNoop}},
		command(t, 5, kv.Change{Op: kv.Set, Key: "a", Value: []byte("1")}),
		{Index: 6, Type: raft.LogCommand},
		{Index: 7, Type: raft.LogCommand, Data: []byte{200, 1, 2}},
		command(t, 8, kv.Change{Op: kv.SetCAS, Key: "a", Index: 99}),
		{Index: 9, Type: raft.LogConfiguration},
	})
	for i, want := range []string{"nil", "nil", "true", "error", "error", "false", "nil"} {
		kind := "nil"
		switch v := got[i].(type) {
		case error:
			kind = "error"
		case bool:
			kind = map[bool]string{true: "true", false: "false"}[v]
		}
		if kind != want {
			t.Errorf("entry %d gave %v, want %s", i, got[i], want)
		}
	}
	if m.Applied() != 9 || value(t, db, "a") != "1" {
		t.Errorf("applied %d, a is %q", m.Applied(), value(t, db, "a"))
	}
}

func TestWaitApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fsm.New(storetest.Open(t, kv.Module()))
		errs := make(chan error, 1)
		go func() { errs <- m.WaitApplied(t.Context(), 7) }()
		for _, index := range []uint64{5, 6} {
			m.Apply(&raft.Log{Index: index, Type: raft.LogCommand, Data: []byte{fsm.TypeNoop}})
			synctest.Wait()
			select {
			case err := <-errs:
				t.Fatalf("woke at %d with %v", index, err)
			default:
			}
		}
		m.Apply(&raft.Log{Index: 7, Type: raft.LogCommand, Data: []byte{fsm.TypeNoop}})
		if err := <-errs; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.WaitApplied(ctx, 7); err != nil {
			t.Errorf("an index already applied gave %v", err)
		}
		if err := m.WaitApplied(ctx, 8); !errors.Is(err, context.Canceled) {
			t.Errorf("an ended wait gave %v", err)
		}
	})
}

// sink is a snapshot sink in memory that can fail.
type sink struct {
	bytes.Buffer
	err               error
	closed, cancelled bool
}

func (s *sink) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.Buffer.Write(b)
}
func (s *sink) Close() error  { s.closed = true; return nil }
func (s *sink) Cancel() error { s.cancelled = true; return nil }
func (s *sink) ID() string    { return "test" }

func TestSnapshotAndRestore(t *testing.T) {
	db := storetest.Open(t, kv.Module())
	m := fsm.New(db)
	m.Apply(command(t, 5, kv.Change{Op: kv.Set, Key: "a", Value: []byte("1")}))
	snap, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	// What comes later is not in it.
	m.Apply(command(t, 6, kv.Change{Op: kv.Set, Key: "a", Value: []byte("2")}))
	var s sink
	if err := snap.Persist(&s); err != nil || !s.closed {
		t.Fatalf("persist: %v, closed %v", err, s.closed)
	}
	good := s.Bytes()

	db2 := storetest.Open(t, kv.Module())
	m2 := fsm.New(db2)
	for n := range good {
		if m2.Restore(io.NopCloser(bytes.NewReader(good[:n]))) == nil {
			t.Fatalf("cut at byte %d of %d: no error", n, len(good))
		}
	}
	if m2.Applied() != 0 {
		t.Errorf("a refused restore moved the applied index to %d", m2.Applied())
	}
	if err := m2.Restore(io.NopCloser(bytes.NewReader(good))); err != nil {
		t.Fatal(err)
	}
	if m2.Applied() != 5 || value(t, db2, "a") != "1" {
		t.Errorf("applied %d, a is %q", m2.Applied(), value(t, db2, "a"))
	}
	full := &sink{err: errors.New("disk full")}
	if err := snap.Persist(full); !errors.Is(err, full.err) || !full.cancelled {
		t.Errorf("a full disk gave %v, cancelled %v", err, full.cancelled)
	}
}
