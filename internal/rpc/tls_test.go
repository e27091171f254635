package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/tlsconf"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
	"github.com/hashicorp/raft"
)

// pki is an authority and the files of what it signed.
type pki struct {
	t   testing.TB
	dir string
	ca  *issue.Authority
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	ca, err := issue.NewAuthority(issue.AuthorityOptions{Domain: "consul", NotBefore: time.Now().Add(-100 * time.Hour), Life: 1000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{t, t.TempDir(), ca}
	p.write("ca.pem", ca.CertPEM)
	return p
}

func (p *pki) write(name string, data []byte) string {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// files issues a certificate and returns its files.
func (p *pki) files(name string, o issue.Options) (cert, key string) {
	p.t.Helper()
	o.Domain = "consul"
	if o.Life == 0 {
		o.Life = time.Hour
	}
	if o.Datacenter == "" {
		o.Datacenter = "dc1"
	}
	c, k, err := p.ca.Issue(o)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.write(name+".pem", c), p.write(name+"-key.pem", k)
}

func (p *pki) pair(name string, o issue.Options) *tls.Certificate {
	cert, key := p.files(name, o)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		p.t.Fatal(err)
	}
	return &pair
}

// store is the TLS of one agent under full verification.
func (p *pki) store(log *slog.Logger, change func(*tlsconf.Config)) *tlsconf.Store {
	p.t.Helper()
	cert, key := p.files("own", issue.Options{Role: issue.Server})
	c := tlsconf.Config{
		InternalRPC: tlsconf.Settings{
			CAFile: filepath.Join(p.dir, "ca.pem"), CertFile: cert, KeyFile: key,
			VerifyIncoming: true, VerifyOutgoing: true, VerifyServerHostname: true,
		},
		Server: true, Datacenter: "dc1", Domain: "consul.", Logger: log,
	}
	if change != nil {
		change(&c)
	}
	s, err := tlsconf.New(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// lines is a log that a test waits for.
type lines chan string

func newLines() (lines, *slog.Logger) {
	l := make(lines, 1000)
	return l, slog.New(slog.NewTextHandler(l, nil))
}

func (l lines) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }

// await waits for a line that holds all the texts.
func (l lines) await(t *testing.T, texts ...string) {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	var seen []string
	for {
		select {
		case line := <-l:
			seen = append(seen, line)
			all := true
			for _, x := range texts {
				all = all && strings.Contains(line, x)
			}
			if all {
				return
			}
		case <-late.C:
			t.Fatalf("no line with %q in the log, only:\n%s", texts, strings.Join(seen, ""))
		}
	}
}

func tcp(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

var forServers = Method[note, note]{Name: "test.servers", ServersOnly: true}

// port is a cluster port with both its halves.
type port struct {
	addr string
	raft *RaftLayer[raft.ServerAddress]
	log  lines
}

func startPort(t testing.TB, s *tlsconf.Store, log *slog.Logger, l lines) *port {
	t.Helper()
	cfg := MuxConfig{Logger: log, HandshakeTimeout: time.Minute}
	if s != nil {
		cfg.Security = s
	}
	m, _ := startMux(t, cfg)
	srv, err := NewServer(ServerConfig{Listener: m.GRPC(), Logger: log}, Handle(echo, echoHandler), Handle(forServers, echoHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, srv.Run)
	return &port{m.cfg.Listener.Addr().String(), NewRaftLayer[raft.ServerAddress](m), l}
}

// speak tries Raft or a call through dial, and fails where the other side did.
func (p *port) speak(t *testing.T, protocol string, dial Dialer, method Method[note, note]) error {
	t.Helper()
	if protocol == "RPC" {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := Call(ctx, newPool(t, PoolConfig{Dial: dial}), p.addr, method, &note{ID: 7})
		if err == nil && got.ID != 7 {
			t.Errorf("got %+v", got)
		}
		return err
	}
	layer := &RaftLayer[raft.ServerAddress]{dial: dial}
	c, err := layer.Dial(raft.ServerAddress(p.addr), time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	// An answer is the only proof that it was let in: a TLS client has done its
	// part before the server looked at its certificate.
	in := make(chan net.Conn, 1)
	go func() { // ends with Accept, which the mux's stop ends
		if c, err := p.raft.Accept(); err == nil {
			in <- c
		}
	}()
	read := make(chan error, 1)
	go func() { // ends with the connection
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	select {
	case conn := <-in:
		if _, err := conn.Write([]byte{1}); err != nil {
			return err
		}
		err := <-read
		conn.Close()
		return err
	case err := <-read:
		return err
	}
}

// overTLS is a dialer of somebody who checks nothing.
func overTLS(protocol string, cert *tls.Certificate) Dialer {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		c := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}} //nolint:gosec // an attacker
		if cert != nil {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", addr)
	}
}

// wrong lists certificates that must not get in.
func wrong(t *testing.T, p *pki) map[string]*tls.Certificate {
	other := newPKI(t)
	return map[string]*tls.Certificate{
		"expired":              p.pair("expired", issue.Options{Role: issue.Server, NotBefore: time.Now().Add(-2 * time.Hour)}),
		"not yet valid":        p.pair("early", issue.Options{Role: issue.Server, NotBefore: time.Now().Add(time.Hour)}),
		"of another authority": other.pair("foreign", issue.Options{Role: issue.Server}),
		"for another host":     p.pair("dc2", issue.Options{Role: issue.Server, Datacenter: "dc2"}),
		"of a client":          p.pair("client", issue.Options{Role: issue.Client}),
		"of the command line":  p.pair("cli", issue.Options{Role: issue.CLI}),
	}
}

// TestWrongPeersAreRefused: every wrong certificate against both protocols of the
// cluster port. The log of the port names the peer and the reason.
func TestWrongPeersAreRefused(t *testing.T) {
	p := newPKI(t)
	log, logger := newLines()
	port := startPort(t, p.store(logger, nil), logger, log)
	bad := wrong(t, p)
	why := map[string]string{
		"expired": "expired", "not yet valid": "not yet valid", "of another authority": "does not trust",
		"for another host": "server.dc2.consul, localhost, 127.0.0.1, not for server.dc1.consul", "of a client": "client.dc1.consul", "of the command line": "cli.dc1.consul",
	}
	for name, protocol := range map[string]string{"Raft": tlsconf.ProtocolRaft, "RPC": tlsconf.ProtocolRPC} {
		t.Run(name+" with the right certificate", func(t *testing.T) {
			if err := port.speak(t, name, p.store(logger, nil).Dialer(protocol, tcp), forServers); err != nil {
				t.Error(err)
			}
		})
		for what, cert := range bad {
			t.Run(name+" with a certificate "+what, func(t *testing.T) {
				err := port.speak(t, name, overTLS(protocol, cert), forServers)
				if err == nil {
					t.Fatal("it got in")
				}
				authentic := what == "for another host" || what == "of a client" || what == "of the command line"
				if name == "RPC" && authentic { // it may call, but not what is for servers
					if !failure.Is(err, failure.PermissionDenied) {
						t.Errorf("got %v", err)
					}
					log.await(t, "only servers may make", "127.0.0.1:", cert.Leaf.DNSNames[0])
					if err := port.speak(t, name, overTLS(protocol, cert), echo); err != nil {
						t.Errorf("a call for everybody: %v", err)
					}
					return
				}
				log.await(t, "a connection to the cluster port was refused", "peer=127.0.0.1:", why[what])
			})
		}
		t.Run(name+" without a certificate", func(t *testing.T) {
			if err := port.speak(t, name, overTLS(protocol, nil), echo); err == nil {
				t.Error("it got in")
			}
			log.await(t, "refused", "peer=127.0.0.1:", "it presents no certificate")
		})
		t.Run(name+" in plain text", func(t *testing.T) {
			if err := port.speak(t, name, tcp, echo); err == nil {
				t.Error("it got in")
			}
			log.await(t, "refused", "peer=127.0.0.1:", "it speaks "+name+" in plain text")
		})
		t.Run(name+" under a false name", func(t *testing.T) {
			lie := map[string]string{"Raft": tlsconf.ProtocolRPC, "RPC": tlsconf.ProtocolRaft}[name]
			if err := port.speak(t, name, overTLS(lie, p.pair("s", issue.Options{Role: issue.Server})), echo); err == nil {
				t.Error("it got in")
			}
			log.await(t, "refused", "announced "+lie)
		})
		t.Run(name+" over TLS without a protocol", func(t *testing.T) {
			dial := func(ctx context.Context, addr string) (net.Conn, error) {
				return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*p.pair("s", issue.Options{Role: issue.Server})}}}).DialContext(ctx, "tcp", addr) //nolint:gosec // a test
			}
			if err := port.speak(t, name, dial, echo); err == nil {
				t.Error("it got in")
			}
			log.await(t, "refused", "none of the protocols")
		})
	}
	t.Run("signing where it is off", func(t *testing.T) {
		if err := port.speak(t, "RPC", overTLS(tlsconf.ProtocolSign, nil), echo); err == nil {
			t.Error("it got in")
		}
		log.await(t, "refused", "do not speak the same protocol")
	})
}

// impostor listens as a server would, with any certificate.
func impostor(t *testing.T, cert *tls.Certificate, protocol string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{protocol}}) //nolint:gosec // a test
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake() // it fails: that is the test
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// TestWrongServersAreRefused: the same from the side that dials.
func TestWrongServersAreRefused(t *testing.T) {
	p := newPKI(t)
	why := map[string]string{
		"expired": "expired on", "not yet valid": "not yet valid", "of another authority": "does not trust",
		"for another host": "not for server.dc1.consul", "of a client": "not for server.dc1.consul", "of the command line": "not for server.dc1.consul",
	}
	log, logger := newLines()
	s := p.store(logger, nil)
	for name, protocol := range map[string]string{"Raft": tlsconf.ProtocolRaft, "RPC": tlsconf.ProtocolRPC} {
		for what, cert := range wrong(t, p) {
			t.Run(name+" to a server with a certificate "+what, func(t *testing.T) {
				addr := impostor(t, cert, protocol)
				_, err := s.Dialer(protocol, tcp)(t.Context(), addr)
				if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), why[what]) {
					t.Errorf("got %v", err)
				}
				log.await(t, "no TLS connection to a server", "peer="+addr, why[what])
			})
		}
		t.Run(name+" to a port of something else", func(t *testing.T) {
			addr := impostor(t, p.pair("web", issue.Options{Role: issue.Server}), "h2")
			if _, err := s.Dialer(protocol, tcp)(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "do not speak the same protocol") {
				t.Errorf("got %v", err)
			}
		})
		t.Run(name+" over TLS to a port in plain text", func(t *testing.T) {
			theirs, theirLogger := newLines()
			plainPort := startPort(t, nil, theirLogger, theirs)
			err := plainPort.speak(t, name, s.Dialer(protocol, tcp), echo)
			if err == nil || !strings.Contains(err.Error(), "it may take no TLS on this port") {
				t.Errorf("got %v", err)
			}
			theirs.await(t, "refused", "peer=127.0.0.1:", "it speaks TLS, and this server has no certificate")
		})
	}
}

func TestBothAreTakenWhileTLSIsIntroduced(t *testing.T) {
	p := newPKI(t)
	log, logger := newLines()
	mixed := p.store(logger, func(c *tlsconf.Config) { c.InternalRPC.VerifyIncoming = false })
	port := startPort(t, mixed, logger, log)
	for name, protocol := range map[string]string{"Raft": tlsconf.ProtocolRaft, "RPC": tlsconf.ProtocolRPC} {
		for how, dial := range map[string]Dialer{
			"plain text": p.store(logger, func(c *tlsconf.Config) {
				c.InternalRPC.VerifyIncoming, c.InternalRPC.VerifyOutgoing, c.InternalRPC.VerifyServerHostname = false, false, false
			}).Dialer(protocol, tcp),
			"TLS": p.store(logger, nil).Dialer(protocol, tcp),
		} {
			t.Run(name+" in "+how, func(t *testing.T) {
				if err := port.speak(t, name, dial, forServers); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestRefusedAgentIsTold: the log of the side that was refused says so, too, though
// its own handshake was over.
func TestRefusedAgentIsTold(t *testing.T) {
	p := newPKI(t)
	theirs, theirLogger := newLines()
	port := startPort(t, p.store(theirLogger, nil), theirLogger, theirs)
	log, logger := newLines()
	bare := p.store(logger, func(c *tlsconf.Config) {
		c.Server, c.InternalRPC.CertFile, c.InternalRPC.KeyFile = false, "", ""
	})
	for name, protocol := range map[string]string{"Raft": tlsconf.ProtocolRaft, "RPC": tlsconf.ProtocolRPC} {
		if err := port.speak(t, name, bare.Dialer(protocol, tcp), echo); err == nil {
			t.Errorf("%s got in", name)
		}
		log.await(t, "a server refused this agent", "peer="+port.addr, "it demands a certificate of this agent")
	}
}

// TestWhoSpeaksPlainTextIsTold: a server that takes TLS only just ends the
// connection; the agent that speaks plain text says what that may mean.
func TestWhoSpeaksPlainTextIsTold(t *testing.T) {
	p := newPKI(t)
	log, logger := newLines()
	port := startPort(t, p.store(logger, nil), logger, log)
	plain := p.store(slog.New(slog.DiscardHandler), func(c *tlsconf.Config) {
		c.Server, c.InternalRPC = false, tlsconf.Settings{}
	})
	for name, protocol := range map[string]string{"Raft": tlsconf.ProtocolRaft, "RPC": tlsconf.ProtocolRPC} {
		err := port.speak(t, name, plain.Dialer(protocol, tcp), echo)
		if err == nil || !strings.Contains(err.Error(), "it may take TLS only, and this agent speaks plain text (tls.internal_rpc.verify_outgoing)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	open := startPort(t, plain, logger, log)
	if err := open.speak(t, "RPC", plain.Dialer(tlsconf.ProtocolRPC, tcp), echo); err != nil {
		t.Errorf("in plain text on both sides: %v", err)
	}
}

func TestTLSHandshakeIsBounded(t *testing.T) {
	p := newPKI(t)
	log, logger := newLines()
	cfg := MuxConfig{Logger: logger, HandshakeTimeout: 50 * time.Millisecond, Security: p.store(logger, nil)}
	m, _ := startMux(t, cfg)
	c := dial(t, m.cfg.Listener.Addr().String())
	if _, err := c.Write([]byte{firstByteTLS, 3, 1}); err != nil { // and then nothing
		t.Fatal(err)
	}
	ended(t, c)
	log.await(t, "refused", "not over in time")
}

func TestExplainedErrorsKeepTheirCause(t *testing.T) {
	p := newPKI(t)
	addr := impostor(t, newPKI(t).pair("x", issue.Options{Role: issue.Server}), tlsconf.ProtocolRPC)
	_, err := p.store(nil, nil).Dialer(tlsconf.ProtocolRPC, tcp)(t.Context(), addr)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("got %v", err)
	}
	l := listen(t)
	l.Close()
	_, err = p.store(nil, nil).Dialer(tlsconf.ProtocolRPC, tcp)(t.Context(), l.Addr().String())
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("got %v", err)
	}
}
