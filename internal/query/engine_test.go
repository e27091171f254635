package query_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// freshness counts how often the barrier was asked for.
type freshness struct {
	barriers int
	err      error
	known    bool
	last     time.Duration
}

func (f *freshness) ReadBarrier(context.Context) error { f.barriers++; return f.err }
func (f *freshness) Contact() (bool, time.Duration)    { return f.known, f.last }

func set(t *testing.T, db *store.DB, index uint64, key string) {
	t.Helper()
	storetest.Apply(t, db, index, kv.TypeChange, &kv.Change{Op: kv.Set, Key: key, Flags: index})
}

func read(key string) query.ReadFunc {
	return func(ws store.WatchSet, tx *store.Txn) (query.Result, error) {
		_, res, err := kv.Get(ws, tx, key)
		return res, err
	}
}

func TestModesAskForFreshness(t *testing.T) {
	for _, c := range []struct {
		name     string
		options  query.Options
		known    bool
		last     time.Duration
		barriers int
	}{
		{"default", query.Options{}, true, 0, 1},
		{"consistent", query.Options{Mode: query.Consistent}, true, 0, 1},
		{"stale", query.Options{Mode: query.Stale}, false, time.Hour, 0},
		{"stale within its bound", query.Options{Mode: query.Stale, MaxStale: time.Second}, true, time.Second, 0},
		{"stale beyond its bound", query.Options{Mode: query.Stale, MaxStale: time.Second}, true, 2 * time.Second, 1},
		{"bounded stale without a leader", query.Options{Mode: query.Stale, MaxStale: time.Second}, false, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &freshness{known: c.known, last: c.last}
			e := query.New(query.Config{DB: storetest.Open(t, kv.Module()), Freshness: f})
			meta, err := e.Read(t.Context(), c.options, read("a"))
			if err != nil || f.barriers != c.barriers {
				t.Errorf("asked %d times, want %d; error %v", f.barriers, c.barriers, err)
			}
			want := query.Meta{Index: 1, KnownLeader: c.known, LastContact: c.last, Mode: c.options.Mode}
			if meta != want {
				t.Errorf("meta %+v, want %+v", meta, want)
			}
		})
	}
	t.Run("no leader", func(t *testing.T) {
		f := &freshness{err: failure.New(failure.NoLeader, failure.TextNoLeader)}
		e := query.New(query.Config{DB: storetest.Open(t, kv.Module()), Freshness: f})
		meta, err := e.Read(t.Context(), query.Options{}, read("a"))
		if !failure.Is(err, failure.NoLeader) || meta.Index != 1 || meta.KnownLeader {
			t.Errorf("meta %+v, error %v", meta, err)
		}
	})
}

// blocked is a read that waits, in a bubble of fake time.
type blocked struct {
	done chan struct{}
	meta query.Meta
	err  error
	took time.Duration
}

func start(ctx context.Context, e *query.Engine, o query.Options, f query.ReadFunc) *blocked {
	b := &blocked{done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(b.done)
		b.meta, b.err = e.Read(ctx, o, f)
		b.took = time.Since(began)
	}()
	synctest.Wait()
	return b
}

func (b *blocked) waiting() bool {
	synctest.Wait()
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

func TestBlocking(t *testing.T) {
	wait := query.Options{MinIndex: 5}
	for _, c := range []struct {
		name    string
		options query.Options
		key     string
		do      func(t *testing.T, db *store.DB)
		waiting bool
		index   uint64
	}{
		{"index already above", query.Options{MinIndex: 4}, "a", func(*testing.T, *store.DB) {}, false, 5},
		{"nothing happens", wait, "a", func(*testing.T, *store.DB) {}, true, 0},
		{"the key changes", wait, "a", func(t *testing.T, db *store.DB) { set(t, db, 9, "a") }, false, 9},
		{"another key changes", wait, "a", func(t *testing.T, db *store.DB) { set(t, db, 9, "ab") }, true, 0},
		{"the key goes", wait, "a", func(t *testing.T, db *store.DB) {
			storetest.Apply(t, db, 9, kv.TypeChange, &kv.Change{Op: kv.Delete, Key: "a"})
		}, false, 9},
		{"its tree goes", wait, "a", func(t *testing.T, db *store.DB) {
			storetest.Apply(t, db, 9, kv.TypeChange, &kv.Change{Op: kv.DeleteTree})
		}, false, 9},
		{"an absent key, others change", wait, "b", func(t *testing.T, db *store.DB) { set(t, db, 9, "a"); set(t, db, 10, "c") }, true, 0},
		{"an absent key appears", wait, "b", func(t *testing.T, db *store.DB) { set(t, db, 9, "c"); set(t, db, 10, "b") }, false, 10},
		{"an index ahead of the state", query.Options{MinIndex: 99}, "a", func(t *testing.T, db *store.DB) { set(t, db, 9, "a") }, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := storetest.Open(t, kv.Module())
				set(t, db, 5, "a")
				e := query.New(query.Config{DB: db, Freshness: &freshness{known: true}})
				ctx, cancel := context.WithCancel(t.Context())
				b := start(ctx, e, c.options, read(c.key))
				c.do(t, db)
				if got := b.waiting(); got != c.waiting {
					t.Fatalf("waiting is %v, want %v", got, c.waiting)
				}
				if !c.waiting && (b.err != nil || b.meta.Index != c.index) {
					t.Errorf("meta %+v, error %v, want index %d", b.meta, b.err, c.index)
				}
				cancel()
				<-b.done
				if c.waiting && !errors.Is(b.err, context.Canceled) {
					t.Errorf("a caller that left got %v", b.err)
				}
				if e.Blocked() != 0 {
					t.Errorf("%d reads still count as blocked", e.Blocked())
				}
			})
		})
	}
}

func TestWaitIsBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		wait time.Duration
		want time.Duration
	}{
		{"asked", time.Minute, time.Minute},
		{"default", 0, 5 * time.Minute},
		{"capped", time.Hour, 10 * time.Minute},
		{"a fraction of a second", 10 * time.Millisecond, 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := storetest.Open(t, kv.Module())
				set(t, db, 5, "a")
				e := query.New(query.Config{DB: db, Freshness: &freshness{}})
				b := start(t.Context(), e, query.Options{MinIndex: 5, MaxWait: c.wait}, read("a"))
				<-b.done
				if b.err != nil || b.meta.Index != 5 {
					t.Errorf("meta %+v, error %v", b.meta, b.err)
				}
				if b.took < c.want || b.took > c.want+c.want/16 {
					t.Errorf("waited %v, want %v and at most a sixteenth more", b.took, c.want)
				}
			})
		})
	}
}

func TestRestoreWakesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, other := storetest.Open(t, kv.Module()), storetest.Open(t, kv.Module())
		set(t, db, 5, "a")
		set(t, other, 3, "a")
		e := query.New(query.Config{DB: db, Freshness: &freshness{}})
		b := start(t.Context(), e, query.Options{MinIndex: 5}, read("a"))
		if err := db.Load(bytes.NewReader(storetest.Dump(t, other))); err != nil {
			t.Fatal(err)
		}
		if b.waiting() || b.err != nil || b.meta.Index != 3 {
			t.Errorf("meta %+v, error %v", b.meta, b.err)
		}
	})
}
