package catalogapi

import (
	"context"
	"strconv"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

func (a *API) serviceHealth(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	return a.health(ctx, r, catalog.Target{Service: r.PathValue("service")})
}

func (a *API) connectHealth(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	return a.health(ctx, r, catalog.Target{Service: r.PathValue("service"), Connect: true})
}

// health answers with the instances of a target and their checks.
func (a *API) health(ctx context.Context, r *httpapi.Request, target catalog.Target) (*httpapi.Response, error) {
	if target.Service == "" {
		return nil, errMissingService
	}
	passing, err := passingOnly(r)
	if err != nil {
		return nil, err
	}
	sel, err := selecting[instanceHealth](ctx, a, r)
	if err != nil {
		return nil, err
	}
	var found *healths
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (query.Result, error) {
		head, res, err := catalog.Watch(ws, tx, target)
		if err != nil {
			return res, err
		}
		found, err = a.bodies.get(target, head, func() ([]catalog.Health, error) { return catalog.Healths(tx, target) })
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	tags, wanted := r.Query["tag"], nodeMeta(r)
	chosen := make([]int, 0, len(found.rows))
	for i := range found.rows {
		h := &found.rows[i]
		if passing && !h.Passing() || !hasTags(h.Service, tags) || !wanted.match(h.Node) || !sel.mayReadInstance(h.Instance) {
			continue
		}
		if sel.filter == nil || sel.filter.Match(newInstanceHealth(h)) {
			chosen = append(chosen, i)
		}
	}
	resp.Append = func(dst []byte) []byte { return found.appendList(dst, chosen) }
	return resp, nil
}

// passingOnly reads the parameter "passing", which without a value means yes.
func passingOnly(r *httpapi.Request) (bool, error) {
	value := r.Query.Get("passing")
	if value == "" {
		return r.Has("passing"), nil
	}
	passing, err := strconv.ParseBool(value)
	if err != nil {
		return false, failure.New(failure.BadRequest, "Invalid value for ?passing")
	}
	return passing, nil
}
