package dnsserver

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/view"
)

// many is a service of n instances, each with a node of its own.
func many(n int) *view.Service {
	s := &view.Service{}
	for i := range n {
		ip := netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)})
		node := &view.Node{Name: fmt.Sprintf("node-%d", i), Address: view.Address{Text: ip.String(), IP: ip}}
		s.Instances = append(s.Instances, view.Instance{Node: node, Port: 80, Weight: 1})
	}
	return s
}

func withEDNS(q *dns.Msg, size uint16) *dns.Msg {
	if size > 0 {
		q.SetEdns0(size, false)
	}
	return q
}

// TestAnswersFit asks for services of every size over every transport: the
// answer must fit, be readable, and say what belongs together.
func TestAnswersFit(t *testing.T) {
	for _, n := range []int{1, 3, 4, 12, 40, 100, 1000, 2000} {
		l := catalog()
		l.services["/many"] = many(n)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
			for _, c := range []struct {
				name string
				via  transport
				edns uint16
				size int
				most int
			}{
				{"UDP", overUDP, 0, 512, 3}, {"EDNS 512", overUDP, 512, 512, 3}, {"EDNS 1232", overUDP, 1232, 1232, 4096}, {"EDNS 4096", overUDP, 4096, 4096, 4096},
				{"EDNS largest", overUDP, 65535, maxUDPBytes, 4096}, {"TCP", overTCP, 0, maxTCPBytes, map[uint16]int{dns.TypeA: 4096, dns.TypeSRV: 1024}[qtype]},
			} {
				for _, tc := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d/%s/truncate=%v", dns.TypeToString[qtype], n, c.name, tc), func(t *testing.T) {
						s := testServer(t, l, func(c *Config) { c.Settings.EnableTruncate = tc })
						raw, err := withEDNS(question("many.service.consul.", qtype), c.edns).Pack()
						if err != nil {
							t.Fatal(err)
						}
						out, err := newExchange(s).answer(t.Context(), raw, c.via, false)
						var m dns.Msg
						if err != nil || m.Unpack(out) != nil {
							t.Fatalf("%v: %x", err, out)
						}
						got, whole := len(m.Answer), min(n, c.most)
						if len(out) > c.size || got == 0 || got > whole {
							t.Fatalf("%d bytes, %d of %d answers", len(out), got, whole)
						}
						if room := c.size - len(out); got < whole && room > 120 {
							t.Errorf("%d of %d answers, although %d bytes are free", got, whole, room)
						}
						if m.Truncated != (tc && got < n) {
							t.Errorf("TC is %v with %d of %d", m.Truncated, got, n)
						}
						checkTargets(t, &m)
						if opt := m.IsEdns0(); (opt != nil) != (c.edns > 0) || opt != nil && opt.UDPSize() != c.edns {
							t.Errorf("OPT is %v", opt)
						}
					})
				}
			}
		}
	}
}

// checkTargets compares the targets of SRV records with the addresses given.
func checkTargets(t *testing.T, m *dns.Msg) {
	t.Helper()
	targets := map[string]bool{}
	for _, rr := range m.Answer {
		if srv, ok := rr.(*dns.SRV); ok {
			targets[srv.Target] = true
		}
	}
	for _, rr := range m.Extra {
		if a, ok := rr.(*dns.A); ok {
			if !targets[a.Hdr.Name] {
				t.Errorf("an address of %s, which is no target", a.Hdr.Name)
			}
			delete(targets, a.Hdr.Name)
		}
	}
	if len(targets) > 0 {
		t.Errorf("%d targets have no address", len(targets))
	}
}

func TestCountsOfAnswers(t *testing.T) {
	l := catalog()
	l.services["/many"] = many(20)
	for _, c := range []struct {
		name   string
		change func(*Settings)
		qtype  uint16
		via    transport
		want   int
		tc     bool
	}{
		{"default over UDP", func(*Settings) {}, dns.TypeA, overUDP, 3, true},
		{"higher limit", func(s *Settings) { s.UDPAnswerLimit = 5 }, dns.TypeA, overUDP, 5, true},
		{"never above eight", func(s *Settings) { s.UDPAnswerLimit = 50 }, dns.TypeA, overUDP, 8, true},
		{"a_record_limit over TCP", func(s *Settings) { s.ARecordLimit = 2 }, dns.TypeA, overTCP, 2, false},
		{"a_record_limit is not for SRV", func(s *Settings) { s.ARecordLimit = 2 }, dns.TypeSRV, overTCP, 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := testServer(t, l, func(cfg *Config) { cfg.Settings.EnableTruncate = true; c.change(&cfg.Settings) })
			m := ask(t, s, question("many.service.consul.", c.qtype), c.via)
			if len(m.Answer) != c.want || m.Truncated != c.tc {
				t.Errorf("%d answers, TC %v; want %d, %v", len(m.Answer), m.Truncated, c.want, c.tc)
			}
		})
	}
}

func TestAnswersAreShuffled(t *testing.T) {
	l := catalog()
	l.services["/many"] = many(4)
	x := newExchange(testServer(t, l, nil))
	raw, _ := question("many.service.consul.", dns.TypeA).Pack()
	first := map[string]int{}
	for range 400 {
		out, err := x.answer(t.Context(), raw, overTCP, false)
		var m dns.Msg
		if err != nil || m.Unpack(out) != nil {
			t.Fatal(err)
		}
		first[m.Answer[0].(*dns.A).A.String()]++
	}
	for ip, n := range first {
		if n < 40 {
			t.Errorf("%s came first %d times of 400", ip, n)
		}
	}
	if len(first) != 4 {
		t.Errorf("first were %v", first)
	}
}

// TestPackets pins whole messages, byte by byte.
func TestPackets(t *testing.T) {
	for _, c := range []struct{ name, question, want string }{
		{"A", "12670100000100000000000003776562077365727669636506636f6e73756c0000010001",
			"126785000001000100000000" + "03776562077365727669636506636f6e73756c0000010001" + "c00c0001000100000000" + "00040a000001"},
		{"SRV, the target in full and the address pointing at it", "12670000000100000000000003776562077365727669636506636f6e73756c0000210001",
			"126784000001000100000001" + "03776562077365727669636506636f6e73756c0000210001" + "c00c0021000100000000" + "001a00010001005002" + "6e31046e6f646503646331" + "06636f6e73756c00" + "c036000100010000000000040a000001"},
		{"NXDOMAIN with SOA", "12670100000100000000000001780663 6f6e73756c0000010001",
			"126785030001000000010000" + "017806636f6e73756c0000010001" + "c00e0006000100000000" + "0026026e73c00e0a686f73746d6173746572c00eSERIAL__00000e10000002580001518000000000"},
		{"OPT with a client subnet", "126701000001000000000001" + "03776562077365727669636506636f6e73756c0000010001" + "0000291000000080 00 000b 0008 0007 0001 18 00 0a0102",
			"126785000001000100000001" + "03776562077365727669636506636f6e73756c0000010001" + "c00c000100010000000000040a000001" + "0000291000000080 00 000b 0008 0007 0001 18 00 0a0102"},
		{"OPT of a later version", "126700000001000000000001" + "0178000001 0001" + "00002904d000010000 0000", "126780000001000000000001" + "0178000001 0001" + "00002904d001000000 0000"},
		{"two questions", "126700000002000000000000" + "0178000001 0001" + "0178000001 0001", "126780010000000000000000"},
		{"name cut short", "126700000001000000000000" + "05", "126780010000000000000000"},
		{"pointer in the question", "126700000001000000000000" + "c00c00010001", "126780010000000000000000"},
		{"update", "126728000001000000000000" + "0178000001 0001", "1267a8040000000000000000"},
		{"answer", "126780000001000000000000" + "0178000001 0001", ""},
		{"less than a header", "1267", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := hex.DecodeString(strings.ReplaceAll(c.question, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			out, err := newExchange(testServer(t, catalog(), nil)).answer(t.Context(), raw, overUDP, false)
			if err != nil {
				t.Fatal(err)
			}
			got, want := hex.EncodeToString(out), strings.ReplaceAll(c.want, " ", "")
			if i := strings.Index(want, "SERIAL__"); i >= 0 && len(got) == len(want) {
				want = want[:i] + got[i:i+8] + want[i+8:]
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestAllocations holds the price of an answer from memory.
func TestAllocations(t *testing.T) {
	l := catalog()
	l.services["/many"] = many(3)
	x := newExchange(testServer(t, l, nil))
	for _, c := range []struct {
		name  string
		qtype uint16
		most  float64
	}{{"many.service.consul.", dns.TypeA, 3}, {"many.service.consul.", dns.TypeSRV, 3}, {"n2.node.consul.", dns.TypeA, 3}} {
		raw, _ := question(c.name, c.qtype).Pack()
		got := testing.AllocsPerRun(200, func() {
			if _, err := x.answer(t.Context(), raw, overUDP, false); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.most {
			t.Errorf("%s %s: %v allocations, want at most %v", c.name, dns.TypeToString[c.qtype], got, c.most)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	l := catalog()
	l.services["/many"] = many(3)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
		b.Run(dns.TypeToString[qtype], func(b *testing.B) {
			x := newExchange(testServer(b, l, nil))
			raw, _ := question("many.service.consul.", qtype).Pack()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.answer(b.Context(), raw, overUDP, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzAnswer feeds anything: the answer, if there is one, must be readable, fit
// and belong to the question.
func FuzzAnswer(f *testing.F) {
	l := catalog()
	l.services["/many"] = many(300)
	for _, q := range []*dns.Msg{
		question("many.service.consul.", dns.TypeSRV), withEDNS(question("meta.service.consul.", dns.TypeSRV), 1232), question("consul.", dns.TypeSOA),
		question("1.0.0.10.in-addr.arpa.", dns.TypePTR), question("_a._b.service.x.dc.consul.", dns.TypeANY), question("loop.service.consul.", dns.TypeA),
		withEDNS(question("n2.node.consul.", dns.TypeTXT), 100),
	} {
		raw, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, false)
		f.Add(raw, true)
	}
	s := testServer(f, l, nil)
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		via := overUDP
		if tcp {
			via = overTCP
		}
		x := newExchange(s)
		out, err := x.answer(t.Context(), packet, via, true)
		if err != nil {
			t.Fatal(err)
		}
		if out == nil {
			return
		}
		var m dns.Msg
		if err := m.Unpack(out); err != nil {
			t.Fatalf("question %x: %v in %x", packet, err, out)
		}
		if len(out) > x.limit() && len(m.Answer) > 0 || !m.Response || out[0] != packet[0] || out[1] != packet[1] {
			t.Fatalf("question %x: answer %x", packet, out)
		}
	})
}
