// Package issue makes the certificates of agents: an authority of one's own, and
// under it certificates of the three roles (server, client, command line). It is
// what `ctl tls` runs on, and where tests take their certificates from.
//
// It is not the cluster's own authority, whose keys are in the replicated state;
// here keys are files in the operator's hands. It touches no file itself.
//
// The role of a certificate is in its names: server.<datacenter>.<domain> is what
// agents with verify_server_hostname demand of a server.
// Source: the public documentation of Consul's agent certificates; RFC 5280.
package issue

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Role says what a certificate is for.
type Role string

// The roles. Their texts are part of file names.
const (
	Server Role = "server" // may speak to servers as a server, and serve HTTPS
	Client Role = "client" // a client agent: may ask servers, and serve HTTPS
	CLI    Role = "cli"    // an operator's: may ask HTTPS listeners
)

// Name returns the name that carries the role in a datacenter and domain, such
// as server.dc1.consul.
func (r Role) Name(datacenter, domain string) string {
	return string(r) + "." + datacenter + "." + Domain(domain)
}

// Domain returns a domain as certificates name it: in lower case, without the
// dot of the root.
func Domain(domain string) string { return strings.TrimSuffix(strings.ToLower(domain), ".") }

// A certificate begins a little before now, for peers whose clock is behind.
const backdate = time.Minute

// AuthorityOptions describe a new authority.
type AuthorityOptions struct {
	Domain string
	// CommonName is the subject; empty makes one of the serial number.
	CommonName string
	// ClusterID, if set, adds the URI spiffe://<ClusterID>.consul.
	ClusterID string
	// NameConstraints, if not empty, are the only domains whose names the
	// authority's certificates may carry.
	NameConstraints []string
	// NotBefore is the beginning of its life, by default about now; Life its
	// length, which must be positive.
	NotBefore time.Time
	Life      time.Duration
}

// Authority is a certificate authority with its key.
type Authority struct {
	Cert    *x509.Certificate
	CertPEM []byte
	KeyPEM  []byte
	key     crypto.Signer
}

// NewAuthority makes an authority with a new key, ECDSA on P-256.
func NewAuthority(o AuthorityOptions) (*Authority, error) {
	if o.Life <= 0 {
		return nil, fmt.Errorf("an authority that is valid for %v is of no use: choose a longer time", o.Life)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	if o.CommonName == "" {
		o.CommonName = "Consul Agent CA " + serial.String()
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	from := begin(o.NotBefore)
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: o.CommonName},
		NotBefore: from, NotAfter: from.Add(o.Life),
		IsCA: true, BasicConstraintsValid: true, SubjectKeyId: id, AuthorityKeyId: id,
		KeyUsage:                    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: len(o.NameConstraints) > 0, PermittedDNSDomains: o.NameConstraints,
	}
	if o.ClusterID != "" {
		t.URIs = []*url.URL{{Scheme: "spiffe", Host: o.ClusterID + ".consul"}}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority back: %w", err)
	}
	return &Authority{Cert: cert, CertPEM: encode("CERTIFICATE", der), KeyPEM: keyPEM, key: key}, nil
}

// LoadAuthority reads an authority from its two PEM texts. The names are those of
// the files, for messages.
func LoadAuthority(certName string, certPEM []byte, keyName string, keyPEM []byte) (*Authority, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", certName)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certName, err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s is the certificate of %q, not of an authority: it may sign nothing", certName, cert.Subject.CommonName)
	}
	key, err := ParseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyName, err)
	}
	if !KeyOf(key, cert) {
		return nil, fmt.Errorf("%s is not the key of %s: give the two files `ctl tls ca create` made together", keyName, certName)
	}
	return &Authority{Cert: cert, CertPEM: encode("CERTIFICATE", block.Bytes), KeyPEM: keyPEM, key: key}, nil
}

// KeyOf reports whether key is the private key of cert.
func KeyOf(key crypto.Signer, cert *x509.Certificate) bool {
	p, ok := key.Public().(interface{ Equal(x crypto.PublicKey) bool })
	return ok && p.Equal(cert.PublicKey)
}

// Options describe a certificate of a role.
type Options struct {
	Role               Role
	Datacenter, Domain string
	// Node adds <Node>.server.<Datacenter>.<Domain>, for servers.
	Node     string
	DNSNames []string // further ones
	IPs      []net.IP
	// NotBefore and Life are as those of an authority.
	NotBefore time.Time
	Life      time.Duration
}

// names returns the names of a certificate.
func (o Options) names() (dns []string, ips []net.IP) {
	dns = append(dns, o.Role.Name(o.Datacenter, o.Domain))
	if o.Node != "" {
		dns = append(dns, o.Node+"."+dns[0])
	}
	dns = append(dns, o.DNSNames...)
	ips = slices.Clone(o.IPs)
	if o.Role != CLI { // agents serve HTTPS on this machine, too
		dns = append(dns, "localhost")
		ips = append(ips, net.IPv4(127, 0, 0, 1).To4())
	}
	return dns, ips
}

// Issue makes a certificate with a new key, ECDSA on P-256, both as PEM.
func (a *Authority) Issue(o Options) (certPEM, keyPEM []byte, err error) {
	if o.Life <= 0 {
		return nil, nil, fmt.Errorf("a certificate that is valid for %v is of no use: choose a longer time", o.Life)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, nil, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, nil, err
	}
	from := begin(o.NotBefore)
	t := &x509.Certificate{
		SerialNumber: serial, NotBefore: from, NotAfter: from.Add(o.Life),
		BasicConstraintsValid: true, SubjectKeyId: id, AuthorityKeyId: a.Cert.SubjectKeyId,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if o.Role != CLI {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	t.DNSNames, t.IPAddresses = o.names()
	t.Subject = pkix.Name{CommonName: t.DNSNames[0]}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read the certificate back: %w", err)
	}
	if err := a.allows(cert); err != nil {
		return nil, nil, err
	}
	return encode("CERTIFICATE", der), keyPEM, nil
}

// IssueURI makes a certificate as a cluster's own authority does: of one URI and
// further names, without a subject. It is for tests of what is done with them.
func (a *Authority) IssueURI(uri string, dns []string, life time.Duration) (*tls.Certificate, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	from := begin(time.Time{})
	t := &x509.Certificate{
		SerialNumber: serial, NotBefore: from, NotAfter: from.Add(life), URIs: []*url.URL{u}, DNSNames: dns,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// allows fails where nobody would accept what the authority signed.
func (a *Authority) allows(cert *x509.Certificate) error {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: pool, CurrentTime: cert.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return nil // tests make certificates outside the authority's own time
	}
	if err != nil {
		return fmt.Errorf("the authority %q cannot sign this certificate: %w", a.Cert.Subject.CommonName, err)
	}
	return nil
}

// ParseKey reads a private key: PKCS #8, SEC 1 (EC) or PKCS #1 (RSA) in PEM.
// Blocks that are not keys, such as EC parameters, are skipped. The error never
// holds anything of the key.
func ParseKey(keyPEM []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "" {
			return nil, errors.New("the private key is protected by a passphrase, which an agent cannot ask for: store it without one")
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if s, ok := key.(crypto.Signer); ok {
				return s, nil
			}
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		return nil, errors.New("the private key is damaged or of an unknown kind: RSA, ECDSA and Ed25519 keys can be used")
	}
	if bytes.Contains(keyPEM, []byte("BEGIN CERTIFICATE")) {
		return nil, errors.New("holds a certificate, not a private key in PEM form")
	}
	return nil, errors.New("holds no private key in PEM form")
}

func begin(from time.Time) time.Time {
	if from.IsZero() {
		from = time.Now().Add(-backdate)
	}
	return from.UTC().Truncate(time.Second)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key: %w", err)
	}
	return key, encode("EC PRIVATE KEY", der), nil
}

func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil // RFC 5280: positive
}

// keyID is the SHA-256 of the public key.
func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
