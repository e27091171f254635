package changesapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/changes"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// holder holds the rows that a stream tells of.
type holder struct {
	t  *testing.T
	mu sync.Mutex
	// rows are those of each topic; puts counts the frames since ready.
	rows   map[string]map[string]string
	puts   map[string]int
	errors []string
}

func (h *holder) take(lines []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range strings.Lines(string(lines)) {
		var f changes.Frame
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			h.t.Errorf("%q: %v", line, err)
		}
		switch f.Type {
		case changes.FrameReset:
			h.rows[f.Topic] = map[string]string{}
		case changes.FrameReady:
			h.puts[f.Topic] = 0
		case changes.FramePut:
			h.rows[f.Topic][f.Key] = string(f.Row)
			h.puts[f.Topic]++
		case changes.FrameDel:
			if _, ok := h.rows[f.Topic][f.Key]; !ok {
				h.t.Errorf("topic %s: %q is gone, but was never there", f.Topic, f.Key)
			}
			delete(h.rows[f.Topic], f.Key)
		case changes.FrameError:
			h.errors = append(h.errors, f.Topic+": "+f.Text)
		}
	}
	return nil
}

// whole returns a topic's rows as the state has them.
func whole(t *testing.T, db *store.DB, name string) map[string]string {
	t.Helper()
	topic, err := topicOf(name)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	tx, _ := db.Read()
	err = topic.Each(tx, func(r changes.Row) error {
		b, err := json.Marshal(r.Value)
		rows[r.Key] = string(b)
		one, ok, rowErr := topic.Row(tx, r.Key)
		if c, _ := json.Marshal(one.Value); !ok || string(c) != string(b) {
			t.Errorf("topic %s: row %q is %s in the list and %s (%t) alone", name, r.Key, b, c, ok)
		}
		return errors.Join(err, rowErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// follow serves topics of the state of db until the test's end.
func follow(t *testing.T, db *store.DB, auth authz.Resolver, topics ...string) *holder {
	t.Helper()
	hub := changes.New(changes.Config{DB: db})
	api := &API{Authz: auth, Hub: hub}
	h := &holder{t: t, rows: map[string]map[string]string{}, puts: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx, func() {}) })
	running.Go(func() {
		if err := api.Serve(ctx, &Request{Topics: topics}, h.take); !errors.Is(err, context.Canceled) && !errors.Is(err, changes.ErrStopped) {
			t.Errorf("the stream ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return h
}

// change returns a random command: mostly registrations, so that there is
// something to remove.
func change(rnd *rand.Rand) (uint8, codec.Message) {
	pick := func(names ...string) string { return names[rnd.IntN(len(names))] }
	node := pick("n1", "N1", "n2", "a/b")
	id := pick("web1", "web2", "x")
	check := func(id, service string) *catalog.Check {
		return &catalog.Check{Node: node, CheckID: id, Status: pick(catalog.Passing, catalog.Warning, catalog.Critical), Output: pick("", "text"), ServiceID: service}
	}
	switch rnd.IntN(12) {
	case 0:
		return catalog.TypeDeregister, &catalog.Removal{Node: node}
	case 1:
		return catalog.TypeDeregister, &catalog.Removal{Node: node, ServiceID: id}
	case 2:
		return catalog.TypeDeregister, &catalog.Removal{Node: node, CheckID: pick("c1", "c2", catalog.NodeMaintenance)}
	case 3, 4:
		return kv.TypeChange, &kv.Change{Op: kv.Set, Key: pick("a", "a/", "a/b", "a/b/c", "a/b/d", "b/c", "z"), Value: []byte(pick("1", "2"))}
	case 5:
		return kv.TypeChange, &kv.Change{Op: kv.Delete, Key: pick("a", "a/", "a/b", "a/b/c", "a/b/d", "b/c", "z")}
	case 6:
		return kv.TypeChange, &kv.Change{Op: kv.DeleteTree, Key: pick("a/", "a/b", "b")}
	}
	r := &catalog.Registration{Node: catalog.Node{Node: node, Address: pick("10.0.0.1", "10.0.0.2")}}
	if rnd.IntN(3) > 0 {
		r.Service = &catalog.Service{Node: node, ID: id, Service: pick("web", "Web", "db"), Tags: []string{pick("a", "b")}, Port: rnd.IntN(3)}
	}
	if rnd.IntN(3) > 0 {
		r.Checks = append(r.Checks, check(pick("c1", "c2", catalog.NodeMaintenance), ""))
	}
	if r.Service != nil && rnd.IntN(2) > 0 {
		r.Checks = append(r.Checks, check("s-"+id, id))
	}
	return catalog.TypeRegister, r
}

// TestTopicsFollowTheState applies random commands and compares what a stream
// told with the state.
func TestTopicsFollowTheState(t *testing.T) {
	topics := []string{"services", "service:web", "service:DB", "nodes", "node:n1", "node:a/b", "checks", "checks:failing", "kv:", "kv:a/", "level:", "level:a/", "level:a/b/", "key:a/b"}
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				db := storetest.Open(t, catalog.Module(), kv.Module())
				index := uint64(10)
				for range 20 { // some of it is there before anybody follows
					index++
					typ, body := change(rnd)
					_, _ = storetest.TryApply(t, db, index, typ, body) // what is refused changes nothing
				}
				h := follow(t, db, authz.Open{}, topics...)
				for range 40 {
					for range 1 + rnd.IntN(3) {
						index++
						typ, body := change(rnd)
						_, _ = storetest.TryApply(t, db, index, typ, body)
					}
					synctest.Wait()
					h.mu.Lock()
					for _, name := range topics {
						if diff := cmp.Diff(whole(t, db, name), h.rows[name]); diff != "" {
							t.Fatalf("topic %s at %d (-state +stream):\n%s", name, index, diff)
						}
					}
					h.mu.Unlock()
				}
			})
		})
	}
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, catalog.Module(), kv.Module())
		index := uint64(0)
		apply := func(typ uint8, body codec.Message) {
			index++
			storetest.Apply(t, db, index, typ, body)
		}
		for i := range 100 {
			name := fmt.Sprintf("s%d", i)
			apply(catalog.TypeRegister, &catalog.Registration{
				Node:    catalog.Node{Node: fmt.Sprintf("n%d", i%10), Address: "10.0.0.1"},
				Service: &catalog.Service{Node: fmt.Sprintf("n%d", i%10), ID: name, Service: name},
				Checks:  []*catalog.Check{{Node: fmt.Sprintf("n%d", i%10), CheckID: name, ServiceID: name, Status: catalog.Passing}},
			})
		}
		h := follow(t, db, authz.Open{}, "services", "nodes", "checks", "checks:failing", "level:", "service:s1")
		synctest.Wait()
		set := func(status, output string) {
			apply(catalog.TypeRegister, &catalog.Registration{
				Node:   catalog.Node{Node: "n1", Address: "10.0.0.1"},
				Checks: []*catalog.Check{{Node: "n1", CheckID: "s1", ServiceID: "s1", Status: status, Output: output}},
			})
			synctest.Wait()
		}
		set(catalog.Critical, "down")
		set(catalog.Critical, "still down")
		apply(kv.TypeChange, &kv.Change{Op: kv.Set, Key: "k/a", Value: []byte("1")})
		apply(kv.TypeChange, &kv.Change{Op: kv.Set, Key: "k/a", Value: []byte("2")})
		apply(kv.TypeChange, &kv.Change{Op: kv.Set, Key: "k/b", Value: []byte("2")})
		synctest.Wait()
		want := map[string]int{"services": 1, "nodes": 1, "checks": 2, "checks:failing": 2, "level:": 1, "service:s1": 2}
		h.mu.Lock()
		defer h.mu.Unlock()
		if diff := cmp.Diff(want, h.puts); diff != "" {
			t.Errorf("rows sent (-want +got):\n%s", diff)
		}
	})
}

// only allows what it names and refuses unknown tokens.
type only map[string]bool

func (o only) Resolve(context.Context, string) (authz.Authorizer, error) { return o, nil }
func (o only) Allow(r authz.Resource, name string, _ authz.Access) bool {
	return o[string(r)+" "+name]
}
func (o only) AllowPrefix(authz.Resource, string, authz.Access) bool { return false }

func TestRowsAreHeldAgainstTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, catalog.Module(), kv.Module())
		for i, name := range []string{"web", "db"} {
			storetest.Apply(t, db, uint64(10+i), catalog.TypeRegister, &catalog.Registration{
				Node:    catalog.Node{Node: "n-" + name, Address: "10.0.0.1"},
				Service: &catalog.Service{Node: "n-" + name, ID: name, Service: name},
				Checks:  []*catalog.Check{{Node: "n-" + name, CheckID: "c", ServiceID: name, Status: catalog.Critical}},
			})
			storetest.Apply(t, db, uint64(20+i), kv.TypeChange, &kv.Change{Op: kv.Set, Key: name, Value: []byte("1")})
		}
		topics := []string{"services", "nodes", "checks", "kv:", "level:", "service:db", "node:n-db", "raft"}
		h := follow(t, db, only{"service web": true, "node n-web": true, "key web": true}, topics...)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		got := map[string][]string{}
		for name, rows := range h.rows {
			for key := range rows {
				got[name] = append(got[name], key)
			}
		}
		want := map[string][]string{"services": {"web"}, "nodes": {"n-web"}, "checks": {"n-web/c"}, "kv:": {"web"}, "level:": {"web"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(h.errors) != 1 || !strings.Contains(h.errors[0], "raft: Permission denied") || !strings.Contains(h.errors[0], "operator:read") {
			t.Errorf("errors %q", h.errors)
		}
	})
}

func TestUnknownTopics(t *testing.T) {
	for name, want := range map[string]string{
		"sevices":    "unknown topic",
		"checks:any": "only checks and checks:failing",
		"service:":   "name after the colon is missing",
		"key:":       "name after the colon is missing",
		"services:x": "unknown topic",
		"":           "unknown topic",
		"log":        "unknown topic",
	} {
		if _, err := topicOf(name); !failure.Is(err, failure.BadRequest) || !strings.Contains(err.Error(), want) {
			t.Errorf("topic %q: %v", name, err)
		}
	}
}
