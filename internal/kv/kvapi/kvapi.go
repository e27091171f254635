// Package kvapi is the edge of the key/value store: its HTTP routes and the
// leader's duty to forget old tombstones.
//
// It reads and writes bytes, asks authz, and turns requests into the noun's
// commands; the rules of keys are in package kv. Statuses, texts and members of
// answers are those of the public API, down to the ones that look like
// mistakes: a number that does not parse is a 500, a missing key an empty 404.
//
// Source: the public documentation of the KV store's HTTP API.
package kvapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// Reader answers reads.
type Reader interface {
	Read(ctx context.Context, o query.Options, read query.ReadFunc) (query.Meta, error)
}

// Applier proposes a command to the log and returns its value once it is
// applied here. It fails with failure.NoLeader, certainly not applied, on a
// server that does not lead, and with failure.OutcomeUnknown when nobody can
// tell whether it was.
type Applier interface {
	Apply(ctx context.Context, typ uint8, body codec.Message) (any, error)
}

// API is the edge. On an agent that is no server only Routes is called, and its
// handlers never run: Reader and Applier may then be nil.
type API struct {
	Reader  Reader
	Applier Applier
	Authz   authz.Resolver
	// MaxValueBytes is the longest value that is accepted.
	MaxValueBytes int64
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	const pattern = "/v1/kv/{key...}"
	return []httpapi.Route{
		{Method: http.MethodGet, Pattern: pattern, Where: httpapi.Server, Handle: a.get},
		{Method: http.MethodPut, Pattern: pattern, Where: httpapi.Leader, Handle: a.put, MaxBody: a.MaxValueBytes, MaxBodyKey: "limits.kv_max_value_size"},
		{Method: http.MethodDelete, Pattern: pattern, Where: httpapi.Leader, Handle: a.delete},
	}
}

var errMissingKey = failure.New(failure.BadRequest, failure.TextMissingKey)

func (a *API) get(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	key := r.PathValue("key")
	switch {
	case r.Has("keys"):
		return a.keys(ctx, r, key)
	case r.Has("recurse"):
		return a.list(ctx, r, key)
	case key == "":
		return nil, errMissingKey
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Key, key, authz.Read); err != nil {
		return nil, err
	}
	var e *kv.Entry
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		e, res, err = kv.Get(ws, tx, key)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	switch {
	case err != nil:
		return resp, err
	case e == nil:
		resp.Status = http.StatusNotFound
	case r.Has("raw"):
		resp.ContentType, resp.Header, resp.Raw = "text/plain", rawHeader, e.Value
	default:
		resp.Append = func(dst []byte) []byte { return append(appendEntry(append(dst, '['), e), ']') }
	}
	return resp, nil
}

// rawHeader keeps browsers from taking a raw value for a page. It is shared and
// never changed.
var rawHeader = http.Header{
	"X-Content-Type-Options":  {"nosniff"},
	"Content-Security-Policy": {"sandbox"},
}

func (a *API) list(ctx context.Context, r *httpapi.Request, prefix string) (*httpapi.Response, error) {
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	if err != nil {
		return nil, err
	}
	var entries []*kv.Entry
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		entries, res, err = kv.List(ws, tx, prefix)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	allowed := entries[:0]
	for _, e := range entries {
		if auth.Allow(authz.Key, e.Key, authz.Read) {
			allowed = append(allowed, e)
		}
	}
	if len(allowed) == 0 {
		resp.Status = http.StatusNotFound
		return resp, nil
	}
	resp.Append = func(dst []byte) []byte { return appendEntries(dst, allowed) }
	return resp, nil
}

func (a *API) keys(ctx context.Context, r *httpapi.Request, prefix string) (*httpapi.Response, error) {
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	if err != nil {
		return nil, err
	}
	separator := r.Query.Get("separator")
	if separator == "" {
		separator = r.Query.Get("seperator") // the misspelling is part of the API
	}
	var keys []string
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		keys, res, err = kv.Keys(ws, tx, prefix, separator)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	allowed := keys[:0]
	for _, k := range keys {
		if auth.Allow(authz.Key, k, authz.List) {
			allowed = append(allowed, k)
		}
	}
	if len(allowed) == 0 && prefix != "" {
		resp.Status = http.StatusNotFound
		return resp, nil
	}
	resp.Append = func(dst []byte) []byte { return appendStrings(dst, allowed) }
	return resp, nil
}

func (a *API) put(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	key := r.PathValue("key")
	if key == "" {
		return nil, errMissingKey
	}
	if err := conflicting(r, "cas", "acquire", "release"); err != nil {
		return nil, err
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Key, key, authz.Write); err != nil {
		return nil, err
	}
	c := kv.Change{Op: kv.Set, Key: key}
	if len(r.Body) > 0 {
		c.Value = r.Body
	}
	var err error
	if c.Flags, err = number(r, "flags"); err != nil {
		return nil, err
	}
	switch {
	case r.Has("cas"):
		c.Op = kv.SetCAS
		if c.Index, err = number(r, "cas"); err != nil {
			return nil, err
		}
	case r.Has("acquire"):
		return nil, noSession(r.Query.Get("acquire"))
	case r.Has("release"):
		// No session exists, so none holds the key.
		return &httpapi.Response{Body: false}, nil
	}
	return a.change(ctx, &c)
}

// noSession is the answer to a lock: there are no sessions yet, so every
// session is unknown.
func noSession(id string) error {
	if id == "" {
		return failure.New(failure.Invalid, "raft apply failed: missing session")
	}
	return failure.Newf(failure.Invalid, "raft apply failed: invalid session %q", id)
}

func (a *API) delete(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	c := kv.Change{Op: kv.Delete, Key: r.PathValue("key")}
	if err := conflicting(r, "recurse", "cas"); err != nil {
		return nil, err
	}
	require := authz.Require
	switch {
	case r.Has("recurse"):
		c.Op, require = kv.DeleteTree, authz.RequirePrefix
	case c.Key == "":
		return nil, errMissingKey
	case r.Has("cas"):
		c.Op = kv.DeleteCAS
		var err error
		if c.Index, err = number(r, "cas"); err != nil {
			return nil, err
		}
	}
	if err := require(ctx, a.Authz, r.Options.Token, authz.Key, c.Key, authz.Write); err != nil {
		return nil, err
	}
	return a.change(ctx, &c)
}

func (a *API) change(ctx context.Context, c *kv.Change) (*httpapi.Response, error) {
	v, err := a.Applier.Apply(ctx, kv.TypeChange, c)
	if err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: v}, nil
}

// conflicting fails when more than one of the parameters is present.
func conflicting(r *httpapi.Request, params ...string) error {
	n := 0
	for _, p := range params {
		if r.Has(p) {
			n++
		}
	}
	if n > 1 {
		return failure.Newf(failure.BadRequest, "Conflicting flags: %s\n", r.Query.Encode())
	}
	return nil
}

// number returns a parameter that is an unsigned number, zero when it is absent.
func number(r *httpapi.Request, param string) (uint64, error) {
	if !r.Has(param) {
		return 0, nil
	}
	n, err := strconv.ParseUint(r.Query.Get(param), 10, 64)
	if err != nil {
		return 0, failure.Wrap(failure.Invalid, err)
	}
	return n, nil
}
