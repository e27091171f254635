package wait

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOneArgumentForTwoWords(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string // as the condition calls itself; empty for an error
	}{
		{"two arguments", []string{"service/web", "passing>=2"}, "service/web passing>=2"},
		{"one argument", []string{"service/web passing>=2"}, "service/web passing>=2"},
		{"a name with spaces", []string{"service/my web"}, "service/my web passing>=1"},
		{"a name with spaces, in one argument", []string{"service/my web passing=0"}, "service/my web passing=0"},
		{"a number that is none", []string{"service/web passing>2"}, ""},
		{"a key", []string{"kv a=b c"}, "kv a=b c"},
		{"nothing behind kv", []string{"kv "}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.args)
			if (err != nil) != (c.want == "") {
				t.Fatalf("got %v, %v", got, err)
			}
			if err == nil {
				if d := cmp.Diff(got.String(), c.want); d != "" {
					t.Error(d)
				}
			}
		})
	}
}
