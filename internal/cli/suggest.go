package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// suggestCommand returns a sentence naming the commands of parent that are
// spelled much like name, or nothing.
func suggestCommand(parent *cobra.Command, name string) string {
	var near []string
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() && alike(name, c.Name()) {
			near = append(near, c.CommandPath())
		}
	}
	return didYouMean(near)
}

// suggestHelp is suggestCommand that knows topics, too.
func suggestHelp(parent *cobra.Command, name string) string {
	if text := unknownCommand(parent, name); text != "" || parent.HasParent() {
		return text
	}
	var names []string
	for _, t := range Topics() {
		names = append(names, t.Name)
	}
	return suggestWord(name, names)
}

// suggestFlag does the same for the flags of cmd. err is the error of pflag.
func suggestFlag(cmd *cobra.Command, err *pflag.NotExistError) string {
	name := err.GetSpecifiedName()
	var near []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && alike(name, f.Name) {
			near = append(near, "--"+f.Name)
		}
	})
	return didYouMean(near)
}

// suggestWord does the same for the words a value may be. What follows a = in
// them is not part of the word.
func suggestWord(typed string, words []string) string {
	var near []string
	for _, w := range words {
		if w, _, _ = strings.Cut(w, "="); alike(typed, w) {
			near = append(near, w)
		}
	}
	return didYouMean(near)
}

func didYouMean(near []string) string {
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// alike reports whether typed is the beginning of name or within two edits of
// it, one for short names. The shortest, such as kv, must begin alike, too: any
// two of them are close to each other.
func alike(typed, name string) bool {
	switch {
	case typed == "" || name == "":
		return false
	case len(typed) > 2 && strings.HasPrefix(name, typed):
		return true
	case len(name) < 3:
		return typed[0] == name[0] && distance(typed, name) <= 1
	}
	return distance(typed, name) <= min(2, len(name)/3)
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	before, prev := []int{}, make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev = prev, cur
	}
	return prev[len(b)]
}
