package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (draft 2020-12) of a configuration file, for
// editors. Old names are in it, marked as deprecated.
func Schema() ([]byte, error) {
	root := schemaObject(keys().root)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "ctl agent configuration"
	root["$defs"] = map[string]any{
		"service": schemaObject(keys().shapes[shapeService]),
		"check":   schemaObject(keys().shapes[shapeCheck]),
		"watch":   schemaObject(keys().shapes[shapeWatch]),
	}
	out, err := json.MarshalIndent(root, "", "  ")
	return append(out, '\n'), err
}

func schemaObject(k *Key) map[string]any {
	properties := map[string]any{}
	for _, c := range k.children {
		properties[c.name()] = schemaOf(c)
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

func schemaOf(k *Key) map[string]any {
	s := schemaType(k)
	s["description"] = k.Comment + statusNote(k)
	if k.Status == Deprecated {
		s["deprecated"] = true
	}
	if k.Default != "" && k.field != nil {
		s["default"] = jsonDefault(k)
	}
	return s
}

func schemaType(k *Key) map[string]any {
	str := map[string]any{"type": "string"}
	switch k.Kind {
	case Bool:
		return map[string]any{"type": "boolean"}
	case Int:
		return map[string]any{"type": "integer"}
	case Float:
		return map[string]any{"type": "number"}
	case Duration:
		return map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$|^$`}
	case Strings:
		return map[string]any{"type": "array", "items": str}
	case Words:
		return map[string]any{"anyOf": []any{str, map[string]any{"type": "array", "items": str}}}
	case StringMap:
		return map[string]any{"type": "object", "additionalProperties": str}
	case Object:
		if k.shape != 0 {
			return schemaShape(k)
		}
		return schemaObject(k)
	case Objects:
		return map[string]any{"type": "array", "items": schemaShape(k)}
	case Free:
		return map[string]any{"type": "object"}
	default:
		return str
	}
}

func schemaShape(k *Key) map[string]any {
	switch k.shape {
	case shapeService:
		return map[string]any{"$ref": "#/$defs/service"}
	case shapeCheck:
		return map[string]any{"$ref": "#/$defs/check"}
	case shapeWatch:
		return map[string]any{"$ref": "#/$defs/watch"}
	case Free:
		return map[string]any{"type": "object"}
	default:
		return schemaObject(k)
	}
}

func jsonDefault(k *Key) any {
	if k.Kind == Duration {
		return k.Default
	}
	return defaultValue(k)
}

// statusNote is what the reference adds for keys that do not simply work.
func statusNote(k *Key) string {
	switch k.Status {
	case Later:
		if missing, _ := door(k.Path); missing != "" {
			return " Refused: the agent does not start, as it has no " + k.Capability + " yet."
		}
		return " Accepted with a warning: ctl does not have " + k.Capability + " yet."
	case Ignored:
		return " Accepted with a warning, without effect: it is " + k.Capability + "."
	case Enterprise:
		return " Consul Enterprise: accepted with a warning, without effect."
	case Forbidden:
		return " Consul Enterprise: refused."
	default:
		return ""
	}
}

// Reference returns the reference page of the configuration, in Markdown.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, section := range []struct {
		title, text string
		has         func(*Key) bool
	}{
		{"Settings", "", func(k *Key) bool { return k.into != "" || k.field != nil && k.Kind != Object }},
		{"Settings of later capabilities", "These are recognised, with the types below. Setting one draws one warning, and the agent starts; those marked *refused* stop it, because it would run without the protection that was asked for.\n\n",
			func(k *Key) bool { return k.field == nil && k.Status == Later && k.Kind != Object }},
		{"Old names", "Each draws a warning. The new name wins if both are set.\n\n", func(k *Key) bool { return k.Status == Deprecated }},
		{"Settings without effect", "", func(k *Key) bool {
			return k.field == nil && (k.Status == Ignored || k.Status == Enterprise || k.Status == Forbidden) && k.Kind != Object
		}},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s", section.title, section.text)
		b.WriteString("| Key | Type | Default | Flag | Reload | What it does |\n|---|---|---|---|---|---|\n")
		for _, k := range keys().all {
			if section.has(k) {
				b.WriteString(referenceRow(k))
			}
		}
	}
	return []byte(b.String())
}

const referenceHead = `# Agent configuration

<!-- Generated from internal/config by go generate; do not edit. -->

An agent reads the files given with -config-file and the .json and .hcl files of
the directories given with -config-dir, in the order of the command line, those
of a directory sorted by name. From earlier to later, a later value winning:

1. the defaults below, and those of -dev,
2. flags with lists (-retry-join and the like),
3. files,
4. the other flags,
5. -hcl fragments.

Lists are joined, objects are merged key by key, everything else is replaced.
A key that does not exist, a wrong type and a key that is set twice in one file
are errors that name the file, the line and the key. Durations are texts such as
"30s", "5m", "72h". Addresses may be go-sockaddr templates such as
{{ GetInterfaceIP "eth0" }}. "Reload" says that ctl reload or SIGHUP applies a
change; every other change waits for a restart.
`

func referenceRow(k *Key) string {
	def := k.Derived
	if k.Default != "" {
		def = "`" + k.Default + "`"
	}
	flag, reload := "", "no"
	if k.Flag != "" {
		flag = "`-" + k.Flag + "`"
	}
	if k.Reload {
		reload = "yes"
	}
	comment := strings.ReplaceAll(k.Comment+statusNote(k), "|", `\|`)
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s |\n", k.Path, typeName(k.Kind), def, flag, reload, comment)
}

func typeName(k Kind) string {
	names := map[Kind]string{
		Bool: "bool", Int: "int", Float: "number", String: "string", Duration: "duration", Strings: "list of strings",
		StringMap: "map of strings", Objects: "list of objects", Free: "object", Object: "object",
	}
	if n, ok := names[k]; ok {
		return n
	}
	return strconv.Itoa(int(k))
}
