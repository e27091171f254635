package agent

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/local"
)

// noServices are those of an agent that has none and runs nothing.
func noServices() *services {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return &services{state: local.New(local.Config{Node: local.Node{Name: "n"}, Logger: log}, checks.New(checks.Config{Logger: log}))}
}

// TestDefinitionsNameTheirPlace loads files with one definition that cannot be
// used beside one that can.
func TestDefinitionsNameTheirPlace(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"a service check without an interval", `{"service": {"name": "x", "check": {"tcp": "a:1"}}}`, "service: Invalid check: Interval must be > 0"},
		{"a service check that runs a program", `{"service": {"name": "x", "check": {"args": ["a"], "interval": "1s"}}}`, "service: Scripts are disabled"},
		{"a check without a kind", `{"check": {"name": "x"}}`, "check: Invalid check: TTL must be > 0"},
		{"a check that runs a program", `{"check": {"name": "x", "args": ["a"], "interval": "1s"}}`, "check: Scripts are disabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _, err := config.Load(config.Input{Sources: []config.Source{
				{Name: "good.json", Format: "json", Data: []byte(`{"service": {"name": "good"}}`)},
				{Name: "bad.json", Format: "json", Data: []byte(tt.text)},
			}})
			if err != nil {
				t.Fatal(err)
			}
			s := noServices()
			_, err = s.defined(&config.Runtime{Config: c})
			if err == nil || !strings.HasPrefix(err.Error(), "bad.json:1:") || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one of bad.json:1 that says %q", err, tt.says)
			}
			if got := failure.KindOf(err).HTTPStatus(); got != http.StatusInternalServerError {
				t.Errorf("status %d", got)
			}
			if got := s.state.Services(); len(got) != 0 {
				t.Errorf("registered %v", got)
			}
		})
	}
}

// TestSidecarsOfFilesAreLeftOut has a definition for Consul's mesh: loading it has
// warned, and the service itself is there.
func TestSidecarsOfFilesAreLeftOut(t *testing.T) {
	t.Parallel()
	c, _, err := config.Load(config.Input{Sources: []config.Source{
		{Name: "a.json", Format: "json", Data: []byte(`{"service": {"name": "x", "connect": {"sidecar_service": {"port": 20000}}}}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := noServices()
	d, err := s.defined(&config.Runtime{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.state.Reload(d.services, d.checks); err != nil || s.state.Service("x") == nil || len(s.state.Services()) != 1 {
		t.Errorf("services %v, %v", s.state.Services(), err)
	}
}
