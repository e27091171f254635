package tls

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/lazyregexp"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
	"github.com/spf13/cobra"
)

// domainMark stands for the domain in the defaults of -ca and -key.
const domainMark = "#DOMAIN#"

var (
	datacenterName = lazyregexp.New(`^[a-z0-9-]+$`)
	dnsLabels      = lazyregexp.New(`^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

type certOptions struct {
	f                   *cli.Factory
	change              *cli.Change
	server, client, cli bool
	ca, key             string
	datacenter, domain  string
	node                string
	days                int
	dnsNames, addresses []string
}

func newCertCommand(f *cli.Factory) *cobra.Command {
	o := &certOptions{f: f}
	cmd := &cobra.Command{
		Use:   "create [options]",
		Short: "Make a certificate for a server, a client or commands",
		Long: `Make a certificate and its key in two files of the working directory, such as
dc1-server-consul-0.pem and dc1-server-consul-0-key.pem, signed by the authority
that ` + "`ctl tls ca create`" + ` made there. Exactly one of -server, -client and -cli
says what it is for.

A server's certificate has the name server.DATACENTER.DOMAIN, by which agents
with verify_server_hostname know servers; give it to servers only. -node adds the
name of the one machine it is for.`,
		Example: `ctl tls cert create -server -dc dc1
ctl tls cert create -client -additional-ipaddress 10.0.0.7
ctl tls cert create -cli`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	fl := cmd.Flags()
	fl.BoolVar(&o.server, "server", false, "make a certificate for a server")
	fl.BoolVar(&o.client, "client", false, "make a certificate for a client agent")
	fl.BoolVar(&o.cli, "cli", false, "make a certificate for commands and other users of the HTTP API")
	fl.StringVar(&o.ca, "ca", domainMark+"-agent-ca.pem", "`FILE` with the authority's certificate; "+domainMark+" is the domain")
	fl.StringVar(&o.key, "key", domainMark+"-agent-ca-key.pem", "`FILE` with the authority's key")
	fl.StringVar(&o.datacenter, "dc", "dc1", "`NAME` of the datacenter the agent is in")
	fl.StringVar(&o.domain, "domain", "consul", "`DOMAIN` of the cluster, as agents have it")
	fl.StringVar(&o.node, "node", "", "`NAME` of the node the certificate is for, with -server")
	fl.IntVar(&o.days, "days", 365, "`DAYS` the certificate is valid for")
	fl.StringArrayVar(&o.dnsNames, "additional-dnsname", nil, "further DNS `NAME`; may be repeated")
	fl.StringArrayVar(&o.addresses, "additional-ipaddress", nil, "further IP `ADDRESS`; may be repeated")
	o.change = f.FileChange(cmd)
	return cmd
}

// check turns the flags into what is to be issued.
func (o *certOptions) check(cmd *cobra.Command) (issue.Options, error) {
	var none issue.Options
	roles := map[issue.Role]bool{issue.Server: o.server, issue.Client: o.client, issue.CLI: o.cli}
	var role issue.Role
	chosen := 0
	for r, on := range roles {
		if on {
			role = r
			chosen++
		}
	}
	if chosen != 1 {
		return none, cli.Usagef(cmd, "Please provide either -server, -client, or -cli: %d of them were given", chosen)
	}
	domain, err := domainOf(cmd, o.domain)
	if err != nil {
		return none, err
	}
	dc := strings.ToLower(o.datacenter)
	switch {
	case o.days <= 0:
		return none, cli.Usagef(cmd, "-days must be a positive number, not %d", o.days)
	case !datacenterName().MatchString(dc):
		return none, cli.Usagef(cmd, "-dc %q cannot be part of a name in a certificate: letters, digits and - can", o.datacenter)
	case o.node != "" && role != issue.Server:
		return none, cli.Usagef(cmd, "-node is for certificates of servers, with -server")
	case o.node != "" && !dnsLabels().MatchString(o.node):
		return none, cli.Usagef(cmd, "-node %q cannot be part of a name in a certificate", o.node)
	}
	out := issue.Options{Role: role, Datacenter: dc, Domain: domain, Node: o.node, Life: time.Duration(o.days) * day}
	for _, name := range o.dnsNames {
		if name = strings.TrimSuffix(strings.TrimSpace(name), "."); !dnsLabels().MatchString(name) {
			return none, cli.Usagef(cmd, "-additional-dnsname %q is not a DNS name", name)
		}
		if role != issue.Server && strings.HasPrefix(strings.ToLower(name), "server.") {
			return none, cli.Usagef(cmd, "-additional-dnsname %q is the name of a server: a certificate made with -%s must not have it", name, role)
		}
		out.DNSNames = append(out.DNSNames, name)
	}
	for _, text := range o.addresses {
		ip := net.ParseIP(strings.TrimSpace(text))
		if ip == nil {
			return none, cli.Usagef(cmd, "-additional-ipaddress %q is not an IP address", text)
		}
		out.IPs = append(out.IPs, ip)
	}
	return out, nil
}

func (o *certOptions) run(cmd *cobra.Command) error {
	wanted, err := o.check(cmd)
	if err != nil {
		return err
	}
	caFile := strings.ReplaceAll(o.ca, domainMark, wanted.Domain)
	caKeyFile := strings.ReplaceAll(o.key, domainMark, wanted.Domain)
	ca, err := loadAuthority(caFile, caKeyFile)
	if err != nil {
		return err
	}
	if ends := time.Now().Add(wanted.Life); ends.After(ca.Cert.NotAfter) {
		fmt.Fprintf(o.f.Streams.Err, "==> WARNING: %s is valid until %s only: from then on nobody accepts this certificate, either\n",
			caFile, ca.Cert.NotAfter.Format(time.DateOnly))
	}
	certFile, keyFile, err := freeNames(fmt.Sprintf("%s-%s-%s", wanted.Datacenter, wanted.Role, wanted.Domain))
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("make a certificate for a %s, valid for %d days and signed by %s, in %s and %s", wanted.Role, o.days, caFile, certFile, keyFile); !ok {
		return err
	}
	return o.issue(ca, wanted, certFile, keyFile, fmt.Sprintf("==> Using %s and %s", caFile, caKeyFile))
}

// issue makes the certificate and tells by what.
func (o *certOptions) issue(ca *issue.Authority, wanted issue.Options, certFile, keyFile, using string) error {
	if wanted.Role == issue.Server {
		if err := o.change.Printf(`==> WARNING: whoever holds a server's certificate can become a server of the
    cluster and read everything in it. Bring it to servers only, and keep its
    key as safe as that of the authority.`); err != nil {
			return err
		}
	}
	if err := o.change.Printf("%s", using); err != nil {
		return err
	}
	cert, key, err := ca.Issue(wanted)
	if err != nil {
		return err
	}
	return save(o.change, certFile, cert, keyFile, key)
}

func loadAuthority(certFile, keyFile string) (*issue.Authority, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, cli.Failf("the authority's certificate cannot be read: %w. Make one with `ctl tls ca create`, or name it with -ca", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, cli.Failf("the authority's key cannot be read: %w. Name it with -key", err)
	}
	return issue.LoadAuthority(certFile, cert, keyFile, key)
}

// freeNames returns the first pair of names of which no file exists.
func freeNames(prefix string) (certFile, keyFile string, err error) {
	const most = 100_000
	for n := range most {
		certFile, keyFile = fmt.Sprintf("%s-%d.pem", prefix, n), fmt.Sprintf("%s-%d-key.pem", prefix, n)
		if absent(certFile, keyFile) == nil {
			return certFile, keyFile, nil
		}
	}
	return "", "", cli.Failf("there are %d certificates %s-*.pem in this directory: work in another one", most, prefix)
}
