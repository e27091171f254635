package issue

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func authority(t *testing.T, o AuthorityOptions) *Authority {
	t.Helper()
	if o.Life == 0 {
		o.Life = time.Hour
	}
	ca, err := NewAuthority(o)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func parse(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(certPEM)
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one PEM block: %q", certPEM)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIssue(t *testing.T) {
	ca := authority(t, AuthorityOptions{Domain: "consul", ClusterID: "1234"})
	if c := parse(t, ca.CertPEM); !c.IsCA || c.URIs[0].String() != "spiffe://1234.consul" || !strings.HasPrefix(c.Subject.CommonName, "Consul Agent CA ") ||
		c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("authority: %+v", Describe(c))
	}
	both := []string{"server", "client"}
	tests := []struct {
		name   string
		o      Options
		dns    []string
		ips    []string
		usages []string
		role   string
	}{
		{"server", Options{Role: Server, Datacenter: "dc1", Domain: "consul."}, []string{"server.dc1.consul", "localhost"}, []string{"127.0.0.1"}, both, "server of datacenter dc1"},
		{"server of one node", Options{Role: Server, Datacenter: "dc1", Domain: "consul", Node: "n1"}, []string{"server.dc1.consul", "n1.server.dc1.consul", "localhost"}, []string{"127.0.0.1"}, both, "server of datacenter dc1"},
		{"client", Options{Role: Client, Datacenter: "dc2", Domain: "Example.COM", DNSNames: []string{"web"}, IPs: []net.IP{net.ParseIP("10.0.0.1")}}, []string{"client.dc2.example.com", "web", "localhost"}, []string{"10.0.0.1", "127.0.0.1"}, both, "client agent of datacenter dc2"},
		{"command line", Options{Role: CLI, Datacenter: "dc1", Domain: "consul"}, []string{"cli.dc1.consul"}, []string{}, []string{"client"}, "command line in datacenter dc1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Life = time.Minute
			certPEM, keyPEM, err := ca.Issue(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			c := parse(t, certPEM)
			d := Describe(c)
			if diff := cmp.Diff([]any{tt.dns, tt.ips, tt.usages, "ECDSA P-256", false}, []any{d.DNSNames, d.IPAddresses, d.Usages, d.Key, d.CA}); diff != "" {
				t.Error(diff)
			}
			if len(d.Roles) != 1 || !strings.Contains(d.Roles[0], tt.role) {
				t.Errorf("roles: %v", d.Roles)
			}
			key, err := ParseKey(keyPEM)
			if err != nil || !KeyOf(key, c) {
				t.Errorf("the key is not the certificate's: %v", err)
			}
			if err := c.CheckSignatureFrom(ca.Cert); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNameConstraints(t *testing.T) {
	ca := authority(t, AuthorityOptions{Domain: "consul", NameConstraints: []string{"consul", "localhost"}})
	if _, _, err := ca.Issue(Options{Role: Client, Datacenter: "dc1", Domain: "consul", Life: time.Minute}); err != nil {
		t.Errorf("inside the constraints: %v", err)
	}
	_, _, err := ca.Issue(Options{Role: Client, Datacenter: "dc1", Domain: "consul", DNSNames: []string{"www.example.com"}, Life: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "www.example.com") {
		t.Errorf("outside of the constraints: %v", err)
	}
}

func TestLoadAuthority(t *testing.T) {
	a, b := authority(t, AuthorityOptions{}), authority(t, AuthorityOptions{})
	leaf, leafKey, err := a.Issue(Options{Role: Server, Datacenter: "dc1", Domain: "consul", Life: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		cert, key []byte
		want      string // "" is success
	}{
		{"its own two files", a.CertPEM, a.KeyPEM, ""},
		{"the key of another", a.CertPEM, b.KeyPEM, "k is not the key of c"},
		{"not an authority", leaf, leafKey, "not of an authority"},
		{"files swapped", a.KeyPEM, a.CertPEM, "c holds no certificate"},
		{"certificate twice", a.CertPEM, a.CertPEM, "k: holds a certificate, not a private key"},
		{"nothing", nil, nil, "c holds no certificate"},
		{"key of no kind", a.CertPEM, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "damaged or of an unknown kind"},
		{"key behind a passphrase", a.CertPEM, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), "passphrase"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadAuthority("c", tt.cert, "k", tt.key)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	if got := roles(&x509.Certificate{DNSNames: []string{"server.dc1.consul"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); !strings.Contains(got[0], "not both usages") {
		t.Errorf("a server that may not be a client: %v", got)
	}
	if got := roles(&x509.Certificate{DNSNames: []string{"www.example.com"}}); !strings.Contains(got[0], "no role") {
		t.Errorf("no role: %v", got)
	}
	for path, want := range map[string]string{
		"/agent/client/dc/dc1/id/abc": "client agent abc of datacenter dc1", "/agent/server/dc/dc1": "server of datacenter dc1",
		"/ns/default/dc/dc1/svc/web": "service web", "/else": "not an agent's",
	} {
		if got := spiffeRole(path); !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	if slices.Equal(roles(&x509.Certificate{IsCA: true}), []string{}) {
		t.Error("an authority has no role")
	}
}
