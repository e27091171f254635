package programs

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// target is what Prometheus would scrape.
type target struct{ job, node, url string }

// discovery builds Prometheus' discovery, which Debian's Prometheus lacks.
func discovery(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "promsd")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = "promsd" // a module of its own
	if out, err := build.CombinedOutput(); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("Prometheus' discovery cannot be built: %v: %s", err, out)
	} else if err != nil {
		t.Fatalf("build Prometheus' discovery: %v: %s", err, out)
	}
	return path
}

// targets returns what the discovery said last.
func (p *program) targets() (map[target]bool, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return nil, err
	}
	line := ""
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, "[") && strings.HasSuffix(l, "\n") {
			line = l
		}
	}
	var list []map[string]string
	if err := json.Unmarshal([]byte(line), &list); err != nil {
		return nil, fmt.Errorf("it said nothing yet: %w", err)
	}
	out := map[target]bool{}
	for _, l := range list {
		out[target{l["job"], l["node"], l["__scheme__"] + "://" + l["__address__"] + l["__metrics_path__"]}] = true
	}
	return out, nil
}

// TestPrometheus is docs/how-to/prometheus.md: Prometheus' own discovery, with
// the page's configuration and rules, follows services.
func TestPrometheus(t *testing.T) {
	client, server := shared.client(), shared.agents[0]
	dir := t.TempDir()
	// The page's own command, but for the address.
	_, err := output(shared.binary, "services", "register", "-http-addr=http://"+client.p.Spec.HTTPAddr(),
		"-name=web", "-port=8080", "-tag=metrics", "-meta=metrics_path=/internal/metrics")
	must(t, err)
	t.Cleanup(func() { retire(t, client, "web") })
	serve(t, server, &api.AgentServiceRegistration{Name: "job", Port: 9100, Address: "192.0.2.7", Tags: []string{"metrics", "other"}})
	serve(t, client, &api.AgentServiceRegistration{Name: "untagged", Port: 1})

	// Prometheus waits refresh_interval between looks, 30 s if it is not told
	// otherwise; the test has no such time.
	conf := write(t, dir, "prometheus.yml", shown(t, "prometheus.md", "yaml", 0,
		`"127.0.0.1:8500"`, `"`+client.p.Spec.HTTPAddr()+"\"\n        refresh_interval: 1s"))
	p := launch(t, dir, discovery(t, dir), conf)
	become := func(what string, want ...target) {
		t.Helper()
		set := map[target]bool{}
		for _, w := range want {
			set[w] = true
		}
		began := time.Now()
		eventually(t, what, func() error {
			if err := p.alive(); err != nil {
				t.Fatal(err)
			}
			got, err := p.targets()
			if err == nil && !maps.Equal(got, set) {
				err = fmt.Errorf("targets %v, want %v", got, set)
			}
			return err
		})
		t.Logf("%s: after %v", what, time.Since(began))
	}
	web := target{"web", client.name(), "http://" + client.host() + ":8080/internal/metrics"}
	job := target{"job", server.name(), "http://192.0.2.7:9100/metrics"}
	db := target{"db", client.name(), "http://" + client.host() + ":9104/metrics"}
	become("two services have the tag", web, job)

	serve(t, client, &api.AgentServiceRegistration{Name: "db", Port: 9104, Tags: []string{"metrics"}, Check: &api.AgentServiceCheck{TTL: "1h", Status: "passing"}})
	become("one more", web, job, db)
	must(t, client.api.Agent().FailTTL("service:db", "broken"))
	become("one is critical", web, job)
	must(t, client.api.Agent().PassTTL("service:db", ""))
	become("and passes again", web, job, db)

	serve(t, server, &api.AgentServiceRegistration{Name: "job", Port: 9100, Address: "192.0.2.7", Tags: []string{"other"}})
	become("one has lost its tag", web, db)
	retire(t, client, "web")
	become("one is deregistered", db)
}
