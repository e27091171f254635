package iostreams

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ctl-sh/ctl/internal/lazyregexp"
)

// WriteYAML writes v as YAML. It has the fields, names and order of the JSON,
// because it is made from that; text that YAML would take for a number, a
// truth or nothing is quoted.
func WriteYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	node, err := yamlNode(dec)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return enc.Close()
}

// oldYAML is what readers of YAML 1.1 take for a truth or, with colons, for a
// number. The library quotes only what version 1.2 has.
var oldYAML = lazyregexp.New(`^(?i:y|n|yes|no|on|off|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$`)

// yamlNode reads one JSON value and returns it as a node that is written in
// block style.
func yamlNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if t == '{' {
			node.Kind, node.Tag = yaml.MappingNode, "!!map"
		}
		for dec.More() {
			child, err := yamlNode(dec) // keys are strings, so they are nodes too
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		if len(node.Content) == 0 {
			node.Style = yaml.FlowStyle // [] and {}
		}
		_, err := dec.Token() // the closing bracket
		return node, err
	case string:
		node := &yaml.Node{}
		node.SetString(t)
		if oldYAML().MatchString(t) {
			node.Style = yaml.DoubleQuotedStyle
		}
		return node, nil
	case json.Number:
		return scalar("!!float", t.String(), isInteger(t)), nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(t)}, nil
	default: // null
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
}

func scalar(tag, value string, integer bool) *yaml.Node {
	if integer {
		tag = "!!int"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func isInteger(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }
