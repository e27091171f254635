package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// loop is what consul-template runs for each thing a template shows: stale
// blocking reads of 60 s, each from the index of the last. It tells every value
// that differs from the one before.
type loop struct {
	name   string
	read   func(*api.QueryOptions) (string, *api.QueryMeta, error)
	values chan string
}

// run loops until ctx ends, and fails for an answer that consul-template would
// not go on from.
func (l *loop) run(ctx context.Context) error {
	var index uint64
	last := ""
	for first := true; ctx.Err() == nil; {
		q := (&api.QueryOptions{AllowStale: true, WaitTime: time.Minute, WaitIndex: index}).WithContext(ctx)
		value, meta, err := l.read(q)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", l.name, err)
		case meta.LastIndex == 0:
			return fmt.Errorf("%s: no index", l.name)
		case meta.LastIndex < index:
			return fmt.Errorf("%s: index went from %d to %d", l.name, index, meta.LastIndex)
		case !meta.KnownLeader || meta.LastContact > 10*time.Second:
			return fmt.Errorf("%s: leader known: %t, last contact %v", l.name, meta.KnownLeader, meta.LastContact)
		}
		if index = meta.LastIndex; !first && value == last {
			continue
		}
		first, last = false, value
		select {
		case l.values <- value:
		case <-ctx.Done():
		}
	}
	return nil
}

// sees waits until the loop has told what is looked for.
func (l *loop) sees(t *testing.T, what string, ok func(string) bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	value := ""
	for {
		select {
		case value = <-l.values:
			if ok(value) {
				return
			}
		case <-limit.C:
			t.Fatalf("%s does not see %s within %v; the last was %s", l.name, what, patience, value)
		}
	}
}

// TestStaleLoops follows a service as consul-template does, through its life.
func TestStaleLoops(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		name := unique(t)
		health := &loop{name: "health/service", values: make(chan string, 64), read: func(q *api.QueryOptions) (string, *api.QueryMeta, error) {
			rows, meta, err := v.api.Health().Service(name, "", true, q)
			var out []string
			for _, row := range rows {
				out = append(out, fmt.Sprintf("%s %d %v", row.Service.ID, row.Service.Port, row.Service.Tags))
			}
			slices.Sort(out)
			return strings.Join(out, ","), meta, err
		}}
		services := &loop{name: "catalog/services", values: make(chan string, 64), read: func(q *api.QueryOptions) (string, *api.QueryMeta, error) {
			names, meta, err := v.api.Catalog().Services(q)
			tags, there := names[name]
			slices.Sort(tags)
			return fmt.Sprint(there, tags), meta, err
		}}
		node := &loop{name: "catalog/node", values: make(chan string, 64), read: func(q *api.QueryOptions) (string, *api.QueryMeta, error) {
			n, meta, err := v.api.Catalog().Node(v.p.Spec.Name, q)
			if err != nil || n == nil {
				return "", meta, err
			}
			return fmt.Sprint(n.Services[name] != nil), meta, nil
		}}
		nodes := &loop{name: "catalog/nodes", values: make(chan string, 64), read: func(q *api.QueryOptions) (string, *api.QueryMeta, error) {
			list, meta, err := v.api.Catalog().Nodes(q)
			return fmt.Sprint(len(list) > servers), meta, err
		}}
		all := []*loop{health, services, node, nodes}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, len(all))
		for _, l := range all {
			go func() { ended <- l.run(ctx) }() // awaited below
		}
		defer func() {
			cancel()
			for range all {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}()
		is := func(want string) func(string) bool { return func(got string) bool { return got == want } }
		nodes.sees(t, "every node", is("true"))
		services.sees(t, "no service", is("false []"))
		node.sees(t, "no service", is("false"))

		reg := &api.AgentServiceRegistration{ID: name, Name: name, Port: 80, Tags: []string{"a"}, Check: &api.AgentServiceCheck{TTL: "1h", Status: "passing"}}
		serve(t, v, reg)
		health.sees(t, "the service", is(name+" 80 [a]"))
		services.sees(t, "the service", is("true [a]"))
		node.sees(t, "the service", is("true"))
		must(t, v.api.Agent().FailTTL("service:"+name, "broken"))
		health.sees(t, "that it fails", is(""))
		must(t, v.api.Agent().PassTTL("service:"+name, ""))
		health.sees(t, "that it passes", is(name+" 80 [a]"))
		reg.Tags = []string{"a", "b"}
		must(t, v.api.Agent().ServiceRegister(reg))
		health.sees(t, "the new tag", is(name+" 80 [a b]"))
		services.sees(t, "the new tag", is("true [a b]"))
		must(t, v.api.Agent().ServiceDeregister(name))
		health.sees(t, "that it is gone", is(""))
		services.sees(t, "that it is gone", is("false []"))
		node.sees(t, "that it is gone", is("false"))
	})
}
