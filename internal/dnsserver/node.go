package dnsserver

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/view"
)

// family says which addresses a question wants.
type family uint8

const (
	anyFamily family = iota
	onlyIPv4
	onlyIPv6
)

func familyOf(qtype uint16) family {
	switch qtype {
	case dns.TypeA:
		return onlyIPv4
	case dns.TypeAAAA:
		return onlyIPv6
	}
	return anyFamily
}

func (f family) fits(ip netip.Addr) bool {
	return ip.IsValid() && (f == anyFamily || ip.Is4() == (f == onlyIPv4))
}

// translate chooses among an address and its tagged forms the one for the
// family; wan prefers those for other datacenters.
func translate(a view.Address, tagged map[string]view.Address, f family, wan bool) view.Address {
	if len(tagged) == 0 {
		return a
	}
	v4, v6 := "lan_ipv4", "lan_ipv6"
	if wan {
		v4, v6 = "wan_ipv4", "wan_ipv6"
	}
	pick := func(tag string) (view.Address, bool) {
		t, ok := tagged[tag]
		return t, ok && !t.IsZero()
	}
	if f != onlyIPv4 {
		if t, ok := pick(v6); ok {
			return t
		}
	}
	if f == onlyIPv4 || wan && f == anyFamily {
		if t, ok := pick(v4); ok {
			return t
		}
	}
	if wan {
		if t, ok := pick("wan"); ok {
			return t
		}
	}
	return a
}

// wan reports whether addresses of dc are to be those for other datacenters.
func (x *exchange) wan(dc string) bool {
	return x.server.cfg.TranslateWAN && dc != "" && dc != x.server.cfg.Datacenter
}

// node answers about a node.
func (x *exchange) node(s subject) error {
	n, err := x.server.cfg.Lookup.Node(x.ctx, s.dc, s.name, x.opts)
	if err != nil {
		return err
	}
	if n == nil {
		return errUnknown
	}
	m := &x.msg
	meta := &m.additional
	switch x.req.qtype {
	case dns.TypeA, dns.TypeAAAA:
		if !x.rules.NodeMetaTXT {
			meta = nil
		}
	case dns.TypeANY, dns.TypeTXT:
		meta = &m.answer
	default:
		return nil
	}
	if x.req.qtype != dns.TypeTXT {
		f := familyOf(x.req.qtype)
		if a := translate(n.Address, n.Tagged, f, x.wan(s.dc)); f.fits(a.IP) {
			m.answer = append(m.answer, addressRecord(m.question, a.IP, x.rules.nodeTTL))
		} else if !a.IP.IsValid() && !a.IsZero() {
			if err := x.cname(m.question, a.Text, f, x.rules.nodeTTL, &m.answer, 0, 0); err != nil {
				return err
			}
		}
	}
	if meta != nil {
		x.meta(meta, n, m.question, 0)
	}
	return nil
}

// address answers about a name that is an address.
func (x *exchange) address(s subject) error {
	ip, ok := hexAddress(s.name)
	if !ok {
		return errUnknown
	}
	ip = ip.Unmap()
	r := addressRecord(x.msg.question, ip, x.rules.nodeTTL)
	if familyOf(x.req.qtype).fits(ip) {
		x.msg.answer = append(x.msg.answer, r)
	} else {
		x.msg.additional = append(x.msg.additional, r)
	}
	return nil
}

func addressRecord(owner nameRef, ip netip.Addr, ttl uint32) record {
	rtype := dns.TypeA
	if !ip.Is4() {
		rtype = dns.TypeAAAA
	}
	return record{owner: owner, target: root, rtype: rtype, ttl: ttl, ip: ip}
}

// meta adds the metadata of a node, as TXT records of owner.
func (x *exchange) meta(to *[]record, n *view.Node, owner nameRef, of int32) {
	m := &x.msg
	for _, p := range n.Meta {
		off := len(m.arena)
		if !isRaw(p.Key) {
			m.arena = append(appendKey(m.arena, p.Key), '=')
		}
		m.arena = append(m.arena, p.Value...)
		*to = append(*to, record{
			owner: owner, target: root, rtype: dns.TypeTXT, ttl: x.rules.nodeTTL, of: of,
			text: int32(off), textSize: int32(len(m.arena) - off), //nolint:gosec // an arena is some kilobytes
		})
	}
}

// isRaw reports whether a pair of metadata is given without its key.
func isRaw(key string) bool {
	const prefix = "rfc1035-"
	return len(key) >= len(prefix) && strings.EqualFold(key[:len(prefix)], prefix)
}

// appendKey writes the key of an attribute as RFC 1464 has it: a back-quote
// goes before =, back-quotes, and spaces at the ends.
func appendKey(to []byte, key string) []byte {
	for i := range len(key) {
		c := key[i]
		outer := strings.TrimLeft(key[:i], " \t") == "" || strings.TrimRight(key[i:], " \t") == ""
		if c == '`' || c == '=' || (c == ' ' || c == '\t') && outer {
			to = append(to, '`')
		}
		to = append(to, c)
	}
	return to
}

// nameServers adds the servers of the own datacenter as those of the zone: at
// most three of those that are not critical.
func (x *exchange) nameServers(to *[]record) error {
	svc, err := x.server.cfg.Lookup.Service(x.ctx, "", "consul", x.opts)
	if err != nil || svc == nil {
		return err
	}
	x.order = x.order[:0]
	for i := range svc.Instances {
		if in := &svc.Instances[i]; in.Health != view.Critical && hostName(in.Node.Name) {
			x.order = append(x.order, int32(i)) //nolint:gosec // instances are fewer
		}
	}
	const most = 3
	m := &x.msg
	for place := range min(len(x.order), most) {
		in := &svc.Instances[x.draw(place)]
		target, ok := m.textName(in.Node.Name, x.place("node", x.server.cfg.Datacenter))
		if !ok || slices.ContainsFunc(*to, func(r record) bool { return r.rtype == dns.TypeNS && x.same(r.target, target) }) {
			continue
		}
		*to = append(*to, record{owner: m.zone(), target: target, rtype: dns.TypeNS, ttl: x.rules.nodeTTL})
		a := in.Address
		if !a.IP.IsValid() {
			a = in.Node.Address
		}
		if a.IP.IsValid() {
			r := addressRecord(target, a.IP, x.rules.nodeTTL)
			r.of = int32(max(len(m.answer)-1, 0)) //nolint:gosec // at most three
			m.additional = append(m.additional, r)
		}
	}
	return nil
}

// same reports whether two names of the same parent have the same labels.
func (x *exchange) same(a, b nameRef) bool {
	na, nb := x.msg.names[a], x.msg.names[b]
	return na.parent == nb.parent && string(x.msg.arena[na.off:na.off+na.size]) == string(x.msg.arena[nb.off:nb.off+nb.size])
}

// hostName reports whether a node's name is a single label of a host name.
func hostName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

// draw puts a random one of the instances that are left at the place, and
// returns it: an answer draws only as many as it has room for.
func (x *exchange) draw(at int) int32 {
	other := at + int(x.random.Uint32N(uint32(len(x.order)-at))) //nolint:gosec // positive
	x.order[at], x.order[other] = x.order[other], x.order[at]
	return x.order[at]
}
