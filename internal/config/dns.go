package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/netaddr"
)

// dns checks the domains and the settings of the answers.
func (v validator) dns() {
	c := v.c
	if c.Domain == "" || c.Domain == "." {
		v.fail([]string{"domain"}, "remove it to use consul.", "the domain is empty")
	}
	kinds := []string{"service", "connect", "node", "query", "addr", "virtual", "ingress", c.Datacenter}
	if first, _, _ := strings.Cut(c.AltDomain, "."); c.AltDomain != "" && slices.Contains(kinds, first) {
		v.fail([]string{"alt_domain"}, "choose a domain that begins with another label", "alt_domain cannot start with {service,connect,node,query,addr,%s}", c.Datacenter)
	}
	if c.AltDomain == "." {
		v.fail([]string{"alt_domain"}, "remove it", "the root cannot be alt_domain")
	}
	if s := c.DNS.RecursorStrategy; s != "sequential" && s != "random" {
		v.fail([]string{"dns_config.recursor_strategy"}, "use sequential or random", "there is no strategy %q", s)
	}
	if _, bad := c.DNS.TTLs(); bad != "" {
		v.fail([]string{"dns_config.service_ttl"}, `write it like "10s"`, "the TTL of %q is no duration: %q", bad, c.DNS.ServiceTTL[bad])
	}
}

// TTLs returns service_ttl with its durations read. A name whose TTL is none is
// left out, and the first of them is bad; there is none in a Config that Load
// returned.
func (d DNS) TTLs() (ttls map[string]time.Duration, bad string) {
	ttls = make(map[string]time.Duration, len(d.ServiceTTL))
	for _, name := range sortedKeys(d.ServiceTTL) {
		ttl, err := time.ParseDuration(d.ServiceTTL[name])
		if err == nil && ttl >= 0 {
			ttls[name] = ttl
		} else if bad == "" {
			bad = name
		}
	}
	return ttls, bad
}

// dnsPort is where DNS servers listen.
const dnsPort = 53

// recursors resolves the DNS servers for other domains.
func (r *resolver) recursors() {
	const key = "recursors"
	for _, t := range r.c.Recursors {
		text, err := netaddr.Expand(r.host, t)
		if err != nil {
			r.fail([]string{key}, "correct the template", "%s", err.Error())
			continue
		}
		for one := range strings.FieldsSeq(text) {
			at, err := netip.ParseAddrPort(one)
			if ip, err2 := netip.ParseAddr(strings.Trim(one, "[]")); err2 == nil {
				at, err = netip.AddrPortFrom(ip, dnsPort), nil
			}
			switch {
			case err != nil:
				r.fail([]string{key}, "give an IP address, with or without a port", "%q is not the address of a DNS server", one)
			case at.Addr().IsUnspecified():
				r.fail([]string{key}, "give the address of a DNS server", "recursor address cannot be 0.0.0.0, :: or [::]")
			default:
				r.rt.Recursors = append(r.rt.Recursors, at.String())
			}
		}
	}
}
