package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// groupGlobal is the heading of the flags every command has.
const groupGlobal = "Global Options"

// choice is a flag whose value is one of a few words. set is told at once,
// because the flag must count for errors in the flags behind it, too.
type choice struct {
	value string
	words []string
	set   func(string)
}

// String implements pflag.Value.
func (c *choice) String() string { return c.value }

// Type implements pflag.Value.
func (c *choice) Type() string { return "string" }

// Set implements pflag.Value.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("must be one of: %s%s", strings.Join(c.words, ", "), suggestWord(s, c.words))
	}
	c.value = s
	c.set(s)
	return nil
}

// globalFlags gives root the flags that all commands have.
func (f *Factory) globalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	add := func(name, usage string, c *choice) {
		flags.Var(c, name, usage)
		flags.Lookup(name).Annotations = map[string][]string{groupKey: {groupGlobal}}
		// Names are fixed; this fails only for a flag that does not exist.
		_ = root.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp))
	}
	add("color", "`WHEN` to use colour: auto, always or never", &choice{
		value: "auto", words: []string{"auto", "always", "never"}, set: func(s string) { f.Streams.ColorMode = s },
	})
	add(exitCodesFlag, "`KIND` of exit codes: consul (0, 1, 2) or detailed", &choice{
		value: "consul", words: []string{"consul", "detailed"}, set: func(s string) { f.exitCodes = s },
	})
}

// OtherVariables lists the variables that are read beside those of Settings,
// for help and the reference.
func OtherVariables() []struct{ Name, Meaning string } {
	return []struct{ Name, Meaning string }{
		{contextEnv, "name of the context to use; --context is stronger"},
		{exitCodesEnv, "detailed: exit codes 10 to 16 tell failures apart; --exit-codes is stronger"},
		{noPromptEnv, "any value: no command asks; what would have asked fails"},
		{pagerEnv, "pager for help and topics that do not fit on the terminal; set to nothing or cat: none"},
		{commonPagerEnv, "the same, where " + pagerEnv + " is not set; without either nothing is paged"},
		{"NO_COLOR", "any value: no colour; --color is stronger"},
		{"CLICOLOR_FORCE", "anything but 0: colour in a pipe too"},
		{"CLICOLOR", "0: no colour"},
		{"COLUMNS", "width of the terminal"},
		{"LINES", "height of the terminal"},
		{"XDG_CONFIG_HOME", "directory of ctl/config.json, where contexts are kept (default ~/.config)"},
	}
}
