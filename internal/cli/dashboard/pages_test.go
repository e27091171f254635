package dashboard

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/tui/page"
)

// bare are answers that every agent of the API has: a catalog with checks.
func bare() map[string]string {
	web := `{"ID":"web-1","Service":"web","Port":8080,"Tags":["v1"],"ModifyIndex":9}`
	node := `{"ID":"0af1","Node":"n1","Address":"10.0.0.1","Datacenter":"east","Meta":{"rack":"r7"},"ModifyIndex":5}`
	failing := `{"Node":"n1","CheckID":"web-http","Name":"web answers","Status":"critical","Output":"connection refused","ServiceID":"web-1","ServiceName":"web","ModifyIndex":9}`
	serf := `{"Node":"n1","CheckID":"serfHealth","Name":"Serf Health Status","Status":"passing","Output":"Agent alive and reachable"}`
	return map[string]string{
		"/v1/agent/self":                 `{"Config":{"Datacenter":"east","NodeName":"n1","Server":true,"Version":"1.16.0"},"Stats":{"raft":{"term":"3","commit_index":"120","applied_index":"120","last_log_index":"121"}}}`,
		"/v1/agent/members":              `[{"Name":"n1","Addr":"10.0.0.1","Port":8301,"Tags":{"role":"consul","dc":"east","build":"1.16.0:abc","id":"0af1"},"Status":1},{"Name":"n2","Addr":"10.0.0.2","Port":8301,"Tags":{"role":"node","dc":"east"},"Status":4}]`,
		"/v1/status/leader":              `"10.0.0.1:8300"`,
		"/v1/catalog/services":           `{"consul":[],"web":["v1"]}`,
		"/v1/catalog/nodes":              "[" + node + "]",
		"/v1/catalog/node-services/n1":   `{"Node":` + node + `,"Services":[` + web + `]}`,
		"/v1/health/state/any":           "[" + serf + "," + failing + "]",
		"/v1/health/state/critical":      "[" + failing + "]",
		"/v1/health/state/warning":       "[]",
		"/v1/health/service/web":         `[{"Node":` + node + `,"Service":` + web + `,"Checks":[` + serf + "," + failing + `]}]`,
		"/v1/health/node/n1":             "[" + serf + "," + failing + "]",
		"/v1/operator/autopilot/health?": "",
	}
}

// stock adds what a Consul agent has beside.
func stock() map[string]string {
	a := bare()
	maps.Copy(a, map[string]string{
		"/v1/operator/raft/configuration": `{"Servers":[{"ID":"0af1","Node":"n1","Address":"10.0.0.1:8300","Leader":true,"Voter":true},{"ID":"0af2","Node":"n9","Address":"10.0.0.9:8300","Leader":false,"Voter":true}],"Index":0}`,
		"/v1/operator/autopilot/health":   `{"Healthy":true,"FailureTolerance":0,"Servers":[{"ID":"0af1","Name":"n1","Address":"10.0.0.1:8300","SerfStatus":"alive","Version":"1.16.0","Leader":true,"LastContact":"0s","LastTerm":3,"LastIndex":121,"Healthy":true,"Voter":true,"StableSince":"2026-01-02T03:04:05Z"}]}`,
		"/v1/kv/":                         `["app/","ready"]`,
		"/v1/kv/app/":                     `["app/greeting"]`,
		"/v1/kv/app/greeting":             `[{"Key":"app/greeting","Value":"aGVsbG8=","Flags":7,"CreateIndex":3,"ModifyIndex":4,"LockIndex":0}]`,
		"/v1/kv/ready":                    `[{"Key":"ready","Value":"eWVz","CreateIndex":3,"ModifyIndex":4}]`,
		"/v1/session/list":                `[]`,
		"/v1/catalog/datacenters":         `["east","west"]`,
		"/v1/agent/monitor":               "2026-01-02T03:04:05.678Z [INFO]  agent: a line of the log\n",
	})
	return a
}

// agentOf serves answers as an agent without a change stream does: what is asked
// for with the index it has is answered when something changes, which is never.
func agentOf(t *testing.T, answers map[string]string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.Path]
		if !ok {
			http.Error(w, "Invalid URL path: not a recognized HTTP API endpoint", http.StatusNotFound)
			return
		}
		w.Header().Set("X-Consul-Index", "42")
		if r.URL.Query().Get("index") == "42" {
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprint(w, body) // who left needs no answer
		if r.URL.Path == "/v1/agent/monitor" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestEveryPageWithoutTheStream opens every page, and what can be opened in it,
// against a stock agent and against one that has little more than a catalog. Each
// shows what there is, and says of the rest that this agent does not support it.
func TestEveryPageWithoutTheStream(t *testing.T) {
	const no = "not supported by this agent"
	cases := map[string]struct{ stock, bare []string }{
		"overview":              {[]string{"leader", "n1", "term 3", "applied 120", "can lose", "1 alive", "1 failed", "web answers"}, []string{"leader", no, "1 alive", "web answers"}},
		"members":               {[]string{"n1", "10.0.0.1:8301", "alive", "n2", "failed"}, []string{"n1", "alive", "n2", "failed"}},
		"services":              {[]string{"web", "critical", "v1", "consul"}, []string{"web", "critical"}},
		"services/web":          {[]string{"web-1", "n1", "8080", "critical"}, []string{"web-1", "critical"}},
		"services/web/n1/web-1": {[]string{"web answers", "Serf Health Status"}, []string{"web answers"}},
		"nodes":                 {[]string{"n1", "10.0.0.1"}, []string{"n1"}},
		"nodes/n1":              {[]string{"web", "critical", "rack", "Serf Health Status"}, []string{"web", "critical"}},
		"kv":                    {[]string{"app/", "ready"}, []string{no}},
		"kv/app/greeting":       {[]string{"app/", "greeting"}, []string{no}},
		"events":                {[]string{"log info"}, []string{"the log is " + no}},
		"raft":                  {[]string{"n1", "leader", "n9", "voter", "quorum is lost", "autopilot healthy"}, []string{no}},
		"dns":                   {[]string{"DNS"}, []string{"DNS"}},
		"contexts":              {[]string{"east", "west"}, []string{"(none)", no}},
	}
	for _, name := range page.Names() {
		if _, ok := cases[name]; !ok {
			t.Errorf("page %s is not tested", name)
		}
	}
	for path, want := range cases {
		for kind, answers := range map[string]map[string]string{"stock": stock(), "bare": bare()} {
			for _, flag := range []string{"", "--no-stream"} {
				t.Run(strings.Join([]string{path, kind, flag}, " "), func(t *testing.T) {
					t.Parallel()
					texts := want.stock
					if kind == "bare" {
						texts = want.bare
					}
					args := []string{"dash", path, "--once", "--http-addr=" + agentOf(t, answers)}
					if flag != "" {
						args = append(args, flag)
					}
					got := clitest.Do(t, NewCommand, clitest.Run{Args: args, Env: map[string]string{"XDG_CONFIG_HOME": t.TempDir()}})
					if got.Code != 0 {
						t.Fatalf("exit code %d: %s", got.Code, got.Err)
					}
					for _, text := range texts {
						if !strings.Contains(got.Out, text) {
							t.Errorf("%q is not on the page:\n%s", text, got.Out)
						}
					}
					if i := slices.IndexFunc([]string{"oading", "aiting"}, func(s string) bool { return strings.Contains(got.Out, s) }); i >= 0 {
						t.Errorf("something is still waited for:\n%s", got.Out)
					}
				})
			}
		}
	}
}
