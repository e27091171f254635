package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/time/rate"
)

// Explain returns what went wrong in a handshake, as a statement about the peer
// in words an operator can act on. What it does not know it returns as it is.
func Explain(err error) error {
	text := explanation(err)
	if text == "" {
		return err
	}
	return &explained{text, err}
}

type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

func explanation(err error) string {
	var (
		known     *explained
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		host      x509.HostnameError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &known):
		return known.text
	case errors.As(err, &authority) && authority.Cert != nil:
		return fmt.Sprintf("its certificate (%s) is signed by an authority that this agent does not trust (%s): see ca_file", authority.Cert.Subject, authority.Cert.Issuer)
	case errors.As(err, &invalid):
		return invalidText(invalid)
	case errors.As(err, &host) && host.Certificate != nil:
		return fmt.Sprintf("its certificate is for %s, not for %s", names(host.Certificate), host.Host)
	case errors.As(err, &record):
		return "it does not speak TLS on this port"
	}
	switch text := err.Error(); {
	case strings.Contains(text, "client didn't provide a certificate"):
		return "it presents no certificate, and verify_incoming demands one"
	case strings.Contains(text, "failed to verify certificate: x509: "):
		return verifyText(text)
	case strings.Contains(text, "remote error: tls: certificate required"):
		return "it demands a certificate of this agent, which has none: set cert_file and key_file"
	case strings.Contains(text, "remote error: tls: unknown certificate authority"):
		return "it refuses this agent's certificate: it does not trust the authority that signed it"
	case strings.Contains(text, "remote error: tls: expired certificate"):
		return "it refuses this agent's certificate: it says that it is expired or not yet valid"
	case strings.Contains(text, "remote error: tls: bad certificate"):
		return "it refuses this agent's certificate: its log says why"
	case strings.Contains(text, "remote error: tls: no application protocol"), strings.Contains(text, "unsupported application protocols"):
		return "the two sides do not speak the same protocol over TLS on this port"
	case strings.Contains(text, "remote error: tls: protocol version not supported"), strings.Contains(text, "client offered only unsupported versions"):
		return "the two sides have no TLS version in common: see tls_min_version"
	case errors.Is(err, os.ErrDeadlineExceeded), strings.Contains(text, "i/o timeout"):
		return "the TLS handshake was not over in time"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "it ended the connection during the TLS handshake: it may take no TLS on this port, or be stopping"
	}
	return ""
}

func invalidText(e x509.CertificateInvalidError) string {
	who := "its certificate"
	if e.Cert != nil {
		who = fmt.Sprintf("its certificate (%s)", e.Cert.Subject)
	}
	switch e.Reason {
	case x509.Expired:
		if e.Cert != nil && strings.Contains(e.Detail, "before") {
			return fmt.Sprintf("%s is not yet valid: its time begins on %s; compare the clocks", who, day(e.Cert.NotBefore))
		}
		if e.Cert != nil {
			return fmt.Sprintf("%s expired on %s", who, day(e.Cert.NotAfter))
		}
	case x509.IncompatibleUsage:
		return who + " may not be used for this side of a connection (extended key usage)"
	default: // told in Go's words
	}
	return fmt.Sprintf("%s cannot be used: %s", who, e.Error())
}

// verifyText explains a certificate that did not pass, where only the text of the
// library is known, as of handshakes on the port of HTTPS. It is "" for what it
// does not know.
func verifyText(text string) string {
	_, after, expired := strings.Cut(text, " is after ")
	_, before, early := strings.Cut(text, " is before ")
	switch {
	case strings.Contains(text, "signed by unknown authority"):
		return "its certificate is signed by an authority that this agent does not trust: see ca_file"
	case expired:
		return "its certificate expired on " + after
	case early:
		return "its certificate is not yet valid: its time begins on " + before + "; compare the clocks"
	case strings.Contains(text, "incompatible key usage"):
		return "its certificate may not be used for this side of a connection (extended key usage)"
	}
	return ""
}

// names are those a certificate is for.
func names(c *x509.Certificate) string {
	all := c.DNSNames
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	if len(all) == 0 {
		return "no name at all"
	}
	return strings.Join(all, ", ")
}

// Journal writes refused connections to the log: each with the peer and the
// reason, but only so many, because anybody can make them happen.
type Journal struct {
	log     *slog.Logger
	limit   *rate.Limiter
	dropped atomic.Int64
}

// NewJournal returns a Journal that writes to log.
func NewJournal(log *slog.Logger) *Journal {
	return &Journal{log: log, limit: rate.NewLimiter(2, 20)}
}

// Refused notes a connection from or to an address that did not come about.
func (j *Journal) Refused(what string, peer net.Addr, err error) { j.refused(what, peer.String(), err) }

// RefusedBy is Refused with the peer's address as text.
func (j *Journal) RefusedBy(what, peer string, err error) { j.refused(what, peer, err) }

func (j *Journal) refused(what, peer string, err error) {
	if !j.limit.Allow() {
		j.dropped.Add(1)
		return
	}
	args := []any{"peer", peer, "error", Explain(err)}
	if n := j.dropped.Swap(0); n > 0 {
		args = append(args, "more_before", n)
	}
	j.log.Warn(what, args...)
}
