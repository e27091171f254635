package telemetry

import (
	"fmt"
	"strings"
)

// A Filter says which metrics are exported, by the longest of its prefixes that
// a name begins with. The zero Filter lets everything through.
type Filter struct {
	rules []filterRule
	deny  bool // what no rule covers
}

type filterRule struct {
	prefix string
	allow  bool
}

// ParseFilter makes a Filter of prefix_filter and filter_default: rules are
// "+prefix" or "-prefix", prefixes are of whole names ("consul.raft"), and what
// no rule covers is exported if allow is true. Rules of another form are left
// out and come back as warnings.
func ParseFilter(rules []string, allow bool) (Filter, []string) {
	f := Filter{deny: !allow}
	var warnings []string
	for _, r := range rules {
		switch {
		case strings.HasPrefix(r, "+"):
			f.rules = append(f.rules, filterRule{r[1:], true})
		case strings.HasPrefix(r, "-"):
			f.rules = append(f.rules, filterRule{r[1:], false})
		default:
			warnings = append(warnings, fmt.Sprintf("Filter rule must begin with either '+' or '-': %q", r))
		}
	}
	return f, warnings
}

// allows reports whether the metric of a full name is exported. Of two rules
// for the same prefix, the one that forbids wins.
func (f *Filter) allows(name string) bool {
	allow, longest := !f.deny, -1
	for _, r := range f.rules {
		if !strings.HasPrefix(name, r.prefix) || len(r.prefix) < longest {
			continue
		}
		if len(r.prefix) == longest {
			allow = allow && r.allow
		} else {
			allow, longest = r.allow, len(r.prefix)
		}
	}
	return allow
}
