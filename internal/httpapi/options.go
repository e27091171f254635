package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
)

// Texts of the option errors that clients may match; those shared with other
// packages are failure's.
const (
	textNamespaces = "Namespaces are a Consul Enterprise feature"
	textPartitions = "Partitions are a Consul Enterprise feature"
)

// optionRules are what the agent's configuration says about options.
type optionRules struct {
	useCache          bool
	discoveryMaxStale time.Duration
}

// parseOptions reads everything in the query and the headers that means the
// same for every noun, but for the token. Read options are only read where
// read is set. Errors are BadRequest with the exact text.
func (o optionRules) parseOptions(q url.Values, h http.Header, read, discovery bool) (query.Options, error) {
	var opts query.Options
	if len(q) == 0 && len(h) == 0 && (!discovery || o.discoveryMaxStale == 0) {
		return opts, nil
	}
	if err := checkEnterprise(q, h); err != nil {
		return opts, err
	}
	if opts.Datacenter = q.Get("datacenter"); opts.Datacenter == "" {
		opts.Datacenter = q.Get("dc")
	}
	if !read {
		return opts, nil
	}
	if err := o.parseMode(q, discovery, &opts); err != nil {
		return opts, err
	}
	if err := parseCacheControl(h, &opts); err != nil {
		return opts, err
	}
	return opts, parseWait(q, &opts)
}

// handedOn returns the raw query that asks another agent for what opts says: what
// this agent's configuration added, too.
func (o optionRules) handedOn(raw string, q url.Values, opts query.Options) string {
	if o.discoveryMaxStale == 0 || opts.Mode != query.Stale || opts.MaxStale != o.discoveryMaxStale || q.Has("stale") {
		return raw
	}
	more := url.Values{}
	maps.Copy(more, q)
	more.Set("max_stale", opts.MaxStale.String())
	return more.Encode()
}

// checkEnterprise refuses namespaces and partitions other than "default",
// which names the only one there is.
func checkEnterprise(q url.Values, h http.Header) error {
	for _, c := range []struct{ param, header, text string }{
		{"ns", "X-Consul-Namespace", textNamespaces},
		{"partition", "X-Consul-Partition", textPartitions},
	} {
		if len(q) > 0 {
			if v := q.Get(c.param); v != "" && v != "default" {
				return failure.New(failure.BadRequest, fmt.Sprintf("Invalid query parameter: %q - %s", c.param, c.text))
			}
		}
		if v := first(h, c.header); v != "" && v != "default" {
			return failure.New(failure.BadRequest, fmt.Sprintf("Invalid header: %q - %s", c.header, c.text))
		}
	}
	return nil
}

// first returns the first value of a header whose name is canonical already.
func first(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (o optionRules) parseMode(q url.Values, discovery bool, opts *query.Options) error {
	stale, consistent := q.Has("stale"), q.Has("consistent")
	cached := q.Has("cached") && o.useCache
	explicit := stale || consistent || cached || q.Has("leader")
	if v := q.Get("max_stale"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			return failure.New(failure.BadRequest, fmt.Sprintf("Invalid max_stale value %q", v))
		}
		if d > 0 {
			stale, explicit, opts.MaxStale = true, true, d
		}
	}
	if !explicit && discovery && o.discoveryMaxStale > 0 {
		stale, opts.MaxStale = true, o.discoveryMaxStale
	}
	switch {
	case stale && consistent:
		return failure.New(failure.BadRequest, failure.TextStaleConsistent)
	case cached && consistent:
		return failure.New(failure.BadRequest, failure.TextCachedConsistent)
	case stale:
		opts.Mode = query.Stale
	case consistent:
		opts.Mode = query.Consistent
	}
	opts.Cached = cached
	return nil
}

func parseWait(q url.Values, opts *query.Options) error {
	if v := q.Get("wait"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return failure.New(failure.BadRequest, failure.TextInvalidWait)
		}
		opts.MaxWait = d
	}
	if v := q.Get("index"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return failure.New(failure.BadRequest, failure.TextInvalidIndex)
		}
		opts.MinIndex = n
	}
	return nil
}

// parseCacheControl reads the directives that bound a cached answer. Others,
// such as a browser's no-cache, mean nothing here.
func parseCacheControl(h http.Header, opts *query.Options) error {
	v := first(h, "Cache-Control")
	if v == "" {
		return nil
	}
	for directive := range strings.SplitSeq(v, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "must-revalidate":
			opts.MustRevalidate = true
		case "max-age", "stale-if-error":
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return failure.New(failure.BadRequest, "Invalid Cache-Control header.")
			}
			age := time.Duration(n) * time.Second //nolint:gosec // 31 bits
			if name == "stale-if-error" {
				opts.StaleIfError = age
				continue
			}
			opts.MaxAge = age
			opts.MustRevalidate = opts.MustRevalidate || n == 0
		}
	}
	return nil
}

// tokenOf returns the secret of the request, "" without one, and whether it
// came in the query, which leaks into logs and histories.
func tokenOf(q url.Values, h http.Header) (token string, inQuery bool) {
	if len(q) > 0 {
		if t := q.Get("token"); t != "" {
			return t, true
		}
	}
	if t := first(h, "X-Consul-Token"); t != "" {
		return t, false
	}
	auth := first(h, "Authorization")
	if auth == "" {
		return "", false
	}
	scheme, rest, ok := strings.Cut(strings.TrimSpace(auth), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	if words := strings.Fields(rest); len(words) > 0 {
		return words[0], false
	}
	return "", false
}
