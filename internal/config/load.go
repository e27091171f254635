package config

import (
	"bytes"
	"fmt"
	"strings"
)

// Source is one configuration file, already read.
type Source struct {
	Name   string // as messages name it
	Format string // "json", "hcl", or empty: by the extension of Name
	Data   []byte
}

// FlagValue is one command-line flag that was given, with the texts it was
// given, in order. Scalar flags have one.
type FlagValue struct {
	Flag   string // without dashes
	Key    string // dotted path of the key it sets
	Values []string
}

// Input is all an agent's configuration is made from. Later parts win over
// earlier ones; lists are joined in the order they are applied in: Dev, list
// flags, Sources, scalar flags, Fragments.
type Input struct {
	Dev       bool        // -dev: start from the development defaults
	Flags     []FlagValue // in any order
	Sources   []Source    // files, in order
	Fragments []Source    // -hcl texts, in order
}

// devDefaults are the settings -dev begins with, under those of any file or
// flag. The timers of Raft are left as they are: they are quick already.
const devDefaults = `
server = true
bind_addr = "127.0.0.1"
log_level = "DEBUG"
enable_debug = true
disable_keyring_file = true
ui_config { enabled = true }
gossip_lan { gossip_interval = "100ms" probe_interval = "100ms" probe_timeout = "100ms" }
gossip_wan { gossip_interval = "100ms" probe_interval = "100ms" probe_timeout = "100ms" }
`

// Load merges the input into one configuration and checks it, as far as that
// needs no look at the machine (Resolve does the rest).
//
// The error, of type Problems, holds everything that was found wrong; the
// configuration is nil then. The warnings are returned in either case, in the
// order of the input. Load is pure: it reads no file and no environment.
// Source: agent configuration, "configuration files" and their order.
func Load(in Input) (*Config, []Warning, error) {
	out := &findings{}
	c := Default()
	c.DevMode = in.Dev
	check := checker{out: out}
	if in.Dev {
		check.out = &findings{}
		check.source(Source{Name: "-dev", Format: "hcl", Data: []byte(devDefaults)})
		check.out = out
	}
	check.flags(in.Flags, true)
	for _, s := range in.Sources {
		check.source(s)
	}
	check.flags(in.Flags, false)
	for _, s := range in.Fragments {
		check.source(s)
	}
	settings := effective(check.settings)
	refuse(settings, out)
	c.merge(settings)
	c.derive(out)
	c.validate(out)
	if err := out.err(); err != nil {
		return nil, out.warnings, err
	}
	return c, out.warnings, nil
}

// source reads and checks one file. One that holds nothing is skipped.
func (c *checker) source(s Source) {
	data := bytes.TrimPrefix(s.Data, []byte("\xef\xbb\xbf")) // the mark some Windows editors put first
	if len(bytes.TrimSpace(data)) == 0 {
		return
	}
	var v value
	ok := false
	switch s.format() {
	case "json":
		v, ok = parseJSON(s.Name, data, c.out)
	case "hcl":
		v, ok = parseHCL(s.Name, data, c.out)
	default:
		c.out.problem(Origin{Source: s.Name}, "", "rename it or give -config-format json or hcl",
			"file %s has unknown extension; must be .hcl or .json, or config format must be set", s.Name)
	}
	if !ok {
		return
	}
	o, ok := v.data.(object)
	if !ok {
		c.out.problem(v.at, "", `write { "key": value, … }`, "a configuration is an object, this is %s", v.describe())
		return
	}
	c.object(keys().root, o, "", false, true)
}

func (s Source) format() string {
	switch {
	case s.Format != "":
		return s.Format
	case strings.HasSuffix(s.Name, ".json"):
		return "json"
	case strings.HasSuffix(s.Name, ".hcl"):
		return "hcl"
	}
	return ""
}

// flags checks the flags of list keys, or those of all others.
func (c *checker) flags(flags []FlagValue, lists bool) {
	for _, f := range flags {
		k := keys().byPath[f.Key]
		if k == nil {
			c.out.problem(Origin{Source: "flag -" + f.Flag}, f.Key, "", "invalid config key")
			continue
		}
		if (k.Kind == Strings) != lists || len(f.Values) == 0 {
			continue
		}
		at := Origin{Source: "flag -" + f.Flag}
		v, err := flagValue(k, f, at)
		if err != nil {
			c.out.problem(at, f.Key, "", "%s", err.Error())
			continue
		}
		c.member(k, at, v, f.Key, false, true)
	}
}

// flagValue turns the texts of a flag into the value a file would have.
func flagValue(k *Key, f FlagValue, at Origin) (value, error) {
	last := f.Values[len(f.Values)-1]
	v := value{at: at}
	switch k.Kind {
	case Bool:
		if last != "true" && last != "false" {
			return v, fmt.Errorf("expected true or false, got %q", last)
		}
		v.data = last == "true"
	case Int, Float:
		v.data = number(last)
	case Strings:
		list := make([]value, len(f.Values))
		for i, text := range f.Values {
			list[i] = value{at: at, data: text}
		}
		v.data = list
	case StringMap:
		o := object{}
		for _, text := range f.Values {
			key, val, ok := strings.Cut(text, ":")
			if !ok {
				return v, fmt.Errorf("expected key:value, got %q", text)
			}
			o = append(o, member{key: key, keyAt: at, value: value{at: at, data: val}})
		}
		v.data = o
	default:
		v.data = last
	}
	return v, nil
}
