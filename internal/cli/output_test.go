package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/iostreams"
)

type box struct {
	Name  string
	Size  uint64
	Label map[string]string
	Tags  []string
}

var boxes = cli.View[box]{
	Empty: "No boxes.",
	Columns: []cli.Column[box]{
		{Name: "Box", Value: func(b box) string { return b.Name }},
		{Name: "Tags", Value: func(b box) string { return strings.Join(b.Tags, ",") }, Tone: func(b box) iostreams.Tone { return iostreams.Good }},
		{Name: "Label", Wide: true, Value: func(b box) string { return b.Label["a"] }},
	},
}

// showing returns a command that shows rows.
func showing(rows []box) func(*cli.Factory) *cobra.Command {
	return func(f *cli.Factory) *cobra.Command {
		var out *cli.Output
		cmd := &cobra.Command{Use: "boxes", Short: "List boxes", RunE: func(*cobra.Command, []string) error { return cli.Show(out, boxes, rows) }}
		out = f.Output(cmd)
		return cmd
	}
}

var two = []box{
	{Name: "b1", Size: 18446744073709551615, Label: map[string]string{"a": "yes"}, Tags: []string{"x", "y"}},
	{Name: "box-2", Tags: []string{}},
}

// TestFormats holds the shape of every format: programs read them.
func TestFormats(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t")
	if err := os.WriteFile(file, []byte(`{{len .}} boxes`), 0o600); err != nil {
		t.Fatal(err)
	}
	const table = "Box    Tags\nb1     x,y\nbox-2\n"
	const asJSON = `[
    {
        "Name": "b1",
        "Size": 18446744073709551615,
        "Label": {
            "a": "yes"
        },
        "Tags": [
            "x",
            "y"
        ]
    },
    {
        "Name": "box-2",
        "Size": 0,
        "Label": null,
        "Tags": []
    }
]
`
	const asYAML = `- Name: b1
  Size: 18446744073709551615
  Label:
    a: "yes"
  Tags:
    - x
    - "y"
- Name: box-2
  Size: 0
  Label: null
  Tags: []
`
	for _, c := range []struct {
		name, args string
		rows       []box
		want       string
	}{
		{"no flag", "boxes", two, table},
		{"pretty", "boxes -format pretty", two, table},
		{"table", "boxes -o table", two, table},
		{"glued", "boxes -otable", two, table},
		{"wide has all columns", "boxes -owide", two, "Box    Tags  Label\nb1     x,y   yes\nbox-2\n"},
		{"json", "boxes -o json", two, asJSON},
		{"json with the long name and one dash", "boxes -format=json", two, asJSON},
		{"jsonl", "boxes -o jsonl", two, `{"Name":"b1","Size":18446744073709551615,"Label":{"a":"yes"},"Tags":["x","y"]}` + "\n" + `{"Name":"box-2","Size":0,"Label":null,"Tags":[]}` + "\n"},
		{"yaml", "boxes -oyaml", two, asYAML},
		{"name is the first column", "boxes -o name", two, "b1\nbox-2\n"},
		{"template over the names of the JSON", `boxes -o go-template={{range.}}{{.Name}}:{{.Size}}:{{.Tags|json}},{{end}}`, two, `b1:18446744073709551615:["x","y"],box-2:0:[],`},
		{"template functions", `boxes -o go-template={{range.}}{{join"+".Tags|upper}};{{end}}`, two, "X+Y;;"},
		{"template compares numbers", `boxes -o go-template={{range.}}{{if(eq.Size|0)}}{{.Name}}{{end}}{{end}}`, two, "box-2"},
		{"template from a file", "boxes -o go-template-file=" + file, two, "2 boxes"},
		{"filtered, text as it is", `boxes --jq .[].Name`, two, "b1\nbox-2\n"},
		{"filtered, all else in a line", `boxes --jq .[0]`, two, `{"Label":{"a":"yes"},"Name":"b1","Size":18446744073709551615,"Tags":["x","y"]}` + "\n"},
		{"filtered, indented as JSON is", `boxes -o json --jq .[0].Tags,.[0].Name`, two, "[\n    \"x\",\n    \"y\"\n]\nb1\n"},
		{"filtered row by row", `boxes -o jsonl --jq .Name,.Tags`, two, "b1\n[\"x\",\"y\"]\nbox-2\n[]\n"},
		{"filtered, the flags the other way round", `boxes -jq=.Size -o=jsonl`, two, "18446744073709551615\n0\n"},
		{"filtered to nothing", `boxes --jq empty`, two, ""},
		{"nothing, filtered", "boxes --jq .,length", nil, "[]\n0\n"},
		{"nothing, filtered row by row", "boxes -o jsonl --jq .", nil, ""},
		{"nothing, pretty", "boxes", nil, "No boxes.\n"},
		{"nothing, table", "boxes -o table", nil, "Box  Tags\n"},
		{"nothing, json", "boxes -o json", nil, "[]\n"},
		{"nothing, yaml", "boxes -o yaml", nil, "[]\n"},
		{"nothing, jsonl", "boxes -o jsonl", nil, ""},
		{"nothing, name", "boxes -o name", nil, ""},
		{"nothing, template", "boxes -o go-template={{len.}}", nil, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := strings.Fields(c.args)
			for i, a := range args {
				args[i] = strings.NewReplacer("range.", "range .", `join"+".Tags`, `join "+" .Tags`, "(eq.Size|0)", "(eq .Size 0)", "len.", "len .").Replace(a)
			}
			got := clitest.Do(t, showing(c.rows), clitest.Run{Args: args})
			if got.Code != 0 || got.Err != "" {
				t.Fatalf("exit code %d, standard error %q", got.Code, got.Err)
			}
			if d := cmp.Diff(got.Out, c.want); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
		})
	}
}

func TestFormatErrors(t *testing.T) {
	clitest.Check(t, showing(two), []clitest.Case{
		{Name: "nearly right", Args: "boxes -o jsn", Code: 1, Err: `invalid argument "jsn" for "-o, --format" flag: must be one of: pretty, table, wide, json, yaml, jsonl, name, go-template=TEMPLATE, go-template-file=FILE; did you mean json?`},
		{Name: "quite wrong", Args: "boxes -o protobuf", Code: 1, Err: `invalid argument "protobuf" for "-o, --format" flag: must be one of:`},
		{Name: "template without text", Args: "boxes -o go-template", Code: 1, Err: `invalid argument "go-template" for "-o, --format" flag: needs a template behind it: -o go-template=TEMPLATE`},
		{Name: "template that does not parse", Args: "boxes -o go-template={{.", Code: 1, Err: `invalid argument "go-template={{." for "-o, --format" flag: parse template: template: -o:1:`},
		{Name: "template file that is not there", Args: "boxes -o go-template-file=/nonexistent/t", Code: 1, Err: `invalid argument "go-template-file=/nonexistent/t" for "-o, --format" flag: read template: open /nonexistent/t`},
		{Name: "template that fails", Args: "boxes -o go-template={{index", Code: 1, Err: `invalid argument`},
		{Name: "filter that does not parse", Args: "boxes --jq .[]|}", Code: 1, Err: `invalid argument ".[]|}" for "--jq" flag: column 5: unexpected token "}"` + "\n\nUsage: ctl boxes"},
		{Name: "filter of a function nobody knows", Args: "boxes --jq .[]|nome", Code: 1, Err: `invalid argument ".[]|nome" for "--jq" flag: column 5: function not defined: nome/0` + "\n"},
		{Name: "filter of what is no JSON", Args: "boxes --jq . -o table", Code: 1, Err: `invalid argument "table" for "-o, --format" flag: --jq filters JSON: it goes with -o json, with -o jsonl or without -o, not with -o table`},
		{Name: "filter of what is no JSON, the other way round", Args: "boxes -o go-template={{.}} --jq .", Code: 1, Err: `invalid argument "." for "--jq" flag: --jq filters JSON:`},
		{Name: "filter that does not fit", Args: "boxes --jq .[].Name,.[].Name.x", Code: 1, Out: "b1\nbox-2\n", Err: `--jq: expected an object but got: string ("b1")` + "\n"},
		{Name: "filter that does not fit a row", Args: "boxes -o jsonl --jq .Name,.Name.x", Code: 1, Out: "b1\n", Err: `{` + "\n" + `    "Class": "internal",` + "\n" + `    "Message": "--jq: expected an object but got: string (\"b1\")"`},
		{Name: "value where none belongs", Args: "boxes -o json=x", Code: 1, Err: `invalid argument "json=x"`},
	})
}

// TestErrorsAreJSONWhereTheOutputIs checks the object that programs read.
func TestErrorsAreJSONWhereTheOutputIs(t *testing.T) {
	failing := func(f *cli.Factory) *cobra.Command {
		cmd := &cobra.Command{Use: "boxes", RunE: func(*cobra.Command, []string) error { return cli.Failf("Error! no boxes") }}
		f.Output(cmd)
		return cmd
	}
	for _, format := range []string{"json", "jsonl", "yaml"} {
		got := clitest.Do(t, failing, clitest.Run{Args: []string{"boxes", "-o", format}})
		var object struct{ Class, Message string }
		if err := json.Unmarshal([]byte(got.Err), &object); err != nil || object.Message != "Error! no boxes" || object.Class != "internal" {
			t.Errorf("%s: standard error %q, %v", format, got.Err, err)
		}
	}
	if got := clitest.Do(t, failing, clitest.Run{Args: []string{"boxes", "-o", "name"}}); got.Err != "Error! no boxes\n" {
		t.Errorf("name: standard error %q", got.Err)
	}
}

// TestYAMLKeepsText checks that text which looks like something else stays
// text, for readers of YAML 1.1 too.
func TestYAMLKeepsText(t *testing.T) {
	texts := []string{"", "true", "no", "Yes", "on", "y", "null", "~", "123", "0x1f", "1e3", "1_000", "2001-01-01", "a: b", "- x", "# c", "line\nbreak", "tab\t", " pad ", "é", "'q'", `"q"`, "{x}", "12:30:00", "\x01"}
	got := clitest.Do(t, showing([]box{{Name: "b", Tags: texts}}), clitest.Run{Args: []string{"boxes", "-oyaml"}})
	var back []struct {
		Tags []string `yaml:"Tags"`
	}
	if err := yaml.Unmarshal([]byte(got.Out), &back); err != nil {
		t.Fatalf("%v in\n%s", err, got.Out)
	}
	if d := cmp.Diff(back[0].Tags, texts); d != "" {
		t.Errorf("(- read back, + written):\n%s", d)
	}
	for _, word := range []string{"no", "Yes", "on", "y"} {
		if !strings.Contains(got.Out, `"`+word+`"`) {
			t.Errorf("%q is not quoted:\n%s", word, got.Out)
		}
	}
}

// TestLongTablesAreWrittenInPieces checks that the rows are all there and in
// line with the header.
func TestLongTablesAreWrittenInPieces(t *testing.T) {
	rows := make([]box, 25_000)
	for i := range rows {
		rows[i] = box{Name: "box", Tags: []string{"t"}}
	}
	got := clitest.Do(t, showing(rows), clitest.Run{Args: []string{"boxes"}})
	if want := "Box  Tags\n" + strings.Repeat("box  t\n", len(rows)); got.Out != want {
		t.Errorf("%d bytes, want %d", len(got.Out), len(want))
	}
}

func TestTonesAreColourOnlyWhereWelcome(t *testing.T) {
	for _, c := range []struct{ name, force, want string }{
		{"no terminal", "", "Box  Tags\nb    t\n"},
		{"forced", "1", "Box  Tags\nb    \x1b[32mt\x1b[0m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := clitest.Do(t, showing([]box{{Name: "b", Tags: []string{"t"}}}), clitest.Run{Args: []string{"boxes"}, Env: map[string]string{"CLICOLOR_FORCE": c.force}})
			if got.Out != c.want {
				t.Errorf("got %q, want %q", got.Out, c.want)
			}
		})
	}
}
