// Package catalogapi is the edge of the catalog: the HTTP routes that read
// nodes, services and checks.
//
// It reads, asks authz, filters and gives rows the shape of the public API; the
// rules of the catalog are in package catalog. What a token may not read is
// left out without a word, and a node that is hidden or unknown is null, with
// status 200: clients rely on both. Lists are never null.
//
// Not here yet: registering through the catalog, the service-health routes,
// sorting by distance (near is accepted and changes nothing).
//
// Source: the public documentation of the catalog's and health's HTTP API.
package catalogapi

import (
	"context"
	"net/http"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/expr"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// Reader answers reads.
type Reader interface {
	Read(ctx context.Context, o query.Options, read query.ReadFunc) (query.Meta, error)
}

// API is the edge. On an agent that is no server only Routes is called, and its
// handlers never run: the fields may then be nil.
type API struct {
	Reader Reader
	Authz  authz.Resolver
	// Datacenters returns the known datacenters, nearest first, the own one
	// among them. It must not block.
	Datacenters func() []string
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	routes := []httpapi.Route{
		{Pattern: "/v1/catalog/nodes", Handle: a.nodes},
		{Pattern: "/v1/catalog/node/{node}", Handle: a.node},
		{Pattern: "/v1/catalog/services", Handle: a.services},
		{Pattern: "/v1/catalog/service/{service}", Handle: a.service},
		{Pattern: "/v1/health/node/{node}", Handle: a.nodeChecks},
		{Pattern: "/v1/health/state/{state}", Handle: a.checksInState},
	}
	for i := range routes {
		routes[i].Consistency, routes[i].Discovery = true, true
	}
	routes = append(routes, httpapi.Route{Pattern: "/v1/catalog/datacenters", Handle: a.datacenters})
	for i := range routes {
		routes[i].Method, routes[i].Where = http.MethodGet, httpapi.Server
	}
	return routes
}

var (
	errMissingNode    = failure.New(failure.BadRequest, failure.TextMissingNode)
	errMissingService = failure.New(failure.BadRequest, failure.TextMissingService)
	errMissingState   = failure.New(failure.BadRequest, "Missing check state")
)

func (a *API) datacenters(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	return &httpapi.Response{Body: listed(a.Datacenters())}, nil
}

// selection is what of the answer a request wants and may see.
type selection[Row any] struct {
	filter *expr.Filter[Row]
	auth   authz.Authorizer
}

// selecting prepares a selection. Row is the public form of what is filtered.
func selecting[Row any](ctx context.Context, a *API, r *httpapi.Request) (selection[Row], error) {
	f, err := expr.Compile[Row](r.Query.Get("filter"))
	if err != nil {
		return selection[Row]{}, failure.Wrap(failure.Invalid, err)
	}
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	return selection[Row]{filter: f, auth: auth}, err
}

func (s *selection[Row]) mayReadNode(node string) bool {
	return s.auth.Allow(authz.Node, node, authz.Read)
}

func (s *selection[Row]) mayReadService(service string) bool {
	return s.auth.Allow(authz.Service, service, authz.Read)
}

func (a *API) nodes(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	sel, err := selecting[nodeFields](ctx, a, r)
	if err != nil {
		return nil, err
	}
	var nodes []*catalog.Node
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		nodes, res, err = catalog.Nodes(ws, tx)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	wanted := nodeMeta(r)
	resp.Body = kept(nodes, func(n *catalog.Node) bool {
		return wanted.match(n) && sel.mayReadNode(n.Node) && sel.filter.Match((*nodeFields)(n))
	})
	return resp, nil
}

func (a *API) node(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("node")
	if name == "" {
		return nil, errMissingNode
	}
	sel, err := selecting[nodeService](ctx, a, r)
	if err != nil {
		return nil, err
	}
	var node *catalog.Node
	var services []*catalog.Service
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		node, services, res, err = catalog.NodeServices(ws, tx, name)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	if node == nil || !sel.mayReadNode(node.Node) {
		resp.Body = (*nodeServices)(nil)
		return resp, nil
	}
	body := &nodeServices{Node: node, Services: make(map[string]*nodeService, len(services))}
	for _, s := range services {
		if row := newNodeService(s); sel.mayReadService(s.Service) && sel.filter.Match(row) {
			body.Services[s.ID] = row
		}
	}
	resp.Body = body
	return resp, nil
}

// instances reads the instances of a service, or of all of them for "", that a
// request wants and may see.
func (a *API) instances(ctx context.Context, r *httpapi.Request, service string) ([]*serviceNode, *query.Meta, error) {
	sel, err := selecting[serviceNode](ctx, a, r)
	if err != nil {
		return nil, nil, err
	}
	var instances []catalog.Instance
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		instances, res, err = catalog.Instances(ws, tx, service)
		return res, err
	})
	if err != nil {
		return nil, &meta, err
	}
	rows, wanted := make([]*serviceNode, 0, len(instances)), nodeMeta(r)
	for _, in := range instances {
		if !wanted.match(in.Node) || !sel.mayReadNode(in.Node.Node) || !sel.mayReadService(in.Service.Service) {
			continue
		}
		if row := newServiceNode(in); sel.filter.Match(row) {
			rows = append(rows, row)
		}
	}
	return rows, &meta, nil
}

func (a *API) services(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	rows, meta, err := a.instances(ctx, r, "")
	if err != nil {
		return &httpapi.Response{Meta: meta}, err
	}
	return &httpapi.Response{Meta: meta, Body: tagsByService(rows)}, nil
}

func (a *API) service(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("service")
	if name == "" {
		return nil, errMissingService
	}
	rows, meta, err := a.instances(ctx, r, name)
	if err != nil {
		return &httpapi.Response{Meta: meta}, err
	}
	tags := r.Query["tag"]
	return &httpapi.Response{Meta: meta, Body: kept(rows, func(row *serviceNode) bool { return row.hasTags(tags) })}, nil
}

func (a *API) nodeChecks(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("node")
	if name == "" {
		return nil, errMissingNode
	}
	return a.checks(ctx, r, func(ws store.WatchSet, tx *store.Txn) ([]*catalog.Check, query.Result, error) {
		return catalog.NodeChecks(ws, tx, name)
	})
}

func (a *API) checksInState(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	state, wanted := r.PathValue("state"), nodeMeta(r)
	if state == "" {
		return nil, errMissingState
	}
	return a.checks(ctx, r, func(ws store.WatchSet, tx *store.Txn) ([]*catalog.Check, query.Result, error) {
		checks, res, err := catalog.ChecksInState(ws, tx, state)
		if err != nil || len(wanted) == 0 {
			return checks, res, err
		}
		nodes, of, err := catalog.Nodes(ws, tx)
		res.Index = max(res.Index, of.Index)
		return wanted.checks(checks, nodes), res, err
	})
}

// checks answers with what read finds of checks.
func (a *API) checks(ctx context.Context, r *httpapi.Request, read func(store.WatchSet, *store.Txn) ([]*catalog.Check, query.Result, error)) (*httpapi.Response, error) {
	sel, err := selecting[healthCheck](ctx, a, r)
	if err != nil {
		return nil, err
	}
	var checks []*catalog.Check
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		checks, res, err = read(ws, tx)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	rows := make([]*healthCheck, 0, len(checks))
	for _, c := range checks {
		if !sel.mayReadNode(c.Node) || c.ServiceName != "" && !sel.mayReadService(c.ServiceName) {
			continue
		}
		if row := newHealthCheck(c); sel.filter.Match(row) {
			rows = append(rows, row)
		}
	}
	resp.Body = rows
	return resp, nil
}
