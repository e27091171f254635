// Package tls holds the commands that make and look at the certificates of
// agents. They talk to no agent, except that inspect can look at what a port
// presents.
//
// Rules that keep it right: an existing file is never written over; a private
// key is readable by its owner only, and is never printed. Names of files and
// flags are those of Consul's command.
package tls

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
	"github.com/spf13/cobra"
)

const day = 24 * time.Hour

// NewCommand returns `ctl tls` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	return cli.Group("tls", "Make and look at certificates of agents", `ctl tls ca create
ctl tls cert create -server -dc dc1
ctl tls inspect -ca-file consul-agent-ca.pem 10.0.0.1:8300`,
		cli.Group("ca", "Make a certificate authority", `ctl tls ca create
ctl tls ca create -domain example -days 3650`, newCACommand(f)),
		cli.Group("cert", "Make certificates", `ctl tls cert create -server -dc dc1
ctl tls cert create -client
ctl tls cert create -cli`, newCertCommand(f)),
		newInspectCommand(f),
	)
}

type caOptions struct {
	change                      *cli.Change
	days                        int
	domain, commonName, cluster string
	constrain                   bool
	constraints                 []string
}

func newCACommand(f *cli.Factory) *cobra.Command {
	o := &caOptions{}
	cmd := &cobra.Command{
		Use:   "create [options]",
		Short: "Make a certificate authority in the working directory",
		Long: `Make a certificate authority for the agents of a cluster, in two files of the
working directory: DOMAIN-agent-ca.pem, which every agent gets, and
DOMAIN-agent-ca-key.pem, which no agent needs. Whoever has the key can make a
server: keep it apart from the machines of the cluster.`,
		Example: `ctl tls ca create
ctl tls ca create -domain example -days 3650 -name-constraint`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	fl := cmd.Flags()
	fl.IntVar(&o.days, "days", 1825, "`DAYS` the authority is valid for")
	fl.StringVar(&o.domain, "domain", "consul", "`DOMAIN` of the cluster, as agents have it")
	fl.StringVar(&o.commonName, "common-name", "", "common `NAME` of the authority (default: Consul Agent CA and its serial number)")
	fl.StringVar(&o.cluster, "cluster-id", "", "`ID` of the cluster, to be put into the authority as a SPIFFE URI")
	fl.BoolVar(&o.constrain, "name-constraint", false, "let the authority sign names of the domain and localhost only")
	fl.StringArrayVar(&o.constraints, "additional-name-constraint", nil, "further `DOMAIN` it may sign names of, with -name-constraint; may be repeated")
	o.change = f.FileChange(cmd)
	return cmd
}

func (o *caOptions) run(cmd *cobra.Command) error {
	if o.days <= 0 {
		return cli.Usagef(cmd, "-days must be a positive number, not %d", o.days)
	}
	domain, err := domainOf(cmd, o.domain)
	if err != nil {
		return err
	}
	if len(o.constraints) > 0 && !o.constrain {
		return cli.Usagef(cmd, "-additional-name-constraint does nothing without -name-constraint")
	}
	var allowed []string
	if o.constrain {
		allowed = append([]string{domain, "localhost"}, o.constraints...)
	}
	certFile, keyFile := domain+"-agent-ca.pem", domain+"-agent-ca-key.pem"
	if err := absent(certFile, keyFile); err != nil {
		return err
	}
	if ok, err := o.change.Begin("make a certificate authority for the domain %s, valid for %d days, in %s and %s", domain, o.days, certFile, keyFile); !ok {
		return err
	}
	ca, err := issue.NewAuthority(issue.AuthorityOptions{
		Domain: domain, CommonName: o.commonName, ClusterID: o.cluster, NameConstraints: allowed, Life: time.Duration(o.days) * day,
	})
	if err != nil {
		return err
	}
	return save(o.change, certFile, ca.CertPEM, keyFile, ca.KeyPEM)
}

// domainOf checks a -domain.
func domainOf(cmd *cobra.Command, text string) (string, error) {
	domain := issue.Domain(text)
	if domain == "" || strings.ContainsAny(domain, "/\\ \t\n*") || strings.HasPrefix(domain, ".") {
		return "", cli.Usagef(cmd, "-domain %q is not the name of a domain", text)
	}
	return domain, nil
}

// absent fails if one of the files is there.
func absent(files ...string) error {
	for _, name := range files {
		if _, err := os.Lstat(name); err == nil {
			return cli.Failf("%s already exists. Nothing was written: move it away, or work in another directory", name)
		}
	}
	return nil
}

// save writes a certificate and its key, or neither of them.
func save(change *cli.Change, certFile string, cert []byte, keyFile string, key []byte) error {
	if err := write(certFile, cert, 0o644); err != nil {
		return err
	}
	if err := write(keyFile, key, 0o600); err != nil {
		return errors.Join(err, os.Remove(certFile))
	}
	for _, name := range []string{certFile, keyFile} {
		if err := change.Made(name, "==> Saved %s", name); err != nil {
			return err
		}
	}
	return nil
}

// write makes a new file; it never replaces one.
func write(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return cli.Failf("%s already exists. Nothing was written", name)
	case err != nil:
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask took away or left
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(name))
	}
	return nil
}
