package checks

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Decode reads a JSON object into the struct v points to. Names match the
// fields without regard to case and underscores, as both the HTTP API
// (CamelCase) and configuration files (snake_case) write them. A name that fits
// no field is an error with encoding/json's text.
func Decode(data []byte, v any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	if members == nil {
		return nil // null
	}
	fields := fieldNames(reflect.TypeOf(v).Elem())
	renamed := make(map[string]json.RawMessage, len(members))
	for name, value := range members {
		if field, ok := fields[fold(name)]; ok {
			name = field
		}
		renamed[name] = value
	}
	b, err := json.Marshal(renamed)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func fieldNames(t reflect.Type) map[string]string {
	names := map[string]string{}
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() {
			names[fold(f.Name)] = f.Name
		}
	}
	return names
}
