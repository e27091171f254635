package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// TestSchemaHasEveryField holds the schema to the type: every field the file can
// have is described, and every rule is one of a field.
func TestSchemaHasEveryField(t *testing.T) {
	seen := map[string]bool{}
	var walk func(t reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		seen[path] = true
		switch typ.Kind() {
		case reflect.Struct:
			for f := range typ.Fields() {
				name := f.Tag.Get("json")
				if f.IsExported() != (name != "") {
					t.Errorf("%s: field %s has the JSON name %q", typ, f.Name, name)
				}
				if doc := f.Tag.Get("doc"); name != "" && !strings.HasSuffix(doc, ".") {
					t.Errorf("%s: field %s is described by %q, which is no sentence", typ, f.Name, doc)
				}
				if name != "" {
					walk(f.Type, below(path, name))
				}
			}
		case reflect.Map, reflect.Slice:
			walk(typ.Elem(), below(path, "*"))
		default: // nothing below it
		}
	}
	walk(reflect.TypeFor[settings](), "")
	for path := range rules() {
		if !seen[path] {
			t.Errorf("there are rules for %s, which is no field", path)
		}
	}
}

// TestSchemaAgreesWithTheProgram takes what the program takes and refuses what it
// refuses, as far as a schema can.
func TestSchemaAgreesWithTheProgram(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		ok             bool
	}{
		{"nothing", `{}`, true},
		{"everything", `{"$schema": "x", "theme": "` + ui.Themes()[0] + `", "ascii": true, "no_mouse": false, "keys": {"delete": ["X", "ctrl+x"]}, "filters": {"bad": "health:crit !test"}}`, true},
		{"a member nobody knows", `{"colour": 1}`, false},
		{"a theme that does not exist", `{"theme": "pink"}`, false},
		{"a theme that is no text", `{"theme": 1}`, false},
		{"a truth in quotes", `{"ascii": "yes"}`, false},
		{"an action nobody knows", `{"keys": {"fly": ["x"]}}`, false},
		{"a key that is no list", `{"keys": {"delete": "X"}}`, false},
		{"a key that is no text", `{"keys": {"delete": [1]}}`, false},
		{"a filter with a blank in its name", `{"filters": {"a b": "x"}}`, false},
		{"a filter without a name", `{"filters": {"": "x"}}`, false},
		{"an empty filter", `{"filters": {"a": " "}}`, false},
		{"a list", `[]`, false},
		{"a column and a command", `{"columns": {"nodes": [{"title": "Rack", "value": "{{.Meta.rack}}", "width": 9, "right": true, "wide": true, "after": "Health"}]}, "commands": {"look": {"key": "X", "help": "look", "on": ["node"], "run": ["x", "{{.Node}}"], "confirm": true, "writes": true, "output": "page", "timeout": "5m"}}}`, true},
		{"a list that does not exist", `{"columns": {"pods": []}}`, false},
		{"a column without a title", `{"columns": {"nodes": [{"value": "{{.Node}}"}]}}`, false},
		{"a column with another member", `{"columns": {"nodes": [{"title": "Node", "colour": "red"}]}}`, false},
		{"a command without a key", `{"commands": {"look": {"run": ["x"]}}}`, false},
		{"a command that runs nothing", `{"commands": {"look": {"key": "X", "run": []}}}`, false},
		{"a command for a kind nobody knows", `{"commands": {"look": {"key": "X", "on": ["pod"], "run": ["x"]}}}`, false},
		{"a command with a blank in its name", `{"commands": {"a b": {"key": "X", "run": ["x"]}}}`, false},
		{"a command whose output goes nowhere", `{"commands": {"look": {"key": "X", "run": ["x"], "output": "void"}}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) { agree(t, c.settings, c.ok) })
	}
}

// TestExamplesInTheReference holds the settings that the reference shows to the
// schema and to the program.
func TestExamplesInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/dashboard-keys.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		agree(t, string(e[1]), true)
	}
}

// agree demands that schema and program take settings, or that neither does.
func agree(t *testing.T, settings string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ctl"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ctl", "dashboard.json"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"XDG_CONFIG_HOME": dir}
	if got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"dash", "-print-keys"}, Env: env}); (got.Code == 0) != ok {
		t.Errorf("the program: exit code %d, %s", got.Code, got.Err)
	}
	printed := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"dash", "-print-schema"}, Env: env})
	var schema map[string]any
	if err := json.Unmarshal([]byte(printed.Out), &schema); err != nil || printed.Code != 0 {
		t.Fatalf("exit code %d, %v: %s", printed.Code, err, printed.Err)
	}
	var v any
	if err := json.Unmarshal([]byte(settings), &v); err != nil {
		t.Fatal(err)
	}
	if wrong := misfits(schema, v, "settings"); (len(wrong) == 0) != ok {
		t.Errorf("the schema: %q", wrong)
	}
}

// misfits returns what of v does not fit a schema. It knows the words that schema
// uses, and fails at others.
func misfits(schema map[string]any, v any, at string) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	text, isText := v.(string)
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		rule := schema[word]
		switch word {
		case "$schema", "title", "description":
		case "type":
			if kind := typeOf(v); kind != rule {
				say("is of type %s, not %s", kind, rule)
			}
		case "enum":
			if !slices.Contains(rule.([]any), v) {
				say("%v is none of %v", v, rule)
			}
		case "pattern":
			if isText && !regexp.MustCompile(rule.(string)).MatchString(text) {
				say("%q does not match %s", text, rule)
			}
		case "minimum", "maximum":
			if n, ok := v.(float64); ok && (word == "minimum" && n < rule.(float64) || word == "maximum" && n > rule.(float64)) {
				say("%v is beyond the %s of %v", n, word, rule)
			}
		case "required":
			for _, name := range rule.([]any) {
				if _, ok := object[name.(string)]; isObject && !ok {
					say("%s is missing", name)
				}
			}
		case "minItems":
			if isList && float64(len(list)) < rule.(float64) {
				say("has %d items", len(list))
			}
		case "items":
			for i, e := range list {
				wrong = append(wrong, misfits(rule.(map[string]any), e, fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "propertyNames":
			for name := range object {
				wrong = append(wrong, misfits(rule.(map[string]any), name, at+" name")...)
			}
		case "properties":
			for name, p := range rule.(map[string]any) {
				if e, ok := object[name]; ok {
					wrong = append(wrong, misfits(p.(map[string]any), e, at+"."+name)...)
				}
			}
		case "additionalProperties":
			known, _ := schema["properties"].(map[string]any)
			for name, e := range object {
				if known[name] != nil {
					continue
				}
				if s, ok := rule.(map[string]any); ok {
					wrong = append(wrong, misfits(s, e, at+"."+name)...)
				} else {
					say("has %s, which is not known", name)
				}
			}
		default:
			say("the schema has %q, which this test does not know", word)
		}
	}
	return wrong
}

func typeOf(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}
