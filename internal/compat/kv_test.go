package compat

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestKVReadsAndWrites(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		kv, at := v.api.KV(), space(t)
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		for _, p := range []*api.KVPair{
			{Key: at + "a/one", Value: every, Flags: 1<<64 - 1},
			{Key: at + "a/two", Value: []byte("2")},
			{Key: at + "b", Value: nil},
		} {
			_, err := kv.Put(p, nil)
			must(t, err)
			// A default read sees the write, whoever is asked.
			for _, other := range ways(t) {
				got, meta, err := other.api.KV().Get(p.Key, nil)
				must(t, err)
				if got == nil || !bytes.Equal(got.Value, p.Value) || got.Flags != p.Flags || got.CreateIndex == 0 {
					t.Fatalf("%s at the %s: %+v", p.Key, other.role, got)
				}
				if meta.LastIndex != got.ModifyIndex || !meta.KnownLeader {
					t.Errorf("%s at the %s: index %d, known leader %t, ModifyIndex %d", p.Key, other.role, meta.LastIndex, meta.KnownLeader, got.ModifyIndex)
				}
			}
		}
		got, meta, err := kv.Get(at+"nothing", nil)
		if err != nil || got != nil || meta.LastIndex == 0 {
			t.Errorf("missing key: %v, %+v, %v", got, meta, err)
		}
		pairs, meta, err := kv.List(at, nil)
		must(t, err)
		if len(pairs) != 3 || pairs[0].Key != at+"a/one" || pairs[2].Key != at+"b" || meta.LastIndex != pairs[2].ModifyIndex {
			t.Errorf("list: %d pairs, index %d", len(pairs), meta.LastIndex)
		}
		if pairs, _, err := kv.List(at+"zz", nil); err != nil || pairs != nil {
			t.Errorf("empty list: %v, %v", pairs, err)
		}
		keys, _, err := kv.Keys(at, "/", nil)
		if err != nil || !slices.Equal(keys, []string{at + "a/", at + "b"}) {
			t.Errorf("keys with a separator: %q, %v", keys, err)
		}
		if keys, _, err = kv.Keys(at, "", nil); err != nil || len(keys) != 3 {
			t.Errorf("keys: %q, %v", keys, err)
		}
		if keys, _, err = kv.Keys(at+"zz", "", nil); err != nil || keys != nil {
			t.Errorf("no keys: %q, %v", keys, err)
		}
	})
}

func TestKVModes(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		kv, key := v.api.KV(), space(t)+"k"
		_, err := kv.Put(&api.KVPair{Key: key, Value: []byte("x")}, nil)
		must(t, err)
		got, meta, err := kv.Get(key, &api.QueryOptions{RequireConsistent: true})
		if err != nil || got == nil || !meta.KnownLeader {
			t.Errorf("consistent: %v, %+v, %v", got, meta, err)
		}
		// A stale read may be late, but not for long.
		within(t, "the key in a stale read", func() error {
			got, meta, err = kv.Get(key, &api.QueryOptions{AllowStale: true})
			if err == nil && got == nil {
				err = strconv.ErrRange
			}
			return err
		})
		if !meta.KnownLeader || meta.LastContact > 2*time.Second {
			t.Errorf("stale: %+v", meta)
		}
		if v.role == "leader" && meta.LastContact != 0 {
			t.Errorf("the leader heard from itself %v ago", meta.LastContact)
		}
		_, _, err = kv.Get(key, &api.QueryOptions{AllowStale: true, RequireConsistent: true})
		mustSay(t, err, "Cannot specify ?stale with ?consistent, conflicting semantics.")
		_, _, err = kv.Get(key, &api.QueryOptions{Datacenter: "nowhere"})
		mustSay(t, err, "No path to datacenter")
		_, err = kv.Put(&api.KVPair{Key: key}, &api.WriteOptions{Datacenter: "nowhere"})
		mustSay(t, err, "No path to datacenter")
		_, _, err = kv.Get(key, &api.QueryOptions{Namespace: "team"})
		mustSay(t, err, "Namespaces are a Consul Enterprise feature")
		if _, _, err = kv.Get(key, &api.QueryOptions{Datacenter: "dc1", Token: "whatever"}); err != nil {
			t.Errorf("the own datacenter by its name: %v", err)
		}
	})
}

func TestKVConditions(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		kv, at := v.api.KV(), space(t)
		key := at + "k"
		cas := func(index uint64, want bool) {
			t.Helper()
			if ok, _, err := kv.CAS(&api.KVPair{Key: key, Value: []byte("v" + strconv.FormatUint(index, 10)), ModifyIndex: index}, nil); err != nil || ok != want {
				t.Errorf("cas=%d: %t, %v", index, ok, err)
			}
		}
		read := func() *api.KVPair {
			t.Helper()
			p, _, err := kv.Get(key, nil)
			must(t, err)
			return p
		}
		cas(7, false) // no such key
		cas(0, true)
		cas(0, false)
		first := read()
		cas(first.ModifyIndex+1, false)
		cas(first.ModifyIndex, true)
		second := read()
		if second.ModifyIndex <= first.ModifyIndex || second.CreateIndex != first.CreateIndex {
			t.Errorf("indexes %d/%d after %d/%d", second.CreateIndex, second.ModifyIndex, first.CreateIndex, first.ModifyIndex)
		}
		_, err := kv.Put(&api.KVPair{Key: key, Value: second.Value}, nil)
		must(t, err)
		if same := read(); same.ModifyIndex != second.ModifyIndex {
			t.Errorf("the same value moved ModifyIndex from %d to %d", second.ModifyIndex, same.ModifyIndex)
		}
		if ok, _, err := kv.DeleteCAS(first, nil); err != nil || ok {
			t.Errorf("delete of what was: %t, %v", ok, err)
		}
		if ok, _, err := kv.DeleteCAS(second, nil); err != nil || !ok {
			t.Errorf("delete of what is: %t, %v", ok, err)
		}
		if _, err := kv.Delete(key, nil); err != nil || read() != nil {
			t.Errorf("delete of nothing: %v", err)
		}
		ok, _, err := kv.Acquire(&api.KVPair{Key: key, Session: "bd41bb5b-7c1d-4a64-9f8e-000000000000"}, nil)
		mustSay(t, err, `invalid session "bd41bb5b-7c1d-4a64-9f8e-000000000000"`)
		if ok {
			t.Error("acquired by an unknown session")
		}
	})
}

func TestKVDeleteTree(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		kv, at := v.api.KV(), space(t)
		for _, k := range []string{"t/1", "t/2/3", "t", "tt"} {
			_, err := kv.Put(&api.KVPair{Key: at + k}, nil)
			must(t, err)
		}
		_, before, err := kv.List(at, nil)
		must(t, err)
		_, err = kv.DeleteTree(at+"t/", nil)
		must(t, err)
		keys, after, err := kv.Keys(at, "", nil)
		if err != nil || !slices.Equal(keys, []string{at + "t", at + "tt"}) {
			t.Errorf("left: %q, %v", keys, err)
		}
		if after.LastIndex <= before.LastIndex {
			t.Errorf("index went from %d to %d", before.LastIndex, after.LastIndex)
		}
	})
}

// TestKVBlocking waits through one agent for writes that go through the others.
func TestKVBlocking(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		kv, at := v.api.KV(), space(t)
		key := at + "a/k"
		_, err := kv.Put(&api.KVPair{Key: key, Value: []byte("0")}, nil)
		must(t, err)
		reads := map[string]func(*api.QueryOptions) (int, *api.QueryMeta, error){
			"get": func(q *api.QueryOptions) (int, *api.QueryMeta, error) {
				p, m, err := kv.Get(key, q)
				if p == nil {
					return 0, m, err
				}
				return 1, m, err
			},
			"list": func(q *api.QueryOptions) (int, *api.QueryMeta, error) {
				p, m, err := kv.List(at+"a/", q)
				return len(p), m, err
			},
			"keys": func(q *api.QueryOptions) (int, *api.QueryMeta, error) {
				p, m, err := kv.Keys(at+"a/", "", q)
				return len(p), m, err
			},
		}
		changes := []struct {
			name string
			do   func(kv *api.KV) error
			left int
		}{
			{"a put", func(kv *api.KV) error {
				_, err := kv.Put(&api.KVPair{Key: key, Value: []byte(t.Name())}, nil)
				return err
			}, 1},
			{"a delete", func(kv *api.KV) error { _, err := kv.Delete(key, nil); return err }, 0},
			{"a put after it", func(kv *api.KV) error { _, err := kv.Put(&api.KVPair{Key: key}, nil); return err }, 1},
			{"a delete of the tree", func(kv *api.KV) error { _, err := kv.DeleteTree(at, nil); return err }, 0},
		}
		for name, read := range reads {
			_, meta, err := read(nil)
			must(t, err)
			if n, _, _ := read(nil); n == 0 {
				_, err := kv.Put(&api.KVPair{Key: key, Value: []byte(name)}, nil)
				must(t, err)
				_, meta, err = read(nil)
				must(t, err)
			}
			for i, c := range changes {
				meta = wakes(t, name+" for "+c.name, meta.LastIndex, c.left, read, func() error {
					return c.do(ways(t)[i%3].api.KV())
				})
			}
		}
	})
}

// wakes waits for a change after index and returns the answer's meta.
func wakes(t *testing.T, what string, index uint64, left int, read func(*api.QueryOptions) (int, *api.QueryMeta, error), change func() error) *api.QueryMeta {
	t.Helper()
	type answer struct {
		n    int
		meta *api.QueryMeta
		err  error
	}
	done := make(chan answer, 1)
	go func() { // awaited below; the wait ends it
		n, meta, err := read(&api.QueryOptions{WaitIndex: index, WaitTime: patience})
		done <- answer{n, meta, err}
	}()
	must(t, change())
	began := time.Now()
	a := <-done
	must(t, a.err)
	if a.n != left || a.meta.LastIndex <= index || time.Since(began) > patience/2 {
		t.Errorf("%s: %d left, index %d after %d, %v after the change", what, a.n, a.meta.LastIndex, index, time.Since(began))
	}
	return a.meta
}

func TestKVWaitEnds(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		kv, key := v.api.KV(), space(t)+"k"
		_, err := kv.Put(&api.KVPair{Key: key, Value: []byte("x")}, nil)
		must(t, err)
		_, meta, err := kv.Get(key, nil)
		must(t, err)
		for _, index := range []uint64{meta.LastIndex, meta.LastIndex + 1_000_000} {
			began := time.Now()
			got, again, err := kv.Get(key, &api.QueryOptions{WaitIndex: index, WaitTime: 300 * time.Millisecond})
			took := time.Since(began)
			if err != nil || got == nil || again.LastIndex != meta.LastIndex {
				t.Errorf("after the wait: %v, %+v, %v", got, again, err)
			}
			if took < 250*time.Millisecond || took > patience/2 {
				t.Errorf("a wait of 300 ms took %v", took)
			}
		}
		// Writes elsewhere do not wake it.
		began := time.Now()
		done := make(chan error, 1)
		go func() { // awaited below
			_, _, err := kv.Get(key, &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 500 * time.Millisecond})
			done <- err
		}()
		_, err = kv.Put(&api.KVPair{Key: key + "else"}, nil)
		must(t, err)
		must(t, <-done)
		if took := time.Since(began); took < 400*time.Millisecond {
			t.Errorf("a write to another key ended the wait after %v", took)
		}
	})
}

func TestKVKeyNames(t *testing.T) {
	names := []string{
		"with space", "100%", "%2F", "a%20b", "ç/é/日本語", "a+b", "a//b", "a/../b", "a/./b", "trailing/", "a?b=c", "a#b", "a&b;c", `back\slash`,
		"q\"uote", "~._-!$'()*,=:@[]{}|^`<>", strings.Repeat("long/", 100),
	}
	through(t, func(t *testing.T, v *via) {
		kv, at := v.api.KV(), space(t)
		for _, name := range names {
			key := at + name
			_, err := kv.Put(&api.KVPair{Key: key, Value: []byte(name)}, nil)
			if err != nil {
				t.Errorf("put %q: %v", name, err)
				continue
			}
			got, _, err := kv.Get(key, nil)
			if err != nil || got == nil || got.Key != key || string(got.Value) != name {
				t.Errorf("get %q: %+v, %v", name, got, err)
			}
		}
		keys, _, err := kv.Keys(at, "", nil)
		must(t, err)
		if len(keys) != len(names) {
			t.Errorf("%d keys of %d: %q", len(keys), len(names), keys)
		}
		for _, name := range names {
			if _, err := kv.Delete(at+name, nil); err != nil {
				t.Errorf("delete %q: %v", name, err)
			}
		}
		if keys, _, err := kv.Keys(at, "", nil); err != nil || len(keys) != 0 {
			t.Errorf("left: %q, %v", keys, err)
		}
		_, err = kv.Put(&api.KVPair{Key: "/rooted"}, nil)
		mustSay(t, err, "Invalid key. Key must not begin with a '/'") // said by the client
		_, err = kv.Put(&api.KVPair{Key: ""}, nil)
		mustSay(t, err, "Missing key name")
		_, err = kv.Delete("", nil)
		mustSay(t, err, "Missing key name")
	})
}

func TestKVLargestValue(t *testing.T) {
	const limit = 512 << 10
	through(t, func(t *testing.T, v *via) {
		kv, key := v.api.KV(), space(t)+"k"
		value := bytes.Repeat([]byte{0xff, 0, 'x'}, limit/3+1)[:limit]
		_, err := kv.Put(&api.KVPair{Key: key, Value: value}, nil)
		must(t, err)
		got, _, err := kv.Get(key, nil)
		if err != nil || !bytes.Equal(got.Value, value) {
			t.Errorf("the largest value came back as %d bytes, %v", len(got.Value), err)
		}
		_, err = kv.Put(&api.KVPair{Key: key, Value: append(value, 'x')}, nil)
		mustSay(t, err, "524289 bytes")
		mustSay(t, err, "max size: 524288 bytes")
		_, err = kv.Delete(key, nil)
		must(t, err)
	})
}
