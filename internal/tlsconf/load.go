package tlsconf

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// A material is what the files of one protocol hold.
type material struct {
	cert   *tls.Certificate // nil without one; Leaf is set
	source string           // the file the certificate came from, for messages
	roots  []*x509.Certificate
	digest [sha256.Size]byte
}

// loader reads the files of one protocol.
type loader struct {
	name string // of the block, such as tls.internal_rpc
	now  time.Time
}

// load reads everything s names.
func (l loader) load(s Settings) (m material, warnings []string, err error) {
	h := sha256.New()
	add := func(data []byte) []byte {
		fmt.Fprintf(h, "%d:", len(data))
		h.Write(data)
		return data
	}
	if s.CAFile != "" {
		data, err := l.read("ca_file", s.CAFile)
		if err != nil {
			return m, nil, err
		}
		if m.roots, err = l.authorities("ca_file", s.CAFile, add(data)); err != nil {
			return m, nil, err
		}
	}
	if s.CAPath != "" {
		files, err := l.list(s.CAPath)
		if err != nil {
			return m, nil, err
		}
		for _, file := range files {
			data, err := l.read("ca_path", file)
			if err != nil {
				return m, nil, err
			}
			more, err := l.authorities("ca_path", file, add(data))
			if err != nil {
				return m, nil, err
			}
			m.roots = append(m.roots, more...)
		}
	}
	for _, c := range m.roots {
		if l.now.After(c.NotAfter) {
			warnings = append(warnings, fmt.Sprintf("%s: the authority %q expired on %s: certificates it signed are refused", l.name, c.Subject, day(c.NotAfter)))
		}
	}
	if s.HasCertificate() {
		var certPEM, keyPEM []byte
		if m.cert, certPEM, keyPEM, err = l.pair(s.CertFile, s.KeyFile); err != nil {
			return m, nil, err
		}
		add(certPEM)
		add(keyPEM)
		m.source = s.CertFile
	}
	h.Sum(m.digest[:0])
	return m, warnings, nil
}

func (l loader) read(key, file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, l.explainRead(key, err)
	}
	return data, nil
}

func (l loader) explainRead(key string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s.%s: %w; let the user the agent runs as read it", l.name, key, err)
	}
	return fmt.Errorf("%s.%s: %w", l.name, key, err)
}

// list returns the files of a directory of authorities. Hidden ones, which some
// systems that swap whole directories make, are not among them.
func (l loader) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s.ca_path: %w", l.name, err)
	}
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s.ca_path: %w", l.name, err)
		}
		if !strings.HasPrefix(e.Name(), ".") && !info.IsDir() {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s.ca_path: %s holds no file; put the authorities' certificates there, in PEM form", l.name, dir)
	}
	return files, nil
}

// authorities reads the certificates of a file, of which there must be one.
func (l loader) authorities(key, file string, data []byte) ([]*x509.Certificate, error) {
	certs, err := certificates(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s.%s: %s: %w", l.name, key, file, err)
	case len(certs) == 0:
		return nil, fmt.Errorf("%s.%s: %s holds no certificate in PEM form%s", l.name, key, file, instead(data))
	}
	for _, c := range certs {
		if c.BasicConstraintsValid && !c.IsCA {
			return nil, fmt.Errorf("%s.%s: %s holds the certificate of %q, which is not an authority's; name the authority's own certificate there", l.name, key, file, c.Subject)
		}
	}
	return certs, nil
}

// instead says what a file holds in place of a certificate.
func instead(data []byte) string {
	block, _ := pem.Decode(data)
	switch {
	case len(strings.TrimSpace(string(data))) == 0:
		return ": it is empty"
	case block == nil:
		return "; convert it, if it is in DER form, with openssl x509 -inform der"
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return ", but a private key: the two settings may be exchanged"
	}
	return fmt.Sprintf(", but a %s", strings.ToLower(block.Type))
}

func certificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is damaged: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// pair reads a certificate with what it is signed by, and its key.
func (l loader) pair(certFile, keyFile string) (_ *tls.Certificate, certPEM, keyPEM []byte, err error) {
	switch {
	case certFile == "":
		return nil, nil, nil, fmt.Errorf("%s.key_file is set, but %s.cert_file is not: both are needed", l.name, l.name)
	case keyFile == "":
		return nil, nil, nil, fmt.Errorf("%s.cert_file is set, but %s.key_file is not: both are needed", l.name, l.name)
	}
	if certPEM, err = l.read("cert_file", certFile); err != nil {
		return nil, nil, nil, err
	}
	if keyPEM, err = l.read("key_file", keyFile); err != nil {
		return nil, nil, nil, err
	}
	chain, err := certificates(certPEM)
	switch {
	case err != nil:
		return nil, nil, nil, fmt.Errorf("%s.cert_file: %s: %w", l.name, certFile, err)
	case len(chain) == 0:
		return nil, nil, nil, fmt.Errorf("%s.cert_file: %s holds no certificate in PEM form%s", l.name, certFile, instead(certPEM))
	}
	key, err := issue.ParseKey(keyPEM)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s.key_file: %s: %w", l.name, keyFile, err)
	}
	if !issue.KeyOf(key, chain[0]) {
		return nil, nil, nil, fmt.Errorf("%s.key_file: %s is not the key of the certificate in %s (%s); name the two files that were made together",
			l.name, keyFile, certFile, chain[0].Subject)
	}
	if err := inTime(chain[0], l.now); err != nil {
		return nil, nil, nil, fmt.Errorf("%s.cert_file: %s: the certificate %w; replace it with one that is valid now", l.name, certFile, err)
	}
	pair := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	return pair, certPEM, keyPEM, nil
}

// inTime fails outside the life of a certificate.
func inTime(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("expired on %s", day(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Errorf("is not yet valid: its time begins on %s", day(c.NotBefore))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
