package cli

import (
	"errors"
	"io"

	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// Format is the --format flag of a command that lists something.
type Format struct{ value string }

const formatFlag = "format"

var errFormat = errors.New("must be one of: pretty, json")

// FormatFlag gives cmd the flag --format, short -o. The default is the text
// people read; json is the shape the HTTP API has.
func FormatFlag(cmd *cobra.Command) *Format {
	f := &Format{value: "pretty"}
	cmd.Flags().VarP(f, formatFlag, "o", "output `FORMAT`: pretty or json")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(formatFlag, cobra.FixedCompletions([]string{"pretty", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return f
}

// JSON reports whether machine output was asked for.
func (f *Format) JSON() bool { return f.value == "json" }

// String implements pflag.Value.
func (f *Format) String() string { return f.value }

// Set implements pflag.Value. "table" is another word for pretty.
func (f *Format) Set(s string) error {
	switch s {
	case "pretty", "table":
		f.value = "pretty"
	case "json":
		f.value = "json"
	default:
		return errFormat
	}
	return nil
}

// Type implements pflag.Value.
func (f *Format) Type() string { return "string" }

// WriteJSON writes v with the indentation all commands use.
func WriteJSON(w io.Writer, v any) error { return iostreams.WriteJSON(w, v, "    ") }
