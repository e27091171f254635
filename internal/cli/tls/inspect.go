package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
	"github.com/spf13/cobra"
)

// dialTime bounds a look at a port.
const dialTime = 10 * time.Second

type inspectOptions struct {
	out        *cli.Output
	ca         string
	cert, key  string
	serverName string
}

// Finding is what inspect says about one file or port.
type Finding struct {
	Source       string
	Certificates []issue.Description
	// Chain says whether the first certificate leads to -ca-file; empty if
	// none was given.
	Chain string `json:",omitempty"`
	// Connection describes the handshake, for a port.
	Connection string `json:",omitempty"`
	// Problems is everything wrong with it.
	Problems []string
}

func newInspectCommand(f *cli.Factory) *cobra.Command {
	o := &inspectOptions{}
	cmd := &cobra.Command{
		Use:   "inspect [options] FILE|HOST:PORT...",
		Short: "Say what certificates are, and what they may do in a cluster",
		Long: `Look at certificates, in files or as a port presents them: names, validity, key
and what each may do in a cluster. With -ca-file it is also checked that the first
one leads to that authority. Exits 1 if something is wrong with one of them:
expired, not yet valid, of another authority.

A private key in a file is only compared with the certificate beside it.`,
		Example: `ctl tls inspect dc1-server-consul-0.pem
ctl tls inspect -ca-file consul-agent-ca.pem 10.0.0.1:8300 10.0.0.1:8501`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	fl := cmd.Flags()
	fl.StringVar(&o.ca, "ca-file", "", "`FILE` with the authority the certificates must lead to")
	fl.StringVar(&o.cert, "client-cert", "", "`FILE` with a certificate to present to a port")
	fl.StringVar(&o.key, "client-key", "", "`FILE` with its key")
	fl.StringVar(&o.serverName, "tls-server-name", "", "`NAME` the first certificate must be for")
	o.out = f.Output(cmd)
	return cmd
}

func (o *inspectOptions) run(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cli.Usagef(cmd, "Name at least one file, or a port as HOST:PORT")
	}
	var roots *x509.CertPool
	if o.ca != "" {
		certs, _, err := readFile(o.ca)
		if err != nil {
			return err
		}
		roots = x509.NewCertPool()
		for _, c := range certs {
			roots.AddCert(c)
		}
	}
	var found []Finding
	bad := false
	for _, a := range args {
		one, err := o.look(cmd.Context(), a, roots)
		if err != nil {
			return err
		}
		bad = bad || len(one.Problems) > 0
		found = append(found, one)
	}
	err := cli.ShowDocument(o.out, listing, found, rows(found), func(w io.Writer) error {
		for i, one := range found {
			if i > 0 {
				fmt.Fprintln(w)
			}
			show(w, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if bad {
		return cli.ErrReported
	}
	return nil
}

// row is one certificate of a finding.
type row struct {
	Source string
	Number int // in its file or chain, from 1
	issue.Description
	Problems []string // of the finding, with its first certificate
}

func rows(found []Finding) []row {
	var list []row
	for _, f := range found {
		for i, c := range f.Certificates {
			r := row{Source: f.Source, Number: i + 1, Description: c, Problems: []string{}}
			if i == 0 {
				r.Problems = f.Problems
			}
			list = append(list, r)
		}
	}
	return list
}

// listing is the certificates as a table; as text they are told one by one.
var listing = cli.View[row]{
	Columns: []cli.Column[row]{
		{Name: "Source", Value: func(r row) string { return r.Source }},
		{Name: "#", Value: func(r row) string { return strconv.Itoa(r.Number) }},
		{Name: "Subject", Value: func(r row) string { return r.Subject }},
		{Name: "Not after", Value: func(r row) string { return r.NotAfter.Format(time.RFC3339) }},
		{Name: "Names", Value: func(r row) string { return strings.Join(slices.Concat(r.DNSNames, r.IPAddresses, r.URIs), ", ") }},
		{Name: "Problems", Value: func(r row) string { return strings.Join(r.Problems, "; ") }, Tone: func(row) iostreams.Tone { return iostreams.Bad }},
		{Name: "Issuer", Wide: true, Value: func(r row) string { return r.Issuer }},
		{Name: "Serial", Wide: true, Value: func(r row) string { return r.Serial }},
		{Name: "SHA-256", Wide: true, Value: func(r row) string { return r.Fingerprint }},
		{Name: "Key", Wide: true, Value: func(r row) string { return r.Key }},
		{Name: "May be", Wide: true, Value: func(r row) string { return strings.Join(r.Roles, ", ") }},
	},
}

// look inspects a file, or a port where there is no such file.
func (o *inspectOptions) look(ctx context.Context, arg string, roots *x509.CertPool) (Finding, error) {
	out := Finding{Source: arg, Problems: []string{}}
	var certs []*x509.Certificate
	if _, err := os.Stat(arg); err == nil {
		var key []byte
		if certs, key, err = readFile(arg); err != nil {
			return out, err
		}
		if key != nil {
			out.Problems = append(out.Problems, matches(certs[0], key)...)
		}
	} else if host, port, splitErr := net.SplitHostPort(arg); splitErr == nil && host != "" && port != "" {
		if certs, out.Connection, err = o.dial(ctx, arg); err != nil {
			return out, err
		}
	} else {
		return out, err
	}
	for _, c := range certs {
		out.Certificates = append(out.Certificates, issue.Describe(c))
	}
	out.Problems = append(out.Problems, o.problems(certs, roots)...)
	if roots != nil {
		out.Chain = "leads to " + o.ca
		if err := verify(certs, roots); err != nil {
			out.Chain = err.Error()
		}
	}
	return out, nil
}

func (o *inspectOptions) problems(certs []*x509.Certificate, roots *x509.CertPool) []string {
	var all []string
	now := time.Now()
	for _, c := range certs {
		switch name := c.Subject.String(); {
		case now.After(c.NotAfter):
			all = append(all, fmt.Sprintf("%s expired %s ago, on %s", name, age(now.Sub(c.NotAfter)), c.NotAfter.UTC().Format(time.RFC3339)))
		case now.Before(c.NotBefore):
			all = append(all, fmt.Sprintf("%s is not yet valid: its time begins in %s, on %s", name, age(c.NotBefore.Sub(now)), c.NotBefore.UTC().Format(time.RFC3339)))
		}
	}
	if o.serverName != "" {
		if err := certs[0].VerifyHostname(o.serverName); err != nil {
			all = append(all, err.Error())
		}
	}
	if roots != nil {
		if err := verify(certs, roots); err != nil {
			all = append(all, fmt.Sprintf("does not lead to %s: %v", o.ca, err))
		}
	}
	return all
}

// verify reports why the first certificate does not lead to roots, its time
// aside.
func verify(certs []*x509.Certificate, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: certs[0].NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// readFile returns the certificates of a PEM file, at least one, and the text of
// its private key if there is one.
func readFile(name string) (certs []*x509.Certificate, key []byte, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, cli.Failf("%s: certificate %d is damaged: %w", name, len(certs)+1, err)
			}
			certs = append(certs, c)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			key = pem.EncodeToMemory(block)
		}
	}
	switch {
	case len(certs) == 0 && key != nil:
		return nil, nil, cli.Failf("%s holds a private key and no certificate: there is nothing to show", name)
	case len(certs) == 0:
		return nil, nil, cli.Failf("%s holds no certificate in PEM form", name)
	}
	return certs, key, nil
}

func matches(cert *x509.Certificate, keyPEM []byte) []string {
	key, err := issue.ParseKey(keyPEM)
	if err != nil {
		return []string{err.Error()}
	}
	if !issue.KeyOf(key, cert) {
		return []string{"the private key in the file is not that of the certificate"}
	}
	return nil
}

// dial returns what a port presents.
func (o *inspectOptions) dial(ctx context.Context, address string) ([]*x509.Certificate, string, error) {
	var state *tls.ConnectionState
	conf := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // whatever it presents is to be shown
		ServerName:         o.serverName, MinVersion: tls.VersionTLS10,
		VerifyConnection: func(s tls.ConnectionState) error { state = &s; return nil },
	}
	if o.cert != "" || o.key != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, "", cli.Failf("-client-cert and -client-key: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	defer raw.Close()
	conn := tls.Client(raw, conf)
	err = conn.HandshakeContext(ctx)
	var record tls.RecordHeaderError
	switch {
	case state != nil && len(state.PeerCertificates) > 0: // it may still refuse us
		text := tls.VersionName(state.Version) + ", " + tls.CipherSuiteName(state.CipherSuite)
		return state.PeerCertificates, text, nil
	case errors.As(err, &record) || errors.Is(err, io.EOF):
		return nil, "", cli.Failf("%s does not speak TLS", address)
	case err != nil:
		return nil, "", cli.Failf("TLS handshake with %s: %w", address, err)
	}
	return nil, "", cli.Failf("%s presents no certificate", address)
}

// show writes what was found as text.
func show(w io.Writer, f Finding) {
	fmt.Fprintln(w, f.Source)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, text)
		}
	}
	for i, c := range f.Certificates {
		if i > 0 {
			fmt.Fprintf(w, "  certificate %d of the chain\n", i+1)
		}
		line("Subject", c.Subject)
		line("Issuer", c.Issuer)
		line("Serial", c.Serial)
		line("SHA-256", c.Fingerprint)
		line("DNS names", strings.Join(c.DNSNames, ", "))
		line("Addresses", strings.Join(c.IPAddresses, ", "))
		line("URIs", strings.Join(c.URIs, ", "))
		line("Not before", c.NotBefore.Format(time.RFC3339))
		line("Not after", c.NotAfter.Format(time.RFC3339)+remaining(c.NotAfter))
		line("Key", c.Key)
		line("Signed with", c.Signature)
		line("Usages", strings.Join(c.Usages, ", "))
		for _, r := range c.Roles {
			line("May be", r)
		}
	}
	line("Connection", f.Connection)
	line("Chain", f.Chain)
	for _, p := range f.Problems {
		line("PROBLEM", p)
	}
}

func remaining(end time.Time) string {
	left := time.Until(end)
	if left <= 0 {
		return " (expired)"
	}
	return " (" + age(left) + " left)"
}

// age is a time as people say it.
func age(d time.Duration) string {
	if d < 2*day {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d/day))
}
