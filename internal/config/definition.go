package config

import (
	"encoding/json"
	"strings"
)

// Definition is a service or a check of the configuration. Its keys and the
// types of their values are checked; what they mean, and whether they go
// together, is for whoever registers it.
type Definition struct {
	// At is where it stands.
	At Origin
	// JSON is an object with the names of files.
	JSON string
}

// MarshalJSON implements json.Marshaler.
func (d Definition) MarshalJSON() ([]byte, error) { return []byte(d.JSON), nil }

// define renders a checked value of the key. What did not pass the check is
// rendered, too: the configuration is refused then.
func define(k *Key, v value) Definition {
	b, err := json.Marshal(render(k, v))
	if err != nil {
		b = []byte("{}") // a number that is none, which the check reported
	}
	return Definition{At: v.at, JSON: string(b)}
}

// render turns a value into what encoding/json takes. k is nil where any key may
// stand. A block of HCL is a list of one object; where an object stands it is
// taken out.
func render(k *Key, v value) any {
	if v.blocks || k != nil && (k.Kind == Object || k.Kind == Free || k.Kind == StringMap) {
		v = single(v)
	}
	switch d := v.data.(type) {
	case object:
		m := make(map[string]any, len(d))
		for _, e := range d {
			var child *Key
			if k != nil {
				child = k.child(e.key)
			}
			if e.value.data != nil {
				m[e.key] = render(child, e.value)
			}
		}
		return m
	case []value:
		list := make([]any, len(d))
		for i, e := range d {
			list[i] = render(k, e)
		}
		return list
	case number:
		return json.Number(d)
	}
	return v.data
}

// shownDefinitions are definitions without what may be secret: tokens, and the
// values of the headers and bodies checks send.
func shownDefinitions(list []Definition) []any {
	out := make([]any, 0, len(list))
	for _, d := range list {
		var v any
		if json.Unmarshal([]byte(d.JSON), &v) == nil {
			out = append(out, hide(v))
		}
	}
	return out
}

func hide(v any) any {
	switch d := v.(type) {
	case map[string]any:
		for k, e := range d {
			switch strings.ToLower(k) {
			case "token", "header", "body":
				d[k] = hidden
			default:
				d[k] = hide(e)
			}
		}
	case []any:
		for i, e := range d {
			d[i] = hide(e)
		}
	}
	return v
}
