package changes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/changes"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// below is the topic of the keys below a prefix.
func below(prefix string) changes.Topic {
	row := func(e *kv.Entry) changes.Row {
		return changes.Row{Key: e.Key, Value: string(e.Value), Guard: e.Key, Same: e}
	}
	return changes.Topic{
		Name: "kv:" + prefix,
		Touch: func(_ *store.Txn, c store.Change, add func(string)) error {
			for _, r := range []any{c.Before, c.After} {
				if e, ok := r.(*kv.Entry); ok && strings.HasPrefix(e.Key, prefix) {
					add(e.Key)
				}
			}
			return nil
		},
		Row: func(tx *store.Txn, key string) (changes.Row, bool, error) {
			e, _, err := kv.Get(nil, tx, key)
			if err != nil || e == nil {
				return changes.Row{}, false, err
			}
			return row(e), true, nil
		},
		Each: func(tx *store.Txn, visit func(changes.Row) error) error {
			all, _, err := kv.List(nil, tx, prefix)
			for _, e := range all {
				if err := visit(row(e)); err != nil {
					return err
				}
			}
			return err
		},
	}
}

// reader is a client of a stream: it holds what the frames say. Its fields are
// guarded by mu.
type reader struct {
	hide string // a key it may not see
	// stall, when it is not nil, is waited for in every Write.
	stall chan struct{}

	mu       sync.Mutex
	rows     map[string]string
	filling  map[string]string
	resets   []string
	frames   int
	position string
	index    uint64
	err      error
	end      context.CancelFunc
	done     chan struct{}
}

func (r *reader) See(guard any) bool { return r.hide == "" || guard != r.hide }
func (r *reader) Flush() error       { return nil }
func (r *reader) Write(lines []byte) error {
	if r.stall != nil {
		<-r.stall
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(string(lines)) {
		var f changes.Frame
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		r.frames++
		into := r.rows
		if r.filling != nil {
			into = r.filling
		}
		switch f.Type {
		case changes.FrameReset:
			r.resets = append(r.resets, f.Reason)
			r.filling = map[string]string{}
		case changes.FrameReady:
			r.rows, r.filling = r.filling, nil
		case changes.FramePut:
			var value string
			if err := json.Unmarshal(f.Row, &value); err != nil {
				return err
			}
			if r.filling == nil && f.Index <= r.index {
				return fmt.Errorf("an event of %d came after everything up to %d was sent", f.Index, r.index)
			}
			into[f.Key] = value
		case changes.FrameDel:
			if _, ok := into[f.Key]; !ok {
				return fmt.Errorf("%q is gone, but was never there", f.Key)
			}
			delete(into, f.Key)
		case changes.FrameAt:
			r.position = f.Position
			_, number, _ := strings.Cut(f.Position, ".")
			if _, err := fmt.Sscan(number, &r.index); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unexpected frame %q", line)
		}
	}
	return nil
}

// start makes r read, from a position on where it has one.
func (r *reader) start(h *changes.Hub, topic changes.Topic) {
	if r.rows == nil {
		r.rows = map[string]string{}
	}
	var ctx context.Context
	ctx, r.end = context.WithCancel(context.Background())
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		r.err = h.Read(ctx, r.position, []changes.Want{{Topic: topic, Have: r.position != ""}}, r)
	}()
}

func (r *reader) stop(t *testing.T) {
	t.Helper()
	r.end()
	<-r.done
	if !errors.Is(r.err, context.Canceled) {
		t.Errorf("read ended with %v", r.err)
	}
}

func (r *reader) holds(t *testing.T, who string, want map[string]string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.filling != nil {
		t.Fatalf("%s is in the middle of a reset", who)
	}
	if diff := cmp.Diff(want, r.rows); diff != "" {
		t.Fatalf("%s, after %d frames and resets %q (-want +got):\n%s", who, r.frames, r.resets, diff)
	}
}

// run lets the hub live until the test's end.
func run(t *testing.T, cfg changes.Config) *changes.Hub {
	t.Helper()
	h := changes.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

// random applies a random change to the state and to the model of it.
func random(t *testing.T, rnd *rand.Rand, db *store.DB, index uint64, model map[string]string) {
	t.Helper()
	key := fmt.Sprintf("%c/%d", 'a'+rune(rnd.IntN(2)), rnd.IntN(12))
	c := kv.Change{Op: kv.Set, Key: key, Value: fmt.Append(nil, rnd.IntN(4))}
	switch rnd.IntN(10) {
	case 0, 1:
		c = kv.Change{Op: kv.Delete, Key: key}
	case 2:
		c = kv.Change{Op: kv.DeleteTree, Key: key[:3]}
	}
	storetest.Apply(t, db, index, kv.TypeChange, &c)
	switch c.Op {
	case kv.Set:
		model[key] = string(c.Value)
	case kv.Delete:
		delete(model, key)
	case kv.DeleteTree:
		maps.DeleteFunc(model, func(k, _ string) bool { return strings.HasPrefix(k, c.Key) })
	default: // the test writes no others
	}
}

func only(model map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range model {
		if strings.HasPrefix(k, prefix) {
			out[k] = v
		}
	}
	return out
}

// TestNoChangeIsMissed compares what readers of all sorts hold with a model:
// those that stay, that come and go with a position, and that fall behind.
func TestNoChangeIsMissed(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				db := storetest.Open(t, kv.Module())
				h := run(t, changes.Config{DB: db, MaxEvents: 8 + rnd.IntN(30)})
				model := map[string]string{}
				index := uint64(10)
				stay, everything, comes := &reader{}, &reader{}, &reader{}
				slow := &reader{stall: make(chan struct{})}
				stay.start(h, below("a/"))
				everything.start(h, below(""))
				slow.start(h, below("a/"))
				there := false
				for range 300 {
					switch n := rnd.IntN(20); {
					case n == 0 && there:
						synctest.Wait()
						comes.stop(t)
						there = false
					case n <= 1 && !there:
						comes.start(h, below("a/"))
						there = true
					case n == 2: // the slow one takes one piece
						select {
						case slow.stall <- struct{}{}:
						default:
						}
					case n == 3:
						var out strings.Builder
						tx, _ := db.Read()
						if err := db.Persist(tx, &out); err != nil {
							t.Fatal(err)
						}
						if err := db.Load(strings.NewReader(out.String())); err != nil {
							t.Fatal(err)
						}
					default:
						for range rnd.IntN(6) {
							index++
							random(t, rnd, db, index, model)
						}
						if rnd.IntN(2) == 0 {
							synctest.Wait()
						}
					}
				}
				if !there {
					comes.start(h, below("a/"))
				}
				close(slow.stall)
				synctest.Wait()
				stay.holds(t, "one that stays", only(model, "a/"))
				everything.holds(t, "one that sees everything", model)
				comes.holds(t, "one that comes and goes", only(model, "a/"))
				slow.holds(t, "a slow one", only(model, "a/"))
				for _, r := range []*reader{stay, everything, comes, slow} {
					r.stop(t)
				}
			})
		})
	}
}

func put(t *testing.T, db *store.DB, index uint64, key, value string) {
	t.Helper()
	storetest.Apply(t, db, index, kv.TypeChange, &kv.Change{Op: kv.Set, Key: key, Value: []byte(value)})
}

func TestPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, kv.Module())
		put(t, db, 5, "a", "0")
		h := run(t, changes.Config{DB: db, MaxEvents: 4, Linger: 10 * time.Second})
		r := &reader{}
		again := func(what string, reasons ...string) {
			t.Helper()
			r.resets = nil
			r.start(h, below(""))
			synctest.Wait()
			r.stop(t)
			if diff := cmp.Diff(reasons, r.resets); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		again("the first time", changes.ReasonStart)
		again("where nothing changed")
		put(t, db, 6, "a", "1")
		put(t, db, 7, "b", "1")
		again("two changes later")
		r.holds(t, "it", map[string]string{"a": "1", "b": "1"})
		for i := range uint64(6) {
			put(t, db, 8+i, "a", fmt.Sprint(i))
			synctest.Wait() // or all would be one event
		}
		again("more changes later than are kept", changes.ReasonPosition)
		time.Sleep(5 * time.Second)
		again("a pause later")
		time.Sleep(30 * time.Second)
		put(t, db, 20, "b", "2")
		again("longer away than a topic is kept", changes.ReasonPosition)
		r.holds(t, "it", map[string]string{"a": "5", "b": "2"})
		r.position = "other.7"
		again("another server's position", changes.ReasonPosition)
		r.position = "nonsense"
		again("nonsense", changes.ReasonPosition)
	})
}

func TestASlowReaderBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, kv.Module())
		h := run(t, changes.Config{DB: db, MaxEvents: 10})
		slow, quick := &reader{stall: make(chan struct{})}, &reader{}
		slow.start(h, below(""))
		quick.start(h, below(""))
		synctest.Wait()
		for i := range uint64(100) {
			put(t, db, 10+i, "a", fmt.Sprint(i))
			synctest.Wait()
		}
		close(slow.stall)
		synctest.Wait()
		for _, r := range []*reader{slow, quick} {
			r.holds(t, "a reader", map[string]string{"a": "99"})
			r.stop(t)
		}
		if diff := cmp.Diff([]string{changes.ReasonStart, changes.ReasonSlow}, slow.resets); diff != "" {
			t.Errorf("the slow one (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{changes.ReasonStart}, quick.resets); diff != "" || quick.frames < 200 {
			t.Errorf("the quick one saw %d frames (-want +got):\n%s", quick.frames, diff)
		}
	})
}

func TestWhatMayNotBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, kv.Module())
		put(t, db, 5, "secret", "0")
		h := run(t, changes.Config{DB: db})
		r := &reader{hide: "secret"}
		r.start(h, below(""))
		synctest.Wait()
		put(t, db, 6, "secret", "1")
		put(t, db, 7, "open", "1")
		storetest.Apply(t, db, 8, kv.TypeChange, &kv.Change{Op: kv.Delete, Key: "secret"})
		synctest.Wait()
		r.holds(t, "it", map[string]string{"open": "1"})
		r.stop(t)
	})
}

func TestTheHubsEndEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, kv.Module())
		h := changes.New(changes.Config{DB: db})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx, func() {}) }()
		r := &reader{}
		r.start(h, below(""))
		synctest.Wait()
		cancel()
		<-r.done
		if !errors.Is(r.err, changes.ErrStopped) || <-done != nil {
			t.Errorf("read ended with %v", r.err)
		}
		r.end()
	})
}

// BenchmarkCommit is what a commit costs whoever applies the log: without
// followers, and with many of one topic.
func BenchmarkCommit(b *testing.B) {
	for _, readers := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			db := storetest.Open(b, kv.Module())
			h := changes.New(changes.Config{DB: db})
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { _ = h.Run(ctx, func() {}) })
			for range readers {
				wg.Go(func() {
					_ = h.Read(ctx, "", []changes.Want{{Topic: below("")}}, discard{})
				})
			}
			body := &kv.Change{Op: kv.Set, Key: "a", Value: []byte("value")}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				body.Flags = uint64(i)
				storetest.Apply(b, db, uint64(10+i), kv.TypeChange, body)
			}
			cancel()
			wg.Wait()
		})
	}
}

type discard struct{}

func (discard) See(any) bool       { return true }
func (discard) Write([]byte) error { return nil }
func (discard) Flush() error       { return nil }
