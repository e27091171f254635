package issue

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"net"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/spiffe"
	tlsissue "github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// Request is a checked request for a certificate: all that may go from the
// asker's hand into a certificate.
type Request struct {
	Identity spiffe.ID
	Key      crypto.PublicKey
	// DNSNames and Addresses are further names of an agent; always empty for
	// a service.
	DNSNames  []string
	Addresses []net.IP
}

// Limits on a request.
const (
	maxRequestBytes = 16 << 10
	maxAgentNames   = 64
)

var (
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// The tags of names in the extension. Source: RFC 5280, section 4.2.1.6.
const (
	tagDNS = 2
	tagURI = 6
	tagIP  = 7
)

// ParseRequest reads a certificate signing request in PEM and checks everything
// it says. It must be signed by its own key, which must be EC (P-256, P-384,
// P-521) or RSA (2048 to 4096 bits), and have exactly one URI among its
// alternative names, a service's or an agent's identity. A service may have no
// other name; an agent may have host names and addresses, but no wildcard and
// none that a server's certificate would have. A request for an authority
// (CA:TRUE) is refused. The subject and everything else are ignored. It fails
// as BadRequest with what is wrong.
func ParseRequest(text []byte) (*Request, error) {
	r, err := parseRequest(text)
	if err != nil {
		return nil, failure.Newf(failure.BadRequest, "certificate signing request: %w", err)
	}
	return r, nil
}

func refused(format string, args ...any) error {
	return failure.Newf(failure.BadRequest, format, args...)
}

func parseRequest(text []byte) (*Request, error) {
	if len(text) > maxRequestBytes {
		return nil, refused("it has %d bytes, the limit is %d", len(text), maxRequestBytes)
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, refused("it is no PEM")
	case block.Type != "CERTIFICATE REQUEST":
		return nil, refused("it is a PEM block of type %.60q, not CERTIFICATE REQUEST", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, refused("something stands behind it")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, refused("it cannot be read: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, refused("its signature is not that of its own key: %w", err)
	}
	if err := checkPublicKey(csr.PublicKey); err != nil {
		return nil, err
	}
	r := &Request{Key: csr.PublicKey}
	return r, r.takeNames(csr)
}

func checkPublicKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return refused("its key is on the curve %s; allowed are P-256, P-384 and P-521", k.Curve.Params().Name)
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 4096 {
			return refused("its RSA key has %d bits; allowed are 2048 to 4096", n)
		}
		return nil
	}
	return refused("its key is neither EC nor RSA")
}

// takeNames fills in the identity and the other names from the extensions. The
// library's own lists leave out kinds of names it does not know and, of an
// extension that comes twice, all but the last; so the extension is read here.
func (r *Request) takeNames(csr *x509.CertificateRequest) error {
	var names []byte
	for _, e := range csr.Extensions {
		switch {
		case e.Id.Equal(oidBasicConstraints):
			if err := checkNoAuthority(e.Value); err != nil {
				return err
			}
		case e.Id.Equal(oidSubjectAltName) && names != nil:
			return refused("it has two lists of alternative names")
		case e.Id.Equal(oidSubjectAltName):
			names = e.Value
		}
	}
	var uris []string
	err := eachName(names, func(tag int, value []byte) error {
		switch tag {
		case tagURI:
			uris = append(uris, string(value))
		case tagDNS:
			r.DNSNames = append(r.DNSNames, string(value))
		case tagIP:
			if len(value) != net.IPv4len && len(value) != net.IPv6len {
				return refused("an address among its names has %d bytes", len(value))
			}
			r.Addresses = append(r.Addresses, bytes.Clone(value))
		default:
			return refused("it has an alternative name of the kind %d; a certificate here has an identity and no more", tag)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(uris) != 1 {
		return refused("it has %d URIs among its alternative names; it must have exactly one, the identity", len(uris))
	}
	if r.Identity, err = spiffe.Parse(uris[0]); err != nil {
		return err
	}
	return r.checkNames()
}

func eachName(list []byte, yield func(tag int, value []byte) error) error {
	if list == nil {
		return nil
	}
	var seq asn1.RawValue
	rest, err := asn1.Unmarshal(list, &seq)
	if err != nil || len(rest) > 0 || !seq.IsCompound || seq.Tag != asn1.TagSequence || seq.Class != asn1.ClassUniversal {
		return refused("its alternative names cannot be read")
	}
	for rest := seq.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &name); err != nil || name.Class != asn1.ClassContextSpecific {
			return refused("its alternative names cannot be read")
		}
		if err := yield(name.Tag, name.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func checkNoAuthority(value []byte) error {
	var c struct {
		IsCA       bool `asn1:"optional"`
		MaxPathLen int  `asn1:"optional,default:-1"`
	}
	rest, err := asn1.Unmarshal(value, &c)
	if err != nil || len(rest) > 0 {
		return refused("its basic constraints cannot be read")
	}
	if c.IsCA {
		return refused("it asks for an authority (CA:TRUE)")
	}
	return nil
}

// checkNames refuses names that the identity's kind may not have.
func (r *Request) checkNames() error {
	switch r.Identity.Kind {
	case spiffe.Service:
		if n := len(r.DNSNames) + len(r.Addresses); n > 0 {
			return refused("it has %d host names and addresses; a service has its identity and no other name", n)
		}
		return nil
	case spiffe.Agent:
	default:
		return refused("its identity %q is neither a service nor an agent", r.Identity)
	}
	if n := len(r.DNSNames) + len(r.Addresses); n > maxAgentNames {
		return refused("it has %d host names and addresses, the limit is %d", n, maxAgentNames)
	}
	for _, name := range r.DNSNames {
		if err := tlsissue.CheckHost(name); err != nil {
			return refused("among its names: %w", err)
		}
	}
	return nil
}
