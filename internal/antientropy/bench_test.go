package antientropy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/local"
)

// still is a catalog that has what it has.
type still struct{ services, checks []byte }

func (s still) Do(_ context.Context, method, path string, _ url.Values, _ []byte) (int, http.Header, []byte, error) {
	switch {
	case method != http.MethodGet:
		return 500, nil, []byte("nothing was to be written"), nil
	case strings.Contains(path, "/health/"):
		return 200, nil, s.checks, nil
	default:
		return 200, nil, s.services, nil
	}
}

// BenchmarkQuietSync compares an agent of 5,000 services with a catalog that
// agrees: the agent's share, that of the servers left out.
func BenchmarkQuietSync(b *testing.B) {
	state := local.New(local.Config{Node: local.Node{ID: "id", Name: "n1", Address: "a"}}, checks.New(checks.Config{}))
	for i := range 5000 {
		d, err := local.ParseService(fmt.Appendf(nil, `{"Name":"svc-%04d","Port":%d,"Tags":["bench"],"Check":{"TTL":"24h","Status":"passing"}}`, i, 10000+i))
		if err == nil {
			err = d.Validate()
		}
		if err == nil {
			err = state.RegisterService(d, local.FromAPI, false, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	node := map[string]any{"Node": local.RemoteNode{ID: "id", Address: "a"}, "Services": state.Services()}
	list := []*local.Check{}
	for _, c := range state.Checks() {
		list = append(list, c)
	}
	var c still
	var err error
	if c.services, err = json.Marshal(node); err != nil {
		b.Fatal(err)
	}
	if c.checks, err = json.Marshal(list); err != nil {
		b.Fatal(err)
	}
	s := New(Config{}, state, c)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.compare(b.Context(), true); err != nil {
			b.Fatal(err)
		}
	}
}
