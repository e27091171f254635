package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
)

// Object is what is selected on a page, for commands and columns of the operator's
// own: its kind, and its fields by name.
type Object struct {
	Kind string
	// Name is what people call it.
	Name string
	row  any
}

// Chooser is a page on which an object can be selected.
type Chooser interface {
	// Object returns the selected one; ok is false where there is none.
	Object() (o Object, ok bool)
}

// Field is a field of the objects of a kind, as templates name it: {{.Node}}, or
// {{.Meta.KEY}} where Keyed says that a key follows.
type Field struct {
	Name, Doc string
	Keyed     bool
}

// Kinds lists the kinds of objects.
func Kinds() []string {
	return []string{"service", "instance", "node", "member", "check", "key", "server"}
}

// common are the fields that there are wherever a command is run.
var common = []Field{
	{"Context", "the context in use, empty for none", false},
	{"Datacenter", "the datacenter that is looked at", false},
	{"Agent", "the address of the agent in use", false},
}

// Fields returns the fields of a kind, those that there are everywhere for "".
func Fields(kind string) []Field {
	tag := Field{"Tag", "what stands behind KEY= in a tag; KEY itself for a tag that is just that", true}
	meta := Field{"Meta", "a value of its metadata", true}
	switch kind {
	case "service":
		return []Field{{"Service", "its name", false}, {"Health", "the worst of its instances", false}, {"Kind", "of a proxy or gateway", false},
			{"Instances", "how many there are", false}, {"Passing", "how many pass", false}, {"Warning", "how many warn", false}, {"Critical", "how many are critical", false},
			{"Tags", "with commas between", false}, tag}
	case "instance":
		return []Field{{"Service", "the service's name", false}, {"ID", "its own", false}, {"Node", "where it is", false}, {"NodeAddress", "that of the node", false},
			{"Address", "its own or the node's", false}, {"Port", "0 for none", false}, {"Health", "the worst of its checks, or maintenance", false},
			{"Tags", "with commas between", false}, tag, meta}
	case "node":
		return []Field{{"Node", "its name", false}, {"ID", "its id", false}, {"Address", "its address", false}, {"NodeDatacenter", "its own", false},
			{"Health", "the worst of its checks, or maintenance", false}, {"Services", "how many instances are on it", false}, {"Reason", "of its maintenance", false}, meta}
	case "member":
		return []Field{{"Node", "its name", false}, {"ID", "its id", false}, {"Address", "its address", false}, {"Port", "gossip's", false}, {"State", "alive, leaving, left or failed", false},
			{"Type", "server or client", false}, {"Build", "its version", false}, {"Protocol", "its protocol", false}, {"NodeDatacenter", "its own", false},
			{"Tag", "a value of its tags", true}}
	case "check":
		return []Field{{"Check", "its name", false}, {"ID", "its id", false}, {"Node", "where it is", false}, {"Service", "the service's name, empty for a check of the node", false},
			{"ServiceID", "the instance's", false}, {"Status", "passing, warning or critical", false}, {"Output", "what it says", false}, {"Notes", "what was noted with it", false},
			{"Type", "such as http", false}, {"Interval", "how often it runs", false}}
	case "key":
		return []Field{{"Key", "the whole key; a prefix ends in a slash", false}}
	case "server":
		return []Field{{"Node", "its name", false}, {"ID", "its id", false}, {"Address", "its Raft address", false}, {"Role", "leader, voter or non-voter", false}, {"Version", "where it is known", false}}
	}
	return common
}

// Value returns a field, or the value at a key of it; empty for one that there is
// not.
func (o Object) Value(field, key string) string {
	switch r := o.row.(type) {
	case *source.Service:
		return serviceField(r, field, key)
	case *source.Instance:
		return instanceField(r, field, key)
	case *source.Node:
		return pick(field, "Node", r.Name, "ID", r.ID, "Address", r.Address, "NodeDatacenter", r.Datacenter, "Health", r.Health(),
			"Services", itoa(r.Services), "Reason", r.MaintenanceReason, "Meta", r.Meta[key])
	case *member:
		return pick(field, "Node", r.Name, "ID", r.ID, "Address", r.Address, "Port", itoa(r.Port), "State", r.State, "Type", r.kind(),
			"Build", r.Build, "Protocol", r.Protocol, "NodeDatacenter", r.Datacenter, "Tag", r.Tags[key])
	case *source.Check:
		return pick(field, "Check", cmp.Or(r.Name, r.ID), "ID", r.ID, "Node", r.Node, "Service", r.ServiceName, "ServiceID", r.ServiceID,
			"Status", r.Status, "Output", r.Output, "Notes", r.Notes, "Type", r.Type, "Interval", r.Interval)
	case *source.Peer:
		return pick(field, "Node", r.Name, "ID", r.ID, "Address", r.Address, "Role", role(r).Text, "Version", r.Version)
	case string:
		return pick(field, "Key", r)
	}
	return ""
}

func serviceField(r *source.Service, field, key string) string {
	return pick(field, "Service", r.Name, "Health", r.Health(), "Kind", r.Kind, "Instances", itoa(r.Instances), "Passing", itoa(r.Passing),
		"Warning", itoa(r.Warning), "Critical", itoa(r.Critical), "Tags", strings.Join(r.Tags, ","), "Tag", tagValue(r.Tags, key))
}

func instanceField(r *source.Instance, field, key string) string {
	return pick(field, "Service", r.Service, "ID", r.ID, "Node", r.Node, "NodeAddress", r.NodeAddress, "Address", r.Address, "Port", itoa(r.Port),
		"Health", r.Health, "Tags", strings.Join(r.Tags, ","), "Tag", tagValue(r.Tags, key), "Meta", r.Meta[key])
}

// pick returns the value of a name among names and values in turn.
func pick(name string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == name {
			return pairs[i+1]
		}
	}
	return ""
}

// tagValue returns what a tag says: v2 for version of version=v2, and a tag that
// has no value itself.
func tagValue(tags []string, key string) string {
	for _, t := range tags {
		if name, value, ok := strings.Cut(t, "="); name == key {
			if !ok {
				return t
			}
			return value
		}
	}
	return ""
}

// objectOf makes an object of a row.
func objectOf(row any) (Object, bool) {
	switch r := row.(type) {
	case *source.Service:
		return Object{"service", r.Name, r}, true
	case *source.Instance:
		return Object{"instance", r.ID + " on " + r.Node, r}, true
	case *source.Node:
		return Object{"node", r.Name, r}, true
	case *member:
		return Object{"member", r.Name, r}, true
	case *source.Check:
		return Object{"check", cmp.Or(r.Name, r.ID) + " on " + r.Node, r}, true
	case *source.Peer:
		return Object{"server", r.Name, r}, true
	}
	return Object{}, false
}

// Object implements Chooser.
func (l *list[T]) Object() (Object, bool) {
	r, ok := l.table.Selected()
	if !ok {
		return Object{}, false
	}
	return objectOf(r)
}

// Object implements Chooser.
func (p *node) Object() (Object, bool) {
	r, ok := p.table.Selected()
	switch {
	case !ok:
		return Object{}, false
	case r.instance != nil:
		return objectOf(r.instance)
	}
	return objectOf(r.check)
}

// Object implements Chooser.
func (p *check) Object() (Object, bool) { return objectOf(p.at) }

// Object implements Chooser.
func (p *keys) Object() (Object, bool) {
	n, ok := p.tree.Selected()
	return Object{"key", n.ID, n.ID}, ok
}

// Object implements Chooser.
func (p *keyPage) Object() (Object, bool) { return Object{"key", p.key, p.key}, true }

// Template is a text with fields in it, such as {{.Node}}:{{.Port}}.
type Template struct {
	text   string
	pieces []piece
}

// piece is a text, or a field with its key.
type piece struct{ text, field, key string }

// ParseTemplate understands a template for objects of all of the kinds, of any for
// none. The error names the field that they do not have, and those they have.
func ParseTemplate(text string, kinds []string) (Template, error) {
	t := Template{text: text}
	rest := text
	for rest != "" {
		before, after, found := strings.Cut(rest, "{{")
		if before != "" {
			t.pieces = append(t.pieces, piece{text: before})
		}
		if !found {
			break
		}
		inside, more, closed := strings.Cut(after, "}}")
		name, dotted := strings.CutPrefix(strings.TrimSpace(inside), ".")
		if !closed || !dotted {
			return t, fmt.Errorf("%q: a field is written as {{.Name}}", text)
		}
		field, key, _ := strings.Cut(name, ".")
		if err := wrongField(field, key, kinds); err != nil {
			return t, fmt.Errorf("%q: %w", text, err)
		}
		t.pieces = append(t.pieces, piece{field: field, key: key})
		rest = more
	}
	return t, nil
}

// wrongField says what is wrong with a field of objects of the kinds.
func wrongField(field, key string, kinds []string) error {
	check := func(kind string) error {
		all := append(slices.Clone(Fields(kind)), common...)
		if kind == "" {
			all = common
		}
		i := slices.IndexFunc(all, func(f Field) bool { return f.Name == field })
		switch {
		case i < 0:
			var names []string
			for _, f := range all {
				names = append(names, f.Name)
			}
			return fmt.Errorf("%s has no field %q: there are %s", cmp.Or(kind, "what is the same everywhere"), field, strings.Join(names, ", "))
		case all[i].Keyed && key == "":
			return fmt.Errorf("{{.%s.KEY}} is wanted, with a key", field)
		case !all[i].Keyed && key != "":
			return fmt.Errorf("{{.%s}} has nothing below it", field)
		}
		return nil
	}
	if len(kinds) == 0 {
		return check("")
	}
	for _, k := range kinds {
		if err := check(k); err != nil {
			return err
		}
	}
	return nil
}

// String returns the template's text.
func (t Template) String() string { return t.text }

// Fixed reports whether there is no field in it.
func (t Template) Fixed() bool {
	return !slices.ContainsFunc(t.pieces, func(p piece) bool { return p.field != "" })
}

// Leads reports whether it begins with a field.
func (t Template) Leads() bool { return len(t.pieces) > 0 && t.pieces[0].field != "" }

// Expand returns the text for an object. values returns the common fields.
func (t Template) Expand(o Object, values func(field string) (string, bool)) string {
	var b strings.Builder
	for _, p := range t.pieces {
		b.WriteString(p.text)
		if p.field == "" {
			continue
		}
		if values != nil {
			if v, ok := values(p.field); ok {
				b.WriteString(v)
				continue
			}
		}
		b.WriteString(o.Value(p.field, p.key))
	}
	return b.String()
}

// Common returns the fields that are the same for all objects.
func (env *Env) Common(context string) func(field string) (string, bool) {
	return func(field string) (string, bool) {
		switch field {
		case "Context":
			return context, true
		case "Datacenter":
			return env.State.Connection.Agent.Datacenter, true
		case "Agent":
			return env.State.Connection.Address, true
		}
		return "", false
	}
}

// Environment returns the fields of an object, but for those with keys, as
// variables: SERVICE_ID for ServiceID, each behind a prefix.
func (o Object) Environment(prefix string) []string {
	var out []string
	for _, f := range Fields(o.Kind) {
		if o.Kind != "" && !f.Keyed {
			out = append(out, prefix+upper(f.Name)+"="+strings.ReplaceAll(o.Value(f.Name, ""), "\x00", ""))
		}
	}
	return out
}

// upper is a field's name as that of a variable.
func upper(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToUpper(string(r)))
	}
	return b.String()
}

// numeric compares texts as numbers where both are.
func numeric(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}
