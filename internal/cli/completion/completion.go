// Package completion holds the command that writes completion scripts.
package completion

import (
	"io"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl completion`. The scripts ask this program for the
// completions of a command line, so they need not be written again when the
// program changes.
func NewCommand(f *cli.Factory) *cobra.Command {
	scripts := map[string]func(*cobra.Command, io.Writer) error{
		"bash":       writeBash,
		"zsh":        func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
		"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
	}
	cmd := cli.Group("completion", "Write a completion script for a shell", `source <(ctl completion bash)                     # this shell
ctl completion bash > /etc/bash_completion.d/ctl  # all shells, as root
ctl completion zsh > "${fpath[1]}/_ctl"
ctl completion fish > ~/.config/fish/completions/ctl.fish
ctl completion powershell | Out-String | Invoke-Expression`)
	cmd.Long = `Write a completion script for a shell to standard output. Flags are completed with
one dash and with two.`
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		cmd.AddCommand(&cobra.Command{
			Use:   shell,
			Short: "Write the completion script for " + shell,
			Args:  cli.NoArguments,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return scripts[shell](cmd.Root(), f.Streams.Out)
			},
		})
	}
	return cmd
}
