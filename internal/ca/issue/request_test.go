package issue_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

const (
	clusterID = "11111111-2222-3333-4444-555555555555"
	domain    = clusterID + ".consul"
)

var (
	web   = spiffe.ID{Kind: spiffe.Service, TrustDomain: domain, Datacenter: "dc1", Name: "web"}
	agent = spiffe.ID{Kind: spiffe.Agent, TrustDomain: domain, Datacenter: "dc1", Name: "d2b8d4bb-0f7c-4a6e-8f0e-3a3e8a0c1234"}
)

func ecKey(t testing.TB, c elliptic.Curve) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func csr(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func san(t testing.TB, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
}

func name(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

func TestRequestsThatAreTaken(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		template *x509.CertificateRequest
		key      crypto.Signer
		want     spiffe.ID
		names    int
	}{
		{"a service", &x509.CertificateRequest{URIs: []*url.URL{web.URI()}}, key, web, 0},
		{"a service with an RSA key", &x509.CertificateRequest{URIs: []*url.URL{web.URI()}}, rsaKey, web, 0},
		{"a subject is ignored", &x509.CertificateRequest{URIs: []*url.URL{web.URI()}, Subject: pkix.Name{CommonName: "*.example"}}, key, web, 0},
		{"an agent with host names", &x509.CertificateRequest{URIs: []*url.URL{agent.URI()}, DNSNames: []string{"localhost", "web-1.example"}, IPAddresses: []net.IP{{127, 0, 0, 1}, net.IPv6loopback}}, key, agent, 4},
		{"a key usage is ignored", &x509.CertificateRequest{URIs: []*url.URL{web.URI()}, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 2, 4}}}}, key, web, 0},
		{"CA:FALSE", &x509.CertificateRequest{URIs: []*url.URL{web.URI()}, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0}}}}, key, web, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := issue.ParseRequest([]byte(csr(t, c.template, c.key)))
			if err != nil {
				t.Fatal(err)
			}
			if r.Identity != c.want || len(r.DNSNames)+len(r.Addresses) != c.names {
				t.Errorf("read as %+v", r)
			}
			if !c.key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(r.Key) {
				t.Error("with another key")
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uris := func(ids ...spiffe.ID) (list []*url.URL) {
		for _, id := range ids {
			list = append(list, id.URI())
		}
		return list
	}
	other := web
	other.Name = "db"
	server := spiffe.ID{Kind: spiffe.Server, TrustDomain: domain, Datacenter: "dc1"}
	good := csr(t, &x509.CertificateRequest{URIs: uris(web)}, key)
	block, _ := pem.Decode([]byte(good))
	damaged := append([]byte(nil), block.Bytes...)
	damaged[len(damaged)-1] ^= 1
	asPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	ext := func(e ...pkix.Extension) string { return csr(t, &x509.CertificateRequest{ExtraExtensions: e}, key) }
	agentWith := func(names ...string) string {
		return csr(t, &x509.CertificateRequest{URIs: uris(agent), DNSNames: names}, key)
	}
	for _, c := range []struct{ name, csr, want string }{
		{"nothing", "", "no PEM"},
		{"too long", strings.Repeat("x", 17<<10), "the limit is"},
		{"a certificate", asPEM("CERTIFICATE", block.Bytes), "not CERTIFICATE REQUEST"},
		{"two requests", good + good, "stands behind it"},
		{"not DER", asPEM("CERTIFICATE REQUEST", []byte("x")), "cannot be read"},
		{"a signature by another key", asPEM("CERTIFICATE REQUEST", damaged), "signature"},
		{"a short RSA key", csr(t, &x509.CertificateRequest{URIs: uris(web)}, short), "1024 bits"},
		{"a key on P-224", csr(t, &x509.CertificateRequest{URIs: uris(web)}, ecKey(t, elliptic.P224())), "P-224"},
		{"an Ed25519 key", csr(t, &x509.CertificateRequest{URIs: uris(web)}, edKey), "neither EC nor RSA"},
		{"no URI", csr(t, &x509.CertificateRequest{}, key), "0 URIs"},
		{"two URIs", csr(t, &x509.CertificateRequest{URIs: uris(web, other)}, key), "2 URIs"},
		{"the same URI twice", csr(t, &x509.CertificateRequest{URIs: uris(web, web)}, key), "2 URIs"},
		{"two lists of names", ext(san(t, name(6, web.String())), san(t, name(6, other.String()))), "duplicate"},
		{"a service with a host name", csr(t, &x509.CertificateRequest{URIs: uris(web), DNSNames: []string{"a"}}, key), "no other name"},
		{"a service with an address", csr(t, &x509.CertificateRequest{URIs: uris(web), IPAddresses: []net.IP{{1, 2, 3, 4}}}, key), "no other name"},
		{"an e-mail address", csr(t, &x509.CertificateRequest{URIs: uris(web), EmailAddresses: []string{"a@b"}}, key), "kind 1"},
		{"a name of a kind the library leaves out", ext(san(t, name(6, web.String()), name(8, "\x2a\x03"))), "kind 8"},
		{"an address of a wrong length", ext(san(t, name(6, agent.String()), name(7, "abc"))), "cannot parse IP"},
		{"CA:TRUE", ext(san(t, name(6, web.String())), pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}), "CA:TRUE"},
		{"basic constraints that cannot be read", ext(san(t, name(6, web.String())), pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{1}}), "basic constraints"},
		{"a server's identity", csr(t, &x509.CertificateRequest{URIs: uris(server)}, key), "neither a service nor an agent"},
		{"the authority's identity", csr(t, &x509.CertificateRequest{URIs: []*url.URL{{Scheme: "spiffe", Host: domain}}}, key), "neither a service nor an agent"},
		{"a URL", csr(t, &x509.CertificateRequest{URIs: []*url.URL{{Scheme: "https", Host: "x"}}}, key), "spiffe://"},
		{"a URI in another spelling", ext(san(t, name(6, "spiffe://"+domain+"/ns/default/dc/dc1/svc/%77eb"))), "spelt"},
		{"a wildcard service", ext(san(t, name(6, "spiffe://"+domain+"/ns/default/dc/dc1/svc/*"))), "cannot"},
		{"an agent with a wildcard", agentWith("*.example"), "wildcards"},
		{"an agent with a server's name", agentWith("server.dc1.consul"), "a server's"},
		{"an agent with a server's name in capitals", agentWith("Server.dc1.consul"), "a server's"},
		{"an agent with a single server's name", agentWith("n1.server.dc1.consul"), "a server's"},
		{"an agent with an empty label", agentWith("a..b"), "no host name"},
		{"an agent with too many names", agentWith(strings.Split(strings.Repeat("a,", 65)+"a", ",")...), "limit is 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := issue.ParseRequest([]byte(c.csr))
			if err == nil || !strings.Contains(err.Error(), c.want) || !failure.Is(err, failure.BadRequest) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	for _, template := range []*x509.CertificateRequest{
		{URIs: []*url.URL{web.URI()}},
		{URIs: []*url.URL{agent.URI()}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{{127, 0, 0, 1}}},
		{URIs: []*url.URL{web.URI(), agent.URI()}, EmailAddresses: []string{"a@b"}},
	} {
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	signer := mustSigner(f, ca.KeyEC, 256)
	f.Fuzz(func(t *testing.T, der []byte) {
		checkRequest(t, signer, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	})
}

// FuzzRequestNames varies the extensions of requests whose signature is right.
func FuzzRequestNames(f *testing.F) {
	uri := func(id spiffe.ID) asn1.RawValue { return name(6, id.String()) }
	for _, names := range [][]asn1.RawValue{
		{uri(web)}, {uri(agent), name(2, "localhost"), name(7, "\x7f\x00\x00\x01")}, {uri(web), uri(agent)}, {uri(web), name(8, "\x2a\x03")}, {uri(web), name(1, "a@b")},
	} {
		f.Add(san(f, names...).Value, []byte{0x30, 0}, []byte{})
		f.Add(san(f, names...).Value, []byte{0x30, 3, 1, 1, 0xff}, san(f, uri(agent)).Value)
	}
	signer, key := mustSigner(f, ca.KeyEC, 256), ecKey(f, elliptic.P256())
	f.Fuzz(func(t *testing.T, names, constraints, more []byte) {
		template := &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}}
		if len(constraints) > 0 {
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: constraints})
		}
		if len(more) > 0 {
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 18}, Value: more})
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			return // no request can be made of it
		}
		checkRequest(t, signer, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	})
}

// checkRequest wants that whatever is let through makes a certificate of exactly
// the one identity, which is no authority and has no further right.
func checkRequest(t *testing.T, signer *issue.Signer, text []byte) {
	t.Helper()
	r, err := issue.ParseRequest(text)
	if err != nil {
		return
	}
	leaf, err := signer.Leaf(r, 7, now, ca.DefaultSettings().LeafTTL)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.ParseCertificate(leaf.PEM)
	if err != nil {
		t.Fatal(err)
	}
	if cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].String() != r.Identity.String() || len(cert.EmailAddresses) > 0 || len(cert.Subject.Names) > 0 {
		t.Fatalf("a certificate of %v, CA %v", cert.URIs, cert.IsCA)
	}
	if r.Identity.Kind == spiffe.Service && len(cert.DNSNames)+len(cert.IPAddresses) > 0 {
		t.Fatalf("a service has the names %v %v", cert.DNSNames, cert.IPAddresses)
	}
	for _, n := range cert.DNSNames {
		if strings.ContainsAny(n, "* ") || strings.HasPrefix(strings.ToLower(n), "server.") {
			t.Fatalf("an agent has the name %q", n)
		}
	}
}
