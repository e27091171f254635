package dnsserver

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/view"
)

// fakeLookup is a catalog in memory. Names are dc/name, the own dc being empty.
type fakeLookup struct {
	services, connect map[string]*view.Service
	nodes             map[string]*view.Node
	owners            map[string]view.Owner
	err               error
	notHere           bool // without Wait
}

func (f *fakeLookup) check(dc string, o view.Options) error {
	switch {
	case f.notHere && !o.Wait:
		return view.ErrNotHere
	case f.err != nil:
		return f.err
	case dc != "" && dc != "dc1" && dc != "dc2":
		return failure.New(failure.NoPath, failure.TextNoPath)
	}
	return nil
}

func inDC(dc, name string) string {
	if dc == "dc1" {
		dc = ""
	}
	return dc + "/" + name
}

func (f *fakeLookup) Service(_ context.Context, dc, name string, o view.Options) (*view.Service, error) {
	return f.services[inDC(dc, name)], f.check(dc, o)
}

func (f *fakeLookup) Connect(_ context.Context, dc, name string, o view.Options) (*view.Service, error) {
	return f.connect[inDC(dc, name)], f.check(dc, o)
}

func (f *fakeLookup) Node(_ context.Context, dc, name string, o view.Options) (*view.Node, error) {
	return f.nodes[inDC(dc, name)], f.check(dc, o)
}

func (f *fakeLookup) Owner(_ context.Context, ip netip.Addr, o view.Options) (view.Owner, error) {
	return f.owners[ip.String()], f.check("", o)
}

func addr(text string) view.Address {
	ip, _ := netip.ParseAddr(text)
	return view.Address{Text: text, IP: ip}
}

func tagged(pairs ...string) map[string]view.Address {
	m := map[string]view.Address{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = addr(pairs[i+1])
	}
	return m
}

func instances(list ...view.Instance) *view.Service { return &view.Service{Instances: list} }

// catalog is what most tests ask about.
func catalog() *fakeLookup {
	n1 := &view.Node{Name: "n1", Address: addr("10.0.0.1"), Tagged: tagged("lan", "10.0.0.1", "lan_ipv4", "10.0.0.1", "wan", "198.51.100.1", "wan_ipv4", "198.51.100.1")}
	n2 := &view.Node{Name: "n2", Address: addr("10.0.0.2"), Meta: []view.Pair{{Key: "a=b", Value: "c"}, {Key: "rfc1035-x", Value: "only value"}}}
	n6 := &view.Node{Name: "n6", Address: addr("fd00::6")}
	dual := &view.Node{Name: "dual", Address: addr("10.0.0.7"), Tagged: tagged("lan_ipv4", "10.0.0.7", "lan_ipv6", "fd00::7")}
	named := &view.Node{Name: "named", Address: addr("n1.node.consul")}
	outside := &view.Node{Name: "outside", Address: addr("www.example.com")}
	return &fakeLookup{
		nodes: map[string]*view.Node{"/n1": n1, "/n2": n2, "/n6": n6, "/dual": dual, "/named": named, "/outside": outside, "/a.b": {Name: "a.b", Address: addr("10.0.0.9")}, "dc2/n1": n1},
		services: map[string]*view.Service{
			"/consul":   instances(view.Instance{Node: n1, Port: 8300}, view.Instance{Node: &view.Node{Name: "bad_name", Address: addr("10.0.0.8")}}),
			"/web":      instances(view.Instance{Node: n1, Service: "web", Port: 80, Weight: 1, Tags: []string{"v1", "blue.green"}}),
			"/own":      instances(view.Instance{Node: n1, Service: "own", Port: 8080, Weight: 5, Address: addr("10.1.0.1")}),
			"/meta":     instances(view.Instance{Node: n2, Port: 1, Weight: 1}, view.Instance{Node: n2, ID: "2", Port: 2, Weight: 1}),
			"/sick":     instances(view.Instance{Node: n1, Port: 1, Health: view.Critical}, view.Instance{Node: n2, Port: 1, Health: view.Warning, Weight: 3}),
			"/dead":     instances(view.Instance{Node: n1, Health: view.Critical}),
			"/six":      instances(view.Instance{Node: n6, Port: 6, Weight: 1}),
			"/dual":     instances(view.Instance{Node: dual, Port: 7, Weight: 1}),
			"/alias":    instances(view.Instance{Node: n2, Port: 1, Weight: 1, Address: addr("n1.node.consul")}),
			"/self":     instances(view.Instance{Node: n1, Port: 1, Weight: 1, Address: addr("Self.service.consul")}),
			"/far":      instances(view.Instance{Node: n1, Port: 1, Weight: 1, Address: addr("www.example.com")}),
			"/loop":     instances(view.Instance{Node: n1, Port: 1, Weight: 1, Address: addr("pool.service.consul")}),
			"/pool":     instances(view.Instance{Node: n1, Port: 1, Weight: 1, Address: addr("loop.service.consul")}),
			"dc2/web":   instances(view.Instance{Node: n1, Port: 80, Weight: 1}),
			"/ttl-long": instances(view.Instance{Node: n1}),
		},
		connect: map[string]*view.Service{"/web": instances(view.Instance{Node: n2, Port: 21000, Weight: 1})},
		owners:  map[string]view.Owner{"10.0.0.1": {Node: "n1"}, "10.1.0.1": {Service: "own"}, "fd00::6": {Node: "n6"}},
	}
}

func testServer(t testing.TB, l Lookup, change func(*Config)) *Server {
	t.Helper()
	c := Config{Domain: "consul.", AltDomain: "other.test.", Datacenter: "dc1", Settings: DefaultSettings(), Lookup: l}
	c.Settings.RecursorTimeout = patience
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func question(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.Id = 4711
	m.Question = []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}}
	return m
}

// ask packs a question and unpacks the answer.
func ask(t testing.TB, s *Server, q *dns.Msg, via transport) *dns.Msg {
	t.Helper()
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out, err := newExchange(s).answer(t.Context(), raw, via, true)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("the answer cannot be read: %v\n%x", err, out)
	}
	return m
}

// sections writes an answer as text: the code if it is none of success, then a
// line for each record, with the serial of SOA as 0.
func sections(m *dns.Msg) []string {
	var lines []string
	if m.Rcode != dns.RcodeSuccess {
		lines = append(lines, dns.RcodeToString[m.Rcode])
	}
	for _, s := range []struct {
		mark string
		list []dns.RR
	}{{"", m.Answer}, {"ns ", m.Ns}, {"+ ", m.Extra}} {
		var part []string
		for _, rr := range s.list {
			if soa, ok := rr.(*dns.SOA); ok {
				soa.Serial = 0
			}
			if rr.Header().Rrtype != dns.TypeOPT {
				part = append(part, s.mark+strings.Join(strings.Fields(rr.String()), " "))
			}
		}
		slices.Sort(part)
		lines = append(lines, part...)
	}
	return lines
}

const soaLine = "ns consul. 0 IN SOA ns.consul. hostmaster.consul. 0 3600 600 86400 0"

func TestAnswers(t *testing.T) {
	nx := []string{"NXDOMAIN", soaLine}
	lines := func(l ...string) []string { return l }
	for _, c := range []struct {
		name, question, qtype string
		change                func(*Config)
		want                  []string
	}{
		{name: "node", question: "n1.node.consul.", qtype: "A", want: lines("n1.node.consul. 0 IN A 10.0.0.1")},
		{name: "node in the own datacenter, named", question: "n1.node.dc1.consul.", qtype: "A", want: lines("n1.node.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "node in .dc form", question: "n1.node.dc2.dc.consul.", qtype: "A", want: lines("n1.node.dc2.dc.consul. 0 IN A 10.0.0.1")},
		{name: "node in a datacenter nobody knows", question: "n1.node.dc9.consul.", qtype: "A", want: nx},
		{name: "node of a peer", question: "n1.node.x.peer.consul.", qtype: "A", want: nx},
		{name: "node with a dot", question: "a.b.node.consul.", qtype: "A", want: lines("a.b.node.consul. 0 IN A 10.0.0.9")},
		{name: "unknown node", question: "n9.node.consul.", qtype: "A", want: nx},
		{name: "case is kept", question: "N1.NoDe.ConSul.", qtype: "A", want: lines("N1.NoDe.ConSul. 0 IN A 10.0.0.1")},
		{name: "case is kept without compression", question: "N1.NoDe.ConSul.", qtype: "A", change: func(c *Config) { c.Settings.DisableCompression = true }, want: lines("N1.NoDe.ConSul. 0 IN A 10.0.0.1")},
		{name: "second domain", question: "n1.node.other.test.", qtype: "A", want: lines("n1.node.other.test. 0 IN A 10.0.0.1")},
		{name: "node TTL", question: "n1.node.consul.", qtype: "A", change: func(c *Config) { c.Settings.NodeTTL = 7*time.Second + time.Millisecond }, want: lines("n1.node.consul. 7 IN A 10.0.0.1")},
		{name: "node metadata", question: "n2.node.consul.", qtype: "A", want: lines("n2.node.consul. 0 IN A 10.0.0.2", "+ n2.node.consul. 0 IN TXT \"a`=b=c\"", `+ n2.node.consul. 0 IN TXT "only value"`)},
		{name: "node metadata off", question: "n2.node.consul.", qtype: "A", change: func(c *Config) { c.Settings.NodeMetaTXT = false }, want: lines("n2.node.consul. 0 IN A 10.0.0.2")},
		{name: "TXT of a node, metadata off", question: "n2.node.consul.", qtype: "TXT", change: func(c *Config) { c.Settings.NodeMetaTXT = false }, want: lines("n2.node.consul. 0 IN TXT \"a`=b=c\"", `n2.node.consul. 0 IN TXT "only value"`)},
		{name: "ANY of a node", question: "n2.node.consul.", qtype: "ANY", want: lines("n2.node.consul. 0 IN A 10.0.0.2", "n2.node.consul. 0 IN TXT \"a`=b=c\"", `n2.node.consul. 0 IN TXT "only value"`)},
		{name: "SRV of a node", question: "n1.node.consul.", qtype: "SRV"},
		{name: "AAAA of an IPv4 node", question: "n1.node.consul.", qtype: "AAAA"},
		{name: "AAAA of an IPv6 node", question: "n6.node.consul.", qtype: "AAAA", want: lines("n6.node.consul. 0 IN AAAA fd00::6")},
		{name: "AAAA of a node with both", question: "dual.node.consul.", qtype: "AAAA", want: lines("dual.node.consul. 0 IN AAAA fd00::7")},
		{name: "A of a node with both", question: "dual.node.consul.", qtype: "A", want: lines("dual.node.consul. 0 IN A 10.0.0.7")},
		{name: "ANY of a node with both", question: "dual.node.consul.", qtype: "ANY", want: lines("dual.node.consul. 0 IN AAAA fd00::7")},
		{name: "WAN address", question: "n1.node.dc2.consul.", qtype: "A", change: func(c *Config) { c.TranslateWAN = true }, want: lines("n1.node.dc2.consul. 0 IN A 198.51.100.1")},
		{name: "no WAN address at home", question: "n1.node.consul.", qtype: "A", change: func(c *Config) { c.TranslateWAN = true }, want: lines("n1.node.consul. 0 IN A 10.0.0.1")},
		{name: "node that is another name", question: "named.node.consul.", qtype: "A", want: lines("n1.node.consul. 0 IN A 10.0.0.1", "named.node.consul. 0 IN CNAME n1.node.consul.")},
		{name: "node that is a name elsewhere", question: "outside.node.consul.", qtype: "A", want: lines("outside.node.consul. 0 IN CNAME www.example.com.")},

		{name: "service", question: "web.service.consul.", qtype: "A", want: lines("web.service.consul. 0 IN A 10.0.0.1")},
		{name: "service elsewhere", question: "web.service.dc2.consul.", qtype: "A", want: lines("web.service.dc2.consul. 0 IN A 10.0.0.1")},
		{name: "unknown service", question: "nope.service.consul.", qtype: "A", want: nx},
		{name: "address of its own", question: "own.service.consul.", qtype: "A", want: lines("own.service.consul. 0 IN A 10.1.0.1")},
		{name: "tag", question: "V1.web.service.consul.", qtype: "A", want: lines("V1.web.service.consul. 0 IN A 10.0.0.1")},
		{name: "tag with a dot", question: "blue.green.web.service.consul.", qtype: "A", want: lines("blue.green.web.service.consul. 0 IN A 10.0.0.1")},
		{name: "tag nobody has", question: "v2.web.service.consul.", qtype: "A", want: nx},
		{name: "critical instances are left out", question: "sick.service.consul.", qtype: "A", want: lines("sick.service.consul. 0 IN A 10.0.0.2")},
		{name: "only passing", question: "sick.service.consul.", qtype: "A", change: func(c *Config) { c.Settings.OnlyPassing = true }, want: nx},
		{name: "all critical", question: "dead.service.consul.", qtype: "A", want: nx},
		{name: "other family", question: "six.service.consul.", qtype: "A", want: lines(soaLine)},
		{name: "IPv6", question: "six.service.consul.", qtype: "AAAA", want: lines("six.service.consul. 0 IN AAAA fd00::6")},
		{name: "TXT of a service is its address", question: "web.service.consul.", qtype: "TXT", want: lines("web.service.consul. 0 IN A 10.0.0.1")},
		{name: "ANY with both families", question: "dual.service.consul.", qtype: "ANY", want: lines("dual.service.consul. 0 IN AAAA fd00::7")},
		{name: "service TTL", question: "ttl-long.service.consul.", qtype: "A", change: func(c *Config) {
			c.Settings.ServiceTTL = map[string]time.Duration{"*": time.Second, "ttl-*": 2 * time.Second, "ttl": time.Minute}
		}, want: lines("ttl-long.service.consul. 2 IN A 10.0.0.1")},
		{name: "service that is another name", question: "alias.service.consul.", qtype: "A", want: lines("alias.service.consul. 0 IN CNAME n1.node.consul.", "n1.node.consul. 0 IN A 10.0.0.1")},
		{name: "service that is its own name", question: "self.service.consul.", qtype: "A", want: lines("self.service.consul. 0 IN A 10.0.0.1")},
		{name: "service that is a name elsewhere", question: "far.service.consul.", qtype: "A", want: lines("far.service.consul. 0 IN CNAME www.example.com.")},
		{name: "mesh", question: "web.connect.consul.", qtype: "A", want: lines("web.connect.consul. 0 IN A 10.0.0.2")},
		{name: "virtual", question: "web.virtual.consul.", qtype: "A"},
		{name: "ingress", question: "web.ingress.consul.", qtype: "A", want: nx},
		{name: "prepared query", question: "q.query.consul.", qtype: "A", want: nx},

		{name: "SRV of a node's address", question: "web.service.consul.", qtype: "SRV", want: lines("web.service.consul. 0 IN SRV 1 1 80 n1.node.dc1.consul.", "+ n1.node.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "SRV of an own address", question: "own.service.consul.", qtype: "SRV", want: lines("own.service.consul. 0 IN SRV 1 5 8080 0a010001.addr.dc1.consul.", "+ 0a010001.addr.dc1.consul. 0 IN A 10.1.0.1")},
		{name: "SRV of both families", question: "dual.service.consul.", qtype: "SRV", want: lines("dual.service.consul. 0 IN SRV 1 1 7 fd000000000000000000000000000007.addr.dc1.consul.", "+ fd000000000000000000000000000007.addr.dc1.consul. 0 IN AAAA fd00::7")},
		{name: "SRV of two on a node", question: "meta.service.consul.", qtype: "SRV", want: lines("meta.service.consul. 0 IN SRV 1 1 1 n2.node.dc1.consul.", "meta.service.consul. 0 IN SRV 1 1 2 n2.node.dc1.consul.",
			"+ n2.node.dc1.consul. 0 IN A 10.0.0.2", "+ n2.node.dc1.consul. 0 IN TXT \"a`=b=c\"", `+ n2.node.dc1.consul. 0 IN TXT "only value"`)},
		{name: "SRV weight while warning", question: "sick.service.consul.", qtype: "SRV", change: func(c *Config) { c.Settings.NodeMetaTXT = false }, want: lines("sick.service.consul. 0 IN SRV 1 3 1 n2.node.dc1.consul.", "+ n2.node.dc1.consul. 0 IN A 10.0.0.2")},
		{name: "SRV elsewhere", question: "web.service.dc2.consul.", qtype: "SRV", want: lines("web.service.dc2.consul. 0 IN SRV 1 1 80 n1.node.dc2.consul.", "+ n1.node.dc2.consul. 0 IN A 10.0.0.1")},
		{name: "SRV of a WAN address", question: "web.service.dc2.consul.", qtype: "SRV", change: func(c *Config) { c.TranslateWAN = true }, want: lines("web.service.dc2.consul. 0 IN SRV 1 1 80 c6336401.addr.dc2.consul.", "+ c6336401.addr.dc2.consul. 0 IN A 198.51.100.1")},
		{name: "SRV of another name", question: "alias.service.consul.", qtype: "SRV", change: func(c *Config) { c.Settings.NodeMetaTXT = false }, want: lines("alias.service.consul. 0 IN SRV 1 1 1 n1.node.consul.", "+ n1.node.consul. 0 IN A 10.0.0.1")},
		{name: "RFC 2782", question: "_web._tcp.service.consul.", qtype: "SRV", want: lines("_web._tcp.service.consul. 0 IN SRV 1 1 80 n1.node.dc1.consul.", "+ n1.node.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "RFC 2782 with a tag", question: "_web._v1.service.consul.", qtype: "A", want: lines("_web._v1.service.consul. 0 IN A 10.0.0.1")},
		{name: "RFC 2782 with a protocol that is no tag", question: "_web._udp.service.consul.", qtype: "SRV", want: nx},
		{name: "RFC 2782 without service", question: "_web._tcp.consul.", qtype: "SRV", want: lines("_web._tcp.consul. 0 IN SRV 1 1 80 n1.node.dc1.consul.", "+ n1.node.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "RFC 2782 without service, no SRV", question: "_web._tcp.consul.", qtype: "A", want: nx},

		{name: "address", question: "0a000001.addr.dc1.consul.", qtype: "A", want: lines("0a000001.addr.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "address of the other family", question: "0a000001.addr.consul.", qtype: "AAAA", want: lines("+ 0a000001.addr.consul. 0 IN A 10.0.0.1")},
		{name: "IPv6 address", question: "fd000000000000000000000000000006.addr.consul.", qtype: "AAAA", want: lines("fd000000000000000000000000000006.addr.consul. 0 IN AAAA fd00::6")},
		{name: "no address", question: "0a0000.addr.consul.", qtype: "A", want: nx},
		{name: "no digits", question: "0a00000g.addr.consul.", qtype: "A", want: nx},

		{name: "reverse of a node", question: "1.0.0.10.in-addr.arpa.", qtype: "PTR", want: lines("1.0.0.10.in-addr.arpa. 0 IN PTR n1.node.dc1.consul.")},
		{name: "reverse of a service", question: "1.0.1.10.in-addr.arpa.", qtype: "PTR", want: lines("1.0.1.10.in-addr.arpa. 0 IN PTR own.service.dc1.consul.")},
		{name: "reverse of IPv6", question: "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.", qtype: "PTR", want: lines("6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 0 IN PTR n6.node.dc1.consul.")},
		{name: "reverse of nobody", question: "9.0.0.10.in-addr.arpa.", qtype: "PTR", want: nx},
		{name: "reverse of no address", question: "x.in-addr.arpa.", qtype: "PTR", want: nx},

		{name: "SOA", question: "whatever.consul.", qtype: "SOA", want: lines("consul. 0 IN SOA ns.consul. hostmaster.consul. 0 3600 600 86400 0", "ns consul. 0 IN NS n1.node.dc1.consul.", "+ n1.node.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "NS", question: "consul.", qtype: "NS", want: lines("consul. 0 IN NS n1.node.dc1.consul.", "+ n1.node.dc1.consul. 0 IN A 10.0.0.1")},
		{name: "SOA times", question: "x.consul.", qtype: "A", change: func(c *Config) { c.Settings.SOA = SOA{1, 2, 3, 4} }, want: lines("NXDOMAIN", "ns consul. 4 IN SOA ns.consul. hostmaster.consul. 0 1 2 3 4")},
		{name: "AXFR", question: "consul.", qtype: "AXFR", want: lines("NOTIMP")},
		{name: "apex", question: "consul.", qtype: "A", want: nx},
		{name: "kind alone", question: "service.consul.", qtype: "A", want: nx},
		{name: "too many labels", question: "web.service.a.b.c.consul.", qtype: "A", want: nx},
		{name: "other zone", question: "example.com.", qtype: "A", want: lines("REFUSED")},
		{name: "zone that only ends alike", question: "n1.node.myconsul.", qtype: "A", want: lines("REFUSED")},
		{name: "the root", question: ".", qtype: "NS", want: lines("REFUSED")},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ask(t, testServer(t, catalog(), c.change), question(c.question, dns.StringToType[c.qtype]), overTCP)
			if d := cmp.Diff(sections(m), c.want); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
			if m.Authoritative != (m.Rcode != dns.RcodeRefused) || m.RecursionAvailable || !m.Response || m.Id != 4711 {
				t.Errorf("header %+v", m.MsgHdr)
			}
			if d := cmp.Diff(m.Question, question(c.question, dns.StringToType[c.qtype]).Question); d != "" {
				t.Errorf("question, got - want +:\n%s", d)
			}
		})
	}
}

func TestLookupThatFailsIsServerFailure(t *testing.T) {
	l := catalog()
	l.err = failure.New(failure.NoLeader, failure.TextNoLeader)
	for _, q := range []string{"n1.node.consul.", "web.service.consul.", "1.0.0.10.in-addr.arpa."} {
		if m := ask(t, testServer(t, l, nil), question(q, dns.TypeA), overUDP); m.Rcode != dns.RcodeServerFailure || len(m.Ns) > 0 {
			t.Errorf("%s: %v", q, sections(m))
		}
	}
}

func TestNamesThatLeadInCirclesEnd(t *testing.T) {
	m := ask(t, testServer(t, catalog(), nil), question("loop.service.consul.", dns.TypeA), overUDP)
	if len(m.Answer) == 0 || len(m.Answer) > maxDepth+1 {
		t.Errorf("answer %v", sections(m))
	}
}
