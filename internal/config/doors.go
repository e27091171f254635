package config

import (
	"slices"
	"strings"
)

// refuse reports the settings whose silent absence would open a door: an agent
// that was told to check rights or to get certificates must not run without. settings
// are all that were set, as effective returns them. Warnings that such a
// setting has no effect are taken back.
func refuse(settings []setting, out *findings) {
	last := map[string]setting{}
	for _, s := range settings {
		last[s.key.Path] = s
	}
	for _, s := range settings {
		if last[s.key.Path].at != s.at { // overridden by a later source
			continue
		}
		if missing, do := door(s.key.Path); missing != "" && !isZero(s.data) {
			out.retract(s.key.Path)
			out.problem(s.at, s.key.Path, do, "asks for %s, which this version of ctl does not have yet; ctl does not start, because it would run without that protection", missing)
		}
	}
	policy, enabled, old := last["acl.default_policy"], last["acl.enabled"], last["acl_datacenter"]
	if policy.data == "deny" && (enabled.data == true || !isZero(old.data) || policy.old) {
		for _, path := range []string{"acl.default_policy", "acl_default_policy", "acl_datacenter"} {
			out.retract(path)
		}
		out.problem(policy.at, "acl.default_policy", "use the policy \"allow\" or wait for the ACL release",
			"asks for ACLs that deny by default, which this version of ctl does not have yet; ctl does not start, because every request would be allowed")
	}
}

// retract removes the warnings about a key and the objects it is in.
func (f *findings) retract(path string) {
	f.warnings = slices.DeleteFunc(f.warnings, func(w Warning) bool {
		return w.Key == path || strings.HasPrefix(path, w.Key+".")
	})
}

// door says which protection a key asks for, and how to do without. Both are
// empty for keys that open no door.
func door(path string) (missing, do string) {
	const removeIt = "remove it to run without TLS, for example inside a private network"
	switch {
	case path == "auto_config.enabled", path == "auto_config.authorization.enabled":
		return "automatic configuration with certificates (auto_config)", removeIt
	}
	return "", ""
}

// isZero reports whether a setting's value switches nothing on.
func isZero(data any) bool {
	switch d := data.(type) {
	case nil:
		return true
	case bool:
		return !d
	case string:
		return d == ""
	}
	return false
}
