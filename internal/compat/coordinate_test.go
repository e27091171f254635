package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/serf/coordinate"
)

// placed registers a node without an agent, with an instance of a service, some
// milliseconds away from everybody.
func placed(t *testing.T, v *via, node, service string, ms float64) {
	t.Helper()
	_, err := v.api.Catalog().Register(&api.CatalogRegistration{
		Node: node, Address: "10.0.0.1",
		Service: &api.AgentService{Service: service, Port: 80, Connect: &api.AgentServiceConnect{Native: true}},
		Check:   &api.AgentCheck{Node: node, CheckID: "c-" + node, Name: "c", ServiceID: service, Status: api.HealthPassing},
	}, nil)
	must(t, err)
	t.Cleanup(func() {
		if _, err := v.api.Catalog().Deregister(&api.CatalogDeregistration{Node: node}, nil); err != nil {
			t.Error(err)
		}
	})
	if ms == 0 {
		return
	}
	c := coordinate.NewCoordinate(coordinate.DefaultConfig())
	c.Vec[0], c.Error = ms/1000, 0.5
	_, err = v.api.Coordinate().Update(&api.CoordinateEntry{Node: node, Coord: c}, nil)
	must(t, err)
}

func TestCoordinates(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		t.Parallel() // the leader gathers updates for seconds
		coordinates := v.api.Coordinate()
		within(t, "every agent tells where it is", func() error {
			entries, meta, err := coordinates.Nodes(nil)
			if err != nil {
				return err
			}
			for _, a := range shared.agents {
				if !slices.ContainsFunc(entries, func(e *api.CoordinateEntry) bool {
					return e.Node == a.p.Spec.Name && e.Coord.IsValid() && len(e.Coord.Vec) == 8 && e.Coord.Height > 0
				}) {
					return fmt.Errorf("%s is not among %d", a.p.Spec.Name, len(entries))
				}
			}
			if meta.LastIndex == 0 || !meta.KnownLeader {
				return fmt.Errorf("meta %+v", meta)
			}
			return nil
		})
		node := strings.ToLower(strings.ReplaceAll(v.role, " ", "-")) + "-external"
		placed(t, v, node, "placed-"+node, 4000)
		var index uint64
		within(t, "an update is there", func() error {
			entries, meta, err := coordinates.Node(node, nil)
			if err == nil && (len(entries) != 1 || entries[0].Node != node || entries[0].Segment != "" || entries[0].Coord.Vec[0] != 4) {
				err = fmt.Errorf("%+v", entries)
			}
			if err == nil {
				index = meta.LastIndex
			}
			return err
		})
		waiting := make(chan error, 1)
		go func() {
			_, meta, err := coordinates.Node(node, &api.QueryOptions{WaitIndex: index, WaitTime: patience})
			if err == nil && meta.LastIndex <= index {
				err = fmt.Errorf("index %d after %d", meta.LastIndex, index)
			}
			waiting <- err
		}()
		c := coordinate.NewCoordinate(coordinate.DefaultConfig())
		c.Vec[0] = 5
		_, err := coordinates.Update(&api.CoordinateEntry{Node: node, Coord: c}, nil)
		must(t, err)
		must(t, <-waiting)

		_, _, err = coordinates.Node("nobody", nil)
		mustSay(t, err, "404")
		_, err = coordinates.Update(&api.CoordinateEntry{Node: "nobody", Coord: c}, nil)
		must(t, err)
		_, err = coordinates.Update(&api.CoordinateEntry{Node: node, Coord: &coordinate.Coordinate{Vec: []float64{1}}}, nil)
		mustSay(t, err, "invalid coordinate")
		_, err = coordinates.Update(&api.CoordinateEntry{Node: node}, nil)
		mustSay(t, err, "400")

		dcs, err := coordinates.Datacenters()
		must(t, err)
		if len(dcs) != 1 || dcs[0].Datacenter != "dc1" || dcs[0].AreaID != "wan" || len(dcs[0].Coordinates) == 0 || dcs[0].Coordinates[0].Coord == nil {
			t.Errorf("datacenters %+v", dcs)
		}
		self, err := v.api.Agent().Self()
		must(t, err)
		if coord, ok := self["Coord"]["Vec"].([]any); !ok || len(coord) != 8 {
			t.Errorf("self says %v", self["Coord"])
		}
	})
}

func TestNear(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		t.Parallel()
		tag := strings.ReplaceAll(v.role, " ", "-")
		service := "near-" + tag
		far, farther, unplaced := "b-far-"+tag, "a-farther-"+tag, "0-unplaced-"+tag
		placed(t, v, far, service, 4000)
		placed(t, v, farther, service, 9000)
		placed(t, v, unplaced, service, 0)
		self := v.p.Spec.Name
		within(t, "coordinates are there", func() error {
			for _, node := range []string{far, farther, self} {
				if _, _, err := v.api.Coordinate().Node(node, nil); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			near string
			want []string
		}{
			{"_agent", []string{far, farther, unplaced}},
			{self, []string{far, farther, unplaced}},
			{farther, []string{farther, far, unplaced}},
			{"nobody", []string{unplaced, farther, far}},
			{unplaced, []string{unplaced, farther, far}},
		} {
			opts := &api.QueryOptions{Near: c.near}
			got := map[string][]string{}
			nodes, _, err := v.api.Catalog().Nodes(opts)
			must(t, err)
			for _, n := range nodes {
				if strings.HasSuffix(n.Node, tag) {
					got["nodes"] = append(got["nodes"], n.Node)
				}
			}
			instances, _, err := v.api.Catalog().Service(service, "", opts)
			must(t, err)
			connect, _, err := v.api.Catalog().Connect(service, "", opts)
			must(t, err)
			for _, in := range instances {
				got["service"] = append(got["service"], in.Node)
			}
			for _, in := range connect {
				got["connect"] = append(got["connect"], in.Node)
			}
			healths, _, err := v.api.Health().Service(service, "", true, opts)
			must(t, err)
			mesh, _, err := v.api.Health().Connect(service, "", true, opts)
			must(t, err)
			for _, h := range healths {
				got["health"] = append(got["health"], h.Node.Node)
			}
			for _, h := range mesh {
				got["health connect"] = append(got["health connect"], h.Node.Node)
			}
			checks, _, err := v.api.Health().Checks(service, opts)
			must(t, err)
			for _, h := range checks {
				got["checks"] = append(got["checks"], h.Node)
			}
			states, _, err := v.api.Health().State(api.HealthPassing, opts)
			must(t, err)
			for _, h := range states {
				if strings.HasSuffix(h.Node, tag) {
					got["state"] = append(got["state"], h.Node)
				}
			}
			for _, list := range []string{"nodes", "service", "connect", "health", "health connect", "checks", "state"} {
				if !slices.Equal(got[list], c.want) {
					t.Errorf("%s near %s: %q, want %q", list, c.near, got[list], c.want)
				}
			}
		}
	})
}

func TestCoordinatesDisabled(t *testing.T) {
	v := shared.dev(t, map[string]any{"disable_coordinates": true})
	for what, do := range map[string]func() error{
		"nodes":       func() error { _, _, err := v.api.Coordinate().Nodes(nil); return err },
		"node":        func() error { _, _, err := v.api.Coordinate().Node("n", nil); return err },
		"datacenters": func() error { _, err := v.api.Coordinate().Datacenters(); return err },
		"update":      func() error { _, err := v.api.Coordinate().Update(&api.CoordinateEntry{Node: "n"}, nil); return err },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "401 (Coordinate support disabled)") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
