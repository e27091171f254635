package tlsconf

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// What is spoken over TLS on the port agents share, as ALPN names it. They are
// part of what agents of different versions agree on.
const (
	ProtocolRaft = "ctl-raft" // between servers
	ProtocolRPC  = "ctl-rpc"  // calls of any agent to a server
	// ProtocolSign is the one call an agent without a certificate may make: to
	// ask for one.
	ProtocolSign = "ctl-sign"
)

// Config is what a Store is made of.
type Config struct {
	// InternalRPC is for the port agents share, HTTPS for the HTTP API.
	InternalRPC, HTTPS Settings
	// ServesHTTPS says that HTTPS is served. Where it is not, the settings of
	// HTTPS do not count.
	ServesHTTPS bool
	// Server says that this agent is one, and that its certificate must show
	// it where verify_server_hostname is set.
	Server             bool
	Datacenter, Domain string
	// Automatic says that this agent gets its certificate from the servers:
	// see SetAutomatic.
	Automatic bool
	// Signs says that this server gives certificates to agents that have none.
	Signs bool
	// HandshakeTimeout bounds handshakes this agent begins; zero is 5 s.
	HandshakeTimeout time.Duration
	Logger           *slog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Store holds the certificates in force and hands out TLS configurations that
// always use them. All methods may be called by any number of goroutines.
type Store struct {
	cfg     Config
	log     *slog.Logger
	journal *Journal
	rules   struct{ rpc, https rules }

	mu   sync.Mutex // held while a new state is made of the old one
	now  atomic.Pointer[state]
	last error // what the last look at the files found wrong; under mu
	woke chan struct{}
}

// state is everything in force at one moment. It is never changed.
type state struct {
	rpc, https Settings // the files
	files      [2]material

	automatic *tls.Certificate    // from the servers; nil without
	trusted   []*x509.Certificate // the cluster's own authorities

	incoming  *tls.Config // of the shared port; nil without a certificate
	signing   *tls.Config // of ProtocolSign; nil where it is off
	secure    *tls.Config // of HTTPS; nil without a certificate
	outgoing  map[string]*tls.Config
	fileRoots *x509.CertPool // from files, for internal_rpc; nil without
	autoRoots *x509.CertPool // the cluster's own; nil without
}

const (
	rpcName   = "tls.internal_rpc"
	httpsName = "tls.https"
)

// New reads the files and returns a Store. It fails where a file cannot be used
// or the settings contradict each other, and names the setting and the file.
func New(cfg Config) (*Store, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HandshakeTimeout == 0 {
		cfg.HandshakeTimeout = 5 * time.Second
	}
	cfg.HTTPS = cfg.https(cfg.HTTPS)
	s := &Store{cfg: cfg, log: cfg.Logger, journal: NewJournal(cfg.Logger), woke: make(chan struct{}, 1)}
	var err error
	if s.rules.rpc, err = cfg.InternalRPC.rules(rpcName); err != nil {
		return nil, err
	}
	if s.rules.https, err = cfg.HTTPS.rules(httpsName); err != nil {
		return nil, err
	}
	if err := s.consistent(); err != nil {
		return nil, err
	}
	first, err := s.read(&state{}, cfg.InternalRPC, cfg.HTTPS)
	if err != nil {
		return nil, err
	}
	s.now.Store(first)
	return s, nil
}

func (c Config) https(s Settings) Settings {
	if !c.ServesHTTPS {
		return Settings{}
	}
	return s
}

// consistent checks what settings need of each other.
func (s *Store) consistent() error {
	rpc, https := s.cfg.InternalRPC, s.cfg.HTTPS
	const nothing = "is set, but neither ca_file nor ca_path is: there is nothing to verify certificates with; set one of them"
	switch {
	case s.cfg.Server && rpc.VerifyIncoming && !rpc.hasCA():
		return fmt.Errorf("%s.verify_incoming %s", rpcName, nothing)
	case s.cfg.Server && rpc.VerifyIncoming && !rpc.HasCertificate():
		return fmt.Errorf("%s.verify_incoming is set, but cert_file and key_file are not: nobody could connect to this server; set them", rpcName)
	case s.outgoingTLS() && !rpc.hasCA():
		return fmt.Errorf("%s %s", s.whyOutgoing(), nothing)
	case s.cfg.Signs && !rpc.HasCertificate():
		return fmt.Errorf("auto_encrypt.allow_tls is set, but this server has no certificate: set %s.cert_file and key_file, or those of tls.defaults", rpcName)
	case s.cfg.ServesHTTPS && !https.HasCertificate() && !s.cfg.Automatic:
		return fmt.Errorf("ports.https is on, but the agent has no certificate for it: set %s.cert_file and key_file, or those of tls.defaults", httpsName)
	case s.cfg.ServesHTTPS && https.VerifyIncoming && !https.hasCA():
		return fmt.Errorf("%s.verify_incoming %s", httpsName, nothing)
	}
	return nil
}

// outgoingTLS reports whether connections to servers are TLS.
func (s *Store) outgoingTLS() bool {
	return s.cfg.InternalRPC.VerifyOutgoing || s.cfg.InternalRPC.VerifyServerHostname || s.cfg.Automatic
}

// whyOutgoing names the setting because of which they are.
func (s *Store) whyOutgoing() string {
	switch {
	case s.cfg.InternalRPC.VerifyOutgoing:
		return rpcName + ".verify_outgoing"
	case s.cfg.InternalRPC.VerifyServerHostname:
		return rpcName + ".verify_server_hostname"
	}
	return "auto_encrypt.tls"
}

// demandsRole reports whether who claims to be a server must show it.
func (s *Store) demandsRole() bool {
	return s.cfg.InternalRPC.VerifyServerHostname && s.cfg.InternalRPC.VerifyIncoming
}

// ServerName is the name a server's certificate has to be for.
func (s *Store) ServerName() string { return issue.Server.Name(s.cfg.Datacenter, s.cfg.Domain) }

// read makes a new state of the files and what old has besides.
func (s *Store) read(old *state, rpc, https Settings) (*state, error) {
	now := s.cfg.Now()
	next := &state{rpc: rpc, https: https, automatic: old.automatic, trusted: old.trusted}
	var warnings []string
	for i, b := range []struct {
		name string
		set  Settings
	}{{rpcName, rpc}, {httpsName, https}} {
		m, more, err := loader{b.name, now}.load(b.set)
		if err != nil {
			return nil, err
		}
		next.files[i] = m
		warnings = append(warnings, more...)
	}
	if err := s.ownRole(next.files[0]); err != nil {
		return nil, err
	}
	s.build(next)
	if !next.differs(old) {
		return next, nil // nothing new to say
	}
	for _, w := range slices.Compact(warnings) {
		s.log.Warn(w)
	}
	if m := next.files[0]; m.cert != nil && next.fileRoots != nil {
		if err := s.leadsTo(m.cert.Leaf, between(m.cert), next.fileRoots, x509.ExtKeyUsageAny, ""); err != nil {
			s.log.Warn("the agent's certificate does not lead to its own authorities: agents with the same ca_file refuse it", "file", m.source, "error", Explain(err))
		}
	}
	return next, nil
}

// differs reports whether files have other contents than those of old.
func (st *state) differs(old *state) bool {
	return st.files[0].digest != old.files[0].digest || st.files[1].digest != old.files[1].digest
}

// ownRole fails where this server's own certificate could not be one's.
func (s *Store) ownRole(m material) error {
	if !s.cfg.Server || m.cert == nil {
		return nil
	}
	leaf := m.cert.Leaf
	for _, u := range []struct {
		usage x509.ExtKeyUsage
		text  string
	}{{x509.ExtKeyUsageServerAuth, "server"}, {x509.ExtKeyUsageClientAuth, "client"}} {
		used := s.cfg.InternalRPC.VerifyIncoming || u.usage == x509.ExtKeyUsageServerAuth
		if used && len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, u.usage) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
			return fmt.Errorf("%s.cert_file: %s: the certificate may not be used as a TLS %s (extended key usage), which a server needs", rpcName, m.source, u.text)
		}
	}
	if !s.cfg.InternalRPC.VerifyServerHostname {
		return nil
	}
	if err := leaf.VerifyHostname(s.ServerName()); err != nil {
		return fmt.Errorf("%s.cert_file: %s: the certificate is for %s, not for %s, as verify_server_hostname demands of a server; make one with ctl tls cert create -server -dc %s -domain %s",
			rpcName, m.source, names(leaf), s.ServerName(), s.cfg.Datacenter, issue.Domain(s.cfg.Domain))
	}
	return nil
}

// between are the certificates behind the first of a chain.
func between(c *tls.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, der := range c.Certificate[1:] {
		if x, err := x509.ParseCertificate(der); err == nil { // it was read from the same bytes
			out = append(out, x)
		}
	}
	return out
}

func poolOf(lists ...[]*x509.Certificate) *x509.CertPool {
	p, n := x509.NewCertPool(), 0
	for _, list := range lists {
		for _, c := range list {
			p.AddCert(c)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return p
}

// build makes the TLS configurations of a state.
func (s *Store) build(st *state) {
	rpc, https := st.files[0], st.files[1]
	st.fileRoots, st.autoRoots = poolOf(rpc.roots), poolOf(st.trusted)
	base := func(r rules, cert *tls.Certificate) *tls.Config {
		c := &tls.Config{MinVersion: r.min, CipherSuites: r.suites, Time: s.cfg.Now} //nolint:gosec // the operator's choice
		if cert != nil {
			c.Certificates = []tls.Certificate{*cert}
			// Sessions are resumed as long as this state is in force, and not
			// over a change of certificates or authorities.
			var key [32]byte
			rand.Read(key[:]) // never fails: it ends the process instead
			c.SetSessionTicketKeys([][32]byte{key})
		}
		return c
	}
	if rpc.cert != nil {
		st.incoming = base(s.rules.rpc, rpc.cert)
		st.incoming.NextProtos = []string{ProtocolRPC, ProtocolRaft}
		if s.cfg.InternalRPC.VerifyIncoming {
			st.incoming.ClientAuth = tls.RequireAndVerifyClientCert
			st.incoming.ClientCAs = poolOf(rpc.roots, st.trusted)
		}
		st.incoming.VerifyConnection = func(c tls.ConnectionState) error { return s.admit(st, c) }
		if s.cfg.Signs {
			st.signing = base(s.rules.rpc, rpc.cert)
			st.signing.NextProtos = []string{ProtocolSign}
		}
	}
	own := https.cert
	if own == nil {
		own = st.automatic
	}
	if own != nil {
		st.secure = base(s.rules.https, own)
		st.secure.NextProtos = []string{"h2", "http/1.1"}
		if s.cfg.HTTPS.VerifyIncoming {
			st.secure.ClientAuth = tls.RequireAndVerifyClientCert
			st.secure.ClientCAs = poolOf(https.roots)
		}
	}
	if !s.outgoingTLS() {
		return
	}
	st.outgoing = map[string]*tls.Config{}
	for _, protocol := range []string{ProtocolRPC, ProtocolRaft, ProtocolSign} {
		c := base(s.rules.rpc, nil)
		c.NextProtos = []string{protocol}
		c.ClientSessionCache = tls.NewLRUClientSessionCache(64)
		c.ServerName = s.ServerName()
		// The chain is verified below: a server is known by its role, not by
		// the address it was reached at.
		c.InsecureSkipVerify = true //nolint:gosec // see VerifyConnection
		c.VerifyConnection = func(cs tls.ConnectionState) error { return s.trust(st, protocol, cs) }
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			switch {
			case protocol == ProtocolSign:
			case st.automatic != nil:
				return st.automatic, nil
			case rpc.cert != nil:
				return rpc.cert, nil
			}
			return &tls.Certificate{}, nil
		}
		st.outgoing[protocol] = c
	}
}

// admit decides about who connects to the shared port.
func (s *Store) admit(st *state, c tls.ConnectionState) error {
	id, err := s.identify(st, c.PeerCertificates, c.VerifiedChains)
	if err != nil {
		return err
	}
	if c.NegotiatedProtocol == ProtocolRaft && s.demandsRole() && !id.Server {
		return notServer(c.PeerCertificates, s.ServerName(), "Raft is spoken between servers only")
	}
	return nil
}

func notServer(certs []*x509.Certificate, want, why string) error {
	if len(certs) == 0 {
		return &explained{text: "it presents no certificate; " + why, err: errRole}
	}
	return &explained{text: fmt.Sprintf("its certificate is for %s, not for %s; %s", names(certs[0]), want, why), err: errRole}
}

var errRole = errors.New("tls: the certificate is not a server's")

// trust decides about a server this agent connects to.
func (s *Store) trust(st *state, protocol string, c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("it presents no certificate")
	}
	leaf, rest := c.PeerCertificates[0], c.PeerCertificates[1:]
	roots := poolOf(st.files[0].roots, st.trusted)
	host := ""
	if s.cfg.InternalRPC.VerifyServerHostname {
		host = s.ServerName()
	}
	chains, err := s.chains(leaf, rest, roots, x509.ExtKeyUsageServerAuth, host)
	if err != nil {
		return err
	}
	id, err := s.identify(st, c.PeerCertificates, chains)
	if err != nil {
		return err
	}
	if id.Automatic {
		return notServer(c.PeerCertificates, s.ServerName(), "a client agent does not answer as a server")
	}
	if c.NegotiatedProtocol != protocol {
		return &explained{text: "it takes TLS, but is not the cluster port of an agent", err: errRole}
	}
	return nil
}

func (s *Store) chains(leaf *x509.Certificate, rest []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, host string) ([][]*x509.Certificate, error) {
	if roots == nil {
		roots = x509.NewCertPool() // nobody, and not the system's
	}
	middle := x509.NewCertPool()
	for _, c := range rest {
		middle.AddCert(c)
	}
	return leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: middle, CurrentTime: s.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{usage}, DNSName: host,
	})
}

func (s *Store) leadsTo(leaf *x509.Certificate, rest []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, host string) error {
	_, err := s.chains(leaf, rest, roots, usage, host)
	return err
}

// Peer is who a verified certificate makes its holder.
type Peer struct {
	// Name is one for messages.
	Name string
	// ServesHTTPS says that HTTPS is served. Where it is not, the settings of
	// HTTPS do not count.
	ServesHTTPS bool
	// Server says that it may do what only servers may.
	Server bool
	// Automatic says that the cluster's own authority signed the certificate:
	// its holder is a client agent.
	Automatic bool
}

// identify says who the holder of a verified certificate is. chains are those
// that were found for it; none stands for a peer that was asked for none.
func (s *Store) identify(st *state, certs []*x509.Certificate, chains [][]*x509.Certificate) (Peer, error) {
	if len(certs) == 0 {
		return Peer{}, nil
	}
	leaf := certs[0]
	p := Peer{Name: names(leaf), Server: leaf.VerifyHostname(s.ServerName()) == nil}
	p.Automatic = !slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		root := chain[len(chain)-1]
		// An operator may give the cluster the authority of the files as its
		// root. What it signs for the cluster always names an identity.
		byHand := len(leaf.URIs) == 0 && slices.ContainsFunc(st.files[0].roots, root.Equal)
		return byHand || !slices.ContainsFunc(st.trusted, root.Equal)
	})
	client := slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool {
		return u.Scheme == "spiffe" && strings.HasPrefix(u.Path, "/agent/client/")
	})
	service := slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool {
		return u.Scheme == "spiffe" && strings.HasPrefix(u.Path, "/ns/") && strings.Contains(u.Path, "/svc/")
	})
	if service || p.Automatic && !client {
		return p, &explained{text: fmt.Sprintf("its certificate is for %s: the cluster's authority made it for a service, not for an agent", names(leaf)), err: errRole}
	}
	if client {
		p.Server, p.Automatic = false, true
	}
	return p, nil
}

// Peer says who the other side of a connection to the shared port is. A
// connection without TLS, and one whose certificate nobody asked for, is
// anybody's: Server is true where no role is demanded.
func (s *Store) Peer(c *tls.ConnectionState) Peer {
	var p Peer
	if c != nil {
		p, _ = s.identify(s.now.Load(), c.PeerCertificates, c.VerifiedChains) // it was admitted
	}
	if !s.demandsRole() && !p.Automatic {
		p.Server = true
	}
	return p
}

// Incoming returns the configuration of the shared port, nil where this agent
// has no certificate for it. It uses what is in force when a handshake begins.
func (s *Store) Incoming() *tls.Config {
	if s.now.Load().incoming == nil {
		return nil
	}
	return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { //nolint:gosec // the version is that of the inner one
		st := s.now.Load()
		if st.signing != nil && slices.Contains(hello.SupportedProtos, ProtocolSign) {
			return st.signing, nil
		}
		return st.incoming, nil
	}}
}

// HTTPS returns the configuration of the HTTP API over TLS. Until there is a
// certificate, which an agent may still be getting from the servers, handshakes
// fail.
func (s *Store) HTTPS() *tls.Config {
	return &tls.Config{ //nolint:gosec // the version is that of the inner one
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if c := s.now.Load().secure; c != nil {
				return c, nil
			}
			return nil, errors.New("this agent has no certificate yet")
		},
	}
}

// Client returns a configuration for connections that this agent begins to
// others than agents: with its certificate, and with the authorities of its files
// as those to trust, the system's if there are none. It is what is in force now,
// and the caller's.
func (s *Store) Client() *tls.Config {
	st := s.now.Load()
	c := &tls.Config{MinVersion: s.rules.rpc.min, CipherSuites: s.rules.rpc.suites, Time: s.cfg.Now, RootCAs: st.fileRoots} //nolint:gosec // the operator's choice
	own := st.files[0].cert
	if own == nil {
		own = st.automatic
	}
	if own != nil {
		c.Certificates = []tls.Certificate{*own}
	}
	return c
}

// Required reports whether the shared port takes TLS only.
func (s *Store) Required() bool { return s.cfg.InternalRPC.VerifyIncoming }

// Journal is where refused connections are noted.
func (s *Store) Journal() *Journal { return s.journal }

// Dial is a function that opens a connection.
type Dial = func(ctx context.Context, addr string) (net.Conn, error)

// Dialer returns what opens connections to servers for a protocol: those of dial
// where they are in plain text, and TLS over them otherwise. A failed handshake
// is noted in the journal.
func (s *Store) Dialer(protocol string, dial Dial) Dial {
	if !s.outgoingTLS() {
		return plainly(dial)
	}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		if s.cfg.Automatic && protocol != ProtocolSign && !s.hasOwn() {
			return nil, errors.New("this agent has no certificate yet: it is asking the servers for one (auto_encrypt)")
		}
		raw, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(raw, s.now.Load().outgoing[protocol])
		ctx, cancel := context.WithTimeout(ctx, s.cfg.HandshakeTimeout)
		defer cancel()
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // it is of no use
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				err = fmt.Errorf("the TLS handshake was not over in time: %w", err)
			} else {
				s.journal.RefusedBy("no TLS connection to a server", addr, err)
			}
			return nil, fmt.Errorf("TLS with the server at %s: %w", addr, Explain(err))
		}
		return &outgoingConn{Conn: conn, addr: addr, journal: s.journal}, nil
	}
}

// hasOwn reports whether this agent has a certificate to show.
func (s *Store) hasOwn() bool {
	st := s.now.Load()
	return st.automatic != nil || st.files[0].cert != nil
}

// outgoingConn notices a server that refuses this agent: with TLS 1.3 it says so
// only after the handshake is over on this side.
type outgoingConn struct {
	*tls.Conn
	addr    string
	journal *Journal
	begun   bool // something came; only Read uses it, and one goroutine at a time reads
}

// Read implements net.Conn.
func (c *outgoingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if !c.begun {
		if err != nil && strings.Contains(err.Error(), "remote error: tls:") {
			c.journal.RefusedBy("a server refused this agent", c.addr, err)
			err = Explain(err)
		}
		c.begun = n > 0
	}
	return n, err
}

// SetAutomatic puts a certificate from the servers in force, with the
// authorities of the cluster, which are trusted from then on.
func (s *Store) SetAutomatic(cert *tls.Certificate, trusted []*x509.Certificate) {
	s.change(func(st *state) { st.automatic, st.trusted = cert, trusted })
}

// SetTrusted replaces the authorities of the cluster. Their certificates are
// those of client agents, never of servers.
func (s *Store) SetTrusted(trusted []*x509.Certificate) {
	s.change(func(st *state) { st.trusted = trusted })
}

func (s *Store) change(set func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.now.Load()
	next := &state{rpc: old.rpc, https: old.https, files: old.files, automatic: old.automatic, trusted: old.trusted}
	set(next)
	s.build(next)
	s.now.Store(next)
}

// Prepare reads the files a new configuration names. It fails, and nothing has
// changed, where one of them cannot be used; otherwise commit puts them in
// force. Only which files there are is taken from the settings: the rules stay
// until a restart.
func (s *Store) Prepare(rpc, https Settings) (commit func(), err error) {
	old := s.now.Load()
	rpc, https = withFiles(s.cfg.InternalRPC, rpc), withFiles(s.cfg.HTTPS, s.cfg.https(https))
	for _, b := range []struct {
		name     string
		old, new Settings
	}{{rpcName, old.rpc, rpc}, {httpsName, old.https, https}} {
		if b.old.HasCertificate() != b.new.HasCertificate() || b.old.hasCA() != b.new.hasCA() {
			return nil, fmt.Errorf("%s: TLS cannot be switched on or off by a reload: restart the agent for it", b.name)
		}
	}
	fresh, err := s.read(old, rpc, https)
	if err != nil {
		return nil, err
	}
	return func() { s.commit(fresh) }, nil
}

func withFiles(rules, files Settings) Settings {
	rules.CAFile, rules.CAPath, rules.CertFile, rules.KeyFile = files.CAFile, files.CAPath, files.CertFile, files.KeyFile
	return rules
}

// commit puts what was read in force.
func (s *Store) commit(fresh *state) {
	s.mu.Lock()
	old := s.now.Load()
	changed := fresh.differs(old)
	if changed || old.rpc != fresh.rpc || old.https != fresh.https {
		next := &state{rpc: fresh.rpc, https: fresh.https, files: fresh.files, automatic: old.automatic, trusted: old.trusted}
		s.build(next)
		s.now.Store(next)
	}
	s.last = nil
	s.mu.Unlock()
	if changed {
		for _, c := range s.certificates() {
			s.log.Info("a certificate was loaded", "file", c.source, "subject", c.cert.Leaf.Subject.String(), "until", day(c.cert.Leaf.NotAfter))
		}
	}
	select {
	case s.woke <- struct{}{}: // the files to watch may be others
	default:
	}
}

// certificates are this agent's own, each file once.
func (s *Store) certificates() []material {
	var all []material
	st := s.now.Load()
	for _, m := range st.files {
		if m.cert != nil && !slices.ContainsFunc(all, func(o material) bool { return o.source == m.source }) {
			all = append(all, m)
		}
	}
	if st.automatic != nil {
		all = append(all, material{cert: st.automatic, source: "auto_encrypt"})
	}
	return all
}

// Expiry returns when the first of this agent's certificates expires, and false
// without any.
func (s *Store) Expiry() (at time.Time, ok bool) {
	for _, m := range s.certificates() {
		if end := m.cert.Leaf.NotAfter; !ok || end.Before(at) {
			at, ok = end, true
		}
	}
	return at, ok
}
