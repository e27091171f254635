package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// notRun are examples that cannot be run here, with the reason.
var notRun = map[string]string{
	"ctl agent -dev                                # one server, in memory":   "runs until it is stopped; this test's own agent is one",
	"ctl agent -config-dir /etc/ctl.d              # as the files say":        "runs until it is stopped",
	"ctl agent -retry-join 10.0.0.1                # a client of that server": "runs until it is stopped",
	`ctl agent -encrypt "$(ctl keygen)" -config-dir /etc/ctl.d`:               "runs until it is stopped",
	"source <(ctl completion bash)                     # this shell":          "only for bash; the scripts are tested with their shells",
	"ctl completion bash > /etc/bash_completion.d/ctl  # all shells, as root": "writes outside the test's directory",
	`ctl completion zsh > "${fpath[1]}/_ctl"`:                                 "only for zsh",
	"ctl completion fish > ~/.config/fish/completions/ctl.fish":               "wants fish's directory",
	"ctl completion powershell | Out-String | Invoke-Expression":              "only for PowerShell",
	"ctl kv edit config/limit":                                                "wants an editor and a terminal; the scripts have it",
	`EDITOR="code --wait" ctl kv edit config/nginx`:                           "wants an editor",
	"ctl kv edit -draft /tmp/ctl-edit-1/limit config/limit":                   "wants an editor",
	"ctl leave": "would end the agent; the command lines of Consul end with it",
	"ctl leave -http-addr http://192.168.17.161:8500":               "would end the agent",
	"ctl members -watch":                                            "runs until it is stopped",
	"ctl monitor":                                                   "runs until it is stopped",
	"ctl monitor -log-level debug":                                  "runs until it is stopped",
	"ctl monitor -log-json | jq .":                                  "runs until it is stopped",
	"ctl watch -type=key -key=app/colour cat":                       "runs until it is stopped",
	"ctl watch -type=service -service=web -passingonly ./reload.sh": "runs until it is stopped",
	"ctl watch -type=nodes -post http://127.0.0.1:9000/nodes":       "runs until it is stopped",
	"ctl debug": "captures for minutes; the script debug captures from an agent",
	"ctl debug -duration 1m -interval 10s -output slow-agent":                  "the same",
	"ctl debug -capture metrics,logs -archive=false":                           "the same",
	"ctl join -wan dc2-server1.example.com":                                    "wants another datacenter",
	"ctl rtt n1 n2":                                                            "wants two nodes that know how far they are; the script coordinate has them",
	"ctl rtt n1                  # from the agent that is asked":               "the same",
	"ctl rtt -format json n1 n2":                                               "the same",
	`ctl wait service/web "passing>=2"`:                                        "runs until there are two",
	"ctl tls inspect -ca-file consul-agent-ca.pem 10.0.0.1:8300 10.0.0.1:8501": "wants agents with TLS",
	"ctl tls inspect -ca-file consul-agent-ca.pem 10.0.0.1:8300":               "the same",
}

// failing are examples that fail on a lone development agent, as they must, and
// the exit code.
var failing = map[string]int{
	"ctl kv delete -cas -modify-index=123 config/limit":                          1, // another index
	"ctl kv put -cas -modify-index=123 config/limit 20":                          1,
	"ctl operator raft remove-peer -id 8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a":     1, // no such server
	"ctl operator raft remove-peer -address 192.168.17.161:8300":                 1,
	"ctl operator raft remove-peer -address 10.0.0.3:8300":                       1,
	"ctl operator raft transfer-leader":                                          1, // to nobody
	"ctl operator raft transfer-leader -id 8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a": 1,
	"ctl kv get -watch -once -timeout 10m config/limit":                          1,  // nothing changes in time
	`ctl wait -timeout 10m "members>=3"`:                                         15, // it stays alone
	"ctl rtt -wan n1.dc1 s1.dc2":                                                 1,  // no such servers
	"ctl keyring use pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvMwy7Cu5s=":               1,  // not installed
	"ctl services show -tag v1 web":                                              13, // nobody has the tag
	"ctl services show -watch -once -timeout 10m web":                            15, // nothing changes in time
	"ctl kv diff config/ backup/":                                                1,  // they differ
	"ctl kv diff -o jsonl config/ backup/":                                       1,
	"ctl kv diff -against-datacenter west config/":                               10, // no such datacenter
	"ctl force-leave server03":                                                   1,  // no such member
	"ctl force-leave server03 -prune":                                            1,
}

// here puts what the test has in the place of what an example names.
func (c *commandLine) here(line string) string {
	return strings.NewReplacer(
		"10.0.0.1:8500", c.address+":8500", "10.0.0.2:8500", c.address+":8500", "other:8500", c.address+":8500",
		"join 192.168.17.161", "join "+c.address, "/etc/ctl.d", "ctl.d", "-timeout 10m", "-timeout 100ms",
	).Replace(line)
}

// TestExamples runs every example of the commands' reference pages, which are
// those of their help, against an agent that has what they name. An example
// that is neither run with success nor listed above fails the test.
func TestExamples(t *testing.T) {
	t.Parallel()
	c := startCommandLine(t)
	pages, err := filepath.Glob("../../docs/reference/cli/ctl*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	ran, known := 0, map[string]bool{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range examples(string(text)) {
			known[line] = true
			if notRun[line] != "" {
				continue
			}
			c.prepare(t, line)
			code, out, errOut := c.run(t, c.here(line))
			if want := failing[line]; code != want {
				t.Errorf("%s: %s\nexit code %d, want %d\n%s%s", filepath.Base(page), line, code, want, out, errOut)
			}
			ran++
		}
	}
	for line := range notRun {
		if !known[line] {
			t.Errorf("%q is no example any more", line)
		}
	}
	for line := range failing {
		if !known[line] {
			t.Errorf("%q is no example any more", line)
		}
	}
	t.Logf("%d examples run, %d not", ran, len(notRun))
}

// examples returns the lines of a page's block of examples.
func examples(page string) []string {
	_, rest, ok := strings.Cut(page, "\n## Examples\n\n```sh\n")
	if !ok {
		return nil
	}
	block, _, _ := strings.Cut(rest, "\n```")
	return strings.Split(block, "\n")
}

// prepare puts everything in place that the example names, as it was in the
// beginning.
func (c *commandLine) prepare(t *testing.T, example string) {
	t.Helper()
	if err := os.RemoveAll(c.dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"web.json":    `{"service": {"name": "web", "port": 8080}}`,
		"db.hcl":      `service { name = "db"  port = 5432 }`,
		"keys.json":   `[{"key": "config/a", "flags": 0, "value": "MQ=="}]`,
		"new.key":     exampleKey + "\n",
		"nginx.conf":  "worker_processes 1;\n",
		"site/a":      "a",
		"server.json": `{"server": true}`,
		"ctl.d/a.hcl": fmt.Sprintf("datacenter = \"dc1\"\nbind_addr = %[1]q\nclient_addr = %[1]q\ndata_dir = \"data\"\n", c.address),
		".config/ctl/config.json": fmt.Sprintf(`{"current": "prod", "previous": "staging", "contexts": {
			"prod": {"addresses": ["http://%[1]s:8500"]}, "staging": {"addresses": ["http://%[1]s:8500"]}}}`, c.address),
	} {
		if strings.Contains(example, "context add") || strings.Contains(example, "context import") {
			if strings.HasSuffix(name, "config.json") {
				continue // the name must be free
			}
		}
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.put(t, "/v1/kv/config/limit", "10")
	c.put(t, "/v1/agent/service/register", `{"Name": "web", "Port": 8080}`)
	c.put(t, "/v1/catalog/register", `{"Node": "n2", "Address": "10.0.0.9", "Service": {"Service": "web"}}`)
	c.put(t, "/v1/agent/service/register", `{"ID": "web1", "Name": "web", "Port": 8081}`)
	for _, before := range []struct{ names, line string }{
		{"set-config", "ctl connect ca get-config > ca.json"},
		{"ctl tls cert", "ctl tls ca create"},
		{"ctl tls inspect", "ctl tls ca create && ctl tls cert create -server"},
	} {
		if !strings.Contains(example, before.names) {
			continue
		}
		if code, _, errOut := c.run(t, before.line); code != 0 {
			t.Fatalf("%s: %s", before.line, errOut)
		}
	}
}

func (c *commandLine) put(t *testing.T, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+c.address+":8500"+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", path, resp.Status)
	}
}
