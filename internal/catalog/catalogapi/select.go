package catalogapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/store"
)

// nearAgent is the word for the agent that was asked.
const nearAgent = "_agent"

// near returns the place that a request wants the answer sorted from, nowhere
// where it names none or a node whose coordinate is not known.
func near(tx *store.Txn, r *httpapi.Request) (coordinate.Origin, error) {
	node := r.Query.Get("near")
	if node == nearAgent {
		node = r.Agent
	}
	return coordinate.From(tx, node)
}

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
func hasTags(s *catalog.Service, tags []string) bool {
	for _, want := range tags {
		if want != "" && !slices.ContainsFunc(s.Tags, func(tag string) bool { return strings.EqualFold(tag, want) }) {
			return false
		}
	}
	return true
}

// tagsByService gathers the tags that any instance of a service has.
type tagsByService map[string]map[string]struct{}

func (t tagsByService) add(s *catalog.Service) {
	tags := t[s.Service]
	if tags == nil {
		tags = make(map[string]struct{}, len(s.Tags))
		t[s.Service] = tags
	}
	for _, tag := range s.Tags {
		tags[tag] = struct{}{}
	}
}

// lists returns the tags of each service, sorted.
func (t tagsByService) lists() map[string][]string {
	lists := make(map[string][]string, len(t))
	for name, tags := range t {
		lists[name] = slices.AppendSeq(make([]string, 0, len(tags)), maps.Keys(tags))
		slices.Sort(lists[name])
	}
	return lists
}

// listed returns list, or an empty one for nil, which JSON would call null.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
