package dashboard

import (
	"maps"
	"reflect"
	"strings"

	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// schema returns the JSON Schema (draft 2020-12) of dashboard.json, for editors
// that complete and check. It is made from the type settings: a field's tag doc
// is its description. Where a field has rules of its own, they are in rules.
//
// It is stricter than the program in one thing: names are told apart by case.
func schema() map[string]any {
	s := schemaOf(reflect.TypeFor[settings](), "", rules())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Settings of the dashboard of ctl, dashboard.json"
	return s
}

// rules returns what schemas of fields say beside their types, by the path of the
// field, in which * is any name or place.
func rules() map[string]map[string]any {
	var actions []string
	for _, b := range ui.DefaultKeys().Bindings() {
		actions = append(actions, string(b.Action))
	}
	return map[string]map[string]any{
		"theme":     {"enum": append([]string{""}, ui.Themes()...)},
		"keys":      {"propertyNames": map[string]any{"enum": actions}},
		"filters":   {"propertyNames": map[string]any{"pattern": "^[^ @]+$"}},
		"filters/*": {"pattern": `\S`},

		"columns":           {"propertyNames": map[string]any{"enum": page.Lists()}},
		"columns/*/*":       {"required": []string{"title"}},
		"columns/*/*/width": {"minimum": 0, "maximum": 500},
		"commands":          {"propertyNames": map[string]any{"pattern": "^[^ :]+$"}},
		"commands/*":        {"required": []string{"key", "run"}},
		"commands/*/key":    {"pattern": `\S`},
		"commands/*/on/*":   {"enum": page.Kinds()},
		"commands/*/run":    {"minItems": 1},
		"commands/*/output": {"enum": []string{"", "page", "terminal"}},
	}
}

// schemaOf returns the schema of a type whose field is at path.
func schemaOf(t reflect.Type, path string, rules map[string]map[string]any) map[string]any {
	s := map[string]any{}
	switch t.Kind() {
	case reflect.Struct:
		properties := map[string]any{}
		for f := range fields(t) {
			name := f.Tag.Get("json")
			p := schemaOf(f.Type, below(path, name), rules)
			p["description"] = f.Tag.Get("doc")
			properties[name] = p
		}
		s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	case reflect.Map:
		s["type"], s["additionalProperties"] = "object", schemaOf(t.Elem(), below(path, "*"), rules)
	case reflect.Slice:
		s["type"], s["items"] = "array", schemaOf(t.Elem(), below(path, "*"), rules)
	case reflect.Bool:
		s["type"] = "boolean"
	case reflect.Int:
		s["type"] = "integer"
	default:
		s["type"] = "string"
	}
	maps.Copy(s, rules[path])
	return s
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// fields yields the fields of a struct that the file can have.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for f := range t.Fields() {
			if f.Tag.Get("json") != "" && !yield(f) {
				return
			}
		}
	}
}

// members names what the file can have, for people.
func members() string {
	var names []string
	for f := range fields(reflect.TypeFor[settings]()) {
		names = append(names, f.Tag.Get("json"))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// writeSchema prints the schema.
func (o *options) writeSchema() error {
	return iostreams.WriteJSON(o.f.Streams.Out, schema(), "  ")
}
