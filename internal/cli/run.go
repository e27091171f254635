package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli/argv"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Group returns a command that only holds others, with examples of them, one a
// line, for its help. Called alone, or with a name it does not have, it shows its
// help on standard error and exits 1, as Consul does.
func Group(name, short, examples string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " COMMAND [options] [ARGS]",
		Short:   short,
		Example: examples,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return Usagef(cmd, "%s: a command is missing", cmd.CommandPath())
			}
			return Usagef(cmd, "unknown command %q for %q%s", args[0], cmd.CommandPath(), unknownCommand(cmd, args[0]))
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// NoArguments is the check of commands that take options only.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usagef(cmd, "Too many arguments (expected 0, got %d)", len(args))
	}
	return nil
}

// Root returns the command at the top of the tree. version is what -v and
// --version run. Without a known command nothing is done and the exit code is
// 127.
func (f *Factory) Root(name, short, long string, version *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	root := Group(name, short, "", append(commands, version)...)
	root.Long = long
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	f.globalFlags(root)
	showVersion := root.Flags().BoolP("version", "v", false, "show the version and exit")
	root.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *showVersion:
			return version.RunE(version, nil)
		case len(args) == 0:
			return &exitError{ExitUnknownCommand, errors.New("a command is missing" + f.invitation(cmd)), cmd}
		default:
			return &exitError{ExitUnknownCommand, fmt.Errorf("unknown command %q%s", args[0], unknownCommand(cmd, args[0])), cmd}
		}
	}
	root.SetHelpCommand(f.helpCommand(root))
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		// Cobra takes no error here; the stream remembers it.
		_ = f.page(func(w io.Writer) { writeHelp(w, cmd) })
	})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			return Usagef(cmd, "%w%s", err, suggestFlag(cmd, unknown))
		}
		return Usagef(cmd, "%w", err)
	})
	root.SetIn(f.Streams.In)
	root.SetOut(f.Streams.Out)
	root.SetErr(f.Streams.Err)
	f.reach = nil // another tree runs another command
	return root
}

// helpCommand is `ctl help COMMAND`, the same as `ctl COMMAND -h`, and `ctl help
// TOPIC`.
func (f *Factory) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...|TOPIC]",
		Short: "Show the help of a command or a topic",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd := root
			for i, name := range args {
				parent := cmd
				if t, ok := topic(name); ok && i == 0 {
					return f.page(t.Write)
				}
				if cmd = argv.Child(parent, name); cmd == nil {
					return &exitError{ExitUnknownCommand,
						fmt.Errorf("unknown command or topic %q%s", name, suggestHelp(parent, name)), parent}
				}
			}
			return f.page(func(w io.Writer) { writeHelp(w, cmd) })
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return completeHelp(root, args), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// completeHelp offers what `ctl help args` can be continued with.
func completeHelp(root *cobra.Command, args []string) []cobra.Completion {
	parent, rest := argv.Descend(root, args)
	if len(rest) > 0 {
		return nil
	}
	var names []cobra.Completion
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
		}
	}
	if parent == root {
		for _, t := range Topics() {
			names = append(names, cobra.CompletionWithDesc(t.Name, t.Short))
		}
	}
	return names
}

// invitation tells somebody at a terminal what to type for a look around, if
// this tree has the command.
func (f *Factory) invitation(root *cobra.Command) string {
	if dash, _, err := root.Find([]string{"dashboard"}); err != nil || dash == root || !f.Streams.OutTerminal {
		return ""
	}
	return ": `" + root.Name() + " dash` opens the dashboard"
}

// Run runs the command args name below root and returns the exit code. It
// prints what has to be said about a failure. args does not hold the program's
// name. It may be called once for a tree.
func (f *Factory) Run(ctx context.Context, root *cobra.Command, args []string) int {
	argv.Prepare(root)
	if argv.IsCompletion(args) {
		return f.complete(ctx, root, args)
	}
	args = argv.Arrange(root, argv.Rewrite(root, args))
	if len(args) > 0 && (args[0] == "-v" || args[0] == "--version") {
		args = args[:1] // whatever command is named behind it
	}
	if group, rest := argv.Descend(root, args); group.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		// Before cobra complains about flags of a command that is not there.
		return f.finish(group, group.RunE(group, rest))
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return f.finish(cmd, err)
}

// complete answers a shell. Its standard error is only for debugging and the
// exit code for nobody.
func (f *Factory) complete(ctx context.Context, root *cobra.Command, args []string) int {
	args, restore := argv.Complete(root, args)
	var answers bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&answers)
	root.SetErr(io.Discard)
	if err := root.ExecuteContext(ctx); err != nil {
		return ExitError
	}
	// A shell that went away needs no answer.
	_, _ = f.Streams.Out.Write(plainDescriptions(restore(answers.Bytes())))
	return ExitOK
}

// plainDescriptions takes the quotes off that mark the name of a flag's value,
// in what stands behind the tab of every line.
func plainDescriptions(answers []byte) []byte {
	lines := bytes.SplitAfter(answers, []byte("\n"))
	for i, l := range lines {
		if word, description, ok := bytes.Cut(l, []byte("\t")); ok {
			lines[i] = slices.Concat(word, []byte("\t"), bytes.ReplaceAll(description, []byte("`"), nil))
		}
	}
	return bytes.Join(lines, nil)
}
