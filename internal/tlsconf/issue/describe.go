package issue

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// Description is what there is to say about a certificate.
type Description struct {
	Subject     string
	Issuer      string
	Serial      string // lower-case hex, bytes separated by colons, as openssl has it
	Fingerprint string // SHA-256, likewise
	DNSNames    []string
	IPAddresses []string
	URIs        []string
	NotBefore   time.Time
	NotAfter    time.Time
	Key         string // such as "ECDSA P-256"
	Signature   string // such as "ECDSA-SHA256"
	CA          bool
	// Usages are "server" and "client": what it may be in a TLS handshake.
	Usages []string
	// Roles says what the certificate may do in a cluster, one sentence each.
	Roles []string
}

// Describe looks at a certificate.
func Describe(c *x509.Certificate) Description {
	sum := sha256.Sum256(c.Raw)
	d := Description{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: colons(c.SerialNumber.Bytes()), Fingerprint: colons(sum[:]),
		DNSNames: append([]string{}, c.DNSNames...), IPAddresses: []string{}, URIs: []string{},
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Key: keyText(c), Signature: c.SignatureAlgorithm.String(),
		CA: c.IsCA, Usages: []string{}, Roles: []string{},
	}
	for _, ip := range c.IPAddresses {
		d.IPAddresses = append(d.IPAddresses, ip.String())
	}
	for _, u := range c.URIs {
		d.URIs = append(d.URIs, u.String())
	}
	if !c.IsCA {
		for _, u := range []struct {
			usage x509.ExtKeyUsage
			name  string
		}{{x509.ExtKeyUsageServerAuth, "server"}, {x509.ExtKeyUsageClientAuth, "client"}} {
			if hasUsage(c, u.usage) {
				d.Usages = append(d.Usages, u.name)
			}
		}
	}
	d.Roles = roles(c)
	return d
}

// hasUsage reports whether a certificate may be used so. One without extended
// usages may be used in any way: RFC 5280, 4.2.1.12.
func hasUsage(c *x509.Certificate, usage x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		if u == usage || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

func roles(c *x509.Certificate) []string {
	if c.IsCA {
		return []string{"authority: whoever has its key can make any certificate of this cluster"}
	}
	all := []string{}
	for _, u := range c.URIs {
		if u.Scheme == "spiffe" {
			all = append(all, spiffeRole(u.Path))
		}
	}
	for _, name := range c.DNSNames {
		role, place, _ := strings.Cut(name, ".")
		dc, domain, ok := strings.Cut(place, ".")
		if !ok || domain == "" {
			continue
		}
		switch Role(role) {
		case Server:
			if hasUsage(c, x509.ExtKeyUsageServerAuth) && hasUsage(c, x509.ExtKeyUsageClientAuth) {
				all = append(all, fmt.Sprintf("server of datacenter %s: may take part in Raft and answer agents (domain %s)", dc, domain))
			} else {
				all = append(all, fmt.Sprintf("has the name of a server of datacenter %s, but not both usages a server needs", dc))
			}
		case Client:
			all = append(all, fmt.Sprintf("client agent of datacenter %s: may ask servers, not be one", dc))
		case CLI:
			all = append(all, fmt.Sprintf("command line in datacenter %s: may ask agents over HTTPS", dc))
		}
	}
	if len(all) == 0 {
		all = append(all, "no role of an agent: accepted only where any certificate of the authority is (without verify_server_hostname)")
	}
	return all
}

func spiffeRole(path string) string {
	part := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case len(part) == 6 && part[0] == "agent" && part[1] == "client":
		return fmt.Sprintf("client agent %s of datacenter %s, by the cluster's own authority", part[5], part[3])
	case len(part) == 4 && part[0] == "agent" && part[1] == "server":
		return fmt.Sprintf("server of datacenter %s, by the cluster's own authority", part[3])
	case len(part) == 6 && part[0] == "ns" && part[4] == "svc":
		return fmt.Sprintf("service %s of datacenter %s: may speak to services, not to agents", part[5], part[3])
	}
	return "the identity " + path + ", which is not an agent's"
}

func keyText(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

func colons(b []byte) string {
	parts := make([]string, len(b))
	for i, x := range b {
		parts[i] = fmt.Sprintf("%02x", x)
	}
	return strings.Join(parts, ":")
}
