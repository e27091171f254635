package checks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// Decode reads a JSON object into the struct v points to. Names match the
// fields without regard to case and underscores, as both the HTTP API
// (CamelCase) and configuration files (snake_case) write them. A name that fits
// no field is an error with encoding/json's text; so is a field that is given with
// underscores and without, for one of them would be forgotten.
func Decode(data []byte, v any) error {
	// What spells no name with an underscore encoding/json reads by itself. What
	// it cannot read is an error of the long way, with its text.
	if !bytes.ContainsRune(data, '_') && decodeWhole(data, reflect.ValueOf(v).Elem()) {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	if members == nil {
		return nil // null
	}
	fields := namesOf(reflect.TypeOf(v).Elem())
	renamed := make(map[string]json.RawMessage, len(members))
	for name, value := range members {
		if field, ok := fields[fold(name)]; ok {
			name = field
		}
		if _, twice := renamed[name]; twice {
			return fmt.Errorf("json: field %q is given twice, in two spellings", name)
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

// decodeWhole decodes an object into a struct and reports whether it could; if not
// the struct is as it was.
func decodeWhole(data []byte, into reflect.Value) bool {
	v := reflect.New(into.Type())
	v.Elem().Set(into)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if d.Decode(v.Interface()) != nil || len(bytes.TrimSpace(data[d.InputOffset():])) > 0 {
		return false
	}
	into.Set(v.Elem())
	return true
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// known remembers what fieldNames finds of a type, which never changes.
var known sync.Map

func namesOf(t reflect.Type) map[string]string {
	names, ok := known.Load(t)
	if !ok {
		names, _ = known.LoadOrStore(t, fieldNames(t))
	}
	return names.(map[string]string)
}

func fieldNames(t reflect.Type) map[string]string {
	names := map[string]string{}
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() {
			names[fold(f.Name)] = f.Name
		}
	}
	return names
}
