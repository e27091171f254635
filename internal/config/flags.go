package config

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Flags are the agent's command-line flags, bound to a flag set. It is filled
// while the set parses; read it afterwards.
type Flags struct {
	set       *pflag.FlagSet
	dev       *bool
	format    *string
	paths     []string // -config-file and -config-dir, in the order they were given
	fragments *[]string
	keyOf     map[string]string
}

// BindFlags registers the agent's flags, under Consul's names, in fs. Their
// descriptions are those of the keys they set. Flags of one dash must have been
// turned into two dashes before fs parses them.
func BindFlags(fs *pflag.FlagSet) *Flags {
	f := &Flags{set: fs, keyOf: map[string]string{}}
	f.dev = fs.Bool("dev", false, "Run one server in memory, for development: nothing is kept.")
	fs.Var(pathsValue{&f.paths}, "config-file", "File to read, .json or .hcl. May be given several times.")
	fs.Var(pathsValue{&f.paths}, "config-dir", "Directory whose .json and .hcl files to read, in order of their names. May be given several times.")
	f.format = fs.String("config-format", "", "Format of every file, whatever its name: hcl or json.")
	f.fragments = fs.StringArray("hcl", nil, "Piece of HCL that wins over files and flags. May be given several times.")
	for _, k := range keys().all {
		if k.Flag != "" {
			f.bind(k.Flag, k)
		}
	}
	for _, u := range untypedFlags() {
		f.bind(u.flag, keys().byPath[u.key])
	}
	return f
}

// untypedFlags are the flags of keys that are no fields of Config.
func untypedFlags() []struct{ flag, key string } {
	return []struct{ flag, key string }{
		{"join", "start_join"},
		{"join-wan", "start_join_wan"},
		{"auto-reload-config", "auto_reload_config"},
		{"primary-gateway", "primary_gateways"},
		{"read-replica", "read_replica"},
		{"non-voting-server", "non_voting_server"},
		{"partition", "partition"},
		{"segment", "segment"},
	}
}

func (f *Flags) bind(name string, k *Key) {
	f.keyOf[name] = k.Path
	v := &keyValue{kind: k.Kind}
	usage := k.Comment
	if k.Status == Later {
		usage += " (accepted; not built yet: " + k.Capability + ")"
	}
	flag := f.set.VarPF(v, name, "", usage)
	if k.Kind == Bool {
		flag.NoOptDefVal = "true"
	}
}

// Values returns the flags that were given, sorted by name, as Load takes them.
func (f *Flags) Values() []FlagValue {
	var list []FlagValue
	f.set.Visit(func(flag *pflag.Flag) {
		if key, ours := f.keyOf[flag.Name]; ours {
			if v, ok := flag.Value.(*keyValue); ok {
				list = append(list, FlagValue{Flag: flag.Name, Key: key, Values: slices.Clone(v.texts)})
			}
		}
	})
	sort.Slice(list, func(i, j int) bool { return list[i].Flag < list[j].Flag })
	return list
}

// Load reads the files the flags name and merges everything into one
// configuration. Its results are those of the function Load; files that cannot
// be read are among the problems.
func (f *Flags) Load(files Files) (*Config, []Warning, error) {
	var bad Problems
	if *f.format != "" && *f.format != "json" && *f.format != "hcl" {
		bad = append(bad, Problem{Where: Origin{Source: "flag -config-format"}, What: "-config-format must be either \"hcl\" or \"json\", not " + strconv.Quote(*f.format)})
		return nil, nil, bad
	}
	sources, warnings, err := ReadSources(files, f.paths, *f.format)
	if unread, ok := err.(Problems); ok { //nolint:errorlint // ReadSources returns nothing else
		bad = unread
	}
	in := Input{Dev: *f.dev, Flags: f.Values(), Sources: sources}
	for i, text := range *f.fragments {
		in.Fragments = append(in.Fragments, Source{Name: "flag -hcl[" + strconv.Itoa(i) + "]", Format: "hcl", Data: []byte(text)})
	}
	c, more, err := Load(in)
	warnings = append(warnings, more...)
	switch wrong, _ := err.(Problems); { //nolint:errorlint // Load returns nothing else
	case len(bad) > 0 && len(wrong) > 0:
		return nil, warnings, append(bad, onlyPlaced(wrong)...)
	case len(bad) > 0:
		return nil, warnings, bad
	case len(wrong) > 0:
		return nil, warnings, wrong
	}
	return c, warnings, nil
}

// onlyPlaced drops complaints without a place, such as a setting that is
// missing: where files could not be read it may well stand in one of them.
func onlyPlaced(p Problems) Problems {
	return slices.DeleteFunc(p, func(x Problem) bool { return x.Where == Origin{} })
}

// pathsValue collects the paths of several flags in one list.
type pathsValue struct{ paths *[]string }

func (p pathsValue) String() string {
	if p.paths == nil {
		return ""
	}
	return strings.Join(*p.paths, " ")
}
func (p pathsValue) Set(s string) error { *p.paths = append(*p.paths, s); return nil }
func (p pathsValue) Type() string       { return "path" }

// keyValue is the value of one key's flag: its texts, checked while parsing
// where the type allows it, so that a mistake is reported as one of the flag.
type keyValue struct {
	kind  Kind
	texts []string
}

func (v *keyValue) String() string { return strings.Join(v.texts, ",") }

func (v *keyValue) Set(s string) error {
	var err error
	switch v.kind {
	case Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		s = strconv.FormatBool(b)
	case Int:
		_, err = strconv.Atoi(s)
	case Float:
		_, err = strconv.ParseFloat(s, 64)
	case Duration:
		_, err = time.ParseDuration(s)
	default: // any text will do
	}
	if err == nil {
		v.texts = append(v.texts, s)
	}
	return err
}

func (v *keyValue) Type() string {
	switch v.kind {
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Float:
		return "float"
	case Duration:
		return "duration"
	case StringMap:
		return "key:value"
	case Strings:
		return "strings"
	default:
		return "string"
	}
}
