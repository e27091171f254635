package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func member(name string, status gossip.Status, role string) gossip.Member {
	m := gossip.Member{Name: name, Addr: "10.0.0." + name[len(name)-1:], Port: 8301, Status: status, Tags: map[string]string{
		"dc": "dc1", "id": "id-" + name, "role": role, "build": "1.21.4:abc",
	}}
	if role == "consul" {
		m.Tags["port"], m.Tags["vsn"] = "8300", "2"
	}
	return m
}

func TestReconcile(t *testing.T) {
	const server, client = "consul", "node"
	for _, c := range []struct {
		name    string
		before  []gossip.Member
		extra   *catalog.Registration
		members []gossip.Member
		want    []string
		peers   []string
		writes  int
	}{
		{"new members", nil, nil,
			[]gossip.Member{member("s1", gossip.StatusAlive, server), member("c2", gossip.StatusAlive, client)},
			[]string{"c2 passing", "s1 passing +consul"}, []string{"+s1"}, 2},
		{"nothing new", []gossip.Member{member("c2", gossip.StatusAlive, client)}, nil,
			[]gossip.Member{member("c2", gossip.StatusAlive, client)},
			[]string{"c2 passing"}, nil, 0},
		{"a member fails", []gossip.Member{member("s1", gossip.StatusAlive, server)}, nil,
			[]gossip.Member{member("s1", gossip.StatusFailed, server)},
			[]string{"s1 critical +consul"}, nil, 1},
		{"a member comes back", []gossip.Member{member("c2", gossip.StatusFailed, client)}, nil,
			[]gossip.Member{member("c2", gossip.StatusAlive, client)},
			[]string{"c2 passing"}, nil, 1},
		{"a server leaves", []gossip.Member{member("s1", gossip.StatusAlive, server)}, nil,
			[]gossip.Member{member("s1", gossip.StatusLeft, server)},
			nil, []string{"-s1"}, 1},
		{"a member is forgotten", []gossip.Member{member("c2", gossip.StatusAlive, client)}, nil,
			nil, nil, nil, 1},
		{"a node registered by hand stays", nil,
			&catalog.Registration{Node: catalog.Node{Node: "ext", Address: "192.0.2.1"}},
			nil, []string{"ext "}, nil, 0},
		{"a member of elsewhere", nil, nil,
			[]gossip.Member{func() gossip.Member { m := member("s1", gossip.StatusAlive, server); m.Tags["dc"] = "dc2"; return m }()},
			nil, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.Open(t, catalog.Module())
			var index uint64
			var writes int
			var peers []string
			r := &reconciler{
				dc: "dc1", db: db, log: slog.New(slog.DiscardHandler),
				apply: func(_ context.Context, typ uint8, body codec.Message) (any, error) {
					index++
					writes++
					return storetest.TryApply(t, db, index, typ, body)
				},
				addPeer:    func(_ context.Context, s gossip.Server) error { peers = append(peers, "+"+s.Name); return nil },
				removePeer: func(_ context.Context, s gossip.Server) error { peers = append(peers, "-"+s.Name); return nil },
			}
			if err := r.reconcile(t.Context(), c.before); err != nil {
				t.Fatal(err)
			}
			if c.extra != nil {
				index++
				storetest.Apply(t, db, index, catalog.TypeRegister, c.extra)
			}
			writes, peers = 0, nil
			if err := r.reconcile(t.Context(), c.members); err != nil {
				t.Fatal(err)
			}
			if writes != c.writes {
				t.Errorf("%d writes, want %d", writes, c.writes)
			}
			if diff := cmp.Diff(c.peers, peers); diff != "" {
				t.Error(diff)
			}
			tx, _ := db.Read()
			nodes, _, err := catalog.Nodes(nil, tx)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range nodes {
				line := n.Node + " "
				checks, _, err := catalog.NodeChecks(nil, tx, n.Node)
				if err != nil {
					t.Fatal(err)
				}
				for _, ch := range checks {
					line += ch.Status
				}
				if _, services, _, _ := catalog.NodeServices(nil, tx, n.Node); len(services) > 0 {
					line += fmt.Sprint(" +", services[0].Service)
				}
				got = append(got, line)
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReconcileGoesOnAfterAFailure(t *testing.T) {
	tried := 0
	r := &reconciler{
		dc: "dc1", db: storetest.Open(t, catalog.Module()), log: slog.New(slog.DiscardHandler),
		apply: func(context.Context, uint8, codec.Message) (any, error) { tried++; return nil, errors.New("no") },
	}
	err := r.reconcile(t.Context(), []gossip.Member{member("c1", gossip.StatusAlive, "node"), member("c2", gossip.StatusAlive, "node")})
	if err == nil || tried != 2 {
		t.Errorf("tried %d, error %v", tried, err)
	}
}
