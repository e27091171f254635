package services_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/cli/services"
)

const register = "PUT /v1/agent/service/register"

// bodies runs a command against an agent that takes everything, and returns what
// it was sent.
func bodies(t *testing.T, args ...string) (clitest.Result, []clitest.Request) {
	t.Helper()
	agent := clitest.NewAgent(t, map[string]clitest.Answer{register: {}, "PUT /v1/agent/service/deregister/web1": {}, "PUT /v1/agent/service/deregister/db": {}})
	r := clitest.Do(t, services.NewCommand, clitest.Run{Args: args, Agent: agent})
	return r, agent.Requests()
}

func TestRegister(t *testing.T) {
	dir := t.TempDir()
	hcl, json := filepath.Join(dir, "a.hcl"), filepath.Join(dir, "b.json")
	for path, text := range map[string]string{
		hcl:  "services {\n id = \"web1\"\n name = \"web\"\n check { ttl = \"1s\" }\n}\nservices { name = \"db\" }\n",
		json: `{"service":{"name":"kv","port":7}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		args []string
		out  string
		sent []string
	}{
		{
			name: "flags", args: strings.Fields("services register -name web -id web1 -port 80 -address 10.0.0.1 -tag a -tag b -meta k=v=w -tagged-address lan=10.0.0.2:81 -tagged-address wan=1.2.3.4"),
			out:  "Registered service: web\n",
			sent: []string{`{"Address":"10.0.0.1","ID":"web1","Meta":{"k":"v=w"},"Name":"web","Port":80,"TaggedAddresses":{"lan":{"Address":"10.0.0.2","Port":81},"wan":{"Address":"1.2.3.4","Port":80}},"Tags":["a","b"]}`},
		},
		{
			name: "files, under the other name", args: []string{"service", "register", hcl, json},
			out:  "Registered service: web\nRegistered service: db\nRegistered service: kv\n",
			sent: []string{`{"check":{"ttl":"1s"},"id":"web1","name":"web"}`, `{"name":"db"}`, `{"name":"kv","port":7}`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, requests := bodies(t, test.args...)
			if r.Code != 0 || r.Out != test.out {
				t.Errorf("got %d %q %q", r.Code, r.Out, r.Err)
			}
			for i, q := range requests {
				if q.Line != register || i >= len(test.sent) || strings.TrimSpace(q.Body) != test.sent[i] {
					t.Errorf("request %d: %s %s", i, q.Line, q.Body)
				}
			}
			if len(requests) != len(test.sent) {
				t.Errorf("%d requests, want %d", len(requests), len(test.sent))
			}
		})
	}
	r, requests := bodies(t, "services", "register", "-name=x", "-tag=a", json)
	if r.Code != 0 || r.Out != "Registered service: kv\n" || len(requests) != 1 || r.Err != "Warning: -name, -tag ignored: files say all about their services\n" {
		t.Errorf("flags beside a file: %+v %+v", r, requests)
	}
	if r, requests := bodies(t, "services", "deregister", hcl); r.Out != "Deregistered service: web1\nDeregistered service: db\n" || len(requests) != 2 {
		t.Errorf("deregister: %+v %+v", r, requests)
	}
}

func TestRefused(t *testing.T) {
	clitest.Check(t, services.NewCommand, []clitest.Case{
		{Name: "nothing to register", Args: "services register", Code: 1, Err: "Error: service registration requires at least -name, or a file\n"},
		{Name: "address with a port", Args: "services register -name x -address 10.0.0.1:80", Code: 1, Err: "Error: Invalid Service address \"10.0.0.1:80\": it carries a port. Use -port flag instead\n"},
		{Name: "metadata that is no pair", Args: "services register -name x -meta rack", Code: 1, Err: "Error: -meta \"rack\" is not KEY=VALUE\n"},
		{Name: "nothing to deregister", Args: "services deregister", Code: 1, Err: "Error: service deregistration requires either -id or files\n"},
		{
			Name: "unknown", Args: "services deregister -id no", Code: 1,
			Answers: map[string]clitest.Answer{"PUT /v1/agent/service/deregister/no": {Status: 404, Body: "Unknown service ID"}},
			Err:     "Error deregistering service \"no\": Unexpected response code: 404 (Unknown service ID)\n",
		},
	})
}

func TestDeregisterOnAnotherNode(t *testing.T) {
	node := map[string]clitest.Answer{
		"GET /v1/catalog/node/n2":    {Body: `{"Node":{"Node":"n2"},"Services":{"web":{"ID":"web","Service":"web"}}}`},
		"GET /v1/catalog/node/n3":    {Body: `null`},
		"PUT /v1/catalog/deregister": {Body: "true"},
	}
	clitest.Check(t, services.NewCommand, []clitest.Case{
		{Name: "there", Args: "services deregister -node=n2 -id=web", Answers: node, Out: "Deregistered service: web\n"},
		{Name: "no such id", Args: "services deregister -node=n2 -id=db", Code: 1, Answers: node, Err: "Error deregistering service \"db\": node \"n2\" has no service with that id\n"},
		{Name: "no such node", Args: "services deregister -node=n3 -id=db", Code: 1, Answers: node, Err: "Error deregistering service \"db\": the catalog has no node \"n3\"\n"},
		{Name: "no id", Args: "services deregister -node=n2", Code: 1, Err: "Error: service deregistration requires either -id or files\n"},
	})
}
