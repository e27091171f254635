package ca

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the id of a root is a name, no proof
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Provider is the name of the only kind of authority there is: the cluster's
// own.
const Provider = "consul"

// Types of keys.
const (
	KeyEC  = "ec"
	KeyRSA = "rsa"
)

// Limits on the lives of certificates.
const (
	minLeafTTL = time.Hour
	maxLeafTTL = 8760 * time.Hour
)

// DefaultSettings returns what holds where nobody says otherwise.
func DefaultSettings() Settings {
	return Settings{
		LeafTTL: 72 * time.Hour, IntermediateTTL: 8760 * time.Hour, RootTTL: 87600 * time.Hour,
		KeyType: KeyEC, KeyBits: 256, RequestsPerSecond: 50,
	}
}

// CheckProvider fails as Invalid unless name is Provider or empty.
func CheckProvider(name string) error {
	switch name {
	case Provider, "":
		return nil
	case "vault", "aws-pca":
		return failure.Newf(failure.Invalid, "could not initialize provider: the CA provider %q is not supported: use %q, the cluster's own", name, Provider)
	}
	return failure.Newf(failure.Invalid, "could not initialize provider: unknown CA provider %q", name)
}

// Check fails as Invalid when a setting breaks a rule.
func (s Settings) Check() error {
	bits := []int{224, 256, 384, 521}
	if s.KeyType == KeyRSA {
		bits = []int{2048, 4096}
	}
	switch {
	case s.LeafTTL < minLeafTTL:
		return failure.Newf(failure.Invalid, "leaf cert TTL must be greater or equal than %s", duration(minLeafTTL))
	case s.LeafTTL > maxLeafTTL:
		return failure.Newf(failure.Invalid, "leaf cert TTL must be less than or equal to %s", duration(maxLeafTTL))
	case s.IntermediateTTL < 3*s.LeafTTL:
		return failure.Newf(failure.Invalid, "Intermediate Cert TTL must be greater or equal than 3 * LeafCertTTL (>=%s).", duration(3*s.LeafTTL))
	case s.RootTTL < s.IntermediateTTL:
		return failure.Newf(failure.Invalid, "Root Cert TTL must be greater or equal than the Intermediate Cert TTL (>=%s).", duration(s.IntermediateTTL))
	case s.KeyType != KeyEC && s.KeyType != KeyRSA:
		return failure.Newf(failure.Invalid, "private key type must be either 'ec' or 'rsa', not %q", s.KeyType)
	case !slices.Contains(bits, s.KeyBits):
		return failure.Newf(failure.Invalid, "%s private key bits must be one of %v, not %d", strings.ToUpper(s.KeyType), bits, s.KeyBits)
	case s.RequestsPerSecond < 0 || math.IsNaN(s.RequestsPerSecond) || math.IsInf(s.RequestsPerSecond, 0):
		return failure.New(failure.Invalid, "CSRMaxPerSecond must be 0 (no limit) or more")
	case s.RequestsAtOnce < 0:
		return failure.New(failure.Invalid, "CSRMaxConcurrent must be 0 (no limit) or more")
	}
	return nil
}

// Given is what an operator says about the authority.
type Given struct {
	Settings Settings
	// PrivateKey is the key of Settings.RootCert, as PEM; "" keeps the one
	// there is. It is a secret.
	PrivateKey string
}

// ParseConfig reads an operator's settings: an object whose members are named
// LeafCertTTL or leaf_cert_ttl and so on. What it leaves out takes its default.
// Lives are texts ("72h") or nanoseconds, numbers may be texts. A member that is
// not known is refused, for a setting that is misspelt would silently not hold.
// It fails as Invalid; the error never repeats a secret.
func ParseConfig(members map[string]any) (Given, error) {
	g := Given{Settings: DefaultSettings()}
	s := &g.Settings
	bitsSet := false
	for _, name := range sorted(members) {
		v := members[name]
		var err error
		switch fold(name) {
		case "leafcertttl":
			s.LeafTTL, err = asDuration(v)
		case "intermediatecertttl":
			s.IntermediateTTL, err = asDuration(v)
		case "rootcertttl":
			s.RootTTL, err = asDuration(v)
		case "privatekeytype":
			s.KeyType, err = asText(v)
		case "privatekeybits":
			bitsSet = true
			s.KeyBits, err = asInt(v)
		case "csrmaxpersecond":
			s.RequestsPerSecond, err = asNumber(v)
		case "csrmaxconcurrent":
			s.RequestsAtOnce, err = asInt(v)
		case "rootcert":
			s.RootCert, err = asText(v)
		case "privatekey":
			g.PrivateKey, err = asText(v)
		case "rotationperiod":
			// Of long ago; said to have no effect.
		default:
			err = failure.New(failure.Invalid, "unknown; known are LeafCertTTL, IntermediateCertTTL, RootCertTTL, PrivateKeyType, PrivateKeyBits, CSRMaxPerSecond, CSRMaxConcurrent, PrivateKey and RootCert")
		}
		if err != nil {
			return Given{}, failure.Newf(failure.Invalid, "%s: %w", name, err)
		}
	}
	if s.KeyType == KeyRSA && !bitsSet {
		s.KeyBits = 2048
	}
	s.RootCert = strings.TrimSpace(s.RootCert)
	g.PrivateKey = strings.TrimSpace(g.PrivateKey)
	if g.PrivateKey != "" && s.RootCert == "" {
		return Given{}, failure.New(failure.Invalid, "PrivateKey is given without RootCert, the certificate it belongs to")
	}
	if s.IntermediateTTL < 3*s.LeafTTL && !has(members, "intermediatecertttl") {
		s.IntermediateTTL = 3 * s.LeafTTL
	}
	if s.RootTTL < s.IntermediateTTL && !has(members, "rootcertttl") {
		s.RootTTL = s.IntermediateTTL
	}
	return g, s.Check()
}

func sorted(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func has(m map[string]any, folded string) bool {
	for n := range m {
		if fold(n) == folded {
			return true
		}
	}
	return false
}

// fold makes CamelCase and snake_case the same.
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func asText(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", failure.Newf(failure.Invalid, "must be a text, not %s", kindOf(v))
}

func asNumber(v any) (float64, error) {
	switch n := v.(type) {
	case float64:
		return n, nil
	case int:
		return float64(n), nil
	case int64:
		return float64(n), nil
	case json.Number:
		return n.Float64()
	case string:
		f, err := strconv.ParseFloat(n, 64)
		if err != nil {
			return 0, failure.New(failure.Invalid, "must be a number")
		}
		return f, nil
	}
	return 0, failure.Newf(failure.Invalid, "must be a number, not %s", kindOf(v))
}

func asInt(v any) (int, error) {
	f, err := asNumber(v)
	if err != nil {
		return 0, err
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<31 {
		return 0, failure.New(failure.Invalid, "must be a whole number")
	}
	return int(f), nil
}

func asDuration(v any) (time.Duration, error) {
	if s, ok := v.(string); ok {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, failure.Newf(failure.Invalid, "invalid duration %q: give one such as \"72h\"", s)
		}
		return d, nil
	}
	f, err := asNumber(v)
	if err != nil || math.Abs(f) > math.MaxInt64/2 {
		return 0, failure.New(failure.Invalid, `must be a duration such as "72h"`)
	}
	return time.Duration(f), nil
}

// kindOf names what a value is, without repeating it.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return "a text"
	case map[string]any:
		return "an object"
	case []any, []map[string]any:
		return "a list"
	}
	return "a number"
}

// Config returns the settings as ParseConfig reads them, with the public names
// and without any secret.
func (s Settings) Config() map[string]any {
	c := map[string]any{
		"LeafCertTTL": duration(s.LeafTTL), "IntermediateCertTTL": duration(s.IntermediateTTL), "RootCertTTL": duration(s.RootTTL),
		"PrivateKeyType": s.KeyType, "PrivateKeyBits": s.KeyBits,
		"CSRMaxPerSecond": s.RequestsPerSecond, "CSRMaxConcurrent": s.RequestsAtOnce,
	}
	if s.RootCert != "" {
		c["RootCert"] = s.RootCert
	}
	return c
}

// duration prints d without the parts that are zero: 72h, not 72h0m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Rotates reports whether going from the old settings to the new ones needs a
// new root.
func Rotates(old, fresh Settings) bool {
	return old.RootCert != fresh.RootCert || fresh.RootCert == "" && (old.KeyType != fresh.KeyType || old.KeyBits != fresh.KeyBits)
}

// ParseCertificate reads one certificate in PEM, with nothing behind it.
func ParseCertificate(text string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, failure.New(failure.Invalid, "no PEM block")
	case block.Type != "CERTIFICATE":
		return nil, failure.Newf(failure.Invalid, "a PEM block of type %.60q, not CERTIFICATE", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, failure.New(failure.Invalid, "something stands behind the certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err)
	}
	return cert, nil
}

// EncodeCertificate returns a certificate as PEM.
func EncodeCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Fingerprint returns the id of a root: the SHA-1 of its certificate.
func Fingerprint(der []byte) string {
	sum := sha1.Sum(der) //nolint:gosec // a name, no proof
	return KeyID(sum[:])
}

// KeyID returns bytes in lower-case hexadecimal with colons.
func KeyID(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% x", b)), " ", ":")
}
