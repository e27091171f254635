package page

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// YAML writes v as YAML, with the names, the values and the order it has as
// JSON.
func YAML(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "cannot be shown as YAML: " + err.Error()
	}
	// JSON is YAML: it is read as such and written without its quotes and
	// braces where they are not needed.
	var tree yaml.Node
	if err := yaml.Unmarshal(b, &tree); err != nil {
		return "cannot be shown as YAML: " + err.Error()
	}
	unquote(&tree)
	out, err := yaml.Marshal(&tree)
	if err != nil {
		return "cannot be shown as YAML: " + err.Error()
	}
	return string(out)
}

func unquote(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		unquote(c)
	}
}
