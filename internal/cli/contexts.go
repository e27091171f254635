package cli

import (
	"fmt"

	"github.com/ctl-sh/ctl/internal/cli/contextfile"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	contextFlag = "context"
	contextEnv  = "CTL_CONTEXT"
)

// chosen is the context of a run, if there is one.
type chosen struct {
	*contextfile.Context
	name   string
	origin origin
	// aside says why the context is not used after all; empty if it is.
	aside string
}

// from says where the context was named, for people.
func (c chosen) from() string {
	switch c.origin {
	case fromFlagContext:
		return "--" + contextFlag
	case fromEnvContext:
		return contextEnv
	default:
		return "`ctl context use`"
	}
}

// Contexts reads the operator's contexts, and says where they are kept; the
// path is empty where there is no home.
func (f *Factory) Contexts() (file *contextfile.File, path string, err error) {
	path = contextfile.Path(f.LookupEnv)
	file, err = contextfile.Load(path)
	return file, path, err
}

// chooseContext returns the context that flags, environment or file name. A
// name nobody knows is an error; no name is none.
func (f *Factory) chooseContext(flags *pflag.FlagSet) (chosen, error) {
	c := chosen{}
	if flag := flags.Lookup(contextFlag); flag != nil && flag.Value.String() != "" {
		c.name, c.origin = flag.Value.String(), fromFlagContext
	} else if name, ok := f.LookupEnv(contextEnv); ok && name != "" {
		c.name, c.origin = name, fromEnvContext
	}
	file, _, err := f.Contexts()
	if err != nil {
		if c.name == "" && addressBy(flags, f.LookupEnv, fromCurrentContext) != "" {
			return chosen{}, nil // the file would not count anyway
		}
		return c, err
	}
	if c.name == "" {
		if file.Current == "" {
			return c, nil
		}
		c.name, c.origin = file.Current, fromCurrentContext
	}
	if c.Context, err = file.Get(c.name); err != nil {
		return c, fmt.Errorf("%s: %w%s", c.from(), err, suggestWord(c.name, file.Names()))
	}
	return c, nil
}

// judge decides whether the context counts. Address, token and marks of a
// context belong together: where something stronger names the address, the
// token must not go there and the marks say nothing about it. Only a context
// that --context names stays, with --http-addr as one more way to the same
// cluster.
func (s *values) judge(c chosen, lookup func(string) (string, bool)) chosen {
	if c.Context == nil || c.origin == fromFlagContext {
		return c
	}
	if by := addressBy(s.flags, lookup, c.origin); by != "" {
		c.aside = by + " names another address"
	}
	return c
}

// addressBy returns the flag or the variable that names an address and is
// stronger than a context named where origin says; empty if none is.
func addressBy(flags *pflag.FlagSet, lookup func(string) (string, bool), context origin) string {
	f := flags.Lookup("http-addr")
	switch {
	case f != nil && f.Value.String() != "":
		return "--http-addr"
	case environment(ctlPrefix, lookup)["http-addr"] != "":
		return "CTL_HTTP_ADDR"
	case environment(consulPrefix, lookup)["http-addr"] != "" && context < fromConsulEnv:
		return "CONSUL_HTTP_ADDR"
	}
	return ""
}

// CompleteContexts returns a completion that offers the names of all contexts
// for the first n arguments; a negative n is for all.
func (f *Factory) CompleteContexts(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		file, _, err := f.Contexts()
		if err != nil || (n >= 0 && len(args) >= n) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return file.Names(), cobra.ShellCompDirectiveNoFileComp
	}
}
