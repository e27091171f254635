package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
)

// executeTemplate runs t over v as its JSON reads: field names are those of
// the JSON, not of Go, and numbers without a fraction are whole numbers.
func executeTemplate(w io.Writer, t *template.Template, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var data any
	if err := dec.Decode(&data); err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	if err := t.Execute(w, plainNumbers(data)); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	return nil
}

// plainNumbers turns the numbers in decoded JSON into those templates compare.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumbers(e)
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := v.Float64(); err == nil {
			return n
		}
	}
	return v
}

// templateFuncs are the functions of -o go-template beside the built-in ones.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"join": func(separator string, list []any) string {
			texts := make([]string, len(list))
			for i, e := range list {
				texts[i] = fmt.Sprint(e)
			}
			return strings.Join(texts, separator)
		},
		"upper": strings.ToUpper,
		"lower": strings.ToLower,
		"base64decode": func(s string) (string, error) {
			b, err := base64.StdEncoding.DecodeString(s)
			return string(b), err
		},
	}
}
