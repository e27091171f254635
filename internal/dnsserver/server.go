package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/connlimit"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/view"
)

// Sample takes times in milliseconds. Its methods must not block.
type Sample interface{ Observe(milliseconds float64) }

// Counter counts. Its methods must not block.
type Counter interface{ Inc() }

// Metrics are what a Server reports; each may be nil.
type Metrics struct {
	// Domain and Reverse take the time of each question about the own zones
	// and about addresses.
	Domain, Reverse Sample
	// ByType returns the counter of the questions of a type, such as "A". It
	// is called at New only.
	ByType func(qtype string) Counter
}

// Server answers questions. Build it with New and let it live in Run.
type Server struct {
	cfg     Config
	limits  Limits
	zones   []zone
	rules   atomic.Pointer[rules]
	log     *slog.Logger
	types   map[uint16]Counter
	other   Counter
	flights inFlight
	rates   rates
	waiting chan struct{}
	idle    sync.Pool // of *exchange, for questions that wait
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	conns   *connlimit.Limiter
	open    chan struct{} // one token a TCP connection
	wg      sync.WaitGroup
}

// New checks the configuration. It starts nothing; the sockets are the Server's
// from then on, and closed when Run ends.
func New(c Config) (*Server, error) {
	s := &Server{cfg: c, limits: c.Limits.withDefaults(), log: c.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, domain := range []string{c.Domain, c.AltDomain} {
		if domain == "" {
			continue
		}
		wire := zoneWire(domain)
		if len(wire) < 2 {
			return nil, fmt.Errorf("%q cannot be a DNS domain; change domain or alt_domain", domain)
		}
		s.zones = append(s.zones, zone{wire})
	}
	if len(s.zones) == 0 || c.Domain == "" || c.Lookup == nil {
		return nil, errors.New("a DNS server needs a domain and a lookup")
	}
	s.flights.count = map[string]int{}
	s.dial = (&net.Dialer{}).DialContext
	s.rates.perSecond = s.limits.WaitingPerSecond
	s.waiting, s.open = make(chan struct{}, s.limits.Waiting), make(chan struct{}, s.limits.Conns)
	s.conns = connlimit.New(s.limits.ConnsPerClient)
	s.idle.New = func() any { return newExchange(s) }
	s.countTypes()
	s.SetSettings(c.Settings)
	return s, nil
}

// countTypes resolves the counters of the usual types.
func (s *Server) countTypes() {
	if s.cfg.Metrics.ByType == nil {
		return
	}
	s.types = map[uint16]Counter{}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeANY, dns.TypeTXT, dns.TypeSOA, dns.TypeNS, dns.TypePTR, dns.TypeCNAME, dns.TypeMX, dns.TypeHTTPS} {
		s.types[t] = s.cfg.Metrics.ByType(dns.TypeToString[t])
	}
	s.other = s.cfg.Metrics.ByType("other")
}

// SetSettings puts settings in force for the questions to come. Recursors that
// are this Server itself are left out, with a warning: they would ask it back.
func (s *Server) SetSettings(settings Settings) {
	var recursors []string
	for _, at := range settings.Recursors {
		if s.isSelf(at) {
			s.log.Warn("a recursor is this agent itself and is left out", "recursor", at)
			continue
		}
		recursors = append(recursors, at)
	}
	settings.Recursors = recursors
	s.rules.Store(newRules(settings))
}

// isSelf reports whether a question sent to the address comes back here.
func (s *Server) isSelf(at string) bool {
	ap, err := netip.ParseAddrPort(at)
	if err != nil {
		return false
	}
	for _, pc := range s.cfg.Packets {
		own, err := netip.ParseAddrPort(pc.LocalAddr().String())
		if err != nil || own.Port() != ap.Port() {
			continue
		}
		if own.Addr().Unmap() == ap.Addr().Unmap() || own.Addr().IsUnspecified() && (ap.Addr().IsLoopback() || ownsAddress(ap.Addr())) {
			return true
		}
	}
	return false
}

// ownsAddress reports whether ip is one of this machine's.
func ownsAddress(ip netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && ipOf(n.IP) == ip.Unmap() {
			return true
		}
	}
	return false
}

func ipOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// zoneOf returns the own zone a name in wire form and lower case is in, or nil.
func (s *Server) zoneOf(name []byte) *zone {
	for at := 0; at < len(name); at += 1 + int(name[at]) {
		for i := range s.zones {
			if string(name[at:]) == string(s.zones[i].wire) {
				return &s.zones[i]
			}
		}
	}
	return nil
}

// measure reports a question that was answered.
func (s *Server) measure(req *request, own bool, start time.Time) {
	if s.types != nil {
		if c := s.types[req.qtype]; c != nil {
			c.Inc()
		} else {
			s.other.Inc()
		}
	}
	sample := s.cfg.Metrics.Domain
	if req.qtype == dns.TypePTR {
		sample = s.cfg.Metrics.Reverse
	}
	if own && sample != nil {
		sample.Observe(float64(time.Since(start)) / float64(time.Millisecond))
	}
}

// Run answers until ctx ends; then all sockets are closed and all questions
// answered or dropped. A socket that fails for good is an error.
func (s *Server) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, s.closeAll)
	for _, pc := range s.cfg.Packets {
		for range s.limits.Workers {
			s.wg.Go(func() { cancel(s.servePackets(ctx, pc)) })
		}
	}
	for _, ln := range s.cfg.Listeners {
		s.wg.Go(func() { cancel(s.serveConns(ctx, ln)) })
	}
	ready()
	<-ctx.Done()
	if stop() {
		s.closeAll()
	}
	s.wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (s *Server) closeAll() {
	for _, pc := range s.cfg.Packets {
		_ = pc.Close()
	}
	for _, ln := range s.cfg.Listeners {
		_ = ln.Close()
	}
}

// maxQuestionBytes is the longest question that is read from a packet.
const maxQuestionBytes = 4096

// socketPause keeps a socket that fails at once, again and again, from taking a
// whole processor.
const socketPause = 100 * time.Millisecond

// servePackets answers what comes over one packet socket. Several of them share
// a socket; none of them ever waits for anything but the socket.
func (s *Server) servePackets(ctx context.Context, pc net.PacketConn) error {
	socket := newSocket(pc)
	x := newExchange(s)
	buffer := make([]byte, maxQuestionBytes)
	for failed := 0; ; failed++ {
		n, from, err := socket.read(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read from DNS socket %v: %w", pc.LocalAddr(), err)
		case err != nil: // such as what the last answer met; the socket goes on
			if failed > 100 {
				backoff.Pause(ctx, socketPause)
			}
			continue
		}
		failed = 0
		answer, err := x.answer(ctx, buffer[:n], overUDP, false)
		if errors.Is(err, view.ErrNotHere) {
			if !s.later(ctx, append([]byte(nil), buffer[:n]...), socket, from) {
				x.fail(dns.RcodeServerFailure)
				answer = x.msg.finish(&x.req, plainUDPBytes)
			}
		}
		if answer != nil {
			_ = socket.write(answer, from) // a client that is gone needs no answer
		}
	}
}

// later answers a packet that memory cannot answer, without holding up its
// reader. It reports false if there is no room.
func (s *Server) later(ctx context.Context, packet []byte, socket socket, from sender) bool {
	if !s.rates.allow(from.ip(), time.Now()) {
		return false
	}
	select {
	case s.waiting <- struct{}{}:
	default:
		return false
	}
	s.wg.Go(func() {
		defer func() { <-s.waiting }()
		if answer, x := s.patiently(ctx, packet, overUDP); x != nil {
			if answer != nil {
				_ = socket.write(answer, from)
			}
			s.idle.Put(x)
		}
	})
	return true
}

// patiently answers a question that may leave memory. The answer is the
// exchange's; the caller puts it back.
func (s *Server) patiently(ctx context.Context, packet []byte, via transport) ([]byte, *exchange) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	x, _ := s.idle.Get().(*exchange)
	answer, err := x.answer(ctx, packet, via, true)
	if err != nil { // a lookup that does not keep to its word
		x.fail(dns.RcodeServerFailure)
		answer = x.msg.finish(&x.req, x.limit())
	}
	return answer, x
}

// serveConns answers what comes over connections.
func (s *Server) serveConns(ctx context.Context, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept DNS connections on %v: %w", ln.Addr(), err)
		case err != nil:
			s.log.Warn("a DNS connection could not be accepted", logging.KeyError, err)
			backoff.Pause(ctx, socketPause)
			continue
		}
		if !s.admit(ctx, conn) {
			_ = conn.Close()
		}
	}
}

// admit serves a connection, if there is room for it.
func (s *Server) admit(ctx context.Context, conn net.Conn) bool {
	release, ok := s.conns.Acquire(conn.RemoteAddr())
	if !ok {
		return false
	}
	select {
	case s.open <- struct{}{}:
	default:
		release()
		return false
	}
	s.wg.Go(func() {
		defer func() { <-s.open }()
		defer release()
		defer conn.Close() // nothing depends on it
		defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
		s.serveConn(ctx, conn)
	})
	return true
}

// serveConn answers the questions of one connection, one after the other.
func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	ip := connIP(conn)
	for ctx.Err() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(s.limits.Idle))
		packet, err := readFramed(conn)
		if err != nil {
			return
		}
		answer, x := s.overConn(ctx, packet, ip)
		if answer == nil {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(s.limits.Idle))
		framed := append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)
		s.idle.Put(x)
		if _, err := conn.Write(framed); err != nil {
			return
		}
	}
}

// overConn answers from memory if it can; a question that cannot be answered so
// counts against the client's rate.
func (s *Server) overConn(ctx context.Context, packet []byte, ip netip.Addr) ([]byte, *exchange) {
	x, _ := s.idle.Get().(*exchange)
	answer, err := x.answer(ctx, packet, overTCP, false)
	if err == nil {
		return answer, x
	}
	if !s.rates.allow(ip, time.Now()) {
		x.fail(dns.RcodeServerFailure)
		return x.msg.finish(&x.req, x.limit()), x
	}
	s.idle.Put(x)
	return s.patiently(ctx, packet, overTCP)
}

func connIP(conn net.Conn) netip.Addr {
	ap, _ := netip.ParseAddrPort(strings.TrimSpace(conn.RemoteAddr().String()))
	return ap.Addr().Unmap()
}
