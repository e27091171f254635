package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/tlsconf"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// secured is an HTTP server with a port in plain text and one over TLS, and what
// it refused.
type secured struct {
	plain, secure string
	refused       chan string
	ca            *issue.Authority
	roots         *x509.CertPool
}

func newAuthority(t *testing.T) *issue.Authority {
	t.Helper()
	ca, err := issue.NewAuthority(issue.AuthorityOptions{NotBefore: time.Now().Add(-100 * time.Hour), Life: 1000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func pairOf(t *testing.T, ca *issue.Authority, o issue.Options) tls.Certificate {
	t.Helper()
	o.Datacenter, o.Domain = "dc1", "consul"
	if o.Life == 0 {
		o.Life = time.Hour
	}
	c, k, err := ca.Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func startSecured(t *testing.T) *secured {
	t.Helper()
	return startSecuredOn(t, listen(t), listen(t))
}

func startSecuredOn(t *testing.T, plain, secure net.Listener) *secured {
	t.Helper()
	s := &secured{refused: make(chan string, 100), ca: newAuthority(t), roots: x509.NewCertPool()}
	s.roots.AddCert(s.ca.Cert)
	dir := t.TempDir()
	cert, key, err := s.ca.Issue(issue.Options{Role: issue.Server, Datacenter: "dc1", Domain: "consul", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	path := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	store, err := tlsconf.New(tlsconf.Config{ServesHTTPS: true, Datacenter: "dc1", Domain: "consul", HTTPS: tlsconf.Settings{
		CAFile: path("ca.pem", s.ca.CertPEM), CertFile: path("c.pem", cert), KeyFile: path("k.pem", key), VerifyIncoming: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.plain, s.secure = plain.Addr().String(), secure.Addr().String()
	server := NewHTTPServer(HTTPServerConfig{
		Listeners: []net.Listener{plain}, Secure: []net.Listener{secure}, TLS: store.HTTPS(), MaxConnsPerClient: 20,
		Refused: func(peer string, err error) { s.refused <- peer + " " + tlsconf.Explain(err).Error() },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				<-r.Context().Done()
				return
			}
			io.WriteString(w, r.Proto)
		}),
	})
	run(t, server.Run)
	return s
}

// get asks url with a certificate, or without if it is nil.
func (s *secured) get(t *testing.T, url string, cert *tls.Certificate, h2 bool) (string, error) {
	t.Helper()
	conf := &tls.Config{RootCAs: s.roots}
	if cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: h2}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.Status + " " + string(body), err
}

func (s *secured) await(t *testing.T, text string) {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	var seen []string
	for {
		select {
		case got := <-s.refused:
			seen = append(seen, got)
			if strings.HasPrefix(got, "127.0.0.1:") && strings.Contains(got, text) {
				return
			}
		case <-late.C:
			t.Fatalf("nobody was refused with %q, only %q", text, seen)
		}
	}
}

func TestHTTPS(t *testing.T) {
	s := startSecured(t)
	good := pairOf(t, s.ca, issue.Options{Role: issue.CLI})
	for h2, want := range map[bool]string{false: "200 OK HTTP/1.1", true: "200 OK HTTP/2.0"} {
		if got, err := s.get(t, "https://"+s.secure+"/", &good, h2); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	expired := pairOf(t, s.ca, issue.Options{Role: issue.CLI, NotBefore: time.Now().Add(-2 * time.Hour)})
	early := pairOf(t, s.ca, issue.Options{Role: issue.CLI, NotBefore: time.Now().Add(time.Hour)})
	foreign := pairOf(t, newAuthority(t), issue.Options{Role: issue.CLI})
	for _, c := range []struct {
		name, url string
		cert      *tls.Certificate
		client    string // what the client is told
		refused   string
	}{
		{"expired", "https://" + s.secure, &expired, "expired certificate", "its certificate expired on 2"},
		{"not yet valid", "https://" + s.secure, &early, "expired certificate", "not yet valid: its time begins on 2"},
		{"another authority", "https://" + s.secure, &foreign, "unknown certificate authority", "signed by an authority that this agent does not trust: see ca_file"},
		{"no certificate", "https://" + s.secure, nil, "certificate required", "it presents no certificate"},
		{"HTTP on the port of HTTPS", "http://" + s.secure, nil, "HTTP request to an HTTPS server", "HTTP request to an HTTPS server"},
		{"HTTPS on the port of HTTP", "https://" + s.plain, &good, "does not look like a TLS handshake", "it speaks TLS on a port of plain HTTP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.get(t, c.url, c.cert, false)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, c.client) || strings.HasPrefix(got, "200") {
				t.Errorf("the client got %q, want %q", got, c.client)
			}
			s.await(t, c.refused)
		})
	}
}

func TestHTTPSHandshakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secure := newPipes()
		s := startSecuredOn(t, newPipes(), secure)
		silent, begun := secure.dial(), time.Now()
		defer silent.Close()
		if _, err := io.ReadAll(silent); err != nil {
			t.Errorf("the connection was not closed: %v", err)
		}
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("closed after %v, want the 5 s of a handshake", took)
		}
		if got := <-s.refused; !strings.Contains(got, "not over in time") {
			t.Errorf("refused with %q", got)
		}
		// The deadline of the handshake is not that of the requests after it.
		good := pairOf(t, s.ca, issue.Options{Role: issue.CLI})
		conn := tls.Client(secure.dial(), &tls.Config{RootCAs: s.roots, Certificates: []tls.Certificate{good}, ServerName: "localhost"})
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { // ends with the connection
			_, err := conn.Read(make([]byte, 1))
			ended <- err
		}()
		if _, err := io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		select {
		case err := <-ended:
			t.Errorf("a waiting request ended: %v", err)
		default:
		}
	})
}

func TestLimitHoldsOverTLS(t *testing.T) {
	s := startSecured(t)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 20 {
		c, err := net.Dial("tcp", s.secure)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	good := pairOf(t, s.ca, issue.Options{Role: issue.CLI})
	if got, err := s.get(t, "https://"+s.secure, &good, false); err == nil {
		t.Errorf("the 21st connection got %q", got)
	}
}
