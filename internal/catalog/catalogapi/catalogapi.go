// Package catalogapi is the edge of the catalog: the HTTP routes that register
// and find nodes, services and checks.
//
// It decodes, asks authz, filters and gives rows the shape of the public API;
// the rules of the catalog are in package catalog. What a token may not read is
// left out without a word, and a node that is hidden or unknown is null, with
// status 200: clients rely on both. Lists are never null.
//
// The service "consul" is the servers' own: the leader registers it for each of
// them. Registering or deregistering it over HTTP is refused with status 400.
//
// Lists of what is on nodes are sorted by the distance of the nodes where "near"
// asks for it. Distances are as they are when the answer is made: they wake
// nobody who waits for a change, and move no index.
//
// Not here: gateways and peers. merge-central-config is accepted and ignored; what is
// asked of a peer is not there, as there are none. What an agent keeps of answers, and cached, is package view's; it selects with what is
// here ([Found]), so that it answers what a server would.
//
// Source: the public documentation of the catalog's and health's HTTP API.
package catalogapi

import (
	"context"
	"net/http"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/coordinate"
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

// Applier proposes a command to the log and returns its value once it is
// applied here. It fails with failure.NoLeader, certainly not applied, on a
// server that does not lead, and with failure.OutcomeUnknown when nobody can
// tell whether it was.
type Applier interface {
	Apply(ctx context.Context, typ uint8, body codec.Message) (any, error)
}

// API is the edge. It must not be copied once it serves. On an agent that is no
// server only Routes is called, and its handlers never run: the fields may then
// be nil.
type API struct {
	Reader  Reader
	Applier Applier
	Authz   authz.Resolver
	// Datacenter is the servers' own; nodes are registered as part of it.
	Datacenter string
	// Datacenters returns the known datacenters, nearest first, the own one
	// among them. It must not block.
	Datacenters func() []string
	// Member, if set, reports whether gossip knows the agent of a node. It must
	// not block.
	Member func(node string) bool
	// Hint, if set, is told the node whose agent should look soon for what was
	// removed. It must not block, and may fail: the agent looks now and then.
	Hint func(node string)

	bodies bodies
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	routes := []httpapi.Route{
		{Pattern: "/v1/catalog/nodes", Handle: a.nodes},
		{Pattern: "/v1/catalog/node/{node}", Handle: a.node},
		{Pattern: "/v1/catalog/node-services/{node}", Handle: a.nodeServiceList},
		{Pattern: "/v1/catalog/services", Handle: a.services},
		{Pattern: "/v1/catalog/service/{service}", Handle: a.service},
		{Pattern: "/v1/catalog/connect/{service}", Handle: a.connect},
		{Pattern: "/v1/health/node/{node}", Handle: a.nodeChecks},
		{Pattern: "/v1/health/checks/{service}", Handle: a.serviceChecks},
		{Pattern: "/v1/health/service/{service}", Handle: a.serviceHealth},
		{Pattern: "/v1/health/connect/{service}", Handle: a.connectHealth},
		{Pattern: "/v1/health/state/{state}", Handle: a.checksInState},
	}
	for i := range routes {
		routes[i].Consistency, routes[i].Discovery = true, true
	}
	routes = append(routes, httpapi.Route{Pattern: "/v1/catalog/datacenters", Handle: a.datacenters})
	for i := range routes {
		routes[i].Method, routes[i].Where, routes[i].Kept = http.MethodGet, httpapi.Server, true
	}
	return append(routes,
		httpapi.Route{Method: http.MethodGet, Pattern: "/v1/ctl/removed/{node}", Where: httpapi.Server, Handle: a.removedOf},
		httpapi.Route{Method: http.MethodGet, Pattern: "/v1/ctl/services", Where: httpapi.Server, Consistency: true, Discovery: true, Handle: a.summaries},
		httpapi.Route{Method: http.MethodGet, Pattern: "/v1/ctl/critical", Where: httpapi.Server, Handle: a.criticalChecks},
		httpapi.Route{Method: http.MethodPut, Pattern: "/v1/ctl/catalog", Where: httpapi.Leader, Handle: a.several},
		httpapi.Route{Method: http.MethodPut, Pattern: "/v1/catalog/register", Where: httpapi.Leader, Handle: a.register},
		httpapi.Route{Method: http.MethodPut, Pattern: "/v1/catalog/deregister", Where: httpapi.Leader, Handle: a.deregister},
	)
}

var (
	errMissingNode    = failure.New(failure.BadRequest, failure.TextMissingNode)
	errMissingService = failure.New(failure.BadRequest, failure.TextMissingService)
	errMissingState   = failure.New(failure.BadRequest, "Missing check state")
	errPeerAndGroup   = failure.New(failure.BadRequest, "Cannot specify both ?peer and a sameness group: ask for one of them")
)

func (a *API) datacenters(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	return &httpapi.Response{Body: listed(a.Datacenters())}, nil
}

// selection is what of the answer a request wants and may see.
type selection[Row any] struct {
	filter *expr.Filter[Row]
	auth   authz.Authorizer
	peer   bool // what a peer exports is asked for, which is nothing
}

// selecting prepares a selection. Row is the public form of what is filtered.
func selecting[Row any](ctx context.Context, a *API, r *httpapi.Request) (selection[Row], error) {
	peer := r.Query.Get("peer") != ""
	if peer && (r.Query.Get("sameness-group") != "" || r.Query.Get("sg") != "") {
		return selection[Row]{}, errPeerAndGroup
	}
	f, err := expr.Compile[Row](r.Query.Get("filter"))
	if err != nil {
		return selection[Row]{}, failure.Wrap(failure.Invalid, err)
	}
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	return selection[Row]{filter: f, auth: auth, peer: peer}, err
}

func (s *selection[Row]) mayReadNode(node string) bool {
	return !s.peer && s.auth.Allow(authz.Node, node, authz.Read)
}

func (s *selection[Row]) mayReadService(service string) bool {
	return !s.peer && s.auth.Allow(authz.Service, service, authz.Read)
}

func (s *selection[Row]) mayReadInstance(in catalog.Instance) bool {
	return s.mayReadNode(in.Node.Node) && s.mayReadService(in.Service.Service)
}

func (a *API) nodes(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	sel, err := selecting[nodeFields](ctx, a, r)
	if err != nil {
		return nil, err
	}
	var nodes []*catalog.Node
	var here coordinate.Origin
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		if nodes, res, err = catalog.Nodes(ws, tx); err != nil {
			return res, err
		}
		here, err = near(tx, r)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	wanted := nodeMeta(r)
	rows := kept(nodes, func(n *catalog.Node) bool {
		return wanted.match(n) && sel.mayReadNode(n.Node) && sel.filter.Match((*nodeFields)(n))
	})
	resp.Body = rows
	return resp, coordinate.Sort(&here, rows, func(n *catalog.Node) string { return n.Node })
}

// onNode reads a node and those of its services that a request wants and may
// see; nil is a node that is not there or hidden.
func (a *API) onNode(ctx context.Context, r *httpapi.Request) (*catalog.Node, []*nodeService, *query.Meta, error) {
	name := r.PathValue("node")
	if name == "" {
		return nil, nil, nil, errMissingNode
	}
	sel, err := selecting[nodeService](ctx, a, r)
	if err != nil {
		return nil, nil, nil, err
	}
	var node *catalog.Node
	var services []*catalog.Service
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		node, services, res, err = catalog.NodeServices(ws, tx, name)
		return res, err
	})
	if err != nil || node == nil || !sel.mayReadNode(node.Node) {
		return nil, nil, &meta, err
	}
	rows := make([]*nodeService, 0, len(services))
	for _, s := range services {
		if row := newNodeService(s); sel.mayReadService(s.Service) && sel.filter.Match(row) {
			rows = append(rows, row)
		}
	}
	return node, rows, &meta, nil
}

func (a *API) node(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	node, rows, meta, err := a.onNode(ctx, r)
	resp := &httpapi.Response{Meta: meta}
	if err != nil {
		return resp, err
	}
	if node == nil {
		resp.Body = (*nodeServices)(nil)
		return resp, nil
	}
	body := &nodeServices{Node: node, Services: make(map[string]*nodeService, len(rows))}
	for _, row := range rows {
		body.Services[row.ID] = row
	}
	resp.Body = body
	return resp, nil
}

func (a *API) nodeServiceList(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	node, rows, meta, err := a.onNode(ctx, r)
	return &httpapi.Response{Meta: meta, Body: &nodeServiceList{Node: node, Services: rows}}, err
}

// services answers with the names of the services and their tags. Nodes are
// only looked at where the request selects by them.
func (a *API) services(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	sel, err := selecting[serviceNode](ctx, a, r)
	if err != nil {
		return nil, err
	}
	wanted := nodeMeta(r)
	if sel.filter == nil && len(wanted) == 0 {
		return a.allServices(ctx, r, sel)
	}
	var instances []catalog.Instance
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		instances, res, err = catalog.AllInstances(ws, tx)
		return res, err
	})
	if err != nil {
		return &httpapi.Response{Meta: &meta}, err
	}
	tags := tagsByService{}
	for _, in := range instances {
		if sel.mayReadService(in.Service.Service) && wanted.match(in.Node) && sel.filter.Match(newServiceNode(in)) {
			tags.add(in.Service)
		}
	}
	return &httpapi.Response{Meta: &meta, Body: tags.lists()}, nil
}

func (a *API) allServices(ctx context.Context, r *httpapi.Request, sel selection[serviceNode]) (*httpapi.Response, error) {
	var services []*catalog.Service
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		services, res, err = catalog.Services(ws, tx)
		return res, err
	})
	if err != nil {
		return &httpapi.Response{Meta: &meta}, err
	}
	tags := tagsByService{}
	for _, s := range services {
		if sel.mayReadService(s.Service) {
			tags.add(s)
		}
	}
	return &httpapi.Response{Meta: &meta, Body: tags.lists()}, nil
}

func (a *API) service(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	return a.instances(ctx, r, catalog.Target{Service: r.PathValue("service")})
}

func (a *API) connect(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	return a.instances(ctx, r, catalog.Target{Service: r.PathValue("service"), Connect: true})
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

func (a *API) serviceChecks(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name, wanted := r.PathValue("service"), nodeMeta(r)
	if name == "" {
		return nil, errMissingService
	}
	return a.checks(ctx, r, func(ws store.WatchSet, tx *store.Txn) ([]*catalog.Check, query.Result, error) {
		checks, res, err := catalog.ServiceChecks(ws, tx, name)
		if err != nil || len(wanted) == 0 {
			return checks, res, err
		}
		// The service's index follows the data of its nodes.
		nodes, _, err := catalog.Nodes(nil, tx)
		return wanted.checks(checks, nodes), res, err
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
	var here coordinate.Origin
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		if checks, res, err = read(ws, tx); err != nil {
			return res, err
		}
		here, err = near(tx, r)
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
	return resp, coordinate.Sort(&here, rows, func(row *healthCheck) string { return row.Node })
}
