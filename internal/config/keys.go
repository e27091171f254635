package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is the type of a setting's value.
type Kind uint8

// The kinds of value. Durations are texts such as "30s".
const (
	Bool Kind = iota
	Int
	Float
	String
	Duration
	Strings   // a list of strings
	Words     // a string or a list of strings
	StringMap // an object whose values are strings
	Object    // an object with keys of its own
	Objects   // a list of such objects
	Free      // an object whose keys are not checked here

	shapeService // expands to the keys of a service definition
	shapeCheck   // expands to the keys of a check definition
	shapeWatch   // expands to the keys of a watch
)

// String names the kind as error messages and the reference page do.
func (k Kind) String() string {
	names := [...]string{
		Bool: "true or false", Int: "a number without fraction", Float: "a number", String: "a string",
		Duration: "a duration such as \"30s\"", Strings: "a list of strings", Words: "a string or a list of strings", StringMap: "an object of strings",
		Object: "an object", Objects: "a list of objects", Free: "an object",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Status says what setting a key does.
type Status uint8

// The statuses.
const (
	Works      Status = iota // has effect
	Later                    // warns: its capability is not built yet
	Deprecated               // an old name: warns, and sets the new key
	Ignored                  // warns: will never have effect
	Enterprise               // warns: a setting of Consul Enterprise
	Forbidden                // refused: a setting of Consul Enterprise that changes who sees whom
)

// String names the status as the reference page does.
func (s Status) String() string {
	names := [...]string{Works: "works", Later: "later", Deprecated: "deprecated", Ignored: "ignored", Enterprise: "enterprise", Forbidden: "refused"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Key describes one key of the configuration.
type Key struct {
	Path       string // dotted, such as ports.http
	Kind       Kind
	Status     Status
	Capability string // what a Later or Ignored key waits for
	Default    string // text form; empty if there is none
	Derived    string // how the value is found when nobody sets it
	Flag       string // command-line flag of the same meaning, without dashes
	Replaced   string // the new name of a Deprecated key
	Reload     bool   // a reload applies a change
	Secret     bool   // never shown
	Comment    string

	off       []string          // values of a Later key that ask for nothing
	asksEmpty bool              // an empty object asks for something, too
	rename    map[string]string // values of a Deprecated key that are now called differently
	field     []int             // of Config; nil unless typed
	debug     string            // name in DebugConfig
	children  []*Key
	shape     Kind   // of a definition whose keys are described elsewhere
	into      string // the list that a definition given alone is added to
}

// row is a line of the table of untyped keys; group is the status some share.
type row struct {
	path    string
	kind    Kind
	reload  bool
	def     string
	comment string
}

type group struct {
	status     Status // Works stands for Later here
	capability string
	rows       []row
}

const (
	reloadYes = true
	reloadNo  = false
)

// schema is the whole key tree. It is built once and read-only.
type schema struct {
	root   *Key
	byPath map[string]*Key
	all    []*Key // in order: typed keys first, parents before children
	shapes map[Kind]*Key
}

// keys builds the tree on first use. A fault in the tables panics: it is a
// mistake of the program, and every test of this package meets it.
//
//nolint:gochecknoglobals // read-only table
var keys = sync.OnceValue(func() *schema {
	s := &schema{root: &Key{Kind: Object}, byPath: map[string]*Key{}, shapes: map[Kind]*Key{}}
	s.shapes[shapeService] = shapeTree(serviceRows())
	s.shapes[shapeCheck] = shapeTree(checkRows())
	s.shapes[shapeWatch] = shapeTree(watchRows())
	s.addFields(reflect.TypeFor[Config](), "", nil)
	s.add(&Key{Path: "service", Kind: Object, shape: shapeService, into: "services", Reload: true, Comment: "A service this agent registers, beside those of services."})
	s.add(&Key{Path: "check", Kind: Object, shape: shapeCheck, into: "checks", Reload: true, Comment: "A health check of this agent, beside those of checks."})
	for _, g := range later() {
		s.addGroup(g)
	}
	for _, a := range aliases() {
		s.add(&Key{Path: a.old, Kind: a.kind, Status: Deprecated, Replaced: a.key, rename: a.value, Comment: aliasComment(a.key)})
	}
	return s
})

// Keys returns every key an agent configuration may have, typed ones first,
// each parent before its children. The result is the caller's; the keys are
// shared and must not be changed.
func Keys() []*Key { return slices.Clone(keys().all) }

func aliasComment(newName string) string {
	if newName == "" {
		return "Old setting without meaning."
	}
	return "Old name of " + newName + "."
}

func (s *schema) add(k *Key) {
	if s.byPath[k.Path] != nil {
		panic("config: key " + k.Path + " stands in the tables twice")
	}
	parent := s.root
	if i := strings.LastIndexByte(k.Path, '.'); i >= 0 {
		if parent = s.byPath[k.Path[:i]]; parent == nil {
			panic("config: key " + k.Path + " has no parent in the tables")
		}
	}
	parent.children = append(parent.children, k)
	s.byPath[k.Path] = k
	s.all = append(s.all, k)
}

// addGroup adds untyped keys.
func (s *schema) addGroup(g group) {
	if g.status == Works {
		g.status = Later
	}
	for _, r := range g.rows {
		if parent, ok := strings.CutSuffix(r.path, ".*"); ok {
			s.byPath[parent].shape = r.kind
			continue
		}
		s.add(&Key{
			Path: r.path, Kind: r.kind, Status: g.status, Capability: g.capability, Default: r.def, Reload: r.reload,
			Comment: r.comment, Secret: strings.HasPrefix(r.path, "acl.tokens."),
		})
	}
}

// addFields adds the typed keys from the fields of a struct.
func (s *schema) addFields(t reflect.Type, prefix string, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("key")
		if !f.IsExported() || name == "-" {
			continue
		}
		k := &Key{
			Path: prefix + name, Kind: kindOf(f.Type), Capability: f.Tag.Get("later"), Default: f.Tag.Get("default"),
			Derived: f.Tag.Get("derived"), Flag: f.Tag.Get("flag"), Reload: f.Tag.Get("reload") == "yes",
			Secret: f.Tag.Get("secret") == "yes", off: strings.Fields(f.Tag.Get("off")),
			field: append(slices.Clone(index), i), debug: f.Tag.Get("debug"), Comment: comments[t.Name()+"."+f.Name],
		}
		switch f.Tag.Get("shape") {
		case "service":
			k.shape = shapeService
		case "check":
			k.shape = shapeCheck
		case "watch":
			k.shape = shapeWatch
		}
		if k.Capability != "" {
			k.Status = Later
		}
		if k.debug == "" {
			k.debug = f.Name
			if t.Name() != "Config" {
				k.debug = debugSection(t.Name()) + f.Name
			}
		}
		s.add(k)
		if k.Kind == Object {
			s.addFields(f.Type, k.Path+".", k.field)
		}
	}
}

// debugSection is what stands before the field's name in DebugConfig.
func debugSection(typeName string) string {
	if typeName == "Telemetry" {
		return "Telemetry."
	}
	return typeName
}

// shapeTree builds the tree of a definition.
func shapeTree(rows []row) *Key {
	s := &schema{root: &Key{Kind: Object}, byPath: map[string]*Key{}}
	for _, r := range rows {
		if parent, ok := strings.CutSuffix(r.path, ".*"); ok {
			s.byPath[parent].shape = r.kind
			continue
		}
		k := &Key{Path: r.path, Kind: r.kind, Default: r.def, Reload: r.reload, Comment: r.comment, Secret: r.path == "token"}
		if r.path == "connect.sidecar_service" {
			k.Status, k.Capability, k.asksEmpty = Later, "the service mesh", true
		}
		s.add(k)
	}
	return s.root
}

func kindOf(t reflect.Type) Kind {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return Duration
	case t.Kind() == reflect.Bool:
		return Bool
	case t.Kind() == reflect.Int:
		return Int
	case t.Kind() == reflect.Float64:
		return Float
	case t.Kind() == reflect.String:
		return String
	case t == reflect.TypeFor[[]string]():
		return Strings
	case t == reflect.TypeFor[map[string]string]():
		return StringMap
	case t == reflect.TypeFor[[]Definition]():
		return Objects
	case t.Kind() == reflect.Struct:
		return Object
	}
	panic(fmt.Sprintf("config: no kind for the field type %v", t))
}

// under returns the keys an object of this key may have, or nil if they are
// not checked.
func (k *Key) under() []*Key {
	if k.shape == Free || k.Kind == Free {
		return nil
	}
	if k.shape != 0 {
		return append(slices.Clone(keys().shapes[k.shape].children), k.children...)
	}
	return k.children
}

// child returns the key of that name in an object of this key.
func (k *Key) child(name string) *Key {
	for _, c := range k.under() {
		if c.name() == name {
			return c
		}
	}
	return nil
}

// name is the last part of the path.
func (k *Key) name() string { return k.Path[strings.LastIndexByte(k.Path, '.')+1:] }
