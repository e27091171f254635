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
	Secret  bool   // never shown
	Server  bool   // only for commands whose answer comes from the servers
	Bool    bool
	Default string
	Usage   string
}

// DefaultAddress is where a local agent listens unless told otherwise.
const DefaultAddress = "http://127.0.0.1:8500"

// Settings lists every setting, in the order of the help texts. Each is taken
// from its flag, else from CTL_*, else from CONSUL_*, else from the context,
// else it has its default. Of tokens of the same origin a file wins, then a
// command.
func Settings() []Setting {
	return []Setting{
		{Name: "http-addr", Env: "HTTP_ADDR", Default: DefaultAddress,
			Usage: "`ADDRESS` of the agent: host:port, http://, https:// or unix:///path (default " + DefaultAddress + ")"},
		{Name: "token", Env: "HTTP_TOKEN", Secret: true, Usage: "ACL `TOKEN` to send with the request"},
		{Name: "token-file", Env: "HTTP_TOKEN_FILE", Usage: "`FILE` that holds the ACL token"},
		{Name: "token-command", Env: "HTTP_TOKEN_COMMAND", OwnOnly: true, Usage: "`COMMAND` whose output is the ACL token"},
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
		{Name: "http-auth", Env: "HTTP_AUTH", NoFlag: true, Secret: true, Usage: "USER:PASSWORD for HTTP basic authentication"},
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

// origin says how strongly a value was given. Greater wins. A context stands
// where it was named: in the file of contexts, by CTL_CONTEXT, or by --context.
type origin uint8

const (
	fromDefault origin = iota
	fromCurrentContext
	fromConsulEnv
	fromEnvContext
	fromCtlEnv
	fromFlagContext
	fromFlag
)

// ofContext reports whether a context gave the value.
func (o origin) ofContext() bool {
	return o == fromCurrentContext || o == fromEnvContext || o == fromFlagContext
}

// values are the settings of one run with all origins merged.
type values struct {
	v       *viper.Viper
	flags   *pflag.FlagSet
	origins map[string]origin // by setting name, all but flags
	known   map[string]Setting
	context chosen
}

// readSettings merges flags, environment and context. An empty variable counts
// as not set, as does an empty flag except --token, which then means no token.
func readSettings(flags *pflag.FlagSet, lookup func(string) (string, bool), context chosen) *values {
	s := &values{v: viper.New(), flags: flags, origins: map[string]origin{}, known: map[string]Setting{}}
	for _, set := range Settings() {
		s.known[set.Name] = set
	}
	s.context = s.judge(context, lookup)
	layers := map[origin]map[string]string{
		fromConsulEnv: environment(consulPrefix, lookup),
		fromCtlEnv:    environment(ctlPrefix, lookup),
	}
	if c := s.context; c.Context != nil && c.aside == "" {
		layers[c.origin] = c.Settings()
	}
	// Layers are merged in rising strength.
	for from := fromCurrentContext; from < fromFlag; from++ {
		layer := map[string]any{}
		for name, value := range layers[from] {
			layer[name] = value
			s.origins[name] = from
		}
		_ = s.v.MergeConfigMap(layer) // cannot fail for a map of strings
	}
	for _, set := range Settings() {
		s.v.SetDefault(set.Name, set.Default)
		if f := flags.Lookup(set.Name); f != nil && (f.Value.String() != "" || set.Name == "token") {
			_ = s.v.BindPFlag(set.Name, f) // fails for a nil flag only
		}
	}
	return s
}

// environment returns the settings that variables with the prefix give.
func environment(prefix string, lookup func(string) (string, bool)) map[string]string {
	layer := map[string]string{}
	for _, set := range Settings() {
		if set.Env == "" || (set.OwnOnly && prefix == consulPrefix) {
			continue
		}
		if value, ok := lookup(prefix + set.Env); ok && value != "" {
			layer[set.Name] = value
		}
	}
	return layer
}

// text returns the setting's value.
func (s *values) text(name string) string { return s.v.GetString(name) }

// truth returns the setting's value as a boolean, false if there is none.
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
	switch s.origin(name) {
	case fromFlag:
		return "--" + name
	case fromCtlEnv:
		return ctlPrefix + s.known[name].Env
	case fromConsulEnv:
		return consulPrefix + s.known[name].Env
	case fromDefault:
		return "default"
	default:
		return fmt.Sprintf("context %q", s.context.name)
	}
}
