// Package context holds the commands for the operator's contexts: named
// clusters, which --context, CTL_CONTEXT and `ctl context use` choose among.
//
// They change one file on this machine and no cluster. What a context means is
// in package cli; how it is kept, in package contextfile.
package context

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/contextfile"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl context` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	cmd := cli.Group("context", "Name clusters and choose among them", `ctl context add prod -http-addr https://10.0.0.1:8501 -protected
ctl context use prod
ctl members -context staging`,
		newAdd(f), newImport(f), newList(f), newPrevious(f), newRemove(f), newRename(f), newShow(f), newUse(f), newValidate(f))
	cmd.Long = `A context is a cluster with a name: the addresses of its agents, where its token
comes from, its TLS files, and marks that keep hands off it (read-only,
protected). A command uses the context of --context, else that of CTL_CONTEXT,
else the one chosen with "ctl context use".

Options and variables for single settings win over the context. Where one names
another address (--http-addr, CTL_HTTP_ADDR), the context is left aside whole, so
that its token is not sent there; "ctl config explain" shows what counts.`
	return cmd
}

// named is a context with its name.
type named struct {
	*contextfile.Context
	Name    string
	Current bool
}

// shown is the JSON of a context: what the file holds, without the secret.
type shown struct {
	Name      string   `json:"name"`
	Current   bool     `json:"current"`
	Addresses []string `json:"addresses"`
	*contextfile.Context
}

// secret stands for a token that is not shown.
const secret = "(secret)"

func (n named) marks() string {
	var marks []string
	if n.ReadOnly {
		marks = append(marks, "read-only")
	}
	if n.Protected {
		marks = append(marks, "protected")
	}
	return strings.Join(marks, ",")
}

func (n named) token() string {
	switch {
	case n.TokenFile != "":
		return "file " + n.TokenFile
	case n.TokenCommand != "":
		return "command " + n.TokenCommand
	case n.Token != "":
		return secret
	default:
		return ""
	}
}

func current(n named) string {
	if n.Current {
		return "*"
	}
	return ""
}

var listing = cli.View[named]{
	Empty: "There are no contexts. Make one with `ctl context add`.",
	Name:  func(n named) string { return n.Name },
	Columns: []cli.Column[named]{
		{Name: "Current", Value: current, Tone: func(named) iostreams.Tone { return iostreams.Good }},
		{Name: "Name", Value: func(n named) string { return n.Name }},
		{Name: "Addresses", Value: func(n named) string { return strings.Join(n.Addresses, ",") }},
		{Name: "Token", Value: named.token},
		{Name: "Marks", Value: named.marks, Tone: func(named) iostreams.Tone { return iostreams.Warn }},
		{Name: "Color", Wide: true, Value: func(n named) string { return n.Color }},
		{Name: "Datacenter", Wide: true, Value: func(n named) string { return n.Datacenter }},
		{Name: "CA", Wide: true, Value: func(n named) string { return n.CAFile + n.CAPath }},
		{Name: "Certificate", Wide: true, Value: func(n named) string { return n.ClientCert }},
	},
	JSON: func(n named) any {
		copied := *n.Context
		if copied.Token != "" {
			copied.Token = secret
		}
		return shown{n.Name, n.Current, n.Addresses, &copied}
	},
}

func newList(f *cli.Factory) *cobra.Command {
	var out *cli.Output
	cmd := &cobra.Command{
		Use:   "list [options]",
		Short: "List the contexts",
		Long:  "List the contexts; a star marks the one chosen with \"ctl context use\".",
		Example: `ctl context list
ctl context list -o name`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			file, _, err := f.Contexts()
			if err != nil {
				return err
			}
			var rows []named
			for _, name := range file.Names() {
				rows = append(rows, named{file.Contexts[name], name, name == file.Current})
			}
			return cli.Show(out, listing, rows)
		},
	}
	out = f.Output(cmd)
	return cmd
}

func newShow(f *cli.Factory) *cobra.Command {
	var out *cli.Output
	cmd := &cobra.Command{
		Use:   "show [options] [NAME]",
		Short: "Show a context",
		Long:  "Show a context, without NAME the one in use. A token is never shown.",
		Example: `ctl context show
ctl context show prod -o yaml`,
		ValidArgsFunction: f.CompleteContexts(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, _, err := f.Contexts()
			if err != nil {
				return err
			}
			name, err := oneOrCurrent(f, cmd, file, args)
			if err != nil {
				return err
			}
			n := named{file.Contexts[name], name, name == file.Current}
			return cli.ShowDocument(out, listing, listing.JSON(n), []named{n}, func(w io.Writer) error {
				writeContext(w, n)
				return nil
			})
		},
	}
	out = f.Output(cmd)
	return cmd
}

func writeContext(w io.Writer, n named) {
	const form = "%-16s %s\n"
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(w, form, label+":", value)
		}
	}
	line("Name", n.Name)
	for i, a := range n.Addresses {
		label := "Address:"
		if i > 0 {
			label = "" // they belong together, in order
		}
		fmt.Fprintf(w, form, label, a)
	}
	line("Datacenter", n.Datacenter)
	line("Token", n.token())
	line("CA file", n.CAFile)
	line("CA directory", n.CAPath)
	line("Certificate", n.ClientCert)
	line("Key", n.ClientKey)
	line("TLS name", n.TLSServerName)
	if n.SkipVerify {
		line("Verification", "off: any certificate is accepted")
	}
	line("Marks", n.marks())
	line("Color", n.Color)
}

// oneOrCurrent returns the context an argument names, or the one in use.
func oneOrCurrent(f *cli.Factory, cmd *cobra.Command, file *contextfile.File, args []string) (string, error) {
	if len(args) > 1 {
		return "", cli.Usagef(cmd, "Too many arguments (expected at most 1, got %d)", len(args))
	}
	name := file.Current
	if env, _ := f.LookupEnv("CTL_CONTEXT"); env != "" {
		name = env
	}
	if len(args) == 1 {
		name = args[0]
	}
	if name == "" {
		return "", cli.Failf("No context is in use. Name one, or choose one with `ctl context use`.")
	}
	_, err := file.Get(name)
	return name, err
}

type addOptions struct {
	f          *cli.Factory
	change     *cli.Change
	context    contextfile.Context
	storeToken bool
	replace    bool
	use        bool
}

func newAdd(f *cli.Factory) *cobra.Command {
	o := &addOptions{f: f}
	c := &o.context
	cmd := &cobra.Command{
		Use:   "add [options] NAME",
		Short: "Make a context",
		Long: `Make a context. Several addresses may be given; where one cannot be reached the
next is tried. The token should come from a file or a command, such as that of a
password store; a token given by itself is refused unless --store-token says that
it may stand, readable, in the file of contexts.`,
		Example: `ctl context add local
ctl context add prod -http-addr 10.0.0.1:8500 -http-addr 10.0.0.2:8500
ctl context add live -http-addr https://10.0.0.1:8501 -protected -tint red
ctl context add audit -readonly -token-command "pass show ctl/audit"`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&c.Addresses, "http-addr", nil, "`ADDRESS` of an agent; may be repeated (default "+cli.DefaultAddress+")")
	flags.StringVar(&c.Datacenter, "datacenter", "", "`NAME` of the datacenter to ask (default: the agent's own)")
	flags.StringVar(&c.TokenFile, "token-file", "", "`FILE` that holds the ACL token")
	flags.StringVar(&c.TokenCommand, "token-command", "", "`COMMAND` whose output is the ACL token")
	flags.StringVar(&c.Token, "token", "", "ACL `TOKEN`, with --store-token")
	flags.BoolVar(&o.storeToken, "store-token", false, "keep --token in the file, where others may find it")
	flags.StringVar(&c.CAFile, "ca-file", "", "`FILE` with the CA certificates to trust")
	flags.StringVar(&c.CAPath, "ca-path", "", "`DIR` with the CA certificates to trust")
	flags.StringVar(&c.ClientCert, "client-cert", "", "`FILE` with the client certificate, with --client-key")
	flags.StringVar(&c.ClientKey, "client-key", "", "`FILE` with the key of the client certificate")
	flags.StringVar(&c.TLSServerName, "tls-server-name", "", "`NAME` to expect in the agents' certificates")
	flags.BoolVar(&c.SkipVerify, "skip-verify", false, "accept any certificate of the agents")
	flags.BoolVar(&c.ReadOnly, "readonly", false, "refuse all commands that change something")
	flags.BoolVar(&c.Protected, "protected", false, "want the name typed (or --yes=NAME) before something is changed")
	flags.StringVar(&c.Color, "tint", "", "`COLOR` to mark the context with: "+strings.Join(contextfile.Colors(), ", "))
	flags.BoolVar(&o.replace, "replace", false, "write over a context of this name")
	flags.BoolVar(&o.use, "use", false, "choose the context, too")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("tint", cobra.FixedCompletions(contextfile.Colors(), cobra.ShellCompDirectiveNoFileComp))
	o.change = f.FileChange(cmd)
	return cmd
}

func (o *addOptions) run(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.Usagef(cmd, "One NAME must be given.")
	}
	if o.context.Token != "" && !o.storeToken {
		return cli.Failf("A token would stand readable in the file of contexts. Give --token-file or --token-command instead, or --store-token if that is what you want.")
	}
	if len(o.context.Addresses) == 0 {
		o.context.Addresses = []string{cli.DefaultAddress}
	}
	// The context is used from any directory.
	for _, path := range []*string{&o.context.TokenFile, &o.context.CAFile, &o.context.CAPath, &o.context.ClientCert, &o.context.ClientKey} {
		if *path == "" {
			continue
		}
		whole, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find %s: %w", *path, err)
		}
		*path = whole
	}
	return add(o.f, o.change, args[0], &o.context, o.replace, o.use)
}

// add puts a context into the file.
func add(f *cli.Factory, change *cli.Change, name string, c *contextfile.Context, replace, use bool) error {
	if err := contextfile.CheckName(name); err != nil {
		return err
	}
	problems := []error{c.Check()}
	for _, a := range c.Addresses {
		if a != "" { // Check names that one
			problems = append(problems, cli.CheckAddress(a))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("context %q: %w", name, err)
	}
	what := fmt.Sprintf("add context %s (%s)", name, first(c))
	return edit(f, change, what, name, func(file *contextfile.File) (string, error) {
		if file.Contexts[name] != nil && !replace {
			return "", cli.Failf("There is a context %q already. Give --replace to write over it.", name)
		}
		file.Contexts[name] = c
		said := fmt.Sprintf("Added context %s", name)
		if use || file.Current == "" {
			if err := file.Use(name); err != nil {
				return "", err
			}
			said += "; it is in use now"
		}
		return said, nil
	})
}

// edit reads the file of contexts, changes it and writes it, and says what was
// done to the context of the name. A dry run does all but writing, so that it
// finds what would be refused.
func edit(f *cli.Factory, change *cli.Change, what, name string, do func(*contextfile.File) (said string, err error)) error {
	file, path, err := f.Contexts()
	if err != nil {
		return err
	}
	said, err := do(file)
	if err != nil {
		return err
	}
	if ok, err := change.Begin("%s", what); !ok {
		return err
	}
	if err := file.Save(path); err != nil {
		return err
	}
	return change.Made(name, "%s", said)
}

// changing gives cmd the flags of a command that changes the file of contexts,
// and run what they say.
func changing(f *cli.Factory, cmd *cobra.Command, run func(cmd *cobra.Command, change *cli.Change, args []string) error) *cobra.Command {
	var change *cli.Change
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return run(cmd, change, args) }
	change = f.FileChange(cmd)
	return cmd
}

func newUse(f *cli.Factory) *cobra.Command {
	return changing(f, &cobra.Command{
		Use:   "use [options] NAME",
		Short: "Choose the context commands use",
		Long:  "Choose the context that commands use where nothing else names one.",
		Example: `ctl context use prod
ctl context previous`,
		ValidArgsFunction: f.CompleteContexts(1),
	}, func(cmd *cobra.Command, change *cli.Change, args []string) error {
		if len(args) != 1 {
			return cli.Usagef(cmd, "One NAME must be given.")
		}
		return use(f, change, args[0])
	})
}

func use(f *cli.Factory, change *cli.Change, name string) error {
	err := edit(f, change, "use context "+name, name, func(file *contextfile.File) (string, error) {
		return fmt.Sprintf("Using context %s (%s)", name, first(file.Contexts[name])), file.Use(name)
	})
	if err != nil || change.DryRun() {
		return err
	}
	for _, env := range []string{"CTL_CONTEXT", "CTL_HTTP_ADDR", "CONSUL_HTTP_ADDR"} {
		if value, _ := f.LookupEnv(env); value != "" {
			fmt.Fprintf(f.Streams.Err, "Note: %s is set and wins over this choice.\n", env)
		}
	}
	return nil
}

func first(c *contextfile.Context) string {
	if c == nil {
		return ""
	}
	return strings.Join(c.Addresses, ", ")
}

func newPrevious(f *cli.Factory) *cobra.Command {
	return changing(f, &cobra.Command{
		Use:     "previous [options]",
		Short:   "Choose the context used before",
		Long:    "Choose the context that was in use before the last \"ctl context use\".",
		Example: "ctl context previous",
		Args:    cli.NoArguments,
	}, func(_ *cobra.Command, change *cli.Change, _ []string) error {
		file, _, err := f.Contexts()
		if err != nil {
			return err
		}
		if file.Previous == "" {
			return cli.Failf("No other context was in use before.")
		}
		return use(f, change, file.Previous)
	})
}

func newRename(f *cli.Factory) *cobra.Command {
	return changing(f, &cobra.Command{
		Use:               "rename [options] OLD NEW",
		Short:             "Give a context another name",
		Long:              "Give a context another name. It stays in use if it was.",
		Example:           "ctl context rename prod production",
		ValidArgsFunction: f.CompleteContexts(1),
	}, func(cmd *cobra.Command, change *cli.Change, args []string) error {
		if len(args) != 2 {
			return cli.Usagef(cmd, "The names OLD and NEW must be given.")
		}
		what := fmt.Sprintf("rename context %s to %s", args[0], args[1])
		return edit(f, change, what, args[1], func(file *contextfile.File) (string, error) {
			return fmt.Sprintf("Renamed context %s to %s", args[0], args[1]), file.Rename(args[0], args[1])
		})
	})
}

func newRemove(f *cli.Factory) *cobra.Command {
	return changing(f, &cobra.Command{
		Use:               "remove [options] NAME...",
		Short:             "Forget contexts",
		Long:              "Forget contexts. The clusters and files they name are not touched.",
		Example:           "ctl context remove staging",
		ValidArgsFunction: f.CompleteContexts(-1),
	}, func(cmd *cobra.Command, change *cli.Change, args []string) error {
		if len(args) == 0 {
			return cli.Usagef(cmd, "At least one NAME must be given.")
		}
		names := strings.Join(args, ", ")
		return edit(f, change, "remove context "+names, names, func(file *contextfile.File) (string, error) {
			for _, name := range args {
				if err := file.Remove(name); err != nil {
					return "", err
				}
			}
			return "Removed context " + names, nil
		})
	})
}

func newImport(f *cli.Factory) *cobra.Command {
	var replace, chosen, storeToken bool
	cmd := changing(f, &cobra.Command{
		Use:   "import [options] NAME",
		Short: "Make a context of the variables set now",
		Long: `Make a context of the variables CTL_* and CONSUL_* that are set now. A token in a
variable is left out unless --store-token is given.`,
		Example: `CONSUL_HTTP_ADDR=10.0.0.1:8500 ctl context import old-cluster
ctl context import prod -use`,
	}, func(cmd *cobra.Command, change *cli.Change, args []string) error {
		if len(args) != 1 {
			return cli.Usagef(cmd, "One NAME must be given.")
		}
		c, err := fromEnvironment(f, storeToken)
		if err != nil {
			return err
		}
		return add(f, change, args[0], c, replace, chosen)
	})
	cmd.Flags().BoolVar(&replace, "replace", false, "write over a context of this name")
	cmd.Flags().BoolVar(&chosen, "use", false, "choose the context, too")
	cmd.Flags().BoolVar(&storeToken, "store-token", false, "keep a token of a variable in the file, where others may find it")
	return cmd
}

func fromEnvironment(f *cli.Factory, storeToken bool) (*contextfile.Context, error) {
	env := f.Environment()
	if len(env) == 0 {
		return nil, cli.Failf("No variable CTL_* or CONSUL_* that says how to reach an agent is set.")
	}
	address := env["http-addr"]
	if address == "" {
		address = cli.DefaultAddress
	}
	if ssl := env["http-ssl"]; ssl == "true" || ssl == "1" {
		_, rest, found := strings.Cut(address, "://")
		if !found {
			rest = address
		}
		address = "https://" + rest
	}
	c := &contextfile.Context{
		Addresses: []string{address}, Datacenter: env["datacenter"],
		TokenFile: env["token-file"], TokenCommand: env["token-command"],
		CAFile: env["ca-file"], CAPath: env["ca-path"], ClientCert: env["client-cert"], ClientKey: env["client-key"],
		TLSServerName: env["tls-server-name"], SkipVerify: slices.Contains([]string{"false", "0", "f"}, env["http-ssl-verify"]),
	}
	switch token := env["token"]; {
	case token == "" || c.TokenFile != "" || c.TokenCommand != "":
	case storeToken:
		c.Token = token
	default:
		fmt.Fprintln(f.Streams.Err, "Note: the token was left out. Give --store-token to keep it in the file, or add a --token-file or --token-command.")
	}
	if env["http-auth"] != "" {
		fmt.Fprintln(f.Streams.Err, "Note: HTTP basic authentication was left out; contexts do not keep it.")
	}
	return c, nil
}
