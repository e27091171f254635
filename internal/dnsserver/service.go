package dnsserver

import (
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/view"
)

// Most records an answer has, by transport.
const (
	maxPlainUDPAnswers = 8
	maxTCPAnswers      = 4096
	maxSRVAnswers      = 1024
)

// recordKey is what makes two records the same.
type recordKey struct {
	what what
	ip   netip.Addr
	port uint16
	text string // a name, or empty
}

// what of a message is told apart.
type what uint8

const (
	anInstance what = iota
	aTarget
	aHost
	theMeta
)

// service answers about the instances of a service.
func (x *exchange) service(s subject) error {
	svc, err := x.instances(s)
	if err != nil {
		return err
	}
	if x.choose(svc, s.tag); len(x.order) == 0 {
		return errUnknown
	}
	ttl := x.rules.serviceTTL(s.name)
	if x.req.qtype == dns.TypeSRV {
		return x.srv(svc, s, ttl)
	}
	f := familyOf(x.req.qtype)
	if err := x.addresses(svc, s, f, ttl); err != nil {
		return err
	}
	if len(x.msg.answer) == 0 {
		x.msg.authority = append(x.msg.authority, x.soa())
	}
	return nil
}

func (x *exchange) instances(s subject) (*view.Service, error) {
	if s.kind == kindConnect {
		return x.server.cfg.Lookup.Connect(x.ctx, s.dc, s.name, x.opts)
	}
	return x.server.cfg.Lookup.Service(x.ctx, s.dc, s.name, x.opts)
}

// choose puts the instances that answer into x.order, to be drawn from it.
func (x *exchange) choose(svc *view.Service, tag string) {
	x.order = x.order[:0]
	if svc == nil {
		return
	}
	worst := view.Warning
	if x.rules.OnlyPassing {
		worst = view.Passing
	}
	for i := range svc.Instances {
		if in := &svc.Instances[i]; in.Health <= worst && (tag == "" || in.HasTag(tag)) {
			x.order = append(x.order, int32(i)) //nolint:gosec // instances are fewer
		}
	}
}

// chosen is the address of an instance for one question.
type chosen struct {
	view.Address
	port   int
	isNode bool // it is the node's own address, as registered
}

// name is what tells an address apart that is no address of the instance alone.
func (c chosen) name(in *view.Instance) string {
	if c.isNode {
		return in.Node.Name
	}
	return c.Text
}

// at chooses the address of an instance.
func (x *exchange) at(in *view.Instance, f family, wan bool) chosen {
	c := chosen{Address: translate(in.Address, in.Tagged, f, wan), port: in.Port}
	if wan && c.Port != 0 {
		c.port = c.Port
	}
	if c.IsZero() || !c.IP.IsValid() && x.isAsked(c.Text) {
		c.Address = translate(in.Node.Address, in.Node.Tagged, f, wan)
		c.isNode = c.Text == in.Node.Address.Text
	}
	return c
}

// isAsked reports whether a host name is the asked one.
func (x *exchange) isAsked(host string) bool {
	wire, rest := x.req.name, strings.TrimSuffix(host, ".")
	for len(wire) > 1 {
		n := int(wire[0])
		if len(rest) < n || !strings.EqualFold(rest[:n], string(wire[1:1+n])) {
			return false
		}
		wire, rest = wire[1+n:], strings.TrimPrefix(rest[n:], ".")
	}
	return rest == ""
}

// most is how many answers the message may have. When more exist, it was
// trimmed. Where the client takes large packets only their size counts; one
// answer more than can fit is enough to see that not all do.
func (x *exchange) most(qtype uint16) int {
	const smallest = 16 // bytes of an A record
	switch {
	case x.via == overTCP && qtype == dns.TypeSRV:
		return maxSRVAnswers
	case x.via == overTCP:
		return maxTCPAnswers
	case x.req.edns && x.req.udpSize > plainUDPBytes:
		return x.limit()/smallest + 1
	case x.rules.UDPAnswerLimit > 0:
		return min(maxPlainUDPAnswers, x.rules.UDPAnswerLimit)
	}
	return maxPlainUDPAnswers
}

// addresses adds the addresses of the chosen instances, or the first host name
// if none has one.
func (x *exchange) addresses(svc *view.Service, s subject, f family, ttl uint32) error {
	m, wan := &x.msg, x.wan(s.dc)
	most := x.most(x.req.qtype)
	wanted := most
	if limit := x.rules.ARecordLimit; limit > 0 {
		wanted = min(wanted, limit)
	}
	host := ""
	x.forget()
	for place := range x.order {
		a := x.at(&svc.Instances[x.draw(place)], f, wan)
		if !a.IP.IsValid() {
			if host == "" {
				host = a.Text
			}
			continue
		}
		if !f.fits(a.IP) || x.again(recordKey{ip: a.IP}) {
			continue
		}
		if len(m.answer) == wanted {
			m.trimmed = wanted == most
			return nil
		}
		m.answer = append(m.answer, addressRecord(m.question, a.IP, ttl))
	}
	if len(m.answer) > 0 || host == "" {
		return nil
	}
	return x.cname(m.question, host, f, ttl, &m.answer, 0, 0)
}

// forget begins a new message. A map that once was large is slow to clear.
func (x *exchange) forget() {
	const large = 256
	if len(x.seen) > large {
		x.seen = map[recordKey]struct{}{}
	}
	clear(x.seen)
}

// again reports whether the record was there already.
func (x *exchange) again(k recordKey) bool {
	if _, there := x.seen[k]; there {
		return true
	}
	x.seen[k] = struct{}{}
	return false
}

// srv adds a record for each chosen instance, with the addresses of the targets
// and the metadata of the nodes.
func (x *exchange) srv(svc *view.Service, s subject, ttl uint32) error {
	m, wan := &x.msg, x.wan(s.dc)
	dc := s.dc
	if dc == "" {
		dc = x.server.cfg.Datacenter
	}
	most := x.most(dns.TypeSRV)
	x.forget()
	for place := range x.order {
		in := &svc.Instances[x.draw(place)]
		a := x.at(in, anyFamily, wan)
		k := recordKey{ip: a.IP, port: uint16(a.port)} //nolint:gosec // ports are checked at registration
		if !a.IP.IsValid() || a.isNode {
			k.text = a.name(in)
		}
		if a.IsZero() || x.again(k) {
			continue
		}
		if len(m.answer) == most {
			m.trimmed = true
			break
		}
		of := int32(len(m.answer)) //nolint:gosec // at most 4096
		target, known, err := x.target(in, a, dc, ttl, of)
		if err != nil {
			return err
		}
		m.answer = append(m.answer, record{
			owner: m.question, target: target, rtype: dns.TypeSRV, ttl: ttl,
			port: k.port, weight: uint16(min(max(in.Weight, 0), 65535)), //nolint:gosec // bounded
		})
		if !known && a.IP.IsValid() {
			r := addressRecord(target, a.IP, ttl)
			r.of = of
			m.additional = append(m.additional, r)
		}
		if x.rules.NodeMetaTXT && len(in.Node.Meta) > 0 {
			x.nodeMeta(in.Node, a, target, dc, of)
		}
	}
	return nil
}

// nodeMeta adds the metadata of a node once for all its instances.
func (x *exchange) nodeMeta(n *view.Node, a chosen, target nameRef, dc string, of int32) {
	if x.again(recordKey{what: theMeta, text: n.Name}) {
		return
	}
	if !a.isNode {
		var ok bool
		if target, ok = x.msg.textName(n.Name, x.place("node", dc)); !ok {
			return
		}
	}
	x.meta(&x.msg.additional, n, target, of)
}

// target is the name an SRV record leads to. It reports whether the addresses
// of that name are in the additional section already.
func (x *exchange) target(in *view.Instance, a chosen, dc string, ttl uint32, of int32) (target nameRef, known bool, err error) {
	m := &x.msg
	if !a.IP.IsValid() {
		target, ok := m.textName(a.Text, root)
		if !ok {
			return root, true, errUnknown
		}
		if x.again(recordKey{what: aHost, text: a.Text}) {
			return target, true, nil
		}
		return target, true, x.resolve(target, a.Text, anyFamily, ttl, &m.additional, 0, of)
	}
	if a.isNode {
		if target, ok := m.textName(in.Node.Name, x.place("node", dc)); ok {
			return target, x.again(recordKey{what: aTarget, ip: a.IP, text: in.Node.Name}), nil
		}
	}
	var digits [33]byte
	raw := a.IP.AsSlice()
	digits[0] = byte(2 * len(raw))
	hex.Encode(digits[1:], raw)
	target = m.rawName(digits[:1+2*len(raw)], x.place("addr", dc))
	return target, x.again(recordKey{what: aTarget, ip: a.IP}), nil
}

// maxDepth bounds how often a name of the own zones leads to another.
const maxDepth = 3

// cname says that owner is another name of host, and adds what host is.
func (x *exchange) cname(owner nameRef, host string, f family, ttl uint32, to *[]record, depth int, of int32) error {
	target, ok := x.msg.textName(host, root)
	if !ok {
		return errUnknown
	}
	*to = append(*to, record{owner: owner, target: target, rtype: dns.TypeCNAME, ttl: ttl, of: of})
	return x.resolve(target, host, f, ttl, to, depth, of)
}

// resolve adds the addresses of a host name, owned by owner: those of a name of
// the own zones from what is known, those of another from recursors.
func (x *exchange) resolve(owner nameRef, host string, f family, ttl uint32, to *[]record, depth int, of int32) error {
	wire, ok := appendLabels(nil, strings.ToLower(host))
	if !ok {
		return nil
	}
	wire = append(wire, 0)
	z := x.server.zoneOf(wire)
	if z == nil {
		return x.resolveElsewhere(owner, host, ttl, to, of)
	}
	s, ok := parseSubject(splitLabels(nil, wire[:len(wire)-len(z.wire)]), false)
	if !ok || depth >= maxDepth {
		return nil
	}
	next, err := x.resolveOwn(owner, s, f, ttl, to, of)
	if err != nil || next == "" {
		return err
	}
	return x.cname(owner, next, f, ttl, to, depth+1, of)
}

// resolveOwn adds the addresses of a name of the own zones. If that is another
// name of a host, it returns the host.
func (x *exchange) resolveOwn(owner nameRef, s subject, f family, ttl uint32, to *[]record, of int32) (next string, err error) {
	add := func(a view.Address) {
		if f.fits(a.IP) {
			r := addressRecord(owner, a.IP, ttl)
			r.of = of
			*to = append(*to, r)
		} else if !a.IP.IsValid() {
			next = a.Text
		}
	}
	switch s.kind {
	case kindAddr:
		if ip, ok := hexAddress(s.name); ok {
			add(view.Address{IP: ip.Unmap()})
		}
	case kindNode:
		n, err := x.server.cfg.Lookup.Node(x.ctx, s.dc, s.name, x.opts)
		if err != nil || n == nil {
			return "", err
		}
		add(translate(n.Address, n.Tagged, f, x.wan(s.dc)))
	case kindService, kindConnect:
		svc, err := x.instances(s)
		if err != nil {
			return "", err
		}
		order := x.order // of the service that led here
		x.order = nil
		x.choose(svc, s.tag)
		for place := range min(len(x.order), x.most(dns.TypeA)) {
			add(x.at(&svc.Instances[x.draw(place)], f, x.wan(s.dc)).Address)
		}
		x.order = order
	default: // the others have no address
	}
	return next, nil
}
