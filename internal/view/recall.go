package view

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
)

// question is what a request asks: a view, and what of it.
type question struct {
	key
	// body returns the answer; nil is the whole of what is kept.
	body func(*catalogapi.Found) (*httpapi.Shared, error)
	// cached is set for what ?cached concerns.
	cached bool
	// counted is not set for what has no index.
	counted bool
}

const datacentersPath = "/v1/catalog/datacenters"

// targets are the routes about a service.
var targets = []struct {
	path   string
	kind   kind
	choose func(context.Context, *httpapi.Request) (func(*catalogapi.Found) (*httpapi.Shared, error), error)
}{
	{"/v1/health/service/", services, catalogapi.ChooseHealths},
	{"/v1/health/connect/", connects, catalogapi.ChooseHealths},
	{"/v1/catalog/service/", services, catalogapi.ChooseInstances},
	{"/v1/catalog/connect/", connects, catalogapi.ChooseInstances},
}

// Parameters that say how to answer, not what; and those that choose among the
// instances of a service.
var (
	manner = map[string]bool{
		"index": true, "wait": true, "stale": true, "consistent": true, "leader": true, "max_stale": true, "cached": true,
		"pretty": true, "token": true, "dc": true, "datacenter": true, "ns": true, "partition": true,
	}
	choice = map[string]bool{"passing": true, "tag": true, "node-meta": true, "filter": true}
)

// ask returns what r asks. It reports false for what cannot be kept, or is wrong.
func (s *Store) ask(ctx context.Context, r *httpapi.Request) (question, bool) {
	q := question{key: key{dc: s.other(r.Options.Datacenter), token: r.Options.Token}, counted: true}
	whole := r.Path == datacentersPath || r.Path == "/v1/catalog/services"
	q.cached, q.counted = whole, r.Path != datacentersPath
	for _, t := range targets {
		name, ok := strings.CutPrefix(r.Path, t.path)
		if !ok {
			continue
		}
		q.cached = true
		if name == "" || !onlyChooses(r.Query) {
			break
		}
		choose, err := t.choose(ctx, r)
		q.kind, q.name, q.body = t.kind, strings.ToLower(name), choose
		return q, err == nil
	}
	rest := url.Values{}
	for param, values := range r.Query {
		if !manner[param] {
			rest[param] = values
		}
	}
	q.kind = answers
	q.name = (&url.URL{Path: r.Path}).EscapedPath() + "?" + rest.Encode()
	// The order by distance changes without an index that says so.
	return q, !rest.Has("near") || r.Options.Cached
}

// onlyChooses reports whether nothing but parameters known here says what is
// asked.
func onlyChooses(params url.Values) bool {
	for param := range params {
		if !manner[param] && !choice[param] {
			return false
		}
	}
	return true
}

// Recall implements httpapi.Memory.
func (s *Store) Recall(ctx context.Context, r *httpapi.Request, elsewhere bool) (*httpapi.Response, error) {
	o := &r.Options
	if o.Mode == query.Consistent || o.MaxStale > 0 {
		return nil, nil
	}
	q, ok := s.ask(ctx, r)
	if !ok || o.Cached && !q.cached {
		return nil, nil
	}
	blocks := o.MinIndex > 0 && q.counted
	if !o.Cached && (!blocks || !elsewhere) {
		return nil, nil
	}
	confirm := blocks && !o.Cached && o.Mode != query.Stale
	e, here := s.begin(q.key, true, confirm)
	if e == nil || o.MustRevalidate && !blocks {
		return nil, nil
	}
	if confirm {
		e.confirmed()
	}
	select {
	case <-e.loaded:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.err != nil || e.current.Load() == nil {
		return nil, nil
	}
	if blocks {
		return s.await(ctx, r, q, e)
	}
	v := e.current.Load()
	age := e.age(v)
	if here && o.MaxAge > 0 && age > o.MaxAge {
		return nil, nil
	}
	e.use()
	header := httpapi.Miss()
	if here {
		header = hit(age)
	}
	return q.respond(e, v, header, query.Stale)
}

func hit(age time.Duration) http.Header {
	return httpapi.Hit(strconv.FormatInt(int64(age/time.Second), 10))
}

// await answers a blocking read. It returns nil for a view that cannot.
func (s *Store) await(ctx context.Context, r *httpapi.Request, q question, e *entry) (*httpapi.Response, error) {
	e.waiting.Add(1)
	defer e.waiting.Add(-1)
	e.use()
	o := &r.Options
	timer := time.NewTimer(s.wait(o.MaxWait))
	defer timer.Stop()
	mode := o.Mode
	if o.Cached {
		mode = query.Stale
	}
	if mode != query.Stale {
		if ok, err := e.settle(ctx, s.cfg.LoadTimeout); !ok || err != nil {
			return nil, err
		}
	}
	v, err := e.passes(ctx, o.MinIndex, timer.C)
	if v == nil || err != nil {
		return nil, err
	}
	var header http.Header
	if o.Cached {
		header = hit(e.age(v))
	}
	return q.respond(e, v, header, mode)
}

// settle waits until the view, which is to be confirmed, is so. It reports false if it is not in
// time.
func (e *entry) settle(ctx context.Context, limit time.Duration) (bool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		v := e.current.Load()
		switch {
		case e.failing.Load() != 0, e.hasEnded():
			return false, nil
		case v.confirmed:
			return true, nil
		}
		select {
		case <-v.next:
		case <-timer.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// passes waits until the view's index is above least, or over goes off, by the
// rules of a blocking read at a server (package query). A view that cannot be
// kept current any more ends the wait, too: the client learns what is the matter
// when it asks again. It returns nil for a view that is failing already or ends.
func (e *entry) passes(ctx context.Context, least uint64, over <-chan time.Time) (*version, error) {
	v := e.current.Load()
	if e.failing.Load() != 0 {
		return nil, nil
	}
	epoch, foundNothing := v.epoch, false
	for {
		if e.hasEnded() {
			return nil, nil
		}
		if !v.exists && foundNothing {
			least = max(least, v.index)
		}
		if v.index > least || v.epoch != epoch || e.failing.Load() != 0 {
			return v, nil
		}
		foundNothing = !v.exists
		select {
		case <-v.next:
		case <-over:
			return e.current.Load(), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		v = e.current.Load()
	}
}

// respond makes the answer from a version.
func (q *question) respond(e *entry, v *version, header http.Header, mode query.Mode) (*httpapi.Response, error) {
	resp := &httpapi.Response{Header: header, Shared: v.body}
	if q.counted {
		failing := e.failingFor()
		resp.Meta = &query.Meta{Index: v.index, KnownLeader: v.knownLeader && failing == 0, LastContact: max(v.lastContact, failing), Mode: mode}
	}
	if q.body == nil {
		return resp, nil
	}
	var err error
	resp.Shared, err = q.body(v.found)
	return resp, err
}

// Rescue implements httpapi.Memory.
func (s *Store) Rescue(r *httpapi.Request) *httpapi.Response {
	q, ok := s.ask(context.Background(), r)
	if !ok || !q.cached {
		return nil
	}
	s.mu.RLock()
	e := s.views[q.key]
	s.mu.RUnlock()
	if e == nil {
		return nil
	}
	if !e.isLoaded() {
		return nil
	}
	v := e.current.Load()
	if v == nil {
		return nil
	}
	age := e.age(v)
	if age > r.Options.StaleIfError {
		return nil
	}
	e.use()
	resp, err := q.respond(e, v, hit(age), query.Stale)
	if err != nil {
		return nil
	}
	return resp
}
