package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

const (
	// lookupTimeout bounds the name resolution of one address.
	lookupTimeout = 5 * time.Second
	// dialTimeout bounds the first contact with one address.
	dialTimeout = 5 * time.Second
	// stragglerWait is what silent addresses get once another one answered.
	stragglerWait = time.Second
)

// LookupIP resolves a host name to its addresses.
type LookupIP func(ctx context.Context, host string) ([]netip.Addr, error)

// AddressError says why an address could not be joined.
type AddressError struct {
	// Addr is the address as it was given, and as it was resolved where it
	// was a name.
	Addr string
	// Err is what happened, ending with what to do about it where the cause
	// is known.
	Err error
	// Reason is RefusedOtherKey and the like where the gossip keys differ, as
	// seen from this agent; else empty.
	Reason string
}

// Error implements error.
func (e AddressError) Error() string { return "Failed to join " + e.Addr + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e AddressError) Unwrap() error { return e.Err }

// JoinError says, address by address, why nothing could be joined. It has no
// failure kind, so HTTP answers 500 with the text, which has Consul's form.
type JoinError struct {
	Failures []AddressError
}

// Error implements error.
func (e *JoinError) Error() string {
	if len(e.Failures) == 0 {
		return "Failed to join: every address is this agent itself"
	}
	var b strings.Builder
	noun := "errors"
	if len(e.Failures) == 1 {
		noun = "error"
	}
	fmt.Fprintf(&b, "%d %s occurred:\n", len(e.Failures), noun)
	for _, f := range e.Failures {
		fmt.Fprintf(&b, "\t* %s\n", f)
	}
	b.WriteByte('\n')
	return b.String()
}

// Join contacts every address (host, host:port, IPv4, IPv6, [IPv6]:port; the
// port is the pool's own if left out) and merges the pools. It returns how many
// it reached, this agent's own address not counted, and a [*JoinError] if none.
//
// Host names are resolved to all their addresses. First contact is made with
// all addresses at once, so that a dead one does not delay the others; ctx ends
// the waiting, except for an exchange already begun with a member (10 s, WAN
// 30 s).
func (p *Pool) Join(ctx context.Context, addrs []string) (int, error) {
	r, err := p.join(ctx, addrs)
	if err != nil {
		return 0, err
	}
	if r.joined == 0 {
		return 0, &JoinError{Failures: r.failures}
	}
	for _, f := range r.failures {
		p.log.Warn("address not joined", logging.KeyAddress, f.Addr, logging.KeyError, f.Err)
	}
	return r.joined, nil
}

// joinReport is the outcome of one round over a list of addresses.
type joinReport struct {
	joined   int  // addresses reached, not counting this agent
	self     bool // the list holds an address of this agent
	failures []AddressError
}

// target is one resolved address.
type target struct {
	given string
	addr  netip.AddrPort
}

func (t target) String() string {
	if s := t.addr.String(); s != t.given && t.addr.Addr().String() != t.given {
		return t.given + " (" + s + ")"
	}
	return t.addr.String()
}

func (p *Pool) join(ctx context.Context, addrs []string) (joinReport, error) {
	defer p.joining()()
	targets, r := p.resolve(ctx, addrs)
	return p.joinTargets(ctx, targets, r)
}

// joinTargets goes on from what resolve returned.
func (p *Pool) joinTargets(ctx context.Context, targets []target, r joinReport) (joinReport, error) {
	s, err := p.running()
	if err != nil {
		return joinReport{}, err
	}
	for c := range p.contact(ctx, targets) {
		if c.err == nil {
			c.err = ctx.Err()
		}
		if c.err == nil {
			// Old user events are of no interest to an agent that joins.
			_, c.err = s.Join([]string{c.addr.String()}, true)
		}
		if c.err != nil {
			reason, err := explain(c.err)
			r.failures = append(r.failures, AddressError{Addr: c.String(), Err: err, Reason: reason})
			continue
		}
		r.joined++
	}
	if r.joined > 0 && !p.othersAlive() {
		// An address that leads back to this agent, such as one outside a
		// NAT, looks like success to serf.
		r.joined, r.self = 0, true
	}
	return r, nil
}

// knows reports whether another alive member has the address of a target.
func (p *Pool) knows(targets []target) bool {
	self := p.cfg.memberName()
	for _, m := range p.Members() {
		ip, err := netip.ParseAddr(m.Addr)
		if err != nil || m.Name == self || m.Status != StatusAlive {
			continue
		}
		at := netip.AddrPortFrom(ip.Unmap(), m.Port)
		if slices.ContainsFunc(targets, func(t target) bool { return t.addr == at }) {
			return true
		}
	}
	return false
}

// resolve turns addresses into targets, this agent's own taken out.
func (p *Pool) resolve(ctx context.Context, addrs []string) ([]target, joinReport) {
	var (
		wg       sync.WaitGroup
		resolved = make([][]netip.AddrPort, len(addrs))
		errs     = make([]error, len(addrs))
	)
	for i, a := range addrs {
		wg.Go(func() { resolved[i], errs[i] = p.resolveOne(ctx, a) })
	}
	wg.Wait()
	var (
		r       joinReport
		targets []target
		seen    = make(map[netip.AddrPort]bool)
		own     = p.ownAddresses()
	)
	for i, given := range addrs {
		if errs[i] != nil {
			r.failures = append(r.failures, AddressError{Addr: given, Err: errs[i]})
		}
		for _, ap := range resolved[i] {
			switch {
			case slices.Contains(own, ap):
				r.self = true
			case !seen[ap]:
				seen[ap] = true
				targets = append(targets, target{given: given, addr: ap})
			}
		}
	}
	return targets, r
}

func (p *Pool) resolveOne(ctx context.Context, given string) ([]netip.AddrPort, error) {
	host, port, err := splitAddress(strings.TrimSpace(given), p.defaultPort())
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	lookup := p.cfg.LookupIP
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	ips, err := lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("resolve name: %w", err)
	}
	aps := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		aps[i] = netip.AddrPortFrom(ip.Unmap(), port)
	}
	return aps, nil
}

// splitAddress reads host, host:port, IPv6, [IPv6] or [IPv6]:port.
func splitAddress(given string, defaultPort uint16) (host string, port uint16, err error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(given, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil {
		return bare, defaultPort, nil
	}
	if given == "" || strings.ContainsAny(given, " \t\n/") {
		return "", 0, failure.Newf(failure.Invalid, "%q is not an address: write host or host:port", given)
	}
	if !strings.Contains(given, ":") {
		return given, defaultPort, nil
	}
	host, digits, err := net.SplitHostPort(given)
	if err != nil || host == "" {
		return "", 0, failure.Newf(failure.Invalid, "%q is not an address: write host or host:port", given)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, failure.Newf(failure.Invalid, "%q: the port must be between 1 and 65535", given)
	}
	return host, uint16(n), nil
}

// defaultPort is the port of addresses that name none: the one this agent
// listens on.
func (p *Pool) defaultPort() uint16 {
	if p.cfg.BindPort != 0 {
		return uint16(p.cfg.BindPort)
	}
	return p.LocalMember().Port
}

// ownAddresses returns the addresses at which this agent would reach itself.
func (p *Pool) ownAddresses() []netip.AddrPort {
	var own []netip.AddrPort
	add := func(addr string, port uint16) {
		if ip, err := netip.ParseAddr(addr); err == nil {
			own = append(own, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	me := p.LocalMember()
	add(me.Addr, me.Port)
	t, ok := p.transport.(*netTransport)
	if !ok {
		return own
	}
	port := uint16(t.GetAutoBindPort())
	add(p.cfg.BindAddr, port)
	if !net.ParseIP(p.cfg.BindAddr).IsUnspecified() {
		return own
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return own // joining ourselves is harmless, and noticed afterwards
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, netip.AddrPortFrom(prefix.Addr().Unmap(), port))
		}
	}
	return own
}

// contacted is a target and whether it answered.
type contacted struct {
	target
	err error
}

// contact dials all targets at once and yields them as they answer or fail.
// Once one has answered, the silent ones have little time left.
func (p *Pool) contact(ctx context.Context, targets []target) func(yield func(contacted) bool) {
	return func(yield func(contacted) bool) {
		dialer, ok := p.transport.(contextDialer)
		if !ok {
			for _, t := range targets {
				if !yield(contacted{target: t}) {
					return
				}
			}
			return
		}
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		answers := make(chan contacted, len(targets))
		for _, t := range targets {
			wg.Go(func() {
				conn, err := dialer.DialContext(ctx, t.addr.String())
				if err == nil {
					err = conn.Close()
				}
				answers <- contacted{target: t, err: err}
			})
		}
		for range targets {
			c := <-answers
			if c.err == nil {
				hurry := time.AfterFunc(stragglerWait, cancel)
				defer hurry.Stop()
			}
			if !yield(c) {
				return
			}
		}
	}
}

// contextDialer is a transport whose dial ends with its context.
type contextDialer interface {
	DialContext(ctx context.Context, addr string) (net.Conn, error)
}

// explain adds what to do to the errors whose text does not say it, and returns
// the reason where it is a gossip key. memberlist has no kinds, so its texts are
// matched.
func explain(err error) (reason string, explained error) {
	for _, e := range []struct{ text, reason, advice string }{
		{"no installed keys could decrypt", RefusedOtherKey, "its gossip key is another one: compare `encrypt` and the keyring files of both agents"},
		{"remote state is encrypted and encryption is not configured", RefusedNoKeyHere, "it has a gossip key and this agent has none: set `encrypt` here"},
		{"encryption is configured but remote state is not encrypted", RefusedNoKeyThere, "this agent has a gossip key and that one has none: set `encrypt` there"},
		{"connection refused", "", "no agent is listening there"},
	} {
		if strings.Contains(err.Error(), e.text) {
			return e.reason, fmt.Errorf("%w (%s)", err, e.advice)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "", fmt.Errorf("no answer (is the machine up, and is the port open in its firewall?)")
	}
	return "", err
}
