package argv

import (
	"bytes"
	"strings"

	"github.com/spf13/cobra"
)

// IsCompletion reports whether args are a shell asking for completions, which
// is then answered by Complete.
func IsCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// Complete prepares a completion request for cobra. The words before the last
// are rewritten and arranged like any command line. A last word that starts a
// long flag with one dash is completed as if it had two; restore then takes
// the second dash off the answers again, because a shell only offers what
// begins with the word as typed. args[0] is cobra's completion command.
func Complete(root *cobra.Command, args []string) (rewritten []string, restore func([]byte) []byte) {
	restore = func(answers []byte) []byte { return answers }
	if len(args) < 2 {
		return args, restore
	}
	words := args[1:]
	tokens := classify(root, words)
	last := tokens[len(tokens)-1]
	before := Arrange(root, Rewrite(root, words[:len(words)-1]))
	if cmd, rest := Descend(root, before); cmd.HasSubCommands() {
		// A group knows no flags; those waiting for a command to belong to
		// must not stop the completion of its name.
		before = before[:len(before)-len(rest)]
	}

	typed := words[len(words)-1]
	if last.kind == flagName && !strings.HasPrefix(typed, "--") {
		last.text = "-" + typed
		restore = dropDash
	}
	out := append([]string{args[0]}, before...)
	return append(out, last.text), restore
}

// dropDash takes one dash off every line that begins with two.
func dropDash(answers []byte) []byte {
	lines := bytes.SplitAfter(answers, []byte("\n"))
	for i, l := range lines {
		if bytes.HasPrefix(l, []byte("--")) {
			lines[i] = l[1:]
		}
	}
	return bytes.Join(lines, nil)
}
