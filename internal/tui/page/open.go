package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// screen is a page that has a number.
type screen struct {
	name   string
	alias  []string
	action ui.Action
	// open makes the page; rest is what stood behind the name in the path.
	open func(rest string) (Page, error)
}

func only(open func() Page) func(string) (Page, error) {
	return func(rest string) (Page, error) {
		if rest != "" {
			return nil, fmt.Errorf("there is nothing below it called %q", rest)
		}
		return open(), nil
	}
}

func screens() []screen {
	return []screen{
		{"overview", []string{"home", "status"}, ui.Screen1, only(func() Page { return newOverview() })},
		{"members", []string{"member", "gossip"}, ui.Screen2, func(rest string) (Page, error) {
			p := newMembers()
			if rest != "" {
				p.table.Select("LAN/" + rest)
			}
			return p, nil
		}},
		{"services", []string{"service", "svc"}, ui.Screen3, openService},
		{"nodes", []string{"node"}, ui.Screen4, func(rest string) (Page, error) {
			if rest == "" {
				return newNodes(), nil
			}
			return newNode(rest), nil
		}},
		{"kv", []string{"keys", "key"}, ui.Screen5, func(rest string) (Page, error) { return newKeys(rest), nil }},
		{"events", []string{"log", "monitor"}, ui.Screen6, only(func() Page { return newEvents() })},
		{"raft", []string{"servers", "autopilot"}, ui.Screen7, only(func() Page { return newRaft() })},
		{"dns", nil, ui.Screen8, func(rest string) (Page, error) { return newDNS(rest), nil }},
		{"contexts", []string{"context", "ctx", "datacenters", "dc"}, ui.Screen9, func(rest string) (Page, error) {
			if rest == "failing" {
				return newFailing(), nil
			}
			return only(func() Page { return newContexts() })(rest)
		}},
	}
}

// openService opens services, services/NAME or services/NAME/NODE/INSTANCE.
func openService(rest string) (Page, error) {
	parts := strings.SplitN(rest, "/", 3)
	switch {
	case rest == "":
		return newServices(), nil
	case len(parts) == 3 && parts[2] != "":
		return newInstance(parts[0], parts[1], parts[2]), nil
	case len(parts) == 1 || parts[1] == "":
		return newService(parts[0]), nil
	}
	p := newService(parts[0])
	p.table.SetFilter("node:" + parts[1])
	return p, nil
}

// Open returns the page at a path, as Page.Path gives it: a screen's name, then
// what to open there.
func Open(path string) (Page, error) {
	name, rest, _ := strings.Cut(strings.Trim(path, " "), "/")
	if sp := strings.IndexByte(name, ' '); sp >= 0 {
		// "services web", as typed after the colon.
		name, rest = path[:sp], strings.TrimSpace(path[sp+1:])
	}
	for _, s := range screens() {
		if strings.EqualFold(s.name, name) || slices.Contains(s.alias, strings.ToLower(name)) {
			return s.open(rest)
		}
	}
	return nil, fmt.Errorf("no screen is called %q: there are %s", name, strings.Join(Names(), ", "))
}

// Names lists the screens in the order of their numbers.
func Names() []string {
	var out []string
	for _, s := range screens() {
		out = append(out, s.name)
	}
	return out
}

// ByAction returns the page an action with a number opens; nil for any other.
func ByAction(a ui.Action) Page {
	for _, s := range screens() {
		if s.action == a {
			p, err := s.open("")
			if err != nil {
				return nil
			}
			return p
		}
	}
	return nil
}

// Complete returns what a typed path can be completed to, from what the pages
// know.
func Complete(env *Env, text string) []string {
	var out []string
	add := func(s string) {
		if strings.HasPrefix(s, text) && s != text && len(out) < 50 {
			out = append(out, s)
		}
	}
	for _, n := range Names() {
		add(n)
	}
	if strings.HasPrefix(text, "services/") {
		for _, s := range env.State.Services.Rows {
			add("services/" + s.Name)
		}
	}
	if strings.HasPrefix(text, "nodes/") {
		for _, n := range env.State.Nodes.Rows {
			add("nodes/" + n.Name)
		}
		for _, m := range env.State.Members.LAN {
			if !slices.Contains(out, "nodes/"+m.Name) {
				add("nodes/" + m.Name)
			}
		}
	}
	if strings.HasPrefix(text, "kv/") {
		for _, l := range env.State.KV.Levels {
			for _, c := range l.Children {
				add("kv/" + c.Key)
			}
		}
		slices.Sort(out)
	}
	return out
}
