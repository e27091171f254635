package agent

import (
	"net/netip"
	"testing"

	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/consensus"
)

func TestDamageIsRefusedByAServerAlone(t *testing.T) {
	t.Parallel()
	own := config.Endpoint{Bind: netip.MustParseAddrPort("0.0.0.0:8301"), Advertise: netip.MustParseAddrPort("10.0.0.1:8301")}
	v6 := config.Endpoint{Bind: netip.MustParseAddrPort("[::1]:8301"), Advertise: netip.MustParseAddrPort("[::1]:8301")}
	tests := []struct {
		name   string
		expect int
		at     config.Endpoint
		join   []string
		refuse bool
	}{
		{"nobody to join", 1, own, nil, true},
		{"itself to join", 1, own, []string{"10.0.0.1"}, true},
		{"itself to join, with a port", 1, own, []string{"10.0.0.1:8301", "0.0.0.0"}, true},
		{"itself to join, over IPv6", 1, v6, []string{"::1", "[::1]", "[::1]:8301"}, true},
		{"another to join", 1, own, []string{"10.0.0.1", "10.0.0.2"}, false},
		{"a name to join", 1, own, []string{"consul.example"}, false},
		{"one of three", 3, own, []string{"10.0.0.1"}, false},
		{"added to a cluster", 0, own, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rt := &config.Runtime{Config: &config.Config{}, SerfLAN: tt.at}
			rt.Expect, rt.RetryJoin = tt.expect, tt.join
			rt.Performance.RaftMultiplier = 1
			if got := raftSettings(rt).OnDamage == consensus.Refuse; got != tt.refuse {
				t.Errorf("refuses a damaged disk: %t, want %t", got, tt.refuse)
			}
		})
	}
}
