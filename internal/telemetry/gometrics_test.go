package telemetry

import (
	"fmt"
	"strings"
	"testing"

	gometrics "github.com/hashicorp/go-metrics"
)

func TestBridge(t *testing.T) {
	m := New(Config{})
	if err := BridgeGoMetrics(m); err != nil {
		t.Fatal(err)
	}
	gometrics.IncrCounter([]string{"raft", "apply"}, 1)
	gometrics.IncrCounterWithLabels([]string{"memberlist", "udp", "sent"}, 100, []gometrics.Label{{Name: "network", Value: "lan"}})
	gometrics.SetGauge([]string{"raft", "peers"}, 3)
	gometrics.SetGaugeWithLabels([]string{"memberlist", "node", "instances"}, 2, []gometrics.Label{{Name: "node_state", Value: "alive"}})
	gometrics.SetPrecisionGauge([]string{"raft", "last_index"}, 1<<53-1)
	gometrics.AddSample([]string{"raft", "commitTime"}, 4)
	gometrics.AddSampleWithLabels([]string{"raft", "replication", "heartbeat"}, 5, []gometrics.Label{{Name: "peer_id", Value: "a"}})
	gometrics.EmitKey([]string{"ignored"}, 1)
	for _, c := range []struct{ name, want string }{
		{"counter", "consul_raft_apply 1\n"},
		{"counter with labels", "consul_memberlist_udp_sent{network=\"lan\"} 100\n"},
		{"gauge", "consul_raft_peers 3\n"},
		{"gauge with labels", "consul_memberlist_node_instances{node_state=\"alive\"} 2\n"},
		{"gauge that needs every bit", "consul_raft_last_index 9.007199254740991e+15\n"},
		{"sample", "consul_raft_commitTime_count 1\n"},
		{"sample with labels", "consul_raft_replication_heartbeat_sum{peer_id=\"a\"} 5\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := only(m, c.want[:strings.IndexAny(c.want, "{ ")]); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
	// The last one bridged gets everything.
	next := New(Config{})
	if err := BridgeGoMetrics(next); err != nil {
		t.Fatal(err)
	}
	gometrics.IncrCounter([]string{"raft", "apply"}, 1)
	if a, b := m.Counter("raft.apply").Total(), next.Counter("raft.apply").Total(); a != 1 || b != 1 {
		t.Errorf("counted %v and %v, want 1 and 1", a, b)
	}
}

func TestBridgeIsBounded(t *testing.T) {
	m := New(Config{})
	b := newBridge(m)
	for i := range 2 * maxBridged {
		b.IncrCounter([]string{"serf", "events", fmt.Sprint(i)}, 1)
	}
	b.IncrCounter([]string{"serf", "events", strings.Repeat("x", 1000)}, 1)
	if got := len(b.counters.known); got != maxBridged {
		t.Errorf("the bridge remembers %d keys, want %d", got, maxBridged)
	}
	if got := m.undeclared; got != maxMetrics {
		t.Errorf("%d metrics were made, want %d", got, maxMetrics)
	}
	b.IncrCounter([]string{"raft", "apply"}, 1)
	if got := m.Counter("raft.apply").Total(); got != 1 {
		t.Errorf("a flood of names kept one of the table from being counted: %v, want 1", got)
	}
}

func TestBridgeOutlivesAWrongKind(t *testing.T) {
	m := New(Config{})
	b := newBridge(m)
	b.SetGauge([]string{"raft", "apply"}, 7)
	b.SetGauge([]string{"raft", "apply"}, 8)
	if m.Counter("raft.apply").Total() != 0 || m.refused.Total() != 1 {
		t.Errorf("counter is %v, refused %v; want 0 and 1", m.Counter("raft.apply").Total(), m.refused.Total())
	}
}
