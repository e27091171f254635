// Package argv makes cobra understand the argument dialect of Go's flag
// package, which Consul's command line speaks: long flags with one dash, and
// flags written before the command.
//
// Rewrite changes the arguments before cobra sees them, against the command
// tree. It is not a parser: it never checks a name or a value, so every error
// message stays cobra's. The rules that keep it right, checked by a fuzz test:
// the number of arguments never changes, the only edit is one added dash, and
// rewriting twice changes nothing more. A value is never edited, whatever it
// looks like.
//
// Both dialects agree that a flag takes the next argument as its value even if
// that starts with a dash, that "-" alone is a positional argument (standard
// input) and that "--" ends the flags.
package argv

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// tailKey marks commands whose first positional argument ends the flags.
const tailKey = "ctl.argv.tail"

// FreeTail says that nothing behind cmd's first positional argument is a flag:
// for commands that take values or other commands there (`kv put KEY -5`). It
// tells cobra and Rewrite at once, so that they cannot disagree.
func FreeTail(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[tailKey] = "true"
	cmd.Flags().SetInterspersed(false)
}

// HasFreeTail reports whether FreeTail was called on cmd.
func HasFreeTail(cmd *cobra.Command) bool { return cmd.Annotations[tailKey] == "true" }

// Rewrite returns args with one dash added to every long flag that has only
// one. args is not changed. Root's help command must exist already (cobra adds
// it when it executes; Prepare adds it before).
func Rewrite(root *cobra.Command, args []string) []string {
	tokens := classify(root, args)
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.text
	}
	return out
}

// Arrange moves flags that stand before the command behind it, where cobra
// looks for them: `--http-addr x kv get k` becomes `kv get --http-addr x k`.
// args must have been rewritten. Nothing is moved when no command follows. The
// result is never nil, which cobra would take for the process's arguments.
func Arrange(root *cobra.Command, args []string) []string {
	tokens := classify(root, args)
	last := -1
	for i, t := range tokens {
		if t.kind == command {
			last = i
		}
	}
	path, flags := []string{}, []string{}
	for _, t := range tokens[:last+1] {
		if t.kind == command {
			path = append(path, t.text)
		} else {
			flags = append(flags, t.text)
		}
	}
	return append(append(path, flags...), args[last+1:]...)
}

// Prepare adds what cobra would only add while executing and what Rewrite must
// know: the help command. The help flag takes no value, so that nothing depends
// on knowing it.
func Prepare(root *cobra.Command) { root.InitDefaultHelpCmd() }

type kind uint8

const (
	command    kind = iota // the name of a command on the path
	flagName               // a flag, with or without =value
	flagValue              // the value of the flag before it
	positional             // an argument, or anything behind the flags' end
)

type token struct {
	text string
	kind kind
}

// classify walks args along the command tree and says what each one is, with
// the text it has after rewriting.
func classify(root *cobra.Command, args []string) []token {
	tokens := make([]token, 0, len(args))
	add := func(k kind, texts ...string) {
		for _, t := range texts {
			tokens = append(tokens, token{t, k})
		}
	}
	cmd, descending := root, true
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			add(positional, args[i:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") && descending {
			if sub := Child(cmd, arg); sub != nil {
				cmd = sub
				add(command, arg)
				continue
			}
		}
		if !looksLikeFlag(arg) {
			descending = false
			if HasFreeTail(cmd) {
				add(positional, args[i:]...)
				break
			}
			add(positional, arg)
			continue
		}
		text, flag := long(cmd, arg)
		add(flagName, text)
		if takesNext(flag, arg) && i+1 < len(args) {
			i++
			add(flagValue, args[i])
		}
	}
	return tokens
}

// looksLikeFlag is false for plain words, for "-" alone, which is standard
// input, and for negative numbers.
func looksLikeFlag(arg string) bool {
	if len(arg) < 2 || arg[0] != '-' {
		return false
	}
	return arg[1] != '.' && (arg[1] < '0' || arg[1] > '9')
}

// long returns arg as cobra must see it, and the flag it names where there is
// one. A name of two or more characters is a long name, known or not, so that a
// mistyped one fails by its whole name.
func long(cmd *cobra.Command, arg string) (string, *pflag.Flag) {
	name, _, _ := strings.Cut(strings.TrimLeft(arg[1:], "-"), "=")
	if strings.HasPrefix(arg, "--") {
		return arg, lookup(cmd, name)
	}
	if utf8.RuneCountInString(name) < 2 {
		return arg, lookupShort(cmd, name)
	}
	flag := lookup(cmd, name)
	if flag == nil && slices.Contains(glued, name) {
		if short := lookupShort(cmd, name[:1]); short != nil {
			return arg, nil // shorthand and value in one; no value follows
		}
	}
	return "-" + arg, flag
}

// glued lists the shorthands with a value that are understood in one word.
// There is no general rule: `-ojson` and a mistyped `-outptu` look alike.
var glued = []string{"ojson", "ojsonl", "oname", "opretty", "otable", "owide", "oyaml"}

func takesNext(flag *pflag.Flag, arg string) bool {
	return flag != nil && flag.NoOptDefVal == "" && !strings.Contains(arg, "=")
}

// lookup finds a long flag of cmd. A flag that stands before its command is
// found among the commands below; names mean the same everywhere in the tree,
// so the first one found will do.
func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	return search(cmd, func(c *cobra.Command) *pflag.Flag { return c.Flag(name) })
}

func lookupShort(cmd *cobra.Command, name string) *pflag.Flag {
	if len(name) != 1 { // pflag's shorthands are single bytes
		return nil
	}
	return search(cmd, func(c *cobra.Command) *pflag.Flag {
		if f := c.Flags().ShorthandLookup(name); f != nil {
			return f
		}
		return c.PersistentFlags().ShorthandLookup(name)
	})
}

func search(cmd *cobra.Command, find func(*cobra.Command) *pflag.Flag) *pflag.Flag {
	if f := find(cmd); f != nil {
		return f
	}
	for _, sub := range cmd.Commands() {
		if f := search(sub, find); f != nil {
			return f
		}
	}
	return nil
}

// Descend follows the names of commands that args begins with, and returns the
// command they lead to and the arguments left over.
func Descend(root *cobra.Command, args []string) (*cobra.Command, []string) {
	cmd := root
	for i, a := range args {
		sub := Child(cmd, a)
		if sub == nil {
			return cmd, args[i:]
		}
		cmd = sub
	}
	return cmd, nil
}

// Child returns the command directly below cmd with that name or alias, or nil.
func Child(cmd *cobra.Command, name string) *cobra.Command {
	for _, sub := range cmd.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}
