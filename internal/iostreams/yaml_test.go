package iostreams_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/iostreams"
)

func TestWriteYAML(t *testing.T) {
	type row struct {
		Z string
		A any `json:"a"`
	}
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"the order and the names of the JSON", row{"z", 1}, "Z: z\na: 1\n"},
		{"a list of rows", []row{{"1", nil}, {"", true}}, "- Z: \"1\"\n  a: null\n- Z: \"\"\n  a: true\n"},
		{"nothing", []row{}, "[]\n"},
		{"a map without members", map[string]int{}, "{}\n"},
		{"numbers keep all their digits", []any{uint64(18446744073709551615), 1.5, 1e30}, "- 18446744073709551615\n- 1.5\n- 1e+30\n"},
		{"what old readers take for a truth or a time", []string{"no", "On", "12:30"}, "- \"no\"\n- \"On\"\n- \"12:30\"\n"},
		{"text of several lines", row{"a\nb\n", nil}, "Z: |\n  a\n  b\na: null\n"},
		{"keys are texts too", map[string]int{"true": 1, "1": 2}, "\"1\": 2\n\"true\": 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := iostreams.WriteYAML(&b, c.v); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(b.String(), c.want); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
		})
	}
	if err := iostreams.WriteYAML(&strings.Builder{}, func() {}); err == nil {
		t.Error("a function passed")
	}
}
