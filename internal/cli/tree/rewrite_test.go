package tree

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/argv"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/rewrite.txt; look at every change")

const rewriteFile = "testdata/rewrite.txt"

// TestRewrite holds what becomes of command lines over the real command tree:
// every line of the file is a command line, as typed and as cobra gets it, the
// same where nothing is behind the arrow. _ is an empty argument.
func TestRewrite(t *testing.T) {
	data, err := os.ReadFile(rewriteFile)
	if err != nil {
		t.Fatal(err)
	}
	root := newTree()
	var lines []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		in, want, changed := strings.Cut(strings.TrimSuffix(line, "\n"), "  =>  ")
		if !changed {
			want = in
		}
		if seen[in] {
			t.Errorf("%q is there twice", in)
		}
		seen[in] = true
		typed := words(in)
		got := argv.Rewrite(root, typed)
		text := strings.ReplaceAll(strings.Join(quoteEmpty(got), " "), "\x00", "")
		if *update {
			if text != in {
				in += "  =>  " + text
			}
			lines = append(lines, in)
			continue
		}
		if d := cmp.Diff(got, words(want)); d != "" {
			t.Errorf("%q (- got, + want):\n%s", in, d)
		}
		checkProperties(t, root, typed, got)
	}
	if *update {
		if err := os.WriteFile(rewriteFile, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(seen) < 200 {
		t.Errorf("%d command lines, want at least 200", len(seen))
	}
	t.Logf("%d command lines", len(seen))
}

func words(line string) []string {
	w := strings.Fields(line)
	for i := range w {
		if w[i] == "_" {
			w[i] = ""
		}
	}
	return append([]string{}, w...)
}

func quoteEmpty(words []string) []string {
	w := slices.Clone(words)
	for i := range w {
		if w[i] == "" {
			w[i] = "_"
		}
	}
	return w
}
