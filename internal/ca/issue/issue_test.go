package issue_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

var now = time.Now().Truncate(time.Second)

func mustKey(t testing.TB, keyType string, bits int) (crypto.Signer, string) {
	t.Helper()
	key, text, err := issue.NewKey(keyType, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key, text
}

func mustRoot(t testing.TB, key string) *ca.Root {
	t.Helper()
	signer, err := issue.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := issue.NewRoot(clusterID, signer, 1, now, ca.DefaultSettings().RootTTL)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func mustSigner(t testing.TB, keyType string, bits int) *issue.Signer {
	t.Helper()
	_, text := mustKey(t, keyType, bits)
	s, err := issue.NewSigner(mustRoot(t, text), text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustLeaf(t testing.TB, s *issue.Signer, r issue.Request, serial uint64) (*issue.Leaf, []*x509.Certificate) {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	text, err := issue.NewRequest(r, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := issue.ParseRequest([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := s.Leaf(parsed, serial, now, 72*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for rest := leaf.PEM; strings.TrimSpace(rest) != ""; {
		end := strings.Index(rest, "-----END CERTIFICATE-----\n") + len("-----END CERTIFICATE-----\n")
		cert, err := ca.ParseCertificate(rest[:end])
		if err != nil {
			t.Fatal(err)
		}
		chain, rest = append(chain, cert), rest[end:]
	}
	return leaf, chain
}

func pool(t testing.TB, roots ...*ca.Root) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	for _, r := range roots {
		if !p.AppendCertsFromPEM([]byte(r.Cert)) {
			t.Fatal("a root is no certificate")
		}
	}
	return p
}

// verify checks a chain the way a peer does that trusts roots.
func verify(chain []*x509.Certificate, roots *x509.CertPool, at time.Time) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func TestProfiles(t *testing.T) {
	s := mustSigner(t, ca.KeyEC, 256)
	root, err := ca.ParseCertificate(s.Root.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if !root.IsCA || !root.BasicConstraintsValid || root.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign|x509.KeyUsageCRLSign ||
		len(root.URIs) != 1 || root.URIs[0].String() != "spiffe://"+domain || root.SerialNumber.Int64() != 1 ||
		!strings.HasPrefix(root.Subject.CommonName, "pri-") || !strings.HasSuffix(root.Subject.CommonName, ".consul.ca.11111111.consul") ||
		len(root.Subject.CommonName) != len("pri-01234567.consul.ca.11111111.consul") {
		t.Errorf("the root is %+v", root)
	}
	if !root.NotAfter.Equal(now.Add(87600*time.Hour)) || s.Root.NotAfter != root.NotAfter.Unix() || s.Root.KeyType != "ec" || s.Root.KeyBits != 256 {
		t.Errorf("the root is described as %+v", s.Root)
	}
	if len(s.Root.ID) != 20*3-1 || len(s.Root.SigningKeyID) != 32*3-1 {
		t.Errorf("the root has the ids %s, %s", s.Root.ID, s.Root.SigningKeyID)
	}
	leaf, chain := mustLeaf(t, s, issue.Request{Identity: web}, 9)
	c := chain[0]
	if len(chain) != 1 || leaf.Serial != "09" || c.IsCA || len(c.Subject.Names) > 0 ||
		c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment|x509.KeyUsageKeyAgreement ||
		len(c.ExtKeyUsage) != 2 || !c.NotAfter.Equal(now.Add(72*time.Hour)) || !bytes.Equal(c.AuthorityKeyId, root.SubjectKeyId) {
		t.Errorf("the leaf is %+v", c)
	}
	critical := false
	for _, e := range c.Extensions {
		critical = critical || e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) && e.Critical
	}
	if !critical || len(c.URIs) != 1 || c.URIs[0].String() != web.String() {
		t.Errorf("the leaf's identity is %v, critical %v", c.URIs, critical)
	}
	if err := verify(chain, pool(t, s.Root), now); err != nil {
		t.Error(err)
	}
	_, chain = mustLeaf(t, s, issue.Request{Identity: agent, DNSNames: []string{"localhost"}, Addresses: []net.IP{net.IPv6loopback}}, 1<<40)
	if c := chain[0]; c.VerifyHostname("localhost") != nil || c.VerifyHostname("[::1]") != nil {
		t.Errorf("the agent's certificate has the names %v %v", c.DNSNames, c.IPAddresses)
	}
}

func TestEveryKeyTypeSigns(t *testing.T) {
	for _, c := range []struct {
		keyType string
		bits    int
	}{{ca.KeyEC, 224}, {ca.KeyEC, 256}, {ca.KeyEC, 384}, {ca.KeyEC, 521}, {ca.KeyRSA, 2048}} {
		s := mustSigner(t, c.keyType, c.bits)
		if s.Root.KeyType != c.keyType || s.Root.KeyBits != c.bits {
			t.Errorf("%s %d is described as %s %d", c.keyType, c.bits, s.Root.KeyType, s.Root.KeyBits)
		}
		_, chain := mustLeaf(t, s, issue.Request{Identity: web}, 2)
		if err := verify(chain, pool(t, s.Root), now); err != nil {
			t.Errorf("%s %d: %v", c.keyType, c.bits, err)
		}
	}
	if _, _, err := issue.NewKey(ca.KeyEC, 255); err == nil {
		t.Error("a key of 255 bits was made")
	}
}

// TestWhoTrustsAnyRootVerifies rotates twice and checks that a leaf of the last
// root is verified by who trusts any of the three alone.
func TestWhoTrustsAnyRootVerifies(t *testing.T) {
	signers := []*issue.Signer{mustSigner(t, ca.KeyEC, 256), mustSigner(t, ca.KeyRSA, 2048), mustSigner(t, ca.KeyEC, 384)}
	for i, s := range signers[1:] {
		old := signers[i]
		cross, err := old.Vouch(s.Root, uint64(i+5), now)
		if err != nil {
			t.Fatal(err)
		}
		s.Root.Intermediates = append([]string{cross}, old.Root.Intermediates...)
	}
	_, chain := mustLeaf(t, signers[2], issue.Request{Identity: web}, 9)
	if len(chain) != 3 {
		t.Fatalf("%d certificates are sent", len(chain))
	}
	for i, s := range signers {
		if err := verify(chain, pool(t, s.Root), now); err != nil {
			t.Errorf("who trusts root %d alone: %v", i, err)
		}
	}
	if err := verify(chain, pool(t, mustSigner(t, ca.KeyEC, 256).Root), now); err == nil {
		t.Error("who trusts another root verifies, too")
	}
	if err := verify(chain, pool(t, signers[2].Root), now.Add(73*time.Hour)); err == nil {
		t.Error("a leaf holds after its end")
	}
}

func TestLeafEndsWithItsRoot(t *testing.T) {
	key, text := mustKey(t, ca.KeyEC, 256)
	root, err := issue.NewRoot(clusterID, key, 1, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s, err := issue.NewSigner(root, text)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := mustLeaf(t, s, issue.Request{Identity: web}, 2)
	if !leaf.NotAfter.Equal(now.Add(time.Hour)) {
		t.Errorf("the leaf ends at %v, its root at %v", leaf.NotAfter, now.Add(time.Hour))
	}
	r := &issue.Request{Identity: web, Key: key.Public()}
	if _, err := s.Leaf(r, 3, now.Add(2*time.Hour), time.Hour); !failure.Is(err, failure.Unavailable) {
		t.Errorf("a root that expired signs: %v", err)
	}
}

func TestRootsOfOperators(t *testing.T) {
	key, text := mustKey(t, ca.KeyEC, 384)
	root, err := issue.NewRoot(clusterID, key, 77, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, other := mustKey(t, ca.KeyEC, 384)
	s := mustSigner(t, ca.KeyEC, 256)
	cross, err := s.Vouch(root, 3, now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := mustLeaf(t, s, issue.Request{Identity: web}, 9)
	for _, c := range []struct {
		name, cert, key, domain string
		at                      time.Time
		want                    string
	}{
		{"of this cluster", root.Cert, text, domain, now, ""},
		{"of a new cluster", root.Cert, text, "", now, ""},
		{"of another cluster", root.Cert, text, "x.consul", now, "trust domain"},
		{"with another key", root.Cert, other, domain, now, "does not belong"},
		{"not yet valid", root.Cert, text, domain, now.Add(-time.Hour), "does not hold before"},
		{"expired", root.Cert, text, domain, now.Add(2 * time.Hour), "expired at"},
		{"signed by another", cross, text, domain, now, "not signed by itself"},
		{"a leaf", leaf.PEM, text, domain, now, "does not belong"},
		{"two certificates", root.Cert + root.Cert, text, domain, now, "stands behind"},
		{"no certificate", "x", text, domain, now, "no PEM"},
		{"no key", root.Cert, "x", domain, now, "no PEM"},
		{"a certificate for a key", root.Cert, root.Cert, domain, now, "type \"CERTIFICATE\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := issue.TakeRoot(c.cert, c.key, c.domain, c.at)
			switch {
			case c.want == "" && (err != nil || got.ID != root.ID || got.Serial != 77 || got.KeyBits != 384):
				t.Errorf("taken as %+v, %v", got, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

// TestOpenSSLAgrees lets openssl read and verify what is made here.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is needed: scripts/test-deps.sh installs it")
	}
	old, s := mustSigner(t, ca.KeyEC, 256), mustSigner(t, ca.KeyEC, 256)
	cross, err := old.Vouch(s.Root, 3, now)
	if err != nil {
		t.Fatal(err)
	}
	s.Root.Intermediates = []string{cross}
	leaf, _ := mustLeaf(t, s, issue.Request{Identity: web}, 9)
	dir := t.TempDir()
	write := func(name, text string) string { return writeFile(t, dir, name, text) }
	leafFile, chainFile := write("leaf.pem", leaf.PEM), write("chain.pem", cross)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the old root verifies": {[]string{"verify", "-CAfile", write("old.pem", old.Root.Cert), "-untrusted", chainFile, leafFile}, leafFile + ": OK"},
		"the new root verifies": {[]string{"verify", "-CAfile", write("new.pem", s.Root.Cert), leafFile}, leafFile + ": OK"},
		"the identity":          {[]string{"x509", "-in", leafFile, "-noout", "-ext", "subjectAltName"}, "X509v3 Subject Alternative Name: critical\n    URI:" + web.String()},
		"the constraints":       {[]string{"x509", "-in", leafFile, "-noout", "-ext", "basicConstraints"}, "CA:FALSE"},
		"the usage":             {[]string{"x509", "-in", leafFile, "-noout", "-ext", "keyUsage,extendedKeyUsage"}, "Digital Signature, Key Encipherment, Data Encipherment, Key Agreement"},
		"the root's usage":      {[]string{"x509", "-in", write("root.pem", s.Root.Cert), "-noout", "-ext", "keyUsage"}, "Digital Signature, Certificate Sign, CRL Sign"},
		"the root's id":         {[]string{"x509", "-in", write("id.pem", s.Root.Cert), "-noout", "-fingerprint", "-sha1"}, strings.ToUpper(s.Root.ID)},
		"the serial number":     {[]string{"x509", "-in", leafFile, "-noout", "-serial"}, "serial=09"},
	} {
		out, err := exec.CommandContext(t.Context(), openssl, c.args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: openssl says %s (%v), want %q", name, out, err, c.want)
		}
	}
}

func TestIdentityOfARootCertificate(t *testing.T) {
	s := mustSigner(t, ca.KeyEC, 256)
	cert, err := ca.ParseCertificate(s.Root.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := issue.DomainOf(cert); err != nil || got != spiffe.DomainOf(clusterID) {
		t.Errorf("domain %q, %v", got, err)
	}
	_, chain := mustLeaf(t, s, issue.Request{Identity: web}, 9)
	if got, err := issue.DomainOf(chain[0]); err == nil {
		t.Errorf("a service's certificate names the domain %q", got)
	}
}

func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
