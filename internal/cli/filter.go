package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ctl-sh/ctl/internal/cli/jq"
	"github.com/spf13/cobra"
)

const jqFlag = "jq"

// Filter is the flag --jq of a command: an expression that makes something else
// of the JSON. Commands that have an Output have it there.
type Filter struct {
	jq   *jq.Filter // nil where the flag was not given
	fits func() error
	// context is the command's, or narrower while one runs that ends earlier.
	context func() context.Context
}

// Filter gives cmd the flag. fits, where it is not nil, says what about the other
// flags it does not go with; it is called when the flag was set.
func (f *Factory) Filter(cmd *cobra.Command, fits func() error) *Filter {
	l := &Filter{fits: fits, context: cmd.Context}
	cmd.Flags().Var(l, jqFlag, "filter the JSON by an `EXPRESSION` of jq; text is printed as it is")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(jqFlag, cobra.NoFileCompletions)
	return l
}

// On reports whether --jq was given.
func (l *Filter) On() bool { return l.jq != nil }

// String implements pflag.Value.
func (l *Filter) String() string {
	if l.jq == nil {
		return ""
	}
	return l.jq.String()
}

// Type implements pflag.Value.
func (l *Filter) Type() string { return "string" }

// Set implements pflag.Value. A wrong expression is refused before anything is
// asked or done.
func (l *Filter) Set(s string) error {
	var err error
	if l.jq, err = jq.New(s); err != nil || l.fits == nil {
		return err
	}
	return l.fits()
}

// Write writes what the expression makes of v: each result on a line of its own
// or, where indent is not empty, indented. It must be On.
func (l *Filter) Write(w io.Writer, v any, indent string) error {
	ctx := l.context()
	if ctx == nil { // the command is not run by a tree
		ctx = context.Background()
	}
	err := l.jq.Write(ctx, w, v, indent)
	if _, ok := errors.AsType[*jq.Error](err); ok {
		return fmt.Errorf("--%s: %w", jqFlag, err)
	}
	return err
}
