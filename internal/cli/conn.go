package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Conn is how one command reaches an agent: the flags it was given and, once
// asked for, the client made from them.
type Conn struct {
	f     *Factory
	flags *pflag.FlagSet

	// The rest is set by Client.

	values      *values
	address     string // as a URL
	base        string // of every request; a socket's is http://localhost
	http        *http.Client
	auth        *api.HttpBasicAuth
	tokenSource string
	options     api.QueryOptions
}

// groupHTTP marks the flags of a Conn, which help lists apart.
const groupHTTP = "HTTP API Options"

const groupKey = "ctl.group"

// Connect gives cmd the flags of commands that ask the agent about itself.
func (f *Factory) Connect(cmd *cobra.Command) *Conn { return f.connect(cmd, false) }

// ConnectServer gives cmd the flags of commands that ask the servers through
// the agent: those of Connect, and --datacenter and --stale.
func (f *Factory) ConnectServer(cmd *cobra.Command) *Conn { return f.connect(cmd, true) }

func (f *Factory) connect(cmd *cobra.Command, server bool) *Conn {
	flags := cmd.Flags()
	for _, s := range Settings() {
		if s.NoFlag || (s.Server && !server) {
			continue
		}
		if s.Bool {
			flags.Bool(s.Name, false, s.Usage)
		} else {
			flags.String(s.Name, "", s.Usage)
		}
		flags.Lookup(s.Name).Hidden = s.Hidden
		flags.Lookup(s.Name).Annotations = map[string][]string{groupKey: {groupHTTP}}
	}
	return &Conn{f: f, flags: flags}
}

// Client returns the HTTP client. It does not connect yet; it fails where a
// setting is not understood or a file it names cannot be read. The error is
// ready to be shown.
func (c *Conn) Client() (*api.Client, error) {
	client, err := c.open()
	if err != nil {
		return nil, Failf("Error connecting to the agent: %w", err)
	}
	return client, nil
}

func (c *Conn) open() (*api.Client, error) {
	c.f.conn = c
	c.values = readSettings(c.flags, c.f.LookupEnv)
	scheme, rest, err := c.splitAddress()
	if err != nil {
		return nil, err
	}
	transport, err := c.httpTransport()
	if err != nil {
		return nil, err
	}
	c.address = scheme + "://" + rest
	target := c.address
	if scheme == "unix" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", rest)
		}
		scheme, target = "http", "http://localhost"
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	stale, err := c.values.truth("stale")
	if err != nil {
		return nil, err
	}
	c.options = api.QueryOptions{Datacenter: c.values.text("datacenter"), AllowStale: stale}
	c.base = target
	c.http = &http.Client{Transport: &roundTripper{base: transport, token: token, conn: c}}
	c.auth = c.basicAuth()
	return api.NewClient(&api.Config{
		Address:    target,
		Scheme:     scheme,
		HttpClient: c.http,
		HttpAuth:   c.auth,
		Namespace:  c.values.text("namespace"),
		Partition:  c.values.text("partition"),
		// The client reads CONSUL_HTTP_TOKEN and the like itself, and lets
		// them win in some combinations. A token no environment can hold
		// keeps it from that; roundTripper puts the right one in its place.
		Token: "\x00",
	})
}

// Get sends a GET request for path, such as /v1/kv/a, with query and what the
// settings say, and returns an answer whose status is 200; the caller closes
// its body. Another status is an api.StatusError. It is for answers too large
// to be held, and for what the official client has no method for. Client must
// have been called.
func (c *Conn) Get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	u, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	u = u.JoinPath()
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	params := url.Values{}
	maps.Copy(params, query)
	for name, value := range map[string]string{
		"dc": c.options.Datacenter, "ns": c.values.text("namespace"), "partition": c.values.text("partition"),
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	if c.options.AllowStale {
		params.Set("stale", "")
	}
	u.RawQuery = params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if c.auth != nil {
		req.SetBasicAuth(c.auth.Username, c.auth.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is what is shown
		return nil, api.StatusError{Code: resp.StatusCode, Body: strings.TrimSpace(string(text))}
	}
	return resp, nil
}

// Query returns the options for a read, bound to ctx. Client must have been
// called.
func (c *Conn) Query(ctx context.Context) *api.QueryOptions { return c.options.WithContext(ctx) }

// Write returns the options for a write, bound to ctx. Client must have been
// called.
func (c *Conn) Write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{Datacenter: c.options.Datacenter}).WithContext(ctx)
}

// splitAddress returns the scheme of the agent's address and what follows it.
func (c *Conn) splitAddress() (scheme, rest string, err error) {
	address := c.values.text("http-addr")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "http", address
	}
	if rest == "" {
		return "", "", fmt.Errorf("address %q from %s: nothing after the scheme", address, c.values.source("http-addr"))
	}
	switch scheme {
	case "unix", "https":
	case "http":
		ssl, err := c.values.truth("http-ssl")
		if err != nil {
			return "", "", err
		}
		if ssl {
			scheme = "https"
		}
	default:
		return "", "", fmt.Errorf("address %q from %s: unknown scheme %q, use http://, https:// or unix://",
			address, c.values.source("http-addr"), scheme)
	}
	return scheme, strings.TrimSuffix(rest, "/"), nil
}

func (c *Conn) httpTransport() (*http.Transport, error) {
	verify, err := c.values.truth("http-ssl-verify")
	if err != nil {
		return nil, err
	}
	conf, err := c.tlsConfig(!verify)
	if err != nil {
		return nil, fmt.Errorf("TLS settings: %w", err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = conf
	return t, nil
}

func (c *Conn) tlsConfig(insecure bool) (*tls.Config, error) {
	return api.SetupTLSConfig(&api.TLSConfig{
		Address:            c.values.text("tls-server-name"),
		CAFile:             c.values.text("ca-file"),
		CAPath:             c.values.text("ca-path"),
		CertFile:           c.values.text("client-cert"),
		KeyFile:            c.values.text("client-key"),
		InsecureSkipVerify: insecure,
	})
}

// token returns the token to send, empty for none. The stronger origin wins;
// of the same origin, the file.
func (c *Conn) token() (string, error) {
	text, file := c.values.origin("token"), c.values.origin("token-file")
	if text == fromDefault && file == fromDefault {
		return "", nil
	}
	if text > file {
		c.tokenSource = c.values.source("token")
		return c.values.text("token"), nil
	}
	c.tokenSource = c.values.source("token-file")
	data, err := os.ReadFile(c.values.text("token-file"))
	if err != nil {
		return "", fmt.Errorf("token file from %s: %w", c.tokenSource, err)
	}
	return strings.TrimSpace(string(data)), nil
}

func (c *Conn) basicAuth() *api.HttpBasicAuth {
	auth := c.values.text("http-auth")
	if auth == "" {
		return nil
	}
	user, password, _ := strings.Cut(auth, ":")
	return &api.HttpBasicAuth{Username: user, Password: password}
}
