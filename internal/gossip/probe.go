package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/serf/serf"
)

const (
	// MaxProbes is the most members one [Pool.Probe] probes.
	MaxProbes = 16
	// maxServerProbes leaves room for clients where there are many servers.
	maxServerProbes = 10
)

// Probe is how this agent reaches one member's gossip port, and when it last
// heard from it.
type Probe struct {
	Member Member
	// RTT is the round trip of a ping over UDP; it counts only without
	// PingError.
	RTT time.Duration
	// PingError says why there is none. A lost ping and a lost answer look
	// alike: only Heard of both sides tells them apart.
	PingError error
	// StreamError says why a TCP connection to the port could not be opened;
	// nil if it could.
	StreamError error
	// Heard is when the last packet came from the member's address; the zero
	// time for never. An agent that sends from another address than it
	// advertises is never heard.
	Heard time.Time
}

// Probe pings members over UDP and opens a TCP connection to each, all at the
// same time, and returns what came of it, sorted by name. No names is a sample:
// servers first, the others by lot, MaxProbes in all. Names that are no alive
// or failed member's are left out, as is this agent's own.
//
// It takes as long as the slowest answer, at most the probe timeout of the pool,
// and costs a packet each way and an empty connection for each. It changes
// nobody's mind about who is alive. It fails with Unavailable before Run is
// ready.
func (p *Pool) Probe(ctx context.Context, names ...string) ([]Probe, error) {
	s, err := p.running()
	if err != nil {
		return nil, err
	}
	targets := p.probeTargets(names)
	probes := make([]Probe, len(targets))
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timing.ProbeTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, m := range targets {
		probes[i].Member = m
		addr, err := netip.ParseAddr(m.Addr)
		if err != nil {
			probes[i].PingError, probes[i].StreamError = err, err
			continue
		}
		at := netip.AddrPortFrom(addr, m.Port)
		wg.Go(func() { probes[i].RTT, probes[i].PingError = ping(s, m.Name, at) })
		wg.Go(func() { probes[i].StreamError = p.probeStream(ctx, at) })
	}
	wg.Wait()
	for i, m := range targets {
		if addr, err := netip.ParseAddr(m.Addr); err == nil {
			probes[i].Heard, _ = p.heard.from(addr)
		}
	}
	return probes, nil
}

// ping ends with memberlist's probe timeout.
func ping(s *serf.Serf, name string, at netip.AddrPort) (time.Duration, error) {
	return s.Memberlist().Ping(name, net.UDPAddrFromAddrPort(at))
}

func (p *Pool) probeStream(ctx context.Context, at netip.AddrPort) error {
	dialer, ok := p.transport.(contextDialer)
	if !ok {
		return nil // a transport of a test, without a dial that ends
	}
	conn, err := dialer.DialContext(ctx, at.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

func (p *Pool) probeTargets(names []string) []Member {
	members := slices.DeleteFunc(p.Members(), func(m Member) bool {
		return m.Name == p.cfg.memberName() || m.Status != StatusAlive && m.Status != StatusFailed ||
			len(names) > 0 && !slices.Contains(names, m.Name)
	})
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	var servers, others []Member
	for _, m := range members {
		if m.Tags[tagRole] == roleServer && len(servers) < maxServerProbes {
			servers = append(servers, m)
		} else {
			others = append(others, m)
		}
	}
	chosen := append(servers, others...)
	chosen = chosen[:min(len(chosen), MaxProbes)]
	sortMembers(chosen)
	return chosen
}
