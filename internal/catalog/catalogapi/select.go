package catalogapi

import (
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// metaPairs are the node-meta parameters of a request: all must match.
type metaPairs [][2]string

func nodeMeta(r *httpapi.Request) metaPairs {
	var pairs metaPairs
	for _, p := range r.Query["node-meta"] {
		key, value, _ := strings.Cut(p, ":")
		pairs = append(pairs, [2]string{key, value})
	}
	return pairs
}

func (m metaPairs) match(n *catalog.Node) bool {
	for _, p := range m {
		if v, ok := n.Meta[p[0]]; !ok || v != p[1] {
			return false
		}
	}
	return true
}

// checks returns those of checks whose node matches.
func (m metaPairs) checks(checks []*catalog.Check, nodes []*catalog.Node) []*catalog.Check {
	matching := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		matching[strings.ToLower(n.Node)] = m.match(n)
	}
	return kept(checks, func(c *catalog.Check) bool { return matching[strings.ToLower(c.Node)] })
}

// kept returns the rows that keep wants, in a list of its own that is not nil.
func kept[Row any](rows []*Row, keep func(*Row) bool) []*Row {
	out := make([]*Row, 0, len(rows))
	for _, row := range rows {
		if keep(row) {
			out = append(out, row)
		}
	}
	return out
}

// hasTags reports whether the instance has all tags, in any case. Empty ones
// ask for nothing.
func (s *serviceNode) hasTags(tags []string) bool {
	for _, want := range tags {
		if want != "" && !slices.ContainsFunc(s.ServiceTags, func(tag string) bool { return strings.EqualFold(tag, want) }) {
			return false
		}
	}
	return true
}

// tagsByService returns the names of the services with the tags that any of
// their instances has, sorted.
func tagsByService(rows []*serviceNode) map[string][]string {
	tags := make(map[string][]string)
	for _, row := range rows {
		tags[row.ServiceName] = append(listed(tags[row.ServiceName]), row.ServiceTags...)
	}
	for name, list := range tags {
		slices.Sort(list)
		tags[name] = slices.Compact(list)
	}
	return tags
}

// listed returns list, or an empty one for nil, which JSON would call null.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
