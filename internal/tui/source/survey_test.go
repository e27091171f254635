package source_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

// mute never answers.
type mute struct{}

func (mute) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestLook(t *testing.T) {
	well := map[string]string{
		"/v1/agent/self":            `{"Config":{"NodeName":"n1","Datacenter":"dc1","Version":"1.2.3","Server":true}}`,
		"/v1/status/leader":         `"10.0.0.2:8300"`,
		"/v1/agent/members":         `[{"Name":"s1","Addr":"10.0.0.1","Status":1,"Tags":{"role":"consul"}},{"Name":"s2","Addr":"10.0.0.2","Status":1,"Tags":{"role":"consul","port":"8300"}},{"Name":"c1","Addr":"10.0.0.3","Status":4},{"Name":"old","Addr":"10.0.0.4","Status":3}]`,
		"/v1/health/state/critical": `[{"Node":"c1","CheckID":"b","Name":"b","Status":"critical"}]`,
		"/v1/health/state/warning":  `[{"Node":"c1","CheckID":"a","Name":"a","Status":"warning"}]`,
	}
	leaderless := map[string]string{"/v1/status/leader": `""`, "/v1/agent/members": `[]`, "/v1/health/state/critical": `[]`, "/v1/health/state/warning": `[]`}
	answering := func(answers map[string]string) http.RoundTripper { return &agent{answers: answers} }
	for _, c := range []struct {
		name    string
		agents  []http.RoundTripper
		address string
		leader  string
		alive   int
		members int
		failing int
		problem source.ProblemKind // of the agent; Other for none
		denied  bool               // of the rest
		took    time.Duration      // at most
	}{
		{"all is told", []http.RoundTripper{answering(well)}, "a", "s2", 2, 3, 2, source.Other, false, 0},
		{"there is no leader", []http.RoundTripper{answering(leaderless)}, "a", "", 0, 0, 0, source.Other, false, 0},
		{"the token may see nothing", []http.RoundTripper{&agent{deny: true}}, "a", "10.0.0.1:8300", 0, 0, 0, source.Other, true, 0},
		{"out of reach", []http.RoundTripper{&agent{down: true}}, "a", "", 0, 0, 0, source.Unreachable, false, 0},
		{"the second address answers", []http.RoundTripper{&agent{down: true}, answering(well)}, "b", "s2", 2, 3, 2, source.Other, false, 0},
		{"an address that is mute leaves time for others", []http.RoundTripper{mute{}, answering(well)}, "b", "s2", 2, 3, 2, source.Other, false, 1500 * time.Millisecond},
		{"nobody answers in time", []http.RoundTripper{mute{}, mute{}}, "b", "", 0, 0, 0, source.Unreachable, false, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := source.Config{}
				for i, a := range c.agents {
					name := string(rune('a' + i))
					cfg.Endpoints = append(cfg.Endpoints, source.Endpoint{Name: name, URL: "http://" + name, HTTP: &http.Client{Transport: a}})
				}
				ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
				defer stop()
				began := time.Now()
				s := source.Look(ctx, cfg)
				if took := time.Since(began); took > c.took {
					t.Errorf("it took %v, want %v at most", took, c.took)
				}
				kind := source.Other
				if s.Problem != nil {
					kind = s.Problem.Kind
				}
				if s.Address != c.address || kind != c.problem || (s.Problem != nil) != (c.problem != source.Other) {
					t.Fatalf("asked %s: %v", s.Address, s.Problem)
				}
				if s.Leader != c.leader || s.Alive != c.alive || s.Members != c.members || s.Failing != c.failing || len(s.Checks) != c.failing {
					t.Errorf("seen %+v", s)
				}
				if denied := s.ChecksProblem != nil && s.ChecksProblem.Kind == source.Denied && s.MembersProblem != nil; denied != c.denied {
					t.Errorf("denied %v, want %v: %v, %v", denied, c.denied, s.ChecksProblem, s.MembersProblem)
				}
				if c.failing > 0 && (s.Checks[0].Status != source.Critical || s.Agent.Version != "1.2.3") {
					t.Errorf("checks %+v of agent %+v", s.Checks[0], s.Agent)
				}
			})
		})
	}
}
