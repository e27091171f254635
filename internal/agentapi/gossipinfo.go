package agentapi

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

// gossipInfo is how gossip reaches others, and what of it is refused.
type gossipInfo struct {
	Encrypted bool
	Probes    []probeInfo
	Refused   []refusedInfo
	// Joins are the LAN pool's and, where there is one to join, the WAN
	// pool's.
	Joins []joinInfo
}

// probeInfo is one member, probed.
type probeInfo struct {
	Member  string
	Address string // host:port
	Status  int    // as /v1/agent/members has it
	// PingSeconds is the round trip over UDP, null where no answer came;
	// PingError then says why.
	PingSeconds *float64
	PingError   string
	// StreamError says why its port did not take a TCP connection; empty if
	// it did.
	StreamError string
	// HeardSecondsAgo is how long ago a packet came from its address; null
	// for never.
	HeardSecondsAgo *float64
}

// refusedInfo is gossip of one host that cannot be read here.
type refusedInfo struct {
	Host       string
	Reason     string // other-key, no-key-here, no-key-there or unreadable
	Count      uint64
	SecondsAgo float64 // the last of them
}

type joinInfo struct {
	Pool     string // lan or wan
	State    string // idle, trying, alone, joined or gave-up
	Attempts int
	Failures []joinFailure // of the last attempt, address by address
}

type joinFailure struct {
	Address string
	Error   string
	Reason  string // as refusedInfo has it, seen from this agent; or empty
}

// describeGossip probes members. It returns nil where gossip does not run yet.
func (a *API) describeGossip(ctx context.Context, members []string) (*gossipInfo, error) {
	probes, err := a.Gossip.Probe(ctx, members...)
	switch {
	case failure.Is(err, failure.Unavailable):
		return nil, nil
	case err != nil:
		return nil, err
	}
	now := time.Now()
	info := &gossipInfo{Encrypted: a.Gossip.Encrypted(), Probes: []probeInfo{}, Refused: []refusedInfo{}, Joins: []joinInfo{}}
	for _, p := range probes {
		info.Probes = append(info.Probes, probeInfoOf(p, now))
	}
	for _, r := range a.Gossip.Refusals() {
		info.Refused = append(info.Refused, refusedInfo{r.Host, r.Reason, r.Count, now.Sub(r.Last).Seconds()})
	}
	if a.Joins != nil {
		for _, j := range a.Joins() {
			one := joinInfo{Pool: j.Pool.String(), State: j.State.String(), Attempts: j.Attempts, Failures: []joinFailure{}}
			for _, f := range j.Failures {
				one.Failures = append(one.Failures, joinFailure{f.Addr, f.Err.Error(), f.Reason})
			}
			info.Joins = append(info.Joins, one)
		}
	}
	return info, nil
}

func probeInfoOf(p gossip.Probe, now time.Time) probeInfo {
	m := p.Member
	info := probeInfo{Member: m.Name, Address: net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port))), Status: int(m.Status)}
	if p.PingError != nil {
		info.PingError = p.PingError.Error()
	} else {
		seconds := p.RTT.Seconds()
		info.PingSeconds = &seconds
	}
	if p.StreamError != nil {
		info.StreamError = p.StreamError.Error()
	}
	if !p.Heard.IsZero() {
		ago := max(0, now.Sub(p.Heard).Seconds())
		info.HeardSecondsAgo = &ago
	}
	return info
}
