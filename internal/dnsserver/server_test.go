package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a Server on sockets of this machine.
type running struct {
	*Server
	udp, tcp string
}

func start(t *testing.T, l Lookup, change func(*Config)) running {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, pc, ln, l, change)
}

func startOn(t *testing.T, pc net.PacketConn, ln net.Listener, l Lookup, change func(*Config)) running {
	t.Helper()
	s := testServer(t, l, func(c *Config) {
		c.Packets, c.Listeners = []net.PacketConn{pc}, []net.Listener{ln}
		if change != nil {
			change(c)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return running{s, pc.LocalAddr().String(), ln.Addr().String()}
}

// patience bounds waits for what must happen.
const patience = time.Minute

func exchangeWith(t *testing.T, network, at string, q *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: patience}
	m, _, err := c.Exchange(q, at)
	if err != nil {
		t.Fatalf("%s over %s: %v", q.Question[0].Name, network, err)
	}
	return m
}

func TestClientsOverSockets(t *testing.T) {
	l := catalog()
	l.services["/many"] = many(500)
	r := start(t, l, nil)
	for network, at := range map[string]string{"udp": r.udp, "tcp": r.tcp} {
		m := exchangeWith(t, network, at, question("Web.Service.Consul.", dns.TypeSRV))
		want := []string{"Web.Service.Consul. 0 IN SRV 1 1 80 n1.node.dc1.consul.", "+ n1.node.dc1.consul. 0 IN A 10.0.0.1"}
		if d := cmp.Diff(sections(m), want); d != "" {
			t.Errorf("%s, got - want +:\n%s", network, d)
		}
	}
	if n := len(exchangeWith(t, "tcp", r.tcp, question("many.service.consul.", dns.TypeSRV)).Answer); n != 500 {
		t.Errorf("%d answers over TCP", n)
	}
}

func TestAnswersComeFromTheAskedAddress(t *testing.T) {
	pc, err := net.ListenPacket("udp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := startOn(t, pc, ln, catalog(), nil)
	_, port, _ := net.SplitHostPort(r.udp)
	// A connected socket takes answers only from the address it asked.
	m := exchangeWith(t, "udp", net.JoinHostPort("127.0.0.1", port), question("n1.node.consul.", dns.TypeA))
	if len(m.Answer) != 1 {
		t.Errorf("answer %v", m)
	}
}

func TestSeveralQuestionsOnOneConnection(t *testing.T) {
	r := start(t, catalog(), nil)
	c := dns.Client{Net: "tcp", Timeout: patience}
	conn, err := c.Dial(r.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		m, _, err := c.ExchangeWithConn(question("n1.node.consul.", dns.TypeA), conn)
		if err != nil || len(m.Answer) != 1 {
			t.Fatal(m, err)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	r := start(t, catalog(), func(c *Config) { c.Limits.ConnsPerClient = 1 })
	c := dns.Client{Net: "tcp", Timeout: patience}
	first, err := c.Dial(r.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, _, err := c.ExchangeWithConn(question("n1.node.consul.", dns.TypeA), first); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Exchange(question("n1.node.consul.", dns.TypeA), r.tcp); err == nil {
		t.Error("a second connection was answered")
	}
}

// blockingLookup holds lookups that may wait until it is let go.
type blockingLookup struct {
	*fakeLookup
	entered chan struct{}
	release chan struct{}
}

func (b *blockingLookup) Service(ctx context.Context, dc, name string, o view.Options) (*view.Service, error) {
	if name != "slow" {
		return b.fakeLookup.Service(ctx, dc, name, o)
	}
	if !o.Wait {
		return nil, view.ErrNotHere
	}
	b.entered <- struct{}{}
	select {
	case <-b.release:
		return b.services["/web"], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestQuestionsThatWaitDoNotHoldUpOthers(t *testing.T) {
	b := &blockingLookup{catalog(), make(chan struct{}, 10), make(chan struct{})}
	r := start(t, b, func(c *Config) { c.Limits.Workers, c.Limits.Waiting, c.Limits.Timeout = 1, 2, patience })
	answers := make(chan *dns.Msg, 2)
	for range 2 {
		go func() {
			m, _, _ := (&dns.Client{Timeout: patience}).Exchange(question("slow.service.consul.", dns.TypeA), r.udp)
			answers <- m
		}()
	}
	<-b.entered
	<-b.entered
	if m := exchangeWith(t, "udp", r.udp, question("web.service.consul.", dns.TypeA)); len(m.Answer) != 1 {
		t.Errorf("beside those that wait: %v", m)
	}
	if m := exchangeWith(t, "udp", r.udp, question("slow.service.consul.", dns.TypeA)); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("one too many that waits: %v", m)
	}
	close(b.release)
	for range 2 {
		if m := <-answers; m == nil || len(m.Answer) != 1 {
			t.Errorf("one that waited: %v", m)
		}
	}
}

func TestRate(t *testing.T) {
	var r rates
	r.perSecond = 2
	now, a, b := time.Unix(100, 0), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	got := []bool{r.allow(a, now), r.allow(a, now), r.allow(a, now), r.allow(b, now), r.allow(a, now.Add(500*time.Millisecond)), r.allow(a, now.Add(500*time.Millisecond))}
	if d := cmp.Diff(got, []bool{true, true, false, true, true, false}); d != "" {
		t.Errorf("got - want +:\n%s", d)
	}
}

// recursor is another DNS server; it counts what it is asked.
type recursor struct {
	at    string
	asked atomic.Int32
	names chan string
}

// bothPorts opens UDP and TCP at the same port: the system knows which are free
// for one of them only.
func bothPorts(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		_ = pc.Close()
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

func startRecursor(t *testing.T, answer func(w dns.ResponseWriter, q *dns.Msg)) *recursor {
	t.Helper()
	pc, ln := bothPorts(t)
	r := &recursor{at: pc.LocalAddr().String(), names: make(chan string, 100)}
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r.asked.Add(1)
		r.names <- q.Question[0].Name
		answer(w, q)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: ln, Handler: h}} {
		up, done := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	return r
}

func reply(records ...string) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	}
}

func code(rcode int) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(q, rcode)) }
}

func TestRecursors(t *testing.T) {
	good := startRecursor(t, reply("www.example.com. 9 IN A 192.0.2.1"))
	failing, refusing, missing := startRecursor(t, code(dns.RcodeServerFailure)), startRecursor(t, code(dns.RcodeRefused)), startRecursor(t, code(dns.RcodeNameError))
	for _, c := range []struct {
		name, question, network string
		recursors               []*recursor
		want                    []string
	}{
		{"relayed", "www.example.com.", "udp", []*recursor{good}, []string{"www.example.com. 9 IN A 192.0.2.1"}},
		{"relayed over TCP", "www.example.com.", "tcp", []*recursor{good}, []string{"www.example.com. 9 IN A 192.0.2.1"}},
		{"the next one after failures", "www.example.com.", "udp", []*recursor{failing, refusing, good}, []string{"www.example.com. 9 IN A 192.0.2.1"}},
		{"a name that does not exist", "www.example.com.", "udp", []*recursor{missing, good}, []string{"NXDOMAIN"}},
		{"all fail", "www.example.com.", "udp", []*recursor{failing, refusing}, []string{"SERVFAIL"}},
		{"service that is a name elsewhere", "far.service.consul.", "udp", []*recursor{good}, []string{"far.service.consul. 0 IN CNAME www.example.com.", "www.example.com. 0 IN A 192.0.2.1"}},
		{"unknown reverse name", "9.0.0.10.in-addr.arpa.", "udp", []*recursor{missing}, []string{"NXDOMAIN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, catalog(), func(cfg *Config) {
				for _, rec := range c.recursors {
					cfg.Settings.Recursors = append(cfg.Settings.Recursors, rec.at)
				}
			})
			m := exchangeWith(t, c.network, map[string]string{"udp": r.udp, "tcp": r.tcp}[c.network], withEDNS(question(c.question, dns.TypeA), 1232))
			if d := cmp.Diff(sections(m), c.want); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
			if !m.RecursionAvailable || m.Id != 4711 {
				t.Errorf("header %+v", m.MsgHdr)
			}
		})
	}
}

// TestSilentRecursors has one that takes the question and says nothing.
func TestSilentRecursors(t *testing.T) {
	for _, via := range []transport{overUDP, overTCP} {
		synctest.Test(t, func(t *testing.T) {
			s := testServer(t, catalog(), func(c *Config) {
				c.Settings.Recursors = []string{"192.0.2.53:53", "192.0.2.54:53"}
				c.Settings.RecursorTimeout = 7 * time.Second
			})
			var asked []string
			s.dial = func(_ context.Context, _, address string) (net.Conn, error) {
				asked = append(asked, address)
				ours, theirs := net.Pipe()
				t.Cleanup(func() { theirs.Close() })
				go io.Copy(io.Discard, theirs) // ends with the pipe
				return ours, nil
			}
			began := time.Now()
			m := ask(t, s, question("www.example.com.", dns.TypeA), via)
			if m.Rcode != dns.RcodeServerFailure || len(asked) != 2 || time.Since(began) != 14*time.Second {
				t.Errorf("%v after %v, asked %v", m, time.Since(began), asked)
			}
		})
	}
}

func TestOwnNamesNeverLeave(t *testing.T) {
	rec := startRecursor(t, code(dns.RcodeNameError))
	r := start(t, catalog(), func(c *Config) { c.Settings.Recursors = []string{rec.at} })
	for _, q := range []string{"nope.consul.", "n9.node.CONSUL.", "x.other.test.", "consul.", "nope.service.dc9.consul."} {
		if m := exchangeWith(t, "udp", r.udp, question(q, dns.TypeA)); m.Rcode != dns.RcodeNameError || !m.Authoritative {
			t.Errorf("%s: %v", q, m)
		}
	}
	if n := rec.asked.Load(); n > 0 {
		t.Errorf("the recursor was asked for %s", <-rec.names)
	}
}

func TestLoopsEnd(t *testing.T) {
	t.Run("the agent itself", func(t *testing.T) {
		r := start(t, catalog(), nil)
		settings := DefaultSettings()
		settings.Recursors = []string{r.udp}
		r.SetSettings(settings)
		if m := exchangeWith(t, "udp", r.udp, question("example.com.", dns.TypeA)); m.Rcode != dns.RcodeRefused {
			t.Errorf("answer %v", m)
		}
	})
	t.Run("a recursor that asks back", func(t *testing.T) {
		var back atomic.Pointer[string]
		rec := startRecursor(t, func(w dns.ResponseWriter, q *dns.Msg) {
			m, _, err := (&dns.Client{Timeout: patience}).Exchange(q, *back.Load())
			if err != nil {
				m = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			}
			m.Id = q.Id
			_ = w.WriteMsg(m)
		})
		r := start(t, catalog(), func(c *Config) {
			c.Settings.Recursors, c.Limits.Timeout = []string{rec.at}, patience
		})
		back.Store(&r.udp)
		if m := exchangeWith(t, "udp", r.udp, question("example.com.", dns.TypeA)); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("answer %v", m)
		}
		if n := rec.asked.Load(); n > maxSameQuestion {
			t.Errorf("the recursor was asked %d times", n)
		}
	})
}

func TestForgedAnswersAreNotTaken(t *testing.T) {
	rec := startRecursor(t, func(w dns.ResponseWriter, q *dns.Msg) {
		forged := new(dns.Msg).SetReply(q)
		forged.Id++
		_ = w.WriteMsg(forged)
		forged = new(dns.Msg).SetReply(question("evil.example.", dns.TypeA))
		forged.Id = q.Id
		_ = w.WriteMsg(forged)
		reply("www.example.com. 9 IN A 192.0.2.1")(w, q)
	})
	r := start(t, catalog(), func(c *Config) { c.Settings.Recursors = []string{rec.at} })
	if m := exchangeWith(t, "udp", r.udp, question("www.example.com.", dns.TypeA)); len(m.Answer) != 1 {
		t.Errorf("answer %v", m)
	}
}

type samples struct{ n atomic.Int32 }

func (s *samples) Observe(float64) { s.n.Add(1) }
func (s *samples) Inc()            { s.n.Add(1) }

func TestMetrics(t *testing.T) {
	var domain, reverse, srv, other samples
	s := testServer(t, catalog(), func(c *Config) {
		c.Metrics = Metrics{Domain: &domain, Reverse: &reverse, ByType: func(qtype string) Counter {
			switch qtype {
			case "SRV":
				return &srv
			case "other":
				return &other
			}
			return &samples{}
		}}
	})
	ask(t, s, question("web.service.consul.", dns.TypeSRV), overUDP)
	ask(t, s, question("web.service.consul.", dns.TypeLOC), overUDP)
	ask(t, s, question("1.0.0.10.in-addr.arpa.", dns.TypePTR), overUDP)
	ask(t, s, question("example.com.", dns.TypeSRV), overUDP)
	if got, want := fmt.Sprint(domain.n.Load(), reverse.n.Load(), srv.n.Load(), other.n.Load()), "2 1 2 1"; got != want {
		t.Errorf("domain, reverse, SRV and other are %s, want %s", got, want)
	}
}

func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dig is not installed: scripts/test-deps.sh installs it")
		}
		t.Skip("dig is not installed")
	}
	r := start(t, catalog(), nil)
	host, port, _ := net.SplitHostPort(r.udp)
	out, err := exec.Command(dig, "@"+host, "-p", port, "+short", "web.service.consul", "SRV").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1 1 80 n1.node.dc1.consul." {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRubbishDoesNotStopTheServer(t *testing.T) {
	r := start(t, catalog(), nil)
	udp, err := net.Dial("udp", r.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := net.Dial("tcp", r.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for n := range 40 {
		rubbish := []byte(strings.Repeat("\xff\x07", n))
		_, _ = udp.Write(rubbish)
		_, _ = tcp.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(rubbish))), rubbish...))
	}
	if m := exchangeWith(t, "udp", r.udp, question("n1.node.consul.", dns.TypeA)); len(m.Answer) != 1 {
		t.Errorf("answer %v", m)
	}
}
