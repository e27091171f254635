package cli

import (
	"net/http"

	"github.com/hashicorp/consul/api"
	"github.com/spf13/pflag"
)

// Endpoint is one agent of a Target.
type Endpoint struct {
	// Address is what the operator wrote, with a scheme.
	Address string
	// URL is where requests go; of a unix socket it is http://localhost.
	URL string
	// HTTP sends requests to this agent alone, with the token and the
	// password for HTTP authentication. It refuses what changes something where the context is read-only.
	HTTP *http.Client
}

// Target is a cluster as flags, environment and context describe it, for
// programs inside this one that do more than a command's few requests.
type Target struct {
	// Context is the context in use; empty for none.
	Context string
	// AddressFrom and TokenFrom say where they were taken from, for people;
	// TokenFrom is empty without a token.
	AddressFrom, TokenFrom string
	// Endpoints are the agents in the order to try them. Never empty.
	Endpoints []Endpoint
	// Client asks the agents through the official client, and fails over
	// among them by itself.
	Client *api.Client
	// Datacenter to ask; empty is the agent's own. Stale allows any server
	// to answer.
	Datacenter string
	Stale      bool
	// ReadOnly says why nothing may be changed; empty where it may.
	ReadOnly string
	// Protected says that a change wants the context's name typed first.
	Protected bool
	// Color marks the context; empty for none. See contextfile.Colors.
	Color string
	// Environ are the variables, as NAME=value, by which other programs reach
	// the agents the same way. The token is in it.
	Environ []string
}

// Target resolves the settings of the command. It connects to nothing, but
// reads files and runs a token command. The error is ready to be shown.
func (c *Conn) Target() (*Target, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	t := &Target{
		AddressFrom: c.values.source("http-addr"),
		TokenFrom:   c.tokenSource,
		Client:      client,
		Datacenter:  c.options.Datacenter,
		Stale:       c.options.AllowStale,
	}
	if context := c.context(); context != nil {
		t.Context, t.Protected, t.Color = c.values.context.name, context.Protected, context.Color
	}
	refusal := c.refusal()
	if refusal != nil {
		t.ReadOnly = refusal.Error()
	}
	t.Endpoints = c.endpoints(c.agents)
	t.Environ = c.environ(c.http.Transport.(*roundTripper).token)
	return t, nil
}

// Endpoints returns the agents at addresses, which are reached as the settings
// say: with the same token, certificates and refusal of changes. Client must
// have been called.
func (c *Conn) Endpoints(addresses []string) ([]Endpoint, error) {
	a, err := c.agentsAt(addresses)
	if err != nil {
		return nil, err
	}
	return c.endpoints(a), nil
}

func (c *Conn) endpoints(a *agents) []Endpoint {
	var list []Endpoint
	token := c.http.Transport.(*roundTripper).token
	for _, one := range a.list {
		list = append(list, Endpoint{
			Address: one.address, URL: one.base.String(),
			HTTP: &http.Client{Transport: &roundTripper{
				agents: &agents{list: []agent{one}}, token: token, auth: c.basicAuth(), refuse: c.refusal(),
			}},
		})
	}
	return list
}

// Target resolves the context name, as a command with --context and no other
// flag would.
func (f *Factory) Target(name string) (*Target, error) {
	c := &Conn{f: f, flags: pflag.NewFlagSet("", pflag.ContinueOnError)}
	c.flags.String(contextFlag, name, "")
	return c.Target()
}

// TargetQuietly is Target for who only has a look: it runs no token command, which
// may ask somebody, and leaves the token out then. The command's own connection
// stays what failures are reported with. It is not safe for concurrent use.
func (f *Factory) TargetQuietly(name string) (*Target, error) {
	own := f.conn
	defer func() { f.conn = own }()
	c := &Conn{f: f, flags: pflag.NewFlagSet("", pflag.ContinueOnError), quiet: true}
	c.flags.String(contextFlag, name, "")
	return c.Target()
}

// ConnTo is a Conn to the context name, beside the one of the command's own
// flags: only what the context says holds. Failures of its requests are reported
// with the address of the command's own; say in their text where they come from.
func (f *Factory) ConnTo(name string) (*Conn, error) {
	own := f.conn
	defer func() { f.conn = own }()
	c := &Conn{f: f, flags: pflag.NewFlagSet("", pflag.ContinueOnError)}
	c.flags.String(contextFlag, name, "")
	_, err := c.Client()
	return c, err
}
