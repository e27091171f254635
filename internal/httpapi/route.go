package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// Where says which agent runs a handler.
type Where uint8

// The places.
const (
	// Local is the agent that was asked, whatever its role.
	Local Where = iota
	// Server is any server of the asked datacenter.
	Server
	// Leader is the leader of the asked datacenter.
	Leader
)

// String returns the word used in logs.
func (w Where) String() string {
	switch w {
	case Server:
		return "server"
	case Leader:
		return "leader"
	default:
		return "local"
	}
}

// Handler answers one request. It runs on the request's goroutine and may
// block; ctx ends when the client goes away, when a forwarding agent gives up,
// and, for blocking reads and streams, when the agent stops. A nil Response is
// an empty 200. When both are returned, the Response contributes only its Meta
// and headers to the error's answer. A handler that may run at a server may be
// run again, on the same Request, after it failed with a retryable kind.
type Handler func(ctx context.Context, r *Request) (*Response, error)

// Route is one method of one path.
type Route struct {
	// Method is an HTTP method other than HEAD and OPTIONS.
	Method string
	// Pattern is an exact path, or one with a single wildcard in its last or
	// second to last place: "/v1/kv/{key...}" takes the rest of the path as
	// it came, "/v1/session/info/{id}" takes the rest, slashes included, of a
	// clean path, "/v1/query/{id}/execute" the part before a fixed ending.
	Pattern string
	// Where the handler runs.
	Where Where
	// Handle answers. It is required.
	Handle Handler
	// Internal routes are for agents: one that another agent hands on, or
	// makes itself, is answered; for a client of the HTTP API there is no
	// such path. They are as protected as the cluster port.
	Internal bool
	// MaxBody bounds the request's body in bytes. Zero is 1 MiB for methods
	// other than GET and DELETE, whose bodies are not read.
	MaxBody int64
	// MaxBodyKey is the configuration key that moves MaxBody, named in the
	// text of the 413 answer; "" if none does.
	MaxBodyKey string
	// Consistency makes answers carry X-Consul-Effective-Consistency.
	Consistency bool
	// Discovery makes discovery_max_stale apply to requests that name no
	// consistency mode.
	Discovery bool
	// Kept lets Config.Memory answer: where ?cached allows it, and blocking
	// reads that would have to be handed on.
	Kept bool
}

// endpoint is one pattern with its methods.
type endpoint struct {
	pattern string
	prefix  string // the pattern up to its wildcard; the whole of an exact one
	name    string // the wildcard's; "" for an exact pattern
	suffix  string // what follows the wildcard
	raw     bool   // {name...}
	allow   string // the Allow header's value
	// internal is true when the endpoint's routes are; all or none of them.
	internal bool
	methods  []boundRoute
}

// boundRoute is a Route with what is resolved once.
type boundRoute struct {
	Route
	observe Observer
}

func (e *endpoint) route(method string) *boundRoute {
	for i := range e.methods {
		if e.methods[i].Method == method {
			return &e.methods[i]
		}
	}
	return nil
}

// table finds the endpoint of a path.
type table struct {
	exact map[string]*endpoint
	// prefixes holds wildcard endpoints by prefix; within one, those with a
	// longer suffix first.
	prefixes map[string][]*endpoint
	depth    int // slashes in the longest prefix
}

// newTable builds the table, and fails on a pattern that makes no sense or a
// method given twice.
func newTable(routes []Route, metrics Metrics) (*table, error) {
	t := &table{exact: make(map[string]*endpoint), prefixes: make(map[string][]*endpoint)}
	for _, r := range routes {
		if r.Handle == nil || r.Method == "" || r.Method == "HEAD" || r.Method == "OPTIONS" {
			return nil, fmt.Errorf("route %s %s: no handler or not a method of its own", r.Method, r.Pattern)
		}
		e, err := t.endpoint(r.Pattern)
		if err != nil {
			return nil, fmt.Errorf("route %s %s: %w", r.Method, r.Pattern, err)
		}
		if e.route(r.Method) != nil {
			return nil, fmt.Errorf("route %s %s: declared twice", r.Method, r.Pattern)
		}
		if len(e.methods) > 0 && e.internal != r.Internal {
			return nil, fmt.Errorf("route %s %s: internal for some methods only", r.Method, r.Pattern)
		}
		e.internal = r.Internal
		label := strings.ReplaceAll(strings.TrimPrefix(e.prefix+e.suffix, "/"), "/", "_")
		e.methods = append(e.methods, boundRoute{Route: r, observe: metrics.Route(r.Method, label)})
		e.allow += "," + r.Method
	}
	return t, nil
}

// endpoint returns the endpoint of pattern, which it adds if it is new.
func (t *table) endpoint(pattern string) (*endpoint, error) {
	e, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	if e.name == "" {
		if known := t.exact[pattern]; known != nil {
			return known, nil
		}
		t.exact[pattern] = e
		return e, nil
	}
	for _, known := range t.prefixes[e.prefix] {
		if known.suffix == e.suffix {
			if known.pattern != pattern {
				return nil, fmt.Errorf("the same as %s by another name", known.pattern)
			}
			return known, nil
		}
	}
	t.depth = max(t.depth, strings.Count(e.prefix, "/"))
	list := t.prefixes[e.prefix]
	at := 0
	for at < len(list) && len(list[at].suffix) > len(e.suffix) {
		at++
	}
	t.prefixes[e.prefix] = append(list[:at:at], append([]*endpoint{e}, list[at:]...)...)
	return e, nil
}

func parsePattern(pattern string) (*endpoint, error) {
	e := &endpoint{pattern: pattern, prefix: pattern, allow: "OPTIONS"}
	if !strings.HasPrefix(pattern, "/") {
		return nil, errors.New("does not begin with a slash")
	}
	before, wildcard, ok := strings.Cut(pattern, "{")
	if !ok {
		return e, nil
	}
	name, suffix, ok := strings.Cut(wildcard, "}")
	e.name, e.raw = strings.CutSuffix(name, "...")
	e.prefix, e.suffix = before, suffix
	switch {
	case !ok || e.name == "" || !strings.HasSuffix(e.prefix, "/"):
		return nil, errors.New("wildcard is not a whole segment {name}")
	case strings.ContainsAny(suffix, "{}"):
		return nil, errors.New("more than one wildcard")
	case suffix != "" && (e.raw || !strings.HasPrefix(suffix, "/")):
		return nil, errors.New("wildcard is followed by something it would take itself")
	}
	return e, nil
}

// target is a request's path: decoded once, and as it came where that differs.
type target struct {
	decoded string
	raw     string // "" when the usual escapes of decoded are what came
}

// asCame returns a path in which slashes and dots are literal that came so.
func (p target) asCame() string {
	if p.raw != "" {
		return p.raw
	}
	return p.decoded
}

// escaped returns the path as it may stand in a URL. Escapes that came are
// kept, what should have been escaped is.
func (p target) escaped() string {
	if p.raw == "" {
		return (&url.URL{Path: p.decoded}).EscapedPath()
	}
	const hex = "0123456789ABCDEF"
	var b []byte // nil while nothing had to be escaped
	for i := range len(p.raw) {
		c := p.raw[i]
		switch {
		case !pathByte(c):
			if b == nil {
				b = append(make([]byte, 0, len(p.raw)+16), p.raw[:i]...)
			}
			b = append(b, '%', hex[c>>4], hex[c&15])
		case b != nil:
			b = append(b, c)
		}
	}
	if b == nil {
		return p.raw
	}
	return string(b)
}

// pathByte reports whether c stands for itself in a URL's path, or begins an
// escape. Source: RFC 3986, pchar.
func pathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,;=:@/%", c) >= 0
}

// match is what find found: an endpoint and the wildcard's value, or a path to
// redirect to, or neither.
type match struct {
	endpoint *endpoint
	value    string
	redirect string // as it goes into the Location header, without the query
}

func (t *table) find(p target) match {
	e, value := t.lookup(p.decoded)
	if e != nil && e.raw {
		// Only a slash that came as a slash is Consul's to clean away.
		if strings.HasPrefix(value, "/") && strings.HasPrefix(p.asCame(), e.prefix+"/") {
			return match{redirect: e.prefix + strings.TrimLeft(p.escaped()[len(e.prefix):], "/")}
		}
		return match{endpoint: e, value: value}
	}
	if !tidy(p.asCame()) {
		if cleaned := clean(p.escaped()); cleaned != p.escaped() {
			return match{redirect: cleaned}
		}
	}
	if e == nil && len(t.prefixes[p.decoded+"/"]) > 0 {
		return match{redirect: p.escaped() + "/"}
	}
	return match{endpoint: e, value: value}
}

// lookup finds the endpoint with the longest matching prefix.
func (t *table) lookup(p string) (found *endpoint, value string) {
	if e := t.exact[p]; e != nil {
		return e, ""
	}
	at := 0
	for range t.depth {
		i := strings.IndexByte(p[at:], '/')
		if i < 0 {
			break
		}
		at += i + 1
		for _, e := range t.prefixes[p[:at]] {
			if rest, ok := strings.CutSuffix(p[at:], e.suffix); ok {
				found, value = e, rest
				break
			}
		}
	}
	return found, value
}

// tidy reports whether p certainly has no empty and no dot segments.
func tidy(p string) bool { return !strings.Contains(p, "//") && !strings.Contains(p, "/.") }

// clean returns p without empty and dot segments. Only literal ones count;
// percent-encoded dots and slashes are names.
func clean(p string) string {
	if !strings.HasPrefix(p, "/") {
		return p
	}
	c := path.Clean(p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}
