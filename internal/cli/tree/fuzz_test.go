package tree

import (
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/argv"
	"github.com/spf13/cobra"
)

// checkProperties checks what must hold for any command line: the number of
// arguments stays, the only edit is one dash in front, and a second pass changes
// nothing.
func checkProperties(t *testing.T, root *cobra.Command, in, once []string) {
	t.Helper()
	if len(once) != len(in) {
		t.Fatalf("%q has %d arguments, %q has %d", in, len(in), once, len(once))
	}
	for i := range in {
		if once[i] != in[i] && once[i] != "-"+in[i] {
			t.Errorf("%q: argument %q became %q", in, in[i], once[i])
		}
	}
	if twice := argv.Rewrite(root, once); !slices.Equal(once, twice) {
		t.Errorf("%q: first %q, then %q", in, once, twice)
	}
}

// FuzzRewrite checks the properties over the real command tree.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{
		"members -wan -status alive", "kv put -cas -modify-index=3 k -5", "agent -node -dc1 -config-dir x",
		"-http-addr x kv get -ojson k", "kv get -- -recurse", "-token kv kv put - -cas", "--=x -=x --- -",
		"kv put --yes prod v", "-context get kv get -watch", "operator -stale raft list-peers -o=-x",
	} {
		f.Add(strings.ReplaceAll(seed, " ", "\x00"))
	}
	root := newTree()
	f.Fuzz(func(t *testing.T, line string) {
		in := strings.Split(line, "\x00")
		checkProperties(t, root, in, argv.Rewrite(root, in))
	})
}
