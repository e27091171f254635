package dnsserver

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/view"
)

// Lookup finds what names ask about. Nothing found is nil and no error; an
// unknown datacenter is NoPath. A lookup whose options do not let it wait fails
// with view.ErrNotHere where it would have to.
type Lookup interface {
	Service(ctx context.Context, dc, name string, o view.Options) (*view.Service, error)
	Connect(ctx context.Context, dc, name string, o view.Options) (*view.Service, error)
	Node(ctx context.Context, dc, name string, o view.Options) (*view.Node, error)
	Owner(ctx context.Context, ip netip.Addr, o view.Options) (view.Owner, error)
}

// transport is how a question came.
type transport uint8

const (
	overUDP transport = iota
	overTCP
)

// exchange answers one question. It is reused, and used by one goroutine at a
// time.
type exchange struct {
	server *Server
	ctx    context.Context //nolint:containedctx // the life of one question
	req    request
	via    transport
	opts   view.Options
	rules  *rules

	msg    message
	folded [maxNameBytes + 1]byte // the asked name in lower case
	labels [][]byte               // of it, without the zone
	zone   *zone
	order  []int32
	seen   map[recordKey]struct{}
	random *rand.Rand
	relay  []byte // the finished answer of a recursor
	places []place
}

// zone is one of the own domains.
type zone struct {
	wire []byte // in lower case, with the root
}

func newExchange(s *Server) *exchange {
	return &exchange{server: s, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), seen: map[recordKey]struct{}{}} //nolint:gosec // spreads load, hides nothing
}

// errUnknown says that the asked name does not exist.
var errUnknown = errors.New("no such name")

// answer returns the answer to packet, which is valid until the next call; nil
// if there is to be none. wait allows to leave memory; without it a question
// that needs more fails with view.ErrNotHere.
func (x *exchange) answer(ctx context.Context, packet []byte, via transport, wait bool) ([]byte, error) {
	req, ok := parseRequest(packet)
	if !ok {
		return nil, nil
	}
	x.ctx, x.req, x.via, x.rules = ctx, req, via, x.server.rules.Load()
	x.opts = view.Options{Wait: wait, Fresh: !x.rules.AllowStale, MaxStale: x.rules.MaxStale}
	x.msg.reset()
	x.relay, x.zone, x.places = nil, nil, x.places[:0]
	x.msg.rcode, x.msg.recursion = req.rcode, len(x.rules.Recursors) > 0
	x.msg.compress, x.msg.enableTC = !x.rules.DisableCompression, x.rules.EnableTruncate
	x.msg.soa = x.rules.SOA
	if req.rcode == dns.RcodeSuccess {
		start := time.Now()
		x.msg.serial = uint32(start.Unix()) //nolint:gosec // serial numbers wrap, RFC 1982
		if err := x.route(); errors.Is(err, view.ErrNotHere) {
			return nil, err
		}
		x.server.measure(&x.req, x.zone != nil, start)
	}
	if x.relay != nil {
		return x.relay, nil
	}
	return x.msg.finish(&x.req, x.limit()), nil
}

// Sizes of messages: RFC 1035 section 4.2.1; the largest UDP payload less the
// longest headers; RFC 1035 section 4.2.2.
const (
	plainUDPBytes = 512
	maxUDPBytes   = 65467
	maxTCPBytes   = 65535
)

func (x *exchange) limit() int {
	switch {
	case x.via == overTCP:
		return maxTCPBytes
	case !x.req.edns:
		return plainUDPBytes
	}
	return min(max(int(x.req.udpSize), plainUDPBytes), maxUDPBytes)
}

// route decides who answers, and turns an error into the message's code; only
// view.ErrNotHere is returned.
func (x *exchange) route() error {
	n := copy(x.folded[:], x.req.name)
	folded := x.folded[:n]
	lower(folded)
	x.labels = splitLabels(x.labels[:0], folded)
	x.zone = x.server.zoneOf(folded)
	var err error
	switch arpa := x.zone == nil && len(x.labels) > 0 && string(x.labels[len(x.labels)-1]) == "arpa"; {
	case x.zone == nil && !arpa:
		return x.recurse()
	case arpa:
		x.zone = &x.server.zones[0]
		x.begin(0)
		if err = x.reverse(); errors.Is(err, errUnknown) && len(x.rules.Recursors) > 0 {
			return x.recurse()
		}
	default:
		x.labels = splitLabels(x.labels[:0], folded[:n-len(x.zone.wire)])
		x.begin(len(x.zone.wire))
		err = x.inZone()
	}
	switch {
	case err == nil, errors.Is(err, view.ErrNotHere):
		return err
	case errors.Is(err, errUnknown), failure.Is(err, failure.NoPath):
		x.fail(dns.RcodeNameError)
		x.msg.authority = append(x.msg.authority, x.soa())
	default:
		x.server.log.Debug("a DNS question could not be answered", "error", err)
		x.fail(dns.RcodeServerFailure)
	}
	return nil
}

// fail drops what was found so far.
func (x *exchange) fail(rcode int) {
	x.msg.rcode = rcode
	x.msg.answer, x.msg.authority, x.msg.additional = x.msg.answer[:0], x.msg.authority[:0], x.msg.additional[:0]
}

// begin puts the zone and the asked name into the message's names. The asked
// name ends with suffix bytes of the zone's name; 0 if it is none of the zone's.
func (x *exchange) begin(suffix int) {
	m := &x.msg
	m.authoritative = true
	zone := m.rawName(x.zone.wire[:len(x.zone.wire)-1], root)
	raw := x.req.name
	switch {
	case suffix == len(raw):
		m.question = zone
	case suffix > 0 && m.compress:
		m.question = m.rawName(raw[:len(raw)-suffix], zone)
	default:
		m.question = m.rawName(raw[:len(raw)-1], root)
	}
}

// inZone answers a question about one of the own zones.
func (x *exchange) inZone() error {
	switch x.req.qtype {
	case dns.TypeAXFR, dns.TypeIXFR:
		x.fail(dns.RcodeNotImplemented)
		return nil
	case dns.TypeSOA:
		x.msg.answer = append(x.msg.answer, x.soa())
		return x.nameServers(&x.msg.authority)
	case dns.TypeNS:
		return x.nameServers(&x.msg.answer)
	}
	s, ok := parseSubject(x.labels, x.req.qtype == dns.TypeSRV)
	if !ok {
		return errUnknown
	}
	switch s.kind {
	case kindNode:
		return x.node(s)
	case kindAddr:
		return x.address(s)
	case kindService, kindConnect:
		return x.service(s)
	case kindVirtual: // there is no mesh yet, and so no virtual address
		return nil
	default:
		return errUnknown // ingress gateways and prepared queries: there are none yet
	}
}

func (x *exchange) soa() record {
	return record{owner: x.msg.zone(), rtype: dns.TypeSOA, ttl: x.rules.SOA.MinTTL}
}

// reverse answers who has an address.
func (x *exchange) reverse() error {
	if x.req.qtype == dns.TypeSOA {
		x.msg.authority = append(x.msg.authority, x.soa())
	}
	ip, ok := reverseAddress(x.labels[:len(x.labels)-1])
	if !ok {
		return errUnknown
	}
	owner, err := x.server.cfg.Lookup.Owner(x.ctx, ip, x.opts)
	if err != nil {
		return err
	}
	kind, name := "node", owner.Node
	if name == "" {
		kind, name = "service", owner.Service
	}
	if name == "" {
		return errUnknown
	}
	target, ok := x.msg.textName(name, x.place(kind, x.server.cfg.Datacenter))
	if !ok {
		return errUnknown
	}
	x.msg.answer = append(x.msg.answer, record{owner: x.msg.question, target: target, rtype: dns.TypePTR})
	return nil
}

// place is the end of the names of one kind in one datacenter.
type place struct {
	kind, dc string
	ref      nameRef
}

func (x *exchange) place(kind, dc string) nameRef {
	for _, p := range x.places {
		if p.kind == kind && p.dc == dc {
			return p.ref
		}
	}
	ref := x.msg.zone()
	for _, label := range [...]string{dc, kind} {
		if next, ok := x.msg.textName(label, ref); ok {
			ref = next
		}
	}
	x.places = append(x.places, place{kind, dc, ref})
	return ref
}
