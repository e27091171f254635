package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func registration(node, id, addr, status string) *catalog.Registration {
	return &catalog.Registration{
		Node:    catalog.Node{Node: node, ID: id, Address: addr, Meta: catalog.Labels{"z": "1", "a": "2"}},
		Service: &catalog.Service{ID: "consul", Service: "consul", Port: 8300},
		Checks:  []*catalog.Check{{CheckID: catalog.SerfHealth, Name: "Serf Health Status", Status: status}},
	}
}

type names struct{ Nodes, Services, Checks []string }

func contents(t *testing.T, db *store.DB) names {
	t.Helper()
	tx, _ := db.Read()
	var out names
	nodes, _, err := catalog.Nodes(nil, tx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		out.Nodes = append(out.Nodes, n.Node)
		_, services, _, err := catalog.NodeServices(nil, tx, n.Node)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range services {
			out.Services = append(out.Services, n.Node+"/"+s.ID)
		}
	}
	checks, _, err := catalog.ChecksInState(nil, tx, "any")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		out.Checks = append(out.Checks, c.Node+"/"+c.CheckID+"="+c.Status)
	}
	return out
}

func TestRegister(t *testing.T) {
	first := registration("n1", "id-1", "10.0.0.1", catalog.Passing)
	sick := registration("n1", "id-1", "10.0.0.1", catalog.Critical)
	for _, c := range []struct {
		name   string
		before *catalog.Registration
		r      *catalog.Registration
		want   names
		moved  bool
		kind   failure.Kind
	}{
		{"anew", nil, first, names{[]string{"n1"}, []string{"n1/consul"}, []string{"n1/serfHealth=passing"}}, true, 0},
		{"the same again", first, registration("n1", "id-1", "10.0.0.1", catalog.Passing), names{[]string{"n1"}, []string{"n1/consul"}, []string{"n1/serfHealth=passing"}}, false, 0},
		{"another status", first, sick, names{[]string{"n1"}, []string{"n1/consul"}, []string{"n1/serfHealth=critical"}}, true, 0},
		{"a rename takes everything along", first, registration("n2", "id-1", "10.0.0.1", catalog.Passing), names{[]string{"n2"}, []string{"n2/consul"}, []string{"n2/serfHealth=passing"}}, true, 0},
		{"a name a healthy node holds", first, registration("N1", "id-2", "10.0.0.2", catalog.Passing), names{[]string{"n1"}, []string{"n1/consul"}, []string{"n1/serfHealth=passing"}}, false, failure.Invalid},
		{"a name a dead node held", sick, registration("n1", "id-2", "10.0.0.2", catalog.Passing), names{[]string{"n1"}, []string{"n1/consul"}, []string{"n1/serfHealth=passing"}}, true, 0},
		{"no name", nil, registration("", "id-1", "10.0.0.1", ""), names{}, false, failure.Invalid},
		{"no address", nil, registration("n1", "id-1", "", ""), names{}, false, failure.Invalid},
		{"a check of no service", nil, &catalog.Registration{Node: catalog.Node{Node: "n1", Address: "a"}, Checks: []*catalog.Check{{CheckID: "c", ServiceID: "gone"}}}, names{}, false, failure.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.Open(t, catalog.Module())
			if c.before != nil {
				storetest.Apply(t, db, 5, catalog.TypeRegister, c.before)
			}
			tx, _ := db.Read()
			registered, err := catalog.Registered(tx, c.r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = storetest.TryApply(t, db, 9, catalog.TypeRegister, c.r)
			if (err != nil) != (c.kind != 0) || c.kind != 0 && !failure.Is(err, c.kind) {
				t.Errorf("error %v, want kind %v", err, c.kind)
			}
			if diff := cmp.Diff(c.want, contents(t, db)); diff != "" {
				t.Error(diff)
			}
			tx, _ = db.Read()
			if moved := store.MaxIndex(tx, catalog.TableNodes, catalog.TableServices, catalog.TableChecks) == 9; moved != c.moved {
				t.Errorf("index moved: %v, want %v", moved, c.moved)
			}
			if err == nil && registered == c.moved {
				t.Errorf("Registered said %v before a write that moved: %v", registered, c.moved)
			}
		})
	}
}

func TestDeregister(t *testing.T) {
	for _, c := range []struct {
		name string
		r    catalog.Removal
		want names
	}{
		{"a node takes all along", catalog.Removal{Node: "N1"}, names{Nodes: []string{"n10"}}},
		{"a service takes its checks along", catalog.Removal{Node: "n1", ServiceID: "consul"}, names{Nodes: []string{"n1", "n10"}, Checks: []string{"n1/serfHealth=passing"}}},
		{"a check", catalog.Removal{Node: "n1", CheckID: catalog.SerfHealth}, names{[]string{"n1", "n10"}, []string{"n1/consul"}, []string{"n1/svc=critical"}}},
		{"what is not there", catalog.Removal{Node: "n2"}, names{[]string{"n1", "n10"}, []string{"n1/consul"}, []string{"n1/serfHealth=passing", "n1/svc=critical"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := registration("n1", "id-1", "10.0.0.1", catalog.Passing)
			r.Checks = append(r.Checks, &catalog.Check{CheckID: "svc", ServiceID: "consul"})
			var log []store.Entry
			for i, step := range []struct {
				typ  uint8
				body codec.Message
			}{
				{catalog.TypeRegister, r},
				{catalog.TypeRegister, &catalog.Registration{Node: catalog.Node{Node: "n10", Address: "10.0.0.10"}}},
				{catalog.TypeDeregister, &c.r},
			} {
				b, err := codec.Encode(step.body)
				if err != nil {
					t.Fatal(err)
				}
				log = append(log, store.Entry{Index: uint64(i + 1), Type: step.typ, Body: b})
			}
			db := storetest.Open(t, catalog.Module())
			for _, res := range db.Apply(log) {
				if res.Err != nil {
					t.Fatal(res.Err)
				}
			}
			if diff := cmp.Diff(c.want, contents(t, db)); diff != "" {
				t.Error(diff)
			}
			storetest.Module(t, log, catalog.Module())
		})
	}
}
