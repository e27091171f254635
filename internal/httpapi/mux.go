package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Dispatcher knows where this agent stands in its cluster.
type Dispatcher interface {
	// Here reports whether this agent is where w says, in datacenter dc
	// ("" is its own). It must be quick; it is asked for every request.
	Here(w Where, dc string) bool
	// Forward hands req to one agent that is at w in dc, or nearer to it,
	// and returns its answer. One attempt: the mux tries again while the
	// error's kind or the answer is retryable. It ends with ctx.
	Forward(ctx context.Context, w Where, dc string, req *WireRequest) (*WireResponse, error)
}

// Metrics gives each route its observer, once, when the mux is built.
type Metrics interface {
	// Route returns the observer for a method and a path label, the
	// pattern without its wildcard and with underscores for slashes.
	Route(method, path string) Observer
}

// Observer is told about every answered request of a route.
type Observer interface {
	Observe(status int, d time.Duration)
}

type noMetrics struct{}

func (noMetrics) Route(string, string) Observer       { return noMetrics{} }
func (noMetrics) Observe(status int, d time.Duration) {}

// Config is what a [Mux] needs. Only Routes and Dispatcher are required.
type Config struct {
	Routes     []Route
	Dispatcher Dispatcher
	Logger     *slog.Logger
	Metrics    Metrics
	// NodeName is this agent's, for handlers that answer as seen from the
	// agent that was asked.
	NodeName string

	// DefaultACLPolicy is sent with every answer; "" is "allow".
	DefaultACLPolicy string
	// DefaultToken returns the secret for requests that bring none; nil is
	// the anonymous token.
	DefaultToken func() string
	// ResponseHeaders are added to every answer.
	ResponseHeaders map[string]string
	// TranslateAddresses announces that WAN addresses are translated.
	TranslateAddresses bool
	// Pretty indents all JSON, as a dev agent does.
	Pretty bool

	// BlockEndpoints are path prefixes answered with 403.
	BlockEndpoints []string
	// AllowWriteFrom, unless empty, are the only networks that may use
	// methods other than GET, HEAD and OPTIONS.
	AllowWriteFrom []netip.Prefix
	// AllowUnprintable turns off the refusal of paths with unprintable
	// characters.
	AllowUnprintable bool
	// NoCache ignores ?cached.
	NoCache bool
	// DiscoveryMaxStale makes reads of Discovery routes stale within that
	// bound where they name no mode; zero does not.
	DiscoveryMaxStale time.Duration

	// Mounts serves paths outside /v1/ by prefix: the web UI, profiles.
	Mounts map[string]http.Handler
	// Home is where "/" redirects to; "" answers with a line of text.
	Home string

	// Memory answers reads of Kept routes from what this agent keeps; nil
	// keeps nothing.
	Memory Memory

	// Hold is how long a request that was certainly not applied is tried
	// again while there is no leader or no server; zero does not.
	Hold time.Duration
	// ForwardTimeout bounds a forwarded request that does not block, and is
	// added to the wait of one that does; zero is 60 s.
	ForwardTimeout time.Duration
	// MaxWait is the longest wait a blocking read may name, and
	// DefaultWait that of one that names none: as the query engine's.
	MaxWait, DefaultWait time.Duration
	// MaxBlocking bounds the blocking reads at a time; zero is 50,000.
	MaxBlocking int
	// BodyIdleTimeout bounds the pause between two pieces of a request's
	// body, and between two pieces a client takes of an answer; zero is 30 s.
	BodyIdleTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	if c.DefaultACLPolicy == "" {
		c.DefaultACLPolicy = "allow"
	}
	if c.DefaultToken == nil {
		c.DefaultToken = func() string { return "" }
	}
	if c.ForwardTimeout == 0 {
		c.ForwardTimeout = time.Minute
	}
	if c.MaxWait == 0 {
		c.MaxWait = 600 * time.Second
	}
	if c.DefaultWait == 0 {
		c.DefaultWait = 300 * time.Second
	}
	if c.MaxBlocking == 0 {
		c.MaxBlocking = 50_000
	}
	if c.BodyIdleTimeout == 0 {
		c.BodyIdleTimeout = 30 * time.Second
	}
	return c
}

// Mux answers requests from the route table: as an http.Handler at the agent
// that was asked, by [Mux.ServeWire] at one a request was handed to.
type Mux struct {
	cfg    Config
	log    *slog.Logger
	table  *table
	rules  optionRules
	static []staticHeader
	gzips  gzipPool

	inFlight atomic.Int64
	blocking atomic.Int64
}

// staticHeader is a header every answer has. Its slice is shared by all of
// them; net/http only reads it.
type staticHeader struct {
	key    string
	values []string
}

// NewMux checks the routes and builds the mux.
func NewMux(cfg Config) (*Mux, error) {
	cfg = cfg.withDefaults()
	t, err := newTable(cfg.Routes, cfg.Metrics)
	if err != nil {
		return nil, err
	}
	m := &Mux{
		cfg:   cfg,
		log:   cfg.Logger,
		table: t,
		rules: optionRules{useCache: !cfg.NoCache, discoveryMaxStale: cfg.DiscoveryMaxStale},
		gzips: newGzipPool(),
	}
	m.static = append(m.static,
		staticHeader{"Vary", []string{"Accept-Encoding"}},
		staticHeader{"X-Consul-Default-Acl-Policy", []string{cfg.DefaultACLPolicy}})
	if cfg.TranslateAddresses {
		m.static = append(m.static, staticHeader{"X-Consul-Translate-Addresses", []string{"true"}})
	}
	for key, value := range cfg.ResponseHeaders {
		m.static = append(m.static, staticHeader{http.CanonicalHeaderKey(key), []string{value}})
	}
	return m, nil
}

// InFlight returns the number of requests being answered, blocking ones
// included.
func (m *Mux) InFlight() int64 { return m.inFlight.Load() }

// Blocking returns the number of blocking reads that hold a request here.
func (m *Mux) Blocking() int64 { return m.blocking.Load() }

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	m.inFlight.Add(1)
	defer m.inFlight.Add(-1)
	if h := m.mounted(r.URL.Path); h != nil {
		m.setStatic(w.Header())
		h.ServeHTTP(w, r)
		return
	}
	route, a := m.edge(w, r)
	if r.Method == http.MethodGet {
		a.forReader()
	}
	m.logRequest(r.Context(), r.Method, r.URL.Path, r.RemoteAddr, a, begun)
	m.write(w, r, a)
	if route != nil {
		route.observe.Observe(a.status, time.Since(begun))
	}
	if a.unread {
		swallow(w, r)
	}
}

func (m *Mux) mounted(path string) http.Handler {
	if len(m.cfg.Mounts) == 0 || strings.HasPrefix(path, "/v1/") {
		return nil
	}
	var best string
	for prefix := range m.cfg.Mounts {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	return m.cfg.Mounts[best]
}

// logRequest logs an answer before it is sent, faults of ours as errors. It is
// never given the query, which may hold a token.
func (m *Mux) logRequest(ctx context.Context, method, path, from string, a *answer, begun time.Time) {
	level := slog.LevelDebug
	if a.failed && a.kind == failure.Internal {
		level = slog.LevelError
	}
	if !m.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("path", path), slog.String("from", from),
		slog.Int("status", a.status), slog.Duration("latency", time.Since(begun)),
	}
	if a.failed {
		attrs = append(attrs, slog.String("error", string(a.body)))
	}
	m.log.LogAttrs(ctx, level, "request finished", attrs...)
}

// edge answers a request at the agent that was asked. The route is nil when
// there is none.
func (m *Mux) edge(w http.ResponseWriter, r *http.Request) (*boundRoute, *answer) {
	if !m.cfg.AllowUnprintable && !printable(r.URL.Path) {
		return nil, text(http.StatusBadRequest, "Invalid URL path: it has unprintable characters")
	}
	path := target{decoded: r.URL.Path, raw: r.URL.RawPath}
	found := m.table.find(path)
	if found.endpoint != nil && found.endpoint.internal {
		return nil, m.unknownPath(path.decoded)
	}
	route, a := m.pick(found, r.Method, r.URL)
	if a != nil {
		return route, a
	}
	if a := m.refuse(r); a != nil {
		return route, a
	}
	req, a := m.parse(r, route, found)
	if a != nil {
		return route, a
	}
	if a := m.readBody(w, r, route, req); a != nil {
		return route, a
	}
	return route, m.asked(r.Context(), call{req: req, route: route, path: path, rawQuery: m.rules.handedOn(r.URL.RawQuery, req.Query, req.Options)})
}

// pick turns what the table found into a route, or into the answer for a path
// or method that has none.
func (m *Mux) pick(found match, method string, u *url.URL) (*boundRoute, *answer) {
	switch {
	case found.redirect != "":
		location := found.redirect
		if u.RawQuery != "" {
			location += "?" + u.RawQuery
		}
		return nil, &answer{status: http.StatusTemporaryRedirect, contentType: textType, location: location}
	case found.endpoint == nil:
		return nil, m.unknownPath(u.Path)
	case m.blocked(u.Path):
		return nil, text(http.StatusForbidden, failure.TextBlockedEndpoint)
	case method == http.MethodOptions:
		return nil, &answer{status: http.StatusOK, contentType: jsonType, allow: found.endpoint.allow}
	}
	route := found.endpoint.route(method)
	if route == nil {
		a := text(http.StatusMethodNotAllowed, "method "+method+" not allowed")
		a.allow = found.endpoint.allow
		return nil, a
	}
	return route, nil
}

func (m *Mux) unknownPath(path string) *answer {
	switch {
	case strings.HasPrefix(path, "/v1/"):
		if m.blocked(path) {
			return text(http.StatusForbidden, failure.TextBlockedEndpoint)
		}
		return text(http.StatusNotFound, failure.TextInvalidPath+"\n")
	case path == "/" && m.cfg.Home != "":
		return &answer{status: http.StatusMovedPermanently, contentType: textType, location: m.cfg.Home}
	case path == "/":
		return text(http.StatusOK, "ctl agent: the web UI is disabled; the API is below /v1/\n")
	default:
		return text(http.StatusNotFound, "Invalid URL path: paths of the HTTP API start with /v1/\n")
	}
}

func (m *Mux) blocked(path string) bool {
	return slices.ContainsFunc(m.cfg.BlockEndpoints, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// refuse answers a write from a network that may not write.
func (m *Mux) refuse(r *http.Request) *answer {
	if len(m.cfg.AllowWriteFrom) == 0 || r.Method == http.MethodGet {
		return nil
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		ip := from.Addr().Unmap().WithZone("")
		if slices.ContainsFunc(m.cfg.AllowWriteFrom, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			return nil
		}
	}
	return text(http.StatusForbidden, failure.TextRestricted)
}

// printable reports whether path has only characters with a shape.
func printable(path string) bool {
	for _, c := range path {
		if (c < 0x20 || c > 0x7e) && !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

// parse reads everything but the body.
func (m *Mux) parse(r *http.Request, route *boundRoute, found match) (*Request, *answer) {
	q, a := parseQuery(r.URL.RawQuery)
	if a != nil {
		return nil, a
	}
	req := &Request{
		Method: r.Method, Path: r.URL.Path, Query: q, Header: r.Header, RemoteAddr: r.RemoteAddr,
		Agent: m.cfg.NodeName, wildcard: found.endpoint.name, value: found.value,
		newline: q.Has("pretty"),
	}
	req.pretty = m.cfg.Pretty || req.newline
	var err error
	if req.Options, err = m.rules.parseOptions(q, r.Header, r.Method == http.MethodGet, route.Discovery); err != nil {
		return nil, failedAnswer(err)
	}
	token, inQuery := tokenOf(q, r.Header)
	if token == "" {
		token = m.cfg.DefaultToken()
	}
	if inQuery {
		m.log.Debug("a token came in the query string; send the header X-Consul-Token instead", "path", r.URL.Path, "from", r.RemoteAddr)
	}
	req.Options.Token = token
	return req, nil
}

func parseQuery(raw string) (url.Values, *answer) {
	if raw == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, text(http.StatusInternalServerError, "Invalid query string: "+err.Error())
	}
	return q, nil
}

// clientHost returns the host of an address for texts and logs.
func clientHost(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}
