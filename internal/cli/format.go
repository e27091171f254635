package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// Format is the flag of a command that writes its output by itself, as text or
// as JSON.
type Format = Output

var errFormat = errors.New("must be one of: pretty, json")

// FormatFlag gives cmd a flag --format that knows only pretty and json. New
// commands use Factory.Output, which has all formats.
func FormatFlag(cmd *cobra.Command) *Format {
	o := &Output{form: formPretty, text: string(formPretty), only: []form{formPretty, formJSON}}
	cmd.Flags().VarP(o, formatFlag, "o", "output `FORMAT`: pretty or json")
	_ = cmd.RegisterFlagCompletionFunc(formatFlag, cobra.FixedCompletions([]string{"pretty", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return o
}
