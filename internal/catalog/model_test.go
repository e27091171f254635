package catalog_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

var (
	modelNodes    = []string{"n1", "N1", "n10", "n2"}
	modelServices = []string{"web", "Web", "web-2", "db"}
	modelIDs      = []string{"", "a", "b"}
	modelChecks   = []string{"c1", "c2", catalog.SerfHealth}
	modelStates   = []string{catalog.Passing, catalog.Warning, catalog.Critical}
)

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// randomCommand makes a registration or a removal out of few names, so that
// they meet.
func randomCommand(r *rand.Rand) (uint8, codec.Message) {
	if r.IntN(3) == 0 {
		rm := &catalog.Removal{Node: pick(r, modelNodes)}
		switch r.IntN(6) {
		case 0:
		case 1, 2:
			rm.CheckID = pick(r, modelChecks)
		default:
			if rm.ServiceID = pick(r, modelIDs); rm.ServiceID == "" {
				rm.ServiceID = pick(r, modelServices)
			}
		}
		return catalog.TypeDeregister, rm
	}
	reg := &catalog.Registration{
		Node:           catalog.Node{Node: pick(r, modelNodes), ID: fmt.Sprintf("id-%d", r.IntN(4)), Address: fmt.Sprintf("10.0.0.%d", r.IntN(2))},
		SkipNodeUpdate: r.IntN(2) == 0,
	}
	id := pick(r, modelIDs)
	if r.IntN(3) > 0 {
		s := &catalog.Service{ID: id, Service: pick(r, modelServices), Port: r.IntN(2), Tags: []string{pick(r, modelStates)}}
		switch r.IntN(4) {
		case 0:
			s.ConnectNative = true
		case 1:
			s.Kind, s.Destination, s.Proxy = catalog.KindConnectProxy, pick(r, modelServices), []byte(`{"Mode":"direct"}`)
		case 2:
			s.TaggedAddresses = catalog.Addresses{"lan": {Address: "10.0.0.9", Port: r.IntN(2)}, "wan": {Address: "192.0.2.1"}}
		}
		reg.Service = s
	}
	// Each id once: two of one id would be two changes at one index.
	for _, i := range r.Perm(len(modelChecks))[:r.IntN(3)] {
		reg.Checks = append(reg.Checks, &catalog.Check{
			CheckID: modelChecks[i], ServiceID: pick(r, []string{"", id}), Status: pick(r, modelStates), Definition: []byte(`{"TCP":"x"}`),
		})
	}
	return catalog.TypeRegister, reg
}

// view is what one watcher sees.
type view struct {
	content string
	res     query.Result
	changed store.WatchSet
}

func look(t *testing.T, db *store.DB) map[string]view {
	t.Helper()
	tx, _ := db.Read()
	out := map[string]view{}
	add := func(key string, read func(ws store.WatchSet) (any, query.Result, error)) {
		ws := store.WatchSet{}
		rows, res, err := read(ws)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		out[key] = view{string(b), res, ws}
	}
	for _, name := range modelServices {
		for _, connect := range []bool{false, true} {
			add(fmt.Sprintf("health %s %v", name, connect), func(ws store.WatchSet) (any, query.Result, error) {
				target := catalog.Target{Service: name, Connect: connect}
				_, res, err := catalog.Watch(ws, tx, target)
				if err != nil {
					return nil, res, err
				}
				rows, err := catalog.Healths(tx, target)
				if res.Found != (len(rows) > 0) {
					t.Errorf("%s: found %v with %d rows", name, res.Found, len(rows))
				}
				return rows, res, err
			})
		}
	}
	for _, name := range modelNodes {
		add("node "+name, func(ws store.WatchSet) (any, query.Result, error) {
			n, services, res, err := catalog.NodeServices(ws, tx, name)
			return []any{n, services}, res, err
		})
		add("checks of "+name, func(ws store.WatchSet) (any, query.Result, error) {
			checks, res, err := catalog.NodeChecks(ws, tx, name)
			return checks, res, err
		})
	}
	add("services", func(ws store.WatchSet) (any, query.Result, error) {
		services, res, err := catalog.Services(ws, tx)
		return services, res, err
	})
	add("state", func(ws store.WatchSet) (any, query.Result, error) {
		checks, res, err := catalog.ChecksInState(ws, tx, "any")
		return checks, res, err
	})
	return out
}

func closed(ws store.WatchSet) bool {
	for ch := range ws {
		select {
		case <-ch:
			return true
		default:
		}
	}
	return false
}

// TestWatchersMissNothing runs random commands and looks through the eyes of a
// watcher of everything there is after each.
func TestWatchersMissNothing(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			db := storetest.Open(t, catalog.Module())
			var log []store.Entry
			before := look(t, db)
			for i := range 400 {
				typ, m := randomCommand(r)
				body, err := codec.Encode(m)
				if err != nil {
					t.Fatal(err)
				}
				e := store.Entry{Index: uint64(10 + i), Type: typ, Body: body}
				log = append(log, e)
				if err := db.Apply([]store.Entry{e})[0].Err; err != nil && (!failure.Is(err, failure.Invalid) || strings.HasPrefix(err.Error(), "decode")) {
					t.Fatal(err)
				}
				after := look(t, db)
				for key, was := range before {
					compare(t, fmt.Sprintf("entry %d, %s", e.Index, key), was, after[key])
				}
				before = after
				if t.Failed() {
					t.Fatalf("the command was %T %s", m, mustJSON(t, m))
				}
			}
			storetest.Module(t, log, catalog.Module())
		})
	}
}

func compare(t *testing.T, what string, was, is view) {
	t.Helper()
	if is.res.Index < was.res.Index {
		t.Errorf("%s: the index went back from %d to %d", what, was.res.Index, is.res.Index)
	}
	if is.content == was.content {
		if is.res.Found && is.res.Index != was.res.Index {
			t.Errorf("%s: the index moved from %d to %d for nothing", what, was.res.Index, is.res.Index)
		}
		return
	}
	if is.res.Index <= was.res.Index {
		t.Errorf("%s: the index stayed %d although it changed", what, is.res.Index)
	}
	if !closed(was.changed) {
		t.Errorf("%s: nobody was woken", what)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
