package watch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Plan says what is watched. Which fields a type needs is in the comments; the
// others must be empty.
type Plan struct {
	Type        string   // one of Types
	Key         string   // key
	Prefix      string   // keyprefix
	Service     string   // service, connect_leaf; checks, instead of State
	Tags        []string // service: instances that have all of them
	PassingOnly bool     // service: instances whose checks all pass
	State       string   // checks: any, passing, warning, critical; any if empty
	ServiceID   string   // agent_service
	Filter      string   // services, nodes, service, checks
	Datacenter  string   // all but agent_service and the connect types; the agent's own if empty
	Token       string   // the agent's own if empty
	Stale       bool     // take the answer of any server
}

// ErrEvents refuses watches of type event.
var ErrEvents = errors.New("watches of type event need events, which are not built yet")

// Types lists the types of watches, in the order of the help texts.
func Types() []string {
	return []string{"key", "keyprefix", "services", "nodes", "service", "checks", "connect_roots", "connect_leaf", "agent_service"}
}

// Validate reports what is wrong with the plan, in terms of the parameters'
// names in configuration files.
func (p *Plan) Validate() error {
	needs := map[string]struct{ name, value string }{
		"key": {"key", p.Key}, "keyprefix": {"prefix", p.Prefix}, "service": {"service", p.Service},
		"connect_leaf": {"service", p.Service}, "agent_service": {"service_id", p.ServiceID},
	}
	takes := map[string]string{
		"key": "key", "keyprefix": "prefix", "services": "filter", "nodes": "filter",
		"service": "service tag passingonly filter", "checks": "service state filter",
		"connect_roots": "", "connect_leaf": "service", "agent_service": "service_id",
	}
	allowed, ok := takes[p.Type]
	switch {
	case p.Type == "":
		return errors.New("Watch type must be specified") //nolint:staticcheck // Consul's text
	case p.Type == "event":
		return ErrEvents
	case !ok:
		return fmt.Errorf("Unsupported watch type: %s", p.Type) //nolint:staticcheck // Consul's text
	}
	if need, ok := needs[p.Type]; ok && need.value == "" {
		return fmt.Errorf("a watch of type %s needs %q", p.Type, need.name)
	}
	if p.Service != "" && p.State != "" {
		return errors.New(`a watch of type checks takes "service" or "state", not both`)
	}
	for _, given := range []struct {
		name string
		is   bool
	}{
		{"key", p.Key != ""},
		{"prefix", p.Prefix != ""},
		{"service", p.Service != ""},
		{"tag", len(p.Tags) > 0},
		{"passingonly", p.PassingOnly},
		{"state", p.State != ""},
		{"service_id", p.ServiceID != ""},
		{"filter", p.Filter != ""},
	} {
		if given.is && !has(allowed, given.name) {
			return fmt.Errorf("a watch of type %s takes no %q", p.Type, given.name)
		}
	}
	return nil
}

func has(words, word string) bool { return strings.Contains(" "+words+" ", " "+word+" ") }

// request returns what is asked, without what makes it wait.
func (p *Plan) request() (path string, q url.Values) {
	q = url.Values{}
	for name, value := range map[string]string{"filter": p.Filter, "dc": p.Datacenter, "token": p.Token} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if p.Stale {
		q.Set("stale", "")
	}
	switch p.Type {
	case "key":
		return "/v1/kv/" + escape(p.Key), q
	case "keyprefix":
		q.Set("recurse", "")
		return "/v1/kv/" + escape(p.Prefix), q
	case "services", "nodes":
		return "/v1/catalog/" + p.Type, q
	case "service":
		for _, tag := range p.Tags {
			q.Add("tag", tag)
		}
		if p.PassingOnly {
			q.Set("passing", "1")
		}
		return "/v1/health/service/" + url.PathEscape(p.Service), q
	case "checks":
		if p.Service != "" {
			return "/v1/health/checks/" + url.PathEscape(p.Service), q
		}
		state := p.State
		if state == "" {
			state = "any"
		}
		return "/v1/health/state/" + url.PathEscape(state), q
	case "connect_roots":
		return "/v1/agent/connect/ca/roots", q
	case "connect_leaf":
		return "/v1/agent/connect/ca/leaf/" + url.PathEscape(p.Service), q
	default:
		return "/v1/agent/service/" + url.PathEscape(p.ServiceID), q
	}
}

// escape keeps the slashes of a key.
func escape(key string) string { return strings.ReplaceAll(url.PathEscape(key), "%2F", "/") }

// byHash reports whether the answer is waited for by its hash, not its index.
func (p *Plan) byHash() bool { return p.Type == "agent_service" }

// pair is a key as handlers get it. Source: Consul's watches, which differ from
// its HTTP API in the order of members.
type pair struct {
	Key         string
	CreateIndex uint64
	ModifyIndex uint64
	LockIndex   uint64
	Flags       uint64
	Value       []byte
	Session     string
}

// content returns what a handler gets for the body of an answer, compact. A nil
// body is an answer 404.
func (p *Plan) content(body []byte) ([]byte, error) {
	switch p.Type {
	case "key", "keyprefix":
		pairs := []pair{}
		if body != nil {
			if err := json.Unmarshal(body, &pairs); err != nil {
				return nil, fmt.Errorf("read the answer: %w", err)
			}
		}
		if p.Type == "keyprefix" {
			return json.Marshal(pairs)
		}
		if len(pairs) == 0 {
			return []byte("null"), nil
		}
		return json.Marshal(pairs[0])
	}
	if body == nil {
		return []byte("null"), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return compact.Bytes(), nil
}
