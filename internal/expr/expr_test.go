package expr_test

import (
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/expr"
)

type labels map[string]string

type check struct {
	Status string
}

type row struct {
	Name   string
	Port   int
	Size   uint16
	Share  float64
	Up     bool
	Tags   []string
	Ports  []int
	Meta   labels
	Checks []*check
	Proxy  *struct{ Mode string }
	Index  uint64 `bexpr:"-"`
	hidden string
}

func TestMatch(t *testing.T) {
	full := &row{
		Name: "web-1", Port: 80, Size: 3, Share: 0.5, Up: true, Tags: []string{"a", "b"}, Ports: []int{80, 443},
		Meta: labels{"rack": "r1", "consul-version": "1"}, Checks: []*check{{Status: "passing"}, {Status: "critical"}},
		Proxy: &struct{ Mode string }{"direct"}, hidden: "x",
	}
	for _, c := range []struct {
		expression  string
		full, blank bool
	}{
		{``, true, true},
		{`Name == "web-1"`, true, false},
		{`Name != "web-1"`, false, true},
		{`Port == 80`, true, false},
		{`Port != 80`, false, true},
		{`Size == 3`, true, false},
		{`Share == 0.5`, true, false},
		{`Up == true`, true, false},
		{`a in Tags`, true, false},
		{`c not in Tags`, true, true},
		{`Tags contains b`, true, false},
		{`Tags not contains b`, false, true},
		{`443 in Ports`, true, false},
		{`rack in Meta`, true, false},
		{`Name contains eb`, true, false},
		{`Tags is empty`, false, true},
		{`Tags is not empty`, true, false},
		{`Meta is empty`, false, true},
		{`Name matches "^web-[0-9]+$"`, true, false},
		{`Name not matches "^web"`, false, true},
		{`Meta.rack == r1`, true, false},
		{`Meta.rack != r1`, false, true},
		{`Meta.absent == ""`, false, false},
		{`Meta.absent != x`, true, true},
		{`Meta.absent is empty`, true, true},
		{`Meta.absent is not empty`, false, false},
		{`Meta["consul-version"] == 1`, true, false},
		{`"/Meta/rack" == "r1"`, true, false},
		{`Checks.Status == critical`, true, false},
		{`Checks.Status != passing`, true, false},
		{`Proxy.Mode == direct`, true, false},
		{`Proxy.Mode != direct`, false, true},
		{`Port == 80 and Up == true`, true, false},
		{`Port == 81 or Up == true`, true, false},
		{`not (Port == 81 or Up == true)`, false, true},
	} {
		t.Run(c.expression, func(t *testing.T) {
			f, err := expr.Compile[row](c.expression)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(full); got != c.full {
				t.Errorf("full row: got %v, want %v", got, c.full)
			}
			if got := f.Match(&row{}); got != c.blank {
				t.Errorf("blank row: got %v, want %v", got, c.blank)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct{ name, expression, text string }{
		{"unknown selector", `Nope == 1`, `Selector "Nope" is not valid`},
		{"unknown selector behind one that decides", `Name == x or Nope == 1`, `Selector "Nope" is not valid`},
		{"field of a string", `Name.Length == 1`, `Selector "Name.Length" is not valid`},
		{"tagged out", `Index == 1`, `Selector "Index" is not valid`},
		{"unexported", `hidden == x`, `Selector "hidden" is not valid`},
		{"value that is no number", `Port == web`, "invalid syntax"},
		{"number out of the type's range", `Size == 70000`, "out of range"},
		{"list compared", `Tags == a`, "cannot be compared"},
		{"number searched", `1 in Port`, "contains nothing"},
		{"bool emptied", `Up is empty`, "never empty"},
		{"number matched", `Port matches 8`, "regular expression"},
		{"bad pattern", `Name matches "("`, "missing closing"},
		{"quantifier", `any Tags as t { t == a }`, "not supported"},
		{"nil", `Proxy is nil`, "not supported"},
		{"syntax", `Name ==`, "no match found"},
		{"empty of tokens", ` `, "no match found"},
		{"too long", strings.Repeat("Port == 1 or ", 2000) + "Port == 1", "the limit is"},
		{"too deep", strings.Repeat("(", 200) + "Port == 1" + strings.Repeat(")", 200), "max number of expressions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := expr.Compile[row](c.expression)
			if err == nil || !strings.HasPrefix(err.Error(), "Failed to create boolean expression evaluator: ") || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`Name == "a" and not (Meta.x is empty)`)
	f.Add(`Checks.Status in "`)
	f.Fuzz(func(t *testing.T, expression string) {
		filter, err := expr.Compile[row](expression)
		if err == nil {
			filter.Match(&row{Checks: []*check{nil, {}}})
		}
	})
}
