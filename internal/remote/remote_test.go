package remote

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/rpc"
	"github.com/ctl-sh/ctl/internal/signal"
)

// three is gossip that tells of three servers, the third of which may have failed.
type three struct {
	third   gossip.Status
	changes signal.Value[uint64]
}

func (g *three) Members() (list []gossip.Member) {
	for n, status := range []gossip.Status{gossip.StatusAlive, gossip.StatusAlive, g.third} {
		list = append(list, gossip.Member{
			Name: fmt.Sprintf("s%d", n+1), Addr: fmt.Sprintf("10.0.0.%d", n+1), Port: 8301, Status: status,
			Tags: map[string]string{"role": "consul", "dc": "dc1", "id": fmt.Sprintf("id-%d", n+1), "port": "8300"},
		})
	}
	return list
}

func (g *three) Changes() *signal.Value[uint64] { return &g.changes }

// servers answer requests and note who was asked.
type servers struct {
	leader string // what those answer that do not lead
	err    error  // of the next answer
	resp   *httpapi.WireResponse
	asked  []string
}

func (s *servers) forward(_ context.Context, _ *rpc.Pool, addr string, _ *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	s.asked = append(s.asked, addr)
	err, resp := s.err, s.resp
	s.err, s.resp = nil, nil
	if err != nil || resp != nil {
		return resp, err
	}
	resp = &httpapi.WireResponse{Status: 200}
	if addr != s.leader {
		resp.Leader = s.leader
	}
	return resp, nil
}

// TestBusyAgentGoesToTheLeader has an agent ask more often than the rate up to
// which any server is asked.
func TestBusyAgentGoesToTheLeader(t *testing.T) {
	const leader = "10.0.0.3:8300"
	own := &httpapi.WireRequest{Method: "PUT", RemoteAddr: httpapi.OwnRequest}
	for _, test := range []struct {
		name   string
		third  gossip.Status
		leader string
		where  httpapi.Where
		dc     string
		req    *httpapi.WireRequest
		want   bool // the leader is asked after some requests
	}{
		{"its own writes", gossip.StatusAlive, leader, httpapi.Leader, "", own, true},
		{"its own writes, datacenter named", gossip.StatusAlive, leader, httpapi.Leader, "DC1", own, true},
		{"what a client asked for", gossip.StatusAlive, leader, httpapi.Leader, "", &httpapi.WireRequest{Method: "PUT", RemoteAddr: "127.0.0.1:4000"}, false},
		{"what any server can answer", gossip.StatusAlive, leader, httpapi.Server, "", own, false},
		{"a leader that gossip does not know", gossip.StatusAlive, "10.9.9.9:8300", httpapi.Leader, "", own, false},
		{"a leader that has failed", gossip.StatusFailed, leader, httpapi.Leader, "", own, false},
		{"nobody says who leads", gossip.StatusAlive, "", httpapi.Leader, "", own, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &servers{leader: test.leader}
				c := begun(t, &three{third: test.third}, s)
				asked := func() string {
					t.Helper()
					if _, err := c.Forward(t.Context(), test.where, test.dc, test.req); err != nil {
						t.Fatal(err)
					}
					return s.asked[len(s.asked)-1]
				}
				first := asked()
				for range seldomBurst - 1 {
					if got := asked(); got != first {
						t.Fatalf("moved from %s to %s though it asks seldom", first, got)
					}
				}
				if got := asked(); (got == leader) != test.want || !test.want && got != first {
					t.Errorf("then %s was asked, %s before", got, first)
				}
			})
		})
	}
}

// begun returns a client whose first server does not lead.
func begun(t *testing.T, g *three, s *servers) *Client {
	t.Helper()
	c := New("dc1", g, rpc.NewPool(rpc.PoolConfig{}), slog.New(slog.DiscardHandler), s.forward)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- c.Part().Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for strings.HasPrefix(c.Servers()[0].Addr, "10.0.0.3") {
		c.router.NotifyFailed(c.Servers()[0].Addr)
	}
	return c
}

func TestLeaderIsForgotten(t *testing.T) {
	own := &httpapi.WireRequest{Method: "PUT", RemoteAddr: httpapi.OwnRequest}
	for _, test := range []struct {
		name string
		err  error
		resp *httpapi.WireResponse
		next string // who is taken for the leader then
	}{
		{"it cannot be reached", failure.New(failure.Unavailable, "refused"), nil, ""},
		{"nobody knows what it did", failure.New(failure.OutcomeUnknown, "lost"), nil, ""},
		{"it leads no more", nil, &httpapi.WireResponse{Status: 500, Kind: uint8(failure.NoLeader)}, ""},
		{"it handed the request on to its successor", nil, &httpapi.WireResponse{Status: 200, Leader: "10.0.0.2:8300"}, "10.0.0.2:8300"},
		{"it refuses a change, and leads", nil, &httpapi.WireResponse{Status: 403, Kind: uint8(failure.PermissionDenied)}, "10.0.0.3:8300"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &servers{leader: "10.0.0.3:8300"}
				c := begun(t, &three{third: gossip.StatusAlive}, s)
				ask := func() { _, _ = c.Forward(t.Context(), httpapi.Leader, "", own) } // who was asked is what matters
				for range seldomBurst + 1 {
					ask()
				}
				if got := s.asked[seldomBurst]; got != "10.0.0.3:8300" {
					t.Fatalf("%s was asked, not the leader", got)
				}
				s.err, s.resp = test.err, test.resp
				ask()
				if got := c.router.Leader(""); got != test.next {
					t.Errorf("then %q is taken for the leader, want %q", got, test.next)
				}
				ask()
				if got := s.asked[seldomBurst+2]; test.next != "" && got != test.next || test.next == "" && got == "10.0.0.3:8300" {
					t.Errorf("then %s was asked", got)
				}
			})
		})
	}
}
