package agent

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/local"
)

// noServices are those of an agent that has none and runs nothing.
func noServices() *services {
	log := slog.New(slog.DiscardHandler)
	return &services{state: local.New(local.Config{Node: local.Node{Name: "n"}, Logger: log}, checks.New(checks.Config{Logger: log}))}
}

// TestDefinitionsThatCannotBeUsed loads files with one definition that cannot be
// used beside one that can.
func TestDefinitionsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"check": {"name": "x"}}`, `{"check": {"name": "x", "service_id": "nope", "ttl": "1s"}}`} {
		c, _, err := config.Load(config.Input{Sources: []config.Source{
			{Name: "good.json", Format: "json", Data: []byte(`{"service": {"name": "good"}}`)},
			{Name: "bad.json", Format: "json", Data: []byte(text)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		s := noServices()
		_, err = s.defined(&config.Runtime{Config: c})
		if err == nil {
			t.Fatalf("%s was taken", text)
		}
		if got := failure.KindOf(err).HTTPStatus(); got != http.StatusInternalServerError {
			t.Errorf("status %d", got)
		}
		if got := s.state.Services(); len(got) != 0 {
			t.Errorf("registered %v", got)
		}
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
	if err := s.state.Reload(d.Services, d.Checks); err != nil || s.state.Service("x") == nil || len(s.state.Services()) != 1 {
		t.Errorf("services %v, %v", s.state.Services(), err)
	}
}
