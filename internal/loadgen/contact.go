package loadgen

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// contactReads is how many reads tell a client agent's server from those that
// only get what agents send on their own.
const contactReads = 100

// contact returns the number of the server a client agent hands its requests to:
// the one that most of its stale reads reach, which go no further.
func (a *agents) contact(ctx context.Context, agent int) (int, error) {
	before, err := a.received(ctx)
	if err != nil {
		return 0, err
	}
	for range contactReads {
		var entries []any
		if err := a.json(ctx, agent, "/v1/kv/bench/ready?stale", &entries); err != nil {
			return 0, err
		}
	}
	after, err := a.received(ctx)
	if err != nil {
		return 0, err
	}
	for i := range after {
		if after[i]-before[i] > contactReads/2 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("client agent %d changes its server too often", agent)
}

// received returns how many requests have reached each server.
func (a *agents) received(ctx context.Context) ([]int64, error) {
	var all []int64
	for i := range a.servers {
		text, err := a.send(ctx, http.MethodGet, i, "/v1/agent/metrics?format=prometheus")
		if err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(text, "\nconsul_rpc_request ")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("requests that reached server %d: %w", i, err)
		}
		all = append(all, n)
	}
	return all, nil
}

// leadAtContact makes the server lead that a client agent hands its requests to,
// so that clusters are compared whose requests go the same way.
func (a *agents) leadAtContact(ctx context.Context, agent int) error {
	for range 10 {
		contact, err := a.contact(ctx, agent)
		if err != nil {
			return err
		}
		leader, _, err := a.leader(ctx)
		if err != nil {
			return err
		}
		if leader == contact {
			return nil
		}
		var self struct{ Config struct{ NodeID string } }
		if err := a.json(ctx, contact, "/v1/agent/self", &self); err != nil {
			return err
		}
		if _, err := a.send(ctx, http.MethodPost, leader, "/v1/operator/raft/transfer-leader?id="+url.QueryEscape(self.Config.NodeID)); err != nil {
			return err
		}
		if err := a.awaitWrite(ctx, agent, 30*time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("the server of client agent %d does not come to lead", agent)
}
