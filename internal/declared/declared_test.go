package declared_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/declared"
)

// load reads files of JSON, named a.json, b.json and so on.
func load(t *testing.T, texts ...string) *config.Config {
	t.Helper()
	var in config.Input
	for i, text := range texts {
		in.Sources = append(in.Sources, config.Source{Name: string(rune('a'+i)) + ".json", Format: "json", Data: []byte(text)})
	}
	c, _, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestProblemsNameTheirPlace reads definitions that cannot be used beside one that
// can.
func TestProblemsNameTheirPlace(t *testing.T) {
	t.Parallel()
	const good = `{"service": {"name": "good", "check": {"id": "c", "ttl": "1s"}}}`
	tests := []struct {
		name, text string
		says       []string
	}{
		{"a service without a name", `{"service": {"port": 1}}`, []string{"b.json:1:13: service: Missing service name"}},
		{"a service check without an interval", `{"service": {"name": "x", "check": {"tcp": "a:1"}}}`, []string{"b.json:1:13: service: Invalid check: Interval must be > 0"}},
		{"a service check that runs a program", `{"service": {"name": "x", "check": {"args": ["a"], "interval": "1s"}}}`, []string{"b.json:1:13: service: Scripts are disabled"}},
		{"a value of another shape", `{"check": {"name": "x", "http": "http://a", "interval": "1s", "header": {"a": "b"}}}`, []string{"b.json:1:11: check: json: cannot unmarshal string"}},
		{"a check without a kind", `{"check": {"name": "x"}}`, []string{"b.json:1:11: check: Invalid check: TTL must be > 0"}},
		{"a check that runs a program", `{"check": {"name": "x", "args": ["a"], "interval": "1s"}}`, []string{"b.json:1:11: check: Scripts are disabled"}},
		{"a service id twice", `{"service": {"id": "good", "name": "x"}}`, []string{`b.json:1:13: service: service id "good" is declared twice, first at a.json:1:13; give one`}},
		{"the check id of another service", `{"service": {"name": "x", "check": {"id": "c", "ttl": "1s"}}}`, []string{`b.json:1:13: service: check id "c" is declared twice, first at a.json:1:13`}},
		{"a check id of a service", `{"check": {"id": "c", "name": "x", "ttl": "1s"}}`, []string{`b.json:1:11: check: check id "c" is declared twice, first at a.json:1:13`}},
		{"the id a service check has without one", `{"service": {"name": "x", "check": {"ttl": "1s"}}, "check": {"name": "service:x", "ttl": "1s"}}`, []string{`check id "service:x" is declared twice`}},
		{"several", `{"services": [{"id": "x"}, {"name": "y", "port": -1}], "check": {"ttl": "1s"}}`,
			[]string{"b.json:1:15: service: Missing service name", "b.json:1:28: service: Validation failed: Port -1", "b.json:1:65: check: Missing check name"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := declared.Read(load(t, good, tt.text))
			var problems config.Problems
			if !errors.As(err, &problems) || len(problems) != len(tt.says) {
				t.Fatalf("error %v, want %d problems", err, len(tt.says))
			}
			for i, says := range tt.says {
				if got := problems[i].String(); !strings.Contains(got, says) {
					t.Errorf("problem %q does not say %q", got, says)
				}
			}
			if len(d.Services)+len(d.Checks) != 0 {
				t.Errorf("returned %v beside an error", d)
			}
		})
	}
}

// TestDefinitions reads definitions of several files, one of them with a sidecar,
// of which the configuration has warned.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	d, err := declared.Read(load(t,
		`{"service": {"name": "x", "checks": [{"ttl": "1s"}, {"ttl": "2s"}], "connect": {"sidecar_service": {"port": 20000}}}}`,
		`{"enable_local_script_checks": true, "check": {"name": "c", "args": ["true"], "interval": "1s"}, "service": {"id": "x2", "name": "x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Services) != 2 || d.Services[0].ID != "x" || d.Services[1].ID != "x2" || len(d.Checks) != 1 || d.Checks[0].ID != "c" {
		t.Errorf("read %+v", d)
	}
}
