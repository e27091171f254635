package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how wide a line of help may be, on a terminal and in a pipe.
const helpWidth = 79

// writeHelp writes the help of cmd: what it does, examples, how it is called,
// its commands or its options, those for reaching an agent last.
func writeHelp(w io.Writer, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintln(w, wrap(about, helpWidth))
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", indent(cmd.Example))
	}
	fmt.Fprintf(w, "\nUsage:\n  %s\n", UsageLine(cmd))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(w, "\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
			}
		}
		fmt.Fprintf(w, "\nRun `%s COMMAND -h` for the options of a command.\n", cmd.CommandPath())
		if !cmd.HasParent() {
			fmt.Fprint(w, "\nTopics:\n")
			for _, t := range Topics() {
				fmt.Fprintf(w, "  %-18s  %s\n", t.Name, t.Short)
			}
			fmt.Fprintf(w, "\nRun `%s help TOPIC` to read one.\n", cmd.Name())
		}
		return
	}
	for _, group := range FlagGroups(cmd) {
		fmt.Fprintf(w, "\n%s:\n%s", group.Name, group.Flags.FlagUsagesWrapped(helpWidth))
	}
}

// UsageLine returns how cmd is called, on one line.
func UsageLine(cmd *cobra.Command) string {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	return strings.TrimSpace(cmd.CommandPath() + " " + arguments)
}

// FlagGroup is the flags of a command that help shows under one heading.
type FlagGroup struct {
	Name  string
	Flags *pflag.FlagSet
}

// FlagGroups returns the visible flags of cmd by heading, its own first.
// Headings without flags are left out.
func FlagGroups(cmd *cobra.Command) []FlagGroup {
	groups := []FlagGroup{
		{"Command Options", pflag.NewFlagSet("", pflag.ContinueOnError)},
		{groupHTTP, pflag.NewFlagSet("", pflag.ContinueOnError)},
		{groupGlobal, pflag.NewFlagSet("", pflag.ContinueOnError)},
	}
	cmd.InitDefaultHelpFlag()
	cmd.Flags().SortFlags = false // the groups sort, or keep the order of definition
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help":
		case f.Annotations[groupKey] != nil:
			for _, g := range groups {
				if g.Name == f.Annotations[groupKey][0] {
					g.Flags.AddFlag(f)
				}
			}
		default:
			groups[0].Flags.AddFlag(f)
		}
	})
	for _, g := range groups[1:] {
		g.Flags.SortFlags = false
	}
	var used []FlagGroup
	for _, g := range groups {
		if g.Flags.HasAvailableFlags() {
			used = append(used, g)
		}
	}
	return used
}

// wrap breaks the paragraphs of text, which empty lines separate, into lines of
// at most width characters where words allow it.
func wrap(text string, width int) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString("\n\n")
		}
		column := 0
		for word := range strings.FieldsSeq(paragraph) {
			n := utf8.RuneCountInString(word)
			switch {
			case column == 0:
			case column+1+n > width:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += n
		}
	}
	return b.String()
}

func indent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("  "+l, " ")
	}
	return strings.Join(lines, "\n")
}
