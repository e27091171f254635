package catalogapi

import (
	"context"
	"net/url"
	"strconv"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/coordinate"
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
	want, err := a.wantedHealth(ctx, r)
	if err != nil {
		return nil, err
	}
	found, resp, err := a.find(ctx, r, target, &want.here)
	if err == nil {
		resp.Shared, err = found.healths(want)
	}
	return resp, err
}

// instances answers with the instances of a target.
func (a *API) instances(ctx context.Context, r *httpapi.Request, target catalog.Target) (*httpapi.Response, error) {
	if target.Service == "" {
		return nil, errMissingService
	}
	want, err := a.wantedInstances(ctx, r)
	if err != nil {
		return nil, err
	}
	found, resp, err := a.find(ctx, r, target, &want.here)
	if err == nil {
		resp.Shared, err = found.instances(want)
	}
	return resp, err
}

// find reads a target as r asks for it, and sets here to the place from which the
// answer is sorted.
func (a *API) find(ctx context.Context, r *httpapi.Request, target catalog.Target, here *coordinate.Origin) (*Found, *httpapi.Response, error) {
	var found *Found
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (query.Result, error) {
		head, res, err := catalog.Watch(ws, tx, target)
		if err != nil {
			return res, err
		}
		if found, err = a.bodies.get(target, head, func() ([]catalog.Health, error) { return catalog.Healths(tx, target) }); err != nil {
			return res, err
		}
		*here, err = near(tx, r)
		return res, err
	})
	return found, &httpapi.Response{Meta: &meta}, err
}

// wanted is what a request for a target selects, but for rights the same for
// all who name it by the same text.
type wanted[Row any] struct {
	selection[Row]
	passing bool
	tags    []string
	meta    metaPairs
	text    string
	here    coordinate.Origin // what is near comes first; nowhere changes nothing
}

// wantedHealth reads the selection of a request for healths.
func (a *API) wantedHealth(ctx context.Context, r *httpapi.Request) (*wanted[instanceHealth], error) {
	passing, err := passingOnly(r)
	if err != nil {
		return nil, err
	}
	w, err := newWanted[instanceHealth](ctx, a, r)
	if err != nil {
		return nil, err
	}
	if w.passing = passing; passing {
		w.text += "&passing"
	}
	return w, nil
}

// wantedInstances does so for a request for instances.
func (a *API) wantedInstances(ctx context.Context, r *httpapi.Request) (*wanted[serviceNode], error) {
	return newWanted[serviceNode](ctx, a, r)
}

func newWanted[Row any](ctx context.Context, a *API, r *httpapi.Request) (*wanted[Row], error) {
	sel, err := selecting[Row](ctx, a, r)
	if err != nil {
		return nil, err
	}
	w := &wanted[Row]{selection: sel, tags: r.Query["tag"], meta: nodeMeta(r)}
	if by := (url.Values{"tag": w.tags, "node-meta": r.Query["node-meta"]}); len(w.tags)+len(w.meta) > 0 {
		w.text = by.Encode()
	}
	if sel.filter != nil {
		w.text += "&filter=" + url.QueryEscape(r.Query.Get("filter"))
	}
	return w, nil
}

// answer returns the rows of a list of f that are wanted and may be seen. of gives
// a row the shape that filters select from.
func answer[Row any](f *Found, l *list, w *wanted[Row], of func(*catalog.Health) *Row) (*httpapi.Shared, error) {
	if w.peer {
		return f.keepAnswer(l, "peer", join(l, nil)), nil
	}
	text := w.text
	for i := range f.rows {
		if !w.mayReadInstance(f.rows[i].Instance) {
			text += "&without=" + strconv.Itoa(i) // others who ask the same may see other rows
		}
	}
	// Distances change while the rows do not: a sorted list is nobody else's.
	sorted := w.here.Known()
	if kept := f.kept(l, text); kept != nil && !sorted {
		return kept, nil
	}
	chosen := make([]int, 0, len(f.rows))
	for i := range f.rows {
		h := &f.rows[i]
		if w.passing && !h.Passing() || !hasTags(h.Service, w.tags) || !w.meta.match(h.Node) || !w.mayReadInstance(h.Instance) {
			continue
		}
		if w.filter == nil || w.filter.Match(of(h)) {
			chosen = append(chosen, i)
		}
	}
	if sorted {
		err := coordinate.Sort(&w.here, chosen, func(i int) string { return f.rows[i].Node.Node })
		return join(l, chosen), err
	}
	return f.keepAnswer(l, text, join(l, chosen)), nil
}

// healths returns the wanted instances with their checks.
func (f *Found) healths(w *wanted[instanceHealth]) (*httpapi.Shared, error) {
	return answer(f, &f.health, w, newInstanceHealth)
}

// instances returns the wanted instances.
func (f *Found) instances(w *wanted[serviceNode]) (*httpapi.Shared, error) {
	if err := f.flatten(); err != nil {
		return nil, err
	}
	return answer(f, &f.flat, w, func(h *catalog.Health) *serviceNode { return newServiceNode(h.Instance) })
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
