package completion

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

// TestWordsWithoutThePackage checks how words are put together that bash broke.
// Words are given as bash has them in COMP_WORDS, separated by slashes; | is the
// cursor.
func TestWordsWithoutThePackage(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	script := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"completion", "bash"}}).Out
	for _, c := range []struct {
		name, line, broken string
		at                 string // COMP_CWORD
		want               string // words up to the cursor's, cur, prev
	}{
		{"a command", "ctl mem|", "ctl/mem", "1", "ctl/mem cur=mem prev=ctl"},
		{"a new word", "ctl kv |", "ctl/kv/", "2", "ctl/kv/ cur= prev=kv"},
		{"two blanks", "ctl  kv|", "ctl/kv", "1", "ctl/kv cur=kv prev=ctl"},
		{"a value behind =", "ctl kv get -o=js|", "ctl/kv/get/-o/=/js", "5", "ctl/kv/get/-o=js cur=-o=js prev=get"},
		{"no value behind = yet", "ctl kv get -o=|", "ctl/kv/get/-o/=", "4", "ctl/kv/get/-o= cur=-o= prev=get"},
		{"an address", "ctl -http-addr 10.0.0.1:8500 mem|", "ctl/-http-addr/10.0.0.1/:/8500/mem", "5", "ctl/-http-addr/10.0.0.1:8500/mem cur=mem prev=10.0.0.1:8500"},
		{"a URL", "ctl -http-addr=http://a:1 mem|", "ctl/-http-addr/=/http/:/\\/\\/a/:/1/mem", "8", "ctl/-http-addr=http://a:1/mem cur=mem prev=-http-addr=http://a:1"},
		{"the cursor within a word", "ctl mem|bers", "ctl/members", "1", "ctl/mem cur=mem prev=ctl"},
		{"the cursor before other words", "ctl kv g| a", "ctl/kv/g/a", "2", "ctl/kv/g cur=g prev=kv"},
		{"words in quotes", `ctl kv get 'a b' |`, "ctl/kv/get/'a b'/", "4", "ctl/kv/get/'a b'/ cur= prev='a b'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before, after, _ := strings.Cut(c.line, "|")
			slash := strings.NewReplacer(`\/`, "\x00")
			words := strings.Split(slash.Replace(c.broken), "/")
			for i, w := range words {
				words[i] = strings.ReplaceAll(w, "\x00", "/")
			}
			cmd := exec.CommandContext(t.Context(), bash, append([]string{"--norc", "--noprofile", "-c", script + `
COMP_LINE=$1 COMP_POINT=$2 COMP_CWORD=$3 COMP_WORDS=("${@:4}")
__ctl_words -n =:
words=("${words[@]:0:$cword+1}")
IFS=/; printf '%s cur=%s prev=%s' "${words[*]}" "$cur" "$prev"`, "bash", before + after, strconv.Itoa(len(before)), c.at}, words...)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if d := cmp.Diff(string(out), c.want); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
		})
	}
}
