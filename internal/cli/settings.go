package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Setting is one thing an operator can say about reaching an agent.
type Setting struct {
	Name    string // of the flag; also the key of the value
	Env     string // name of the variable without its prefix; empty for none
	OwnOnly bool   // only CTL_Env is read, because Consul has no such variable
	NoFlag  bool   // environment only
	Hidden  bool   // kept out of help, because it does nothing here
	Server  bool   // only for commands whose answer comes from the servers
	Bool    bool
	Default string
	Usage   string
}

// DefaultAddress is where a local agent listens unless told otherwise.
const DefaultAddress = "http://127.0.0.1:8500"

// Settings lists every setting, in the order of the help texts. Each is taken
// from its flag, else from CTL_*, else from CONSUL_*, else it has its default.
// A token file beats a token of the same origin.
func Settings() []Setting {
	return []Setting{
		{Name: "http-addr", Env: "HTTP_ADDR", Default: DefaultAddress,
			Usage: "`ADDRESS` of the agent: host:port, http://, https:// or unix:///path (default " + DefaultAddress + ")"},
		{Name: "token", Env: "HTTP_TOKEN", Usage: "ACL `TOKEN` to send with the request"},
		{Name: "token-file", Env: "HTTP_TOKEN_FILE", Usage: "`FILE` that holds the ACL token"},
		{Name: "ca-file", Env: "CACERT", Usage: "`FILE` with the CA certificates to trust"},
		{Name: "ca-path", Env: "CAPATH", Usage: "`DIR` with the CA certificates to trust"},
		{Name: "client-cert", Env: "CLIENT_CERT", Usage: "`FILE` with the client certificate, with --client-key"},
		{Name: "client-key", Env: "CLIENT_KEY", Usage: "`FILE` with the key of the client certificate"},
		{Name: "tls-server-name", Env: "TLS_SERVER_NAME", Usage: "`NAME` to expect in the agent's certificate"},
		{Name: "namespace", Env: "NAMESPACE", Hidden: true, Usage: "sent as it is; agents know only the `NAME` default"},
		{Name: "partition", Env: "PARTITION", Hidden: true, Usage: "sent as it is; agents know only the `NAME` default"},
		{Name: "datacenter", Env: "DATACENTER", OwnOnly: true, Server: true,
			Usage: "`NAME` of the datacenter to ask (default: the agent's own)"},
		{Name: "stale", Env: "STALE", OwnOnly: true, Server: true, Bool: true,
			Usage: "take the answer of any server, even an old one"},
		{Name: "http-auth", Env: "HTTP_AUTH", NoFlag: true, Usage: "USER:PASSWORD for HTTP basic authentication"},
		{Name: "http-ssl", Env: "HTTP_SSL", NoFlag: true, Bool: true, Usage: "true for HTTPS where the address does not say it"},
		{Name: "http-ssl-verify", Env: "HTTP_SSL_VERIFY", NoFlag: true, Bool: true, Default: "true",
			Usage: "false accepts any certificate of the agent"},
	}
}

// Prefixes of environment variables, the stronger one last.
const (
	consulPrefix = "CONSUL_"
	ctlPrefix    = "CTL_"
)

// origin says how strongly a value was given. Greater wins.
type origin uint8

const (
	fromDefault origin = iota
	fromConsulEnv
	fromCtlEnv
	fromFlag
)

// values are the settings of one run with all origins merged.
type values struct {
	v       *viper.Viper
	flags   *pflag.FlagSet
	origins map[string]origin // by setting name, environment only
	known   map[string]Setting
}

// readSettings merges flags and environment. An empty variable counts as not
// set, as does an empty flag except --token, which then means no token.
func readSettings(flags *pflag.FlagSet, lookup func(string) (string, bool)) *values {
	s := &values{v: viper.New(), flags: flags, origins: map[string]origin{}, known: map[string]Setting{}}
	for _, from := range []origin{fromConsulEnv, fromCtlEnv} {
		layer := map[string]any{}
		for _, set := range Settings() {
			if set.Env == "" || (set.OwnOnly && from == fromConsulEnv) {
				continue
			}
			if value, ok := lookup(from.prefix() + set.Env); ok && value != "" {
				layer[set.Name] = value
				s.origins[set.Name] = from
			}
		}
		// Layers are merged in rising strength; this cannot fail for a
		// map of strings.
		_ = s.v.MergeConfigMap(layer)
	}
	for _, set := range Settings() {
		s.known[set.Name] = set
		s.v.SetDefault(set.Name, set.Default)
		if f := flags.Lookup(set.Name); f != nil && (f.Value.String() != "" || set.Name == "token") {
			_ = s.v.BindPFlag(set.Name, f) // fails for a nil flag only
		}
	}
	return s
}

func (o origin) prefix() string {
	if o == fromConsulEnv {
		return consulPrefix
	}
	return ctlPrefix
}

// text returns the setting's value.
func (s *values) text(name string) string { return s.v.GetString(name) }

// flag returns the setting's value as a boolean, false if there is none.
func (s *values) truth(name string) (bool, error) {
	text := s.text(name)
	if text == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%s: %q is neither true nor false", s.source(name), text)
	}
	return b, nil
}

func (s *values) origin(name string) origin {
	if f := s.flags.Lookup(name); f != nil && f.Changed && (f.Value.String() != "" || name == "token") {
		return fromFlag
	}
	return s.origins[name]
}

// source names where the setting's value came from, for people.
func (s *values) source(name string) string {
	switch o := s.origin(name); o {
	case fromFlag:
		return "--" + name
	case fromCtlEnv, fromConsulEnv:
		return o.prefix() + s.known[name].Env
	default:
		return "default"
	}
}
