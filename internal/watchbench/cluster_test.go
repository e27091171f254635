package watchbench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/tui/source"
)

// TestLeaderChangeThroughAClientAgent watches through an agent that is no server
// while the leader is killed: the new one appears, and changes go on being seen.
func TestLeaderChangeThroughAClientAgent(t *testing.T) {
	addrs := built.alloc.Loopback(4)
	servers := map[string]*agentproc.Process{}
	for i, addr := range addrs[:3] {
		name := fmt.Sprintf("s%d", i+1)
		servers[name] = start(t, agentproc.Spec{Name: name, Bind: addr, Server: true, Expect: 3, Join: addrs[:3],
			Extra: map[string]any{"autopilot": map[string]any{"cleanup_dead_servers": false}}}) // the lost one is looked at
	}
	client := start(t, agentproc.Spec{Name: "client", Bind: addrs[3], Join: addrs[:3]})
	serving(t, client)
	s := watch(t, false, client)
	s.Interest(source.Interest{Sections: source.SectionServices, Key: "k"})
	register := func(name string) {
		t.Helper()
		put(t, client, "/v1/catalog/register", fmt.Sprintf(`{"Node":"ext","Address":"10.0.0.9","Service":{"Service":%q}}`, name))
		await(t, s, "service "+name, func(st *source.State) bool {
			return slices.ContainsFunc(st.Services.Rows, func(r *source.Service) bool { return r.Name == name })
		})
	}
	register("before")
	st := await(t, s, "the servers", func(st *source.State) bool {
		return st.Cluster.LeaderName != "" && st.Cluster.Voters == 3 && st.Cluster.CanLose == 1 && len(st.Members.LAN) == 4
	})
	if st.Connection.Transport != source.Stream || st.Connection.Agent.Server {
		t.Errorf("connection %+v", st.Connection)
	}
	old := st.Cluster.LeaderName
	servers[old].Kill()
	await(t, s, "another leader", func(st *source.State) bool {
		return st.Cluster.LeaderName != "" && st.Cluster.LeaderName != old
	})
	register("after")
	put(t, client, "/v1/kv/k", "v")
	await(t, s, "the key", func(st *source.State) bool { return string(st.Key.Value) == "v" })
	st = await(t, s, "the lost server", func(st *source.State) bool {
		return st.Members.Failed == 1 && st.Cluster.CanLose == 0
	})
	if !slices.ContainsFunc(st.Recent.Events, func(e source.Event) bool { return e.Kind == source.EventRaft }) {
		t.Error("the time line does not tell of the new leader")
	}
	if st.Connection.Link != source.Connected {
		t.Errorf("the agent was lost, too: %+v", st.Connection)
	}
}

// TestPositionOverHTTP goes on from a position and is sent only what changed.
func TestPositionOverHTTP(t *testing.T) {
	p := alone(t)
	for i := range 20 {
		put(t, p, fmt.Sprintf("/v1/kv/a/%d", i), "v")
	}
	frames := func(query string) (types map[string]int, position string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Spec.HTTPAddr()+"/v1/ctl/stream?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "application/x-ndjson" {
			t.Fatalf("%s, %s", resp.Status, got)
		}
		types = map[string]int{}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			var f struct{ Type, Position string }
			if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			types[f.Type]++
			if f.Type == "at" {
				return types, f.Position
			}
		}
		t.Fatal("the stream ended")
		return nil, ""
	}
	types, position := frames("topic=kv:a/")
	if types["hello"] != 1 || types["reset"] != 1 || types["put"] != 20 || types["ready"] != 1 {
		t.Errorf("at first %v", types)
	}
	put(t, p, "/v1/kv/a/7", "other")
	put(t, p, "/v1/kv/b", "elsewhere")
	types, _ = frames("have=kv:a/&from=" + position)
	if types["reset"] != 0 || types["put"] != 1 {
		t.Errorf("from a position %v", types)
	}
	p.Kill()
	p = start(t, p.Spec)
	serving(t, p)
	types, _ = frames("have=kv:a/&from=" + position)
	if types["reset"] != 1 || types["put"] != 20 {
		t.Errorf("from a position of an agent that was restarted %v", types)
	}
	for query, status := range map[string]int{"": 400, "topic=nonsense": 400, "topic=services&dc=other": 500} {
		resp, err := http.Get("http://" + p.Spec.HTTPAddr() + "/v1/ctl/stream?" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("?%s is answered with %s, want %d", query, resp.Status, status)
		}
	}
}
