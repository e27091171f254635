package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one value somebody set, checked against the type of its key.
type setting struct {
	key  *Key
	old  bool // set by an old name: a new name wins over it
	data any  // bool, int, float64, string, time.Duration, []string or map[string]string
	at   Origin
}

// checker walks the values of one source beside the key tree. What it finds
// goes to out and settings.
type checker struct {
	out      *findings
	settings []setting
}

// object checks the members of an object whose key is k. prefix is its path as
// the file spells it. In a quiet object the warning about a later capability
// was already given; with collect false (definitions in lists) nothing is kept.
func (c *checker) object(k *Key, o object, prefix string, quiet, collect bool) {
	seen := map[string]Origin{}
	for _, m := range o {
		path := prefix + m.key
		if first, twice := seen[m.key]; twice {
			c.out.problem(m.keyAt, path, "keep one of them", "set twice in one file, first at %s", first)
			continue
		}
		seen[m.key] = m.keyAt
		child := k.child(m.key)
		if child == nil {
			if k.under() != nil {
				c.unknown(k, m, path)
			}
			continue
		}
		if m.value.data == nil {
			continue // null leaves the setting as it is
		}
		c.member(child, m.keyAt, m.value, path, quiet, collect)
	}
}

// unknown reports a key that exists nowhere, with the nearest one that does.
func (c *checker) unknown(parent *Key, m member, path string) {
	near := nearest(parent, path, m.key)
	do := "see the configuration reference for the keys there are"
	if near != "" {
		do = fmt.Sprintf("did you mean %q?", near)
		c.out.tainted = append(c.out.tainted, near)
	}
	c.out.problem(m.keyAt, path, do, "invalid config key")
}

// member checks one key with its value.
func (c *checker) member(k *Key, keyAt Origin, v value, path string, quiet, collect bool) {
	switch k.Status {
	case Works:
		c.typed(k, v, path, false, quiet, collect)
	case Later, Ignored:
		if !quiet && !asksNothing(k, v) {
			c.out.warn(keyAt, path, "%s", laterText(k, v))
		}
		c.typed(k, v, path, false, true, collect)
	case Deprecated:
		c.deprecated(k, keyAt, v, path, collect)
	case Enterprise:
		if !asksNothing(k, v) {
			c.out.warn(keyAt, path, "%q is a Consul Enterprise configuration and will have no effect", k.name())
		}
	case Forbidden:
		if !asksNothing(k, v) {
			c.out.problem(keyAt, path, "remove it", "network segments are a Consul Enterprise feature: without them every node would see every other")
		}
	}
}

// laterText is the warning about a key whose capability is not built.
func laterText(k *Key, v value) string {
	what := ""
	if o, ok := single(v).data.(object); ok && k.Kind == Object && k.shape == 0 && len(o) > 0 {
		names := make([]string, len(o))
		for i, m := range o {
			names[i] = m.key
		}
		what = " (" + strings.Join(names, ", ") + ")"
	}
	if k.Status == Ignored {
		return fmt.Sprintf("accepted%s, but it is %s: it has no effect", what, k.Capability)
	}
	return fmt.Sprintf("accepted%s, but this version of ctl does not have %s yet: it has no effect", what, k.Capability)
}

// deprecated checks an old key and keeps its value for the new one.
func (c *checker) deprecated(k *Key, keyAt Origin, v value, path string, collect bool) {
	target := keys().byPath[k.Replaced]
	if target == nil {
		c.out.warn(keyAt, path, "The '%s' field is deprecated and has no effect.", path)
		return
	}
	text := fmt.Sprintf("The '%s' field is deprecated. Use the '%s' field instead.", path, k.Replaced)
	if missing, _ := door(target.Path); target.Status == Later && missing == "" && !asksNothing(target, v) {
		text += " This version of ctl does not have " + target.Capability + " yet: it has no effect."
	}
	c.out.warn(keyAt, path, "%s", text)
	if s, ok := v.data.(string); ok && k.rename[s] != "" {
		v.data = k.rename[s]
	}
	if s, ok := c.scalar(k, v, path); ok && collect {
		c.settings = append(c.settings, setting{key: target, old: true, data: s, at: v.at})
	}
}

// typed checks the value against the kind of the key.
func (c *checker) typed(k *Key, v value, path string, old, quiet, collect bool) {
	switch k.Kind {
	case Object, Free:
		v = single(v)
		o, ok := v.data.(object)
		switch {
		case v.blocks:
			c.out.problem(v.keyAt[1], path, "merge them into one", "given %d times in one file, first at %s", len(v.keyAt), v.keyAt[0])
		case !ok:
			c.wrongType(k, v, path)
		default:
			c.object(k, o, path+".", quiet, collect && k.shape == 0)
			if collect && k.into != "" {
				c.settings = append(c.settings, setting{key: keys().byPath[k.into], data: []Definition{define(k, v)}, at: v.at})
			}
		}
	case Objects:
		c.objects(k, v, path, quiet)
		if list, ok := v.data.([]value); ok && collect && k.field != nil {
			data := []Definition{}
			for _, e := range list {
				data = append(data, define(k, e))
			}
			c.settings = append(c.settings, setting{key: k, data: data, at: v.at})
		}
	default:
		if data, ok := c.scalar(k, v, path); ok && collect {
			c.settings = append(c.settings, setting{key: k, old: old, data: data, at: v.at})
		}
	}
}

// objects checks a list of definitions.
func (c *checker) objects(k *Key, v value, path string, quiet bool) {
	list, ok := v.data.([]value)
	if !ok {
		c.wrongType(k, v, path)
		return
	}
	for i, e := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if o, ok := e.data.(object); ok {
			c.object(k, o, at+".", quiet, false)
		} else {
			c.out.problem(e.at, at, "", "expected an object, got %s", e.describe())
		}
	}
}

// single takes the only element out of a list of one, which is how a block of
// HCL, and some JSON made from HCL, gives an object.
func single(v value) value {
	if list, ok := v.data.([]value); ok && len(list) == 1 {
		return list[0]
	}
	return v
}

// scalar converts a value to the type of the key, or reports a problem.
func (c *checker) scalar(k *Key, v value, path string) (any, bool) {
	switch k.Kind {
	case Bool:
		if b, ok := v.data.(bool); ok {
			return b, true
		}
	case Int:
		if n, ok := v.data.(number); ok {
			return c.integer(n, v.at, path)
		}
	case Float:
		if n, ok := v.data.(number); ok {
			if f, err := strconv.ParseFloat(string(n), 64); err == nil {
				return f, true
			}
		}
	case String:
		if s, ok := v.data.(string); ok {
			return s, true
		}
	case Duration:
		if s, ok := v.data.(string); ok {
			return c.duration(s, v.at, path)
		}
	case Words:
		if s, ok := v.data.(string); ok {
			return s, true
		}
		return c.stringList(k, v, path)
	case Strings:
		return c.stringList(k, v, path)
	case StringMap:
		return c.stringMap(k, v, path)
	default: // objects are gone through by others
	}
	c.wrongType(k, v, path)
	return nil, false
}

func (c *checker) integer(n number, at Origin, path string) (any, bool) {
	if i, err := strconv.Atoi(string(n)); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f), true
	}
	c.out.problem(at, path, "", "expected a number without fraction, got %s", n)
	return nil, false
}

func (c *checker) duration(s string, at Origin, path string) (any, bool) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		c.out.problem(at, path, `write a number with a unit, such as "30s", "5m" or "72h"`, "invalid duration: %q", s)
	case d < 0:
		c.out.problem(at, path, "write 0s or more", "the duration %q is negative", s)
	default:
		return d, true
	}
	return nil, false
}

func (c *checker) stringList(k *Key, v value, path string) (any, bool) {
	list, ok := v.data.([]value)
	if !ok {
		c.wrongType(k, v, path)
		return nil, false
	}
	texts := make([]string, 0, len(list))
	for i, e := range list {
		s, ok := e.data.(string)
		if !ok {
			c.out.problem(e.at, fmt.Sprintf("%s[%d]", path, i), "", "expected a string, got %s", e.describe())
			c.out.tainted = append(c.out.tainted, path)
			return nil, false
		}
		texts = append(texts, s)
	}
	return texts, true
}

func (c *checker) stringMap(k *Key, v value, path string) (any, bool) {
	v = single(v)
	o, ok := v.data.(object)
	if !ok {
		c.wrongType(k, v, path)
		return nil, false
	}
	m := make(map[string]string, len(o))
	good := true
	for _, e := range o {
		s, ok := e.value.data.(string)
		_, twice := m[e.key]
		switch {
		case twice:
			c.out.problem(e.keyAt, path+"."+e.key, "keep one of them", "set twice in one file")
		case !ok:
			c.out.problem(e.value.at, path+"."+e.key, "put it in quotes", "expected a string, got %s", e.value.describe())
		}
		good = good && ok && !twice
		m[e.key] = s
	}
	return m, good
}

// wrongType reports a value of another kind than the key's, with the way to
// write it that was probably meant.
func (c *checker) wrongType(k *Key, v value, path string) {
	got := v.describe()
	if k.Secret {
		got = "something else"
	}
	c.out.problem(v.at, path, spelling(k.Kind, v), "expected %v, got %s", k.Kind, got)
}

// spelling suggests how to write a value of the wrong type.
func spelling(k Kind, v value) string {
	s, isString := v.data.(string)
	n, isNumber := v.data.(number)
	switch {
	case k == Bool && isString && slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(s)):
		return "write true, without quotes"
	case k == Bool && isString:
		return "write true or false, without quotes"
	case k == Bool && isNumber:
		return "write true or false"
	case (k == Int || k == Float) && isString:
		return "write the number without quotes"
	case k == Duration && isNumber:
		return fmt.Sprintf(`write it with its unit, such as "%ss"`, n)
	case k == Strings && isString:
		return fmt.Sprintf("write a list: [%q]", s)
	case k == String && (isNumber || v.data == true || v.data == false):
		return "put it in quotes"
	case k == Objects:
		return "write a list: [{…}]"
	}
	return "correct the type"
}

// asksNothing reports whether a value of a key without effect asks for nothing,
// so that no warning is due: false, zero, nothing, or a block that says
// enabled = false. Typed keys list such values themselves.
func asksNothing(k *Key, v value) bool {
	if k.asksEmpty {
		return v.data == nil
	}
	if k.field != nil && len(k.off) > 0 {
		return slices.Contains(k.off, plainText(v)) || v.data == ""
	}
	return isNothing(v)
}

func isNothing(v value) bool {
	switch d := v.data.(type) {
	case object:
		for _, m := range d {
			if m.key == "enabled" && m.value.data == false {
				return true
			}
		}
		return !slices.ContainsFunc(d, func(m member) bool { return !isNothing(m.value) })
	case []value:
		return len(d) == 0 || (len(d) == 1 && isNothing(d[0]))
	}
	return slices.Contains([]string{"", "false", "0", "-1", "0s"}, plainText(v))
}

// plainText is a scalar as the off values of a key write it.
func plainText(v value) string {
	switch d := v.data.(type) {
	case nil:
		return ""
	case bool, string, number:
		return fmt.Sprint(d)
	}
	return "?"
}
