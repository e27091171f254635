// Package issue makes keys and certificates for package ca: roots, the
// certificates by which one root vouches for the next, and leaves.
//
// It holds no state and asks for no time: the caller says when it is and which
// serial number to use. It trusts what it is given: requests are what ParseRequest
// let pass, settings what ca.Settings.Check did. The profiles:
//
//	root   self-signed, CA:TRUE, URI spiffe://<trust domain>, key usage
//	       digital signature, certificate and CRL signing
//	cross  the same subject, key and URI, signed by the root before
//	leaf   empty subject, the identity as a critical URI SAN, CA:FALSE, key usage
//	       digital signature, key and data encipherment, key agreement, for
//	       TLS clients and servers; an agent's also has host names and addresses
//
// Source: the public documentation of Consul's certificate authority, RFC 5280
// and the SPIFFE X.509-SVID standard.
package issue

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/spiffe"
)

// backdate is how long before it is made a certificate begins to hold, for
// machines whose clock is a little behind.
const backdate = time.Minute

// NewKey makes a private key of the type and size and returns it, and as PEM.
func NewKey(keyType string, bits int) (crypto.Signer, string, error) {
	if keyType == ca.KeyRSA {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, "", fmt.Errorf("make an RSA key: %w", err)
		}
		return key, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), nil
	}
	curve := map[int]elliptic.Curve{224: elliptic.P224(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}[bits]
	if keyType != ca.KeyEC || curve == nil {
		return nil, "", failure.Newf(failure.Invalid, "no key of type %q has %d bits", keyType, bits)
	}
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make an EC key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, "", fmt.Errorf("encode an EC key: %w", err)
	}
	return key, encode("EC PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// ParseKey reads a private key in PEM: PKCS #8, or the older forms of EC and RSA
// keys. It fails as Invalid, without a word of the key.
func ParseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	for rest := []byte(text); block != nil && block.Type == "EC PARAMETERS"; {
		_, rest = pem.Decode(rest)
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, failure.New(failure.Invalid, "the private key is no PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, failure.Newf(failure.Invalid, "the private key is a PEM block of type %.60q; known are EC, RSA and PKCS #8 keys, not encrypted", block.Type)
	}
	if err != nil {
		return nil, failure.New(failure.Invalid, "the private key cannot be read")
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k, nil
	case *rsa.PrivateKey:
		return k, nil
	}
	return nil, failure.New(failure.Invalid, "the private key is neither EC nor RSA")
}

// keyKind returns the type and size of a key.
func keyKind(key crypto.PublicKey) (keyType string, bits int) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ca.KeyEC, k.Curve.Params().BitSize
	case *rsa.PublicKey:
		return ca.KeyRSA, k.N.BitLen()
	}
	return "", 0
}

// subjectKeyID identifies a public key.
func subjectKeyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// authorityUsage is what the key of a root may do.
const authorityUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// rootName is how every root of the cluster is shown.
const rootName = "Consul CA Primary Cert"

// NewRoot makes a self-signed root of the cluster that holds for ttl.
func NewRoot(clusterID string, key crypto.Signer, serial uint64, now time.Time, ttl time.Duration) (*ca.Root, error) {
	id, err := subjectKeyID(key.Public())
	if err != nil {
		return nil, err
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	short := strings.ToLower(strings.ReplaceAll(clusterID, "-", ""))
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetUint64(serial),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("pri-%x.consul.ca.%.8s.consul", random, short)},
		URIs:                  []*url.URL{spiffe.ID{Kind: spiffe.TrustDomain, TrustDomain: spiffe.DomainOf(clusterID)}.URI()},
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              authorityUsage,
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(ttl),
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign a root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the root back: %w", err)
	}
	return describe(cert), nil
}

// describe returns the row of a root certificate.
func describe(cert *x509.Certificate) *ca.Root {
	keyType, bits := keyKind(cert.PublicKey)
	return &ca.Root{
		ID: ca.Fingerprint(cert.Raw), Name: rootName, Serial: cert.SerialNumber.Uint64(), SigningKeyID: ca.KeyID(cert.SubjectKeyId),
		NotBefore: cert.NotBefore.Unix(), NotAfter: cert.NotAfter.Unix(), Cert: ca.EncodeCertificate(cert.Raw),
		KeyType: keyType, KeyBits: bits,
	}
}

// TakeRoot checks a root that an operator gives, certificate and key as PEM, and
// returns its row. It must be an authority that may sign, hold now, match the
// key, and name no other trust domain than domain; domain may be "". It fails as
// Invalid.
func TakeRoot(certText, keyText, domain string, now time.Time) (*ca.Root, error) {
	cert, err := ca.ParseCertificate(certText)
	if err != nil {
		return nil, failure.Newf(failure.Invalid, "RootCert: %w", err)
	}
	key, err := ParseKey(keyText)
	if err != nil {
		return nil, failure.Newf(failure.Invalid, "PrivateKey: %w", err)
	}
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	keyType, _ := keyKind(cert.PublicKey)
	named, nameErr := DomainOf(cert)
	switch {
	case !ok || keyType == "":
		err = failure.New(failure.Invalid, "its key is neither EC nor RSA")
	case !public.Equal(key.Public()):
		err = failure.New(failure.Invalid, "it does not belong to PrivateKey")
	case !cert.BasicConstraintsValid || !cert.IsCA:
		err = failure.New(failure.Invalid, "it is no authority (CA:TRUE is missing)")
	case cert.KeyUsage&x509.KeyUsageCertSign == 0:
		err = failure.New(failure.Invalid, "its key may not sign certificates (key usage)")
	case now.Before(cert.NotBefore):
		err = failure.Newf(failure.Invalid, "it does not hold before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		err = failure.Newf(failure.Invalid, "it expired at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	case cert.CheckSignatureFrom(cert) != nil:
		err = failure.New(failure.Invalid, "it is not signed by itself: it is no root")
	case len(cert.SubjectKeyId) == 0:
		err = failure.New(failure.Invalid, "it has no subject key identifier")
	case nameErr != nil:
		err = nameErr
	case domain != "" && named != "" && named != domain:
		err = failure.Newf(failure.Invalid, "its trust domain is %q, this cluster's is %q", named, domain)
	}
	if err != nil {
		return nil, failure.Newf(failure.Invalid, "RootCert: %w", err)
	}
	return describe(cert), nil
}

// DomainOf returns the trust domain that a root certificate names, "" for none.
func DomainOf(cert *x509.Certificate) (string, error) {
	if len(cert.URIs) == 0 {
		return "", nil
	}
	id, err := spiffe.Parse(cert.URIs[0].String())
	if err != nil || len(cert.URIs) > 1 || id.Kind != spiffe.TrustDomain {
		return "", failure.New(failure.Invalid, "its URIs are not the one of a trust domain")
	}
	return id.TrustDomain, nil
}

// Signer signs with a root. It is safe for any number of goroutines.
type Signer struct {
	Root *ca.Root
	cert *x509.Certificate
	key  crypto.Signer
}

// NewSigner returns what signs with root and its private key.
func NewSigner(root *ca.Root, key string) (*Signer, error) {
	cert, err := ca.ParseCertificate(root.Cert)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root.ID, err)
	}
	k, err := ParseKey(key)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root.ID, err)
	}
	return &Signer{Root: root, cert: cert, key: k}, nil
}

// Vouch signs the certificate of another root, so that who trusts only this one
// can verify what the other signs. The result, as PEM, holds for as long as both
// roots do.
func (s *Signer) Vouch(other *ca.Root, serial uint64, now time.Time) (string, error) {
	cert, err := ca.ParseCertificate(other.Cert)
	if err != nil {
		return "", fmt.Errorf("root %s: %w", other.ID, err)
	}
	end := cert.NotAfter
	if s.cert.NotAfter.Before(end) {
		end = s.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(serial), Subject: cert.Subject, RawSubject: cert.RawSubject, URIs: cert.URIs,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: authorityUsage,
		NotBefore: now.Add(-backdate), NotAfter: end, SubjectKeyId: cert.SubjectKeyId,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, cert.PublicKey, s.key)
	if err != nil {
		return "", fmt.Errorf("let root %s vouch for root %s: %w", s.Root.ID, other.ID, err)
	}
	return ca.EncodeCertificate(der), nil
}

// Leaf is a signed leaf certificate.
type Leaf struct {
	// PEM is the certificate with the root's intermediates behind it.
	PEM string
	// Serial is the serial number, in hexadecimal with colons.
	Serial              string
	NotBefore, NotAfter time.Time
}

// Leaf signs a request. The certificate does not outlive the root; it fails as
// Unavailable when the root has ended.
func (s *Signer) Leaf(r *Request, serial uint64, now time.Time, ttl time.Duration) (*Leaf, error) {
	id, err := subjectKeyID(r.Key)
	if err != nil {
		return nil, err
	}
	end := now.Add(ttl)
	if s.cert.NotAfter.Before(end) {
		end = s.cert.NotAfter
	}
	if !now.Before(end) {
		return nil, failure.Newf(failure.Unavailable, "the root certificate expired at %s: rotate it (ctl connect ca rotate -force-without-cross-signing)", s.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetUint64(serial),
		URIs:                  []*url.URL{r.Identity.URI()},
		DNSNames:              r.DNSNames,
		IPAddresses:           r.Addresses,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore:             now.Add(-backdate),
		NotAfter:              end,
		SubjectKeyId:          id,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, r.Key, s.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", r.Identity, err)
	}
	text := ca.EncodeCertificate(der) + strings.Join(s.Root.Intermediates, "")
	return &Leaf{
		PEM: text, Serial: ca.KeyID(template.SerialNumber.Bytes()),
		NotBefore: template.NotBefore.UTC().Truncate(time.Second), NotAfter: template.NotAfter.UTC().Truncate(time.Second),
	}, nil
}

// NewRequest makes a certificate signing request, in PEM, for what r says,
// signed by key.
func NewRequest(r Request, key crypto.Signer) (string, error) {
	template := &x509.CertificateRequest{URIs: []*url.URL{r.Identity.URI()}, DNSNames: r.DNSNames, IPAddresses: r.Addresses}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return "", fmt.Errorf("make a request for %s: %w", r.Identity, err)
	}
	return encode("CERTIFICATE REQUEST", der), nil
}
