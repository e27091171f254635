package compat

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestRaftConfiguration(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		for _, stale := range []bool{false, true} {
			conf, err := v.api.Operator().RaftGetConfiguration(&api.QueryOptions{AllowStale: stale})
			must(t, err)
			leaders := 0
			for _, s := range conf.Servers {
				if s.Leader {
					leaders++
				}
				if !s.Voter || len(s.ID) != 36 || s.ProtocolVersion != "3" || s.Node == "" || s.Node == "(unknown)" {
					t.Errorf("server %+v", s)
				}
			}
			if len(conf.Servers) != servers || leaders != 1 || conf.Index == 0 {
				t.Errorf("stale %t: %d servers, %d leaders, index %d", stale, len(conf.Servers), leaders, conf.Index)
			}
		}
	})
}

func TestRaftRefusals(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		operator := v.api.Operator()
		mustSay(t, operator.RaftRemovePeerByID("nobody", nil), `id "nobody" was not found in the Raft configuration`)
		mustSay(t, operator.RaftRemovePeerByAddress("127.0.0.1:1", nil), `address "127.0.0.1:1" was not found in the Raft configuration`)
		_, err := operator.RaftLeaderTransfer("nobody", nil)
		var status api.StatusError
		if !errors.As(err, &status) || status.Code != 500 {
			t.Errorf("transfer to nobody: %v", err)
		}
	})
}

// TestRaftLeaderTransfer moves the leadership through each of the ways, to
// anybody and to a server by its id.
func TestRaftLeaderTransfer(t *testing.T) {
	for i := range 3 {
		all := ways(t)
		v, was := all[i], all[0].p.Spec.Bind+":8300"
		t.Run("through the "+v.role, func(t *testing.T) {
			id := ""
			if i == 2 {
				self, err := all[1].api.Agent().Self()
				must(t, err)
				id = self["Config"]["NodeID"].(string)
			}
			answer, err := v.api.Operator().RaftLeaderTransfer(id, nil)
			if err != nil || !answer.Success {
				t.Fatalf("transfer: %+v, %v", answer, err)
			}
			within(t, "another leader", func() error {
				now, err := v.api.Status().Leader()
				if err == nil && (now == was || now == "" || id != "" && now != all[1].p.Spec.Bind+":8300") {
					err = fmt.Errorf("the leader is %q, was %q", now, was)
				}
				return err
			})
			_, err = v.api.KV().Put(&api.KVPair{Key: space(t) + "k"}, nil)
			must(t, err)
		})
	}
}

func TestAutopilot(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		operator := v.api.Operator()
		conf, err := operator.AutopilotGetConfiguration(nil)
		must(t, err)
		if !conf.CleanupDeadServers || conf.LastContactThreshold.Duration() != 200*time.Millisecond || conf.MaxTrailingLogs != 250 || conf.ServerStabilizationTime.Duration() != 10*time.Second {
			t.Errorf("configuration %+v", conf)
		}
		before := *conf
		conf.MaxTrailingLogs = 300
		if ok, err := operator.AutopilotCASConfiguration(conf, nil); err != nil || !ok {
			t.Errorf("cas of what is: %t, %v", ok, err)
		}
		if ok, err := operator.AutopilotCASConfiguration(conf, nil); err != nil || ok {
			t.Errorf("cas of what was: %t, %v", ok, err)
		}
		now, err := operator.AutopilotGetConfiguration(&api.QueryOptions{RequireConsistent: true})
		if err != nil || now.MaxTrailingLogs != 300 || now.ModifyIndex <= before.ModifyIndex {
			t.Errorf("after the cas: %+v, %v", now, err)
		}
		must(t, operator.AutopilotSetConfiguration(&before, nil))
		if now, err = operator.AutopilotGetConfiguration(nil); err != nil || now.MaxTrailingLogs != 250 {
			t.Errorf("put back: %+v, %v", now, err)
		}
		within(t, "a healthy cluster", func() error { return healthy(operator) })
	})
}

func healthy(operator *api.Operator) error {
	health, err := operator.AutopilotServerHealth(nil)
	if err != nil {
		return err
	}
	if !health.Healthy || health.FailureTolerance != 1 || len(health.Servers) != servers {
		return fmt.Errorf("health %+v", health)
	}
	for _, s := range health.Servers {
		if !s.Healthy || !s.Voter || s.SerfStatus != "alive" || s.Version != "1.21.4" || s.LastTerm == 0 || s.LastIndex == 0 || s.StableSince.IsZero() {
			return fmt.Errorf("server %+v", s)
		}
	}
	state, err := operator.AutopilotState(nil)
	if err != nil {
		return err
	}
	if !state.Healthy || state.FailureTolerance != 1 || len(state.Servers) != servers || len(state.Voters) != servers || state.Servers[state.Leader].Status != api.AutopilotServerLeader {
		return fmt.Errorf("state %+v", state)
	}
	return nil
}
