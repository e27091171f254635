package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli/contextfile"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Conn is how one command reaches an agent: the flags it was given and, once
// asked for, the client made from them.
type Conn struct {
	f     *Factory
	flags *pflag.FlagSet
	quiet bool // no token command is run

	// The rest is set by Client.

	values      *values
	agents      *agents
	http        *http.Client
	client      *api.Client
	tokenSource string
	secrets     []string
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
	if f.reach == nil {
		f.reach = pflag.NewFlagSet("", pflag.ContinueOnError)
		f.reach.SortFlags = false // help has them in the order of Settings
		connectFlags(f.reach, false)
	}
	flags.AddFlagSet(f.reach)
	if server {
		connectFlags(flags, true)
	}
	flags.String(contextFlag, "", "`NAME` of the context to use; see \"ctl context\"")
	flags.Lookup(contextFlag).Annotations = map[string][]string{groupKey: {groupHTTP}}
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(contextFlag, f.CompleteContexts(-1))
	c := &Conn{f: f, flags: flags}
	if server {
		c.CompleteFlag(cmd, "datacenter", LiveDatacenters)
	}
	return c
}

// connectFlags adds the flags of all settings, or of those that only commands
// have whose answer comes from the servers.
func connectFlags(flags *pflag.FlagSet, server bool) {
	for _, s := range Settings() {
		switch {
		case s.NoFlag || s.Server != server:
			continue
		case s.Bool:
			flags.Bool(s.Name, false, s.Usage)
		default:
			flags.String(s.Name, "", s.Usage)
		}
		flags.Lookup(s.Name).Hidden = s.Hidden
		flags.Lookup(s.Name).Annotations = map[string][]string{groupKey: {groupHTTP}}
	}
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
	context, err := c.f.chooseContext(c.flags)
	if err != nil {
		return nil, err
	}
	c.values = readSettings(c.flags, c.f.LookupEnv, context)
	if c.agents, err = c.findAgents(); err != nil {
		return nil, err
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	c.secrets = nil
	if token != "" {
		c.secrets = append(c.secrets, token)
	}
	if auth := c.basicAuth(); auth != nil && auth.Password != "" {
		c.secrets = append(c.secrets, auth.Password)
	}
	stale, err := c.values.truth("stale")
	if err != nil {
		return nil, err
	}
	c.options = api.QueryOptions{Datacenter: c.values.text("datacenter"), AllowStale: stale}
	c.http = &http.Client{Transport: &roundTripper{agents: c.agents, token: token, refuse: c.refusal()}}
	c.client, err = api.NewClient(&api.Config{
		Address:    c.agents.base(),
		HttpClient: c.http,
		HttpAuth:   c.basicAuth(),
		Namespace:  c.values.text("namespace"),
		Partition:  c.values.text("partition"),
		// The client reads CONSUL_HTTP_TOKEN and the like itself, and lets
		// them win in some combinations. A token no environment can hold
		// keeps it from that; roundTripper puts the right one in its place.
		Token: "\x00",
	})
	return c.client, err
}

// context returns the context in use, nil for none.
func (c *Conn) context() *contextfile.Context {
	if c.values == nil || c.values.context.aside != "" {
		return nil
	}
	return c.values.context.Context
}

// Get sends a GET request for path, such as /v1/kv/a, with query and what the
// settings say, and returns an answer whose status is 200; the caller closes
// its body. Another status is an api.StatusError. It is for answers too large
// to be held, and for what the official client has no method for. Client must
// have been called.
func (c *Conn) Get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	resp, err := c.Ask(ctx, path, query)
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

// Ask is Get for callers to whom an answer of any status is one.
func (c *Conn) Ask(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	u, err := url.Parse(c.agents.base())
	if err != nil {
		return nil, err
	}
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
	if auth := c.basicAuth(); auth != nil {
		req.SetBasicAuth(auth.Username, auth.Password)
	}
	return c.http.Do(req)
}

// Query returns the options for a read, bound to ctx. Client must have been
// called.
func (c *Conn) Query(ctx context.Context) *api.QueryOptions { return c.options.WithContext(ctx) }

// Write returns the options for a write, bound to ctx. Client must have been
// called.
func (c *Conn) Write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{Datacenter: c.options.Datacenter}).WithContext(ctx)
}

// In returns a Conn that asks the same agents about another datacenter. Client
// must have been called.
func (c *Conn) In(datacenter string) *Conn {
	other := *c
	other.options.Datacenter = datacenter
	return &other
}

// Secrets returns what this run proves itself with, the token and the password,
// so that a command can keep it out of what it writes. Client must have been
// called.
func (c *Conn) Secrets() []string { return c.secrets }

// addresses returns where agents are, in the order to try them.
func (c *Conn) addresses() []string {
	if o := c.values.origin("http-addr"); o == c.values.context.origin && c.context() != nil {
		return c.context().Addresses
	}
	return []string{c.values.text("http-addr")}
}

// splitAddress returns the scheme of an agent's address and what follows it.
func (c *Conn) splitAddress(address string) (scheme, rest string, err error) {
	ssl, err := c.values.truth("http-ssl")
	if err != nil {
		return "", "", err
	}
	if scheme, rest, err = cutAddress(address); err != nil {
		return "", "", fmt.Errorf("address %q from %s: %w", address, c.values.source("http-addr"), err)
	}
	if scheme == "http" && ssl {
		scheme = "https"
	}
	return scheme, strings.TrimSuffix(rest, "/"), nil
}

// cutAddress returns the scheme of an address, http where it has none, and what
// follows it.
func cutAddress(address string) (scheme, rest string, err error) {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		scheme, rest = "http", address
	}
	switch {
	case rest == "":
		return "", "", errors.New("nothing after the scheme")
	case scheme != "http" && scheme != "https" && scheme != "unix":
		return "", "", fmt.Errorf("unknown scheme %q, use http://, https:// or unix://", scheme)
	}
	return scheme, rest, nil
}

// CheckAddress says what is wrong with an agent's address, which is written as
// --http-addr takes it. It connects to nothing.
func CheckAddress(address string) error {
	scheme, rest, err := cutAddress(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if scheme == "unix" {
		return nil
	}
	if strings.ContainsAny(rest, ", ") {
		return fmt.Errorf("address %q holds several: give --http-addr once for each", address)
	}
	// The message of url.Parse repeats the address.
	if _, err := url.Parse(scheme + "://" + rest); err != nil {
		return fmt.Errorf("address %q is not HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:///PATH: %w", address, errors.Unwrap(err))
	}
	return nil
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
	// Over HTTP/2 the reason why a handshake failed is lost. A command makes a
	// few requests, one after the other.
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	return t, nil
}

func (c *Conn) tlsConfig(insecure bool) (*tls.Config, error) {
	conf, err := api.SetupTLSConfig(&api.TLSConfig{
		Address:            c.values.text("tls-server-name"),
		CAFile:             c.values.text("ca-file"),
		CAPath:             c.values.text("ca-path"),
		CertFile:           c.values.text("client-cert"),
		KeyFile:            c.values.text("client-key"),
		InsecureSkipVerify: insecure,
	})
	if err != nil {
		var files []string
		for _, name := range []string{"ca-file", "ca-path", "client-cert", "client-key"} {
			if file := c.values.text(name); file != "" {
				files = append(files, c.values.source(name)+" "+file)
			}
		}
		return nil, fmt.Errorf("%w (%s)", err, strings.Join(files, ", "))
	}
	if len(conf.Certificates) > 0 {
		// Go sends nothing where it thinks that the agent will refuse it, and
		// the agent then asks for what it was given.
		cert := conf.Certificates[0]
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return conf, nil
}

// token returns the token to send, empty for none. The stronger origin wins;
// of the same origin, the file, then the command.
func (c *Conn) token() (string, error) {
	name := c.tokenSetting()
	if c.values.origin(name) == fromDefault {
		return "", nil
	}
	c.tokenSource = c.values.source(name)
	text := c.values.text(name)
	switch name {
	case "token-file":
		data, err := os.ReadFile(text)
		if err != nil {
			return "", fmt.Errorf("token file from %s: %w", c.tokenSource, err)
		}
		return strings.TrimSpace(string(data)), nil
	case "token-command":
		if c.quiet {
			return "", nil
		}
		token, err := c.f.runTokenCommand(text)
		if err != nil {
			return "", fmt.Errorf("token command from %s: %w", c.tokenSource, err)
		}
		return token, nil
	default:
		return text, nil
	}
}

// tokenSetting names the setting that gives the token.
func (c *Conn) tokenSetting() string {
	name := "token"
	for _, other := range []string{"token-command", "token-file"} {
		if c.values.origin(other) != fromDefault && c.values.origin(other) >= c.values.origin(name) {
			name = other
		}
	}
	return name
}

// tokenCommandTime bounds a token command. It may ask a person, so it is long.
const tokenCommandTime = time.Minute

// runTokenCommand runs command in a shell and returns what it prints. Its
// standard error is shown, because it may ask for a passphrase.
func (f *Factory) runTokenCommand(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), tokenCommandTime)
	defer cancel()
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1], command)
	cmd.Stderr = f.Streams.Err
	// A child of the shell may hold the pipe after the shell was ended.
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%q did not end within %v", command, tokenCommandTime)
	}
	if err != nil {
		return "", fmt.Errorf("%q: %w", command, err)
	}
	token := strings.TrimSpace(string(out))
	if token == "" {
		return "", fmt.Errorf("%q printed nothing", command)
	}
	if strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("%q printed more than one line", command)
	}
	return token, nil
}

func (c *Conn) basicAuth() *api.HttpBasicAuth {
	auth := c.values.text("http-auth")
	if auth == "" {
		return nil
	}
	user, password, _ := strings.Cut(auth, ":")
	return &api.HttpBasicAuth{Username: user, Password: password}
}
