package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Default returns the configuration nobody set anything in, with the values
// that depend on others (data_dir, node_name, role) still open.
func Default() *Config {
	c := &Config{origins: map[string]Origin{}}
	for _, k := range keys().all {
		if k.field != nil && k.Default != "" {
			c.set(k, defaultValue(k))
		}
	}
	return c
}

// defaultValue reads the text of a default. The tables are tested, so a wrong
// text is a mistake of the program.
func defaultValue(k *Key) any {
	var out any
	var err error
	switch k.Kind {
	case Bool:
		out, err = strconv.ParseBool(k.Default)
	case Int:
		out, err = strconv.Atoi(k.Default)
	case Float:
		out, err = strconv.ParseFloat(k.Default, 64)
	case Duration:
		out, err = time.ParseDuration(k.Default)
	case String:
		out = k.Default
	default:
		err = fmt.Errorf("a %v has no default", k.Kind)
	}
	if err != nil {
		panic(fmt.Sprintf("config: default of %s: %v", k.Path, err))
	}
	return out
}

// set overwrites a scalar, appends to a list and overlays a map.
func (c *Config) set(k *Key, data any) {
	f := reflect.ValueOf(c).Elem().FieldByIndex(k.field)
	switch d := data.(type) {
	case []string:
		f.Set(reflect.ValueOf(slices.Concat(f.Interface().([]string), d)))
	case []Definition:
		f.Set(reflect.ValueOf(slices.Concat(f.Interface().([]Definition), d)))
	case map[string]string:
		merged := maps.Clone(d)
		for key, old := range f.Interface().(map[string]string) {
			if _, newer := d[key]; !newer {
				merged[key] = old
			}
		}
		f.Set(reflect.ValueOf(merged))
	default:
		f.Set(reflect.ValueOf(data))
	}
}

// get returns the value of a typed key.
func (c *Config) get(k *Key) any { return reflect.ValueOf(c).Elem().FieldByIndex(k.field).Interface() }

// effective drops the settings that old names made where the new name is set
// too, wherever it stands. Lists are joined, so nothing is dropped from them.
func effective(settings []setting) []setting {
	byNewName := map[*Key]bool{}
	for _, s := range settings {
		byNewName[s.key] = byNewName[s.key] || !s.old
	}
	return slices.DeleteFunc(settings, func(s setting) bool {
		return s.old && byNewName[s.key] && s.key.Kind != Strings
	})
}

// merge applies the settings of typed keys in order.
func (c *Config) merge(settings []setting) {
	for _, s := range settings {
		if s.key.field != nil {
			c.set(s.key, s.data)
			c.origins[s.key.Path] = s.at
		}
	}
}

// isSet reports whether anybody set the key, even to its default.
func (c *Config) isSet(path string) bool { _, ok := c.origins[path]; return ok }

// Origin says where the setting with the dotted path was set last; the zero
// Origin if it has its default.
func (c *Config) Origin(path string) Origin { return c.origins[path] }

// derive fills in what depends on other settings, with the warnings that go
// with it.
func (c *Config) derive(out *findings) {
	c.Datacenter = strings.ToLower(c.Datacenter)
	c.PrimaryDatacenter = strings.ToLower(c.PrimaryDatacenter)
	if c.PrimaryDatacenter == "" {
		c.PrimaryDatacenter = c.Datacenter
	}
	if !c.isSet("leave_on_terminate") {
		c.LeaveOnTerminate = !c.Server
	}
	if !c.isSet("skip_leave_on_interrupt") {
		c.SkipLeaveOnInterrupt = c.Server
	}
	if !c.isSet("enable_local_script_checks") {
		c.EnableLocalScriptChecks = c.EnableScriptChecks
	}
	c.inheritTLS()
	c.LogLevel = strings.ToUpper(c.LogLevel)
	if c.LogLevel == "ERR" {
		c.LogLevel = "ERROR"
	}
	if c.BootstrapExpect == 1 && !c.Bootstrap {
		out.warn(c.Origin("bootstrap_expect"), "bootstrap_expect", "BootstrapExpect is set to 1; this is the same as Bootstrap mode.")
		c.Bootstrap, c.BootstrapExpect = true, 0
	}
	c.deriveConnect()
	c.Domain, c.AltDomain = qualified(c.Domain), qualified(c.AltDomain)
}

// qualified writes a domain as DNS compares it: in lower case, with the dot of
// the root at its end.
func qualified(domain string) string {
	domain = strings.ToLower(strings.TrimSpace(domain))
	if domain != "" && !strings.HasSuffix(domain, ".") {
		domain += "."
	}
	return domain
}
