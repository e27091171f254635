// Package coordinateapi is the edge of network coordinates: the HTTP routes that
// tell and take them, and the leader's duty to write down what it was told.
//
// An update is taken by the leader, answered at once and gathered with others:
// however many agents tell, the log gets few entries, and none for what is known
// already or is about a node that is not in the catalog. What a leader has not
// written when it stops leading is lost; agents look whether what they told is
// there, and tell again.
//
// The coordinates of the servers of all datacenters are not in the store: each
// server knows them from the WAN pool.
//
// Source: the public documentation of the coordinate HTTP API.
package coordinateapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/coordinate"
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
// server only Routes is called, and its handlers never run: the fields but
// Disabled may then be nil.
type API struct {
	Reader  Reader
	Applier Applier
	Authz   authz.Resolver
	// Datacenters returns where the servers of each known datacenter are, in
	// the order of the answer. It must not block.
	Datacenters func() []Datacenter
	// Disabled answers every route with 401, at the agent that was asked.
	Disabled bool
	// Logger takes what is lost; nil drops it.
	Logger *slog.Logger

	mu sync.Mutex
	// pending holds the newest update of each node and segment until it is
	// written; arrived (made by Run) is told of the first. Both are nil on a
	// server that does not lead.
	pending map[place]*coordinate.Entry
	arrived chan struct{}
}

// place is what has one coordinate.
type place struct{ node, segment string }

// Datacenter is where the servers of a datacenter are. The members are those of
// the public API.
type Datacenter struct {
	Datacenter string
	// AreaID is "wan".
	AreaID      string
	Coordinates []Entry
}

// Entry is the coordinate of a node as the public API has it.
type Entry struct {
	Node    string
	Segment string
	Coord   *coordinate.Coordinate
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	routes := []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/coordinate/datacenters", Where: httpapi.Server, Handle: a.datacenters},
		{Method: http.MethodGet, Pattern: "/v1/coordinate/nodes", Where: httpapi.Server, Handle: a.nodes},
		{Method: http.MethodGet, Pattern: "/v1/coordinate/node/{node}", Where: httpapi.Server, Handle: a.node},
		{Method: http.MethodPut, Pattern: "/v1/coordinate/update", Where: httpapi.Leader, Handle: a.update},
	}
	if a.Disabled {
		for i := range routes {
			routes[i].Where, routes[i].Handle = httpapi.Local, disabled
		}
	}
	return routes
}

func disabled(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	return nil, &httpapi.StatusError{Status: http.StatusUnauthorized, Text: failure.TextCoordinatesDisabled}
}

func (a *API) datacenters(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	list := a.Datacenters()
	if list == nil {
		list = []Datacenter{}
	}
	return &httpapi.Response{Body: list}, nil
}

func (a *API) nodes(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	return a.entries(ctx, r, coordinate.Entries)
}

func (a *API) node(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("node")
	if name == "" {
		return nil, failure.New(failure.BadRequest, failure.TextMissingNode)
	}
	resp, err := a.entries(ctx, r, func(ws store.WatchSet, tx *store.Txn) ([]*coordinate.Entry, query.Result, error) {
		return coordinate.EntriesOf(ws, tx, name)
	})
	if err == nil && len(resp.Body.([]Entry)) == 0 {
		resp.Status, resp.Body = http.StatusNotFound, nil
	}
	return resp, err
}

// entries answers with what read finds, in the segment asked for, of nodes that
// the request may see.
func (a *API) entries(ctx context.Context, r *httpapi.Request, read func(store.WatchSet, *store.Txn) ([]*coordinate.Entry, query.Result, error)) (*httpapi.Response, error) {
	auth, err := a.Authz.Resolve(ctx, r.Options.Token)
	if err != nil {
		return nil, err
	}
	var found []*coordinate.Entry
	meta, err := a.Reader.Read(ctx, r.Options, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		found, res, err = read(ws, tx)
		return res, err
	})
	resp := &httpapi.Response{Meta: &meta}
	if err != nil {
		return resp, err
	}
	segment, only := r.Query.Get("segment"), r.Has("segment")
	rows := make([]Entry, 0, len(found))
	for _, e := range found {
		if (!only || e.Segment == segment) && auth.Allow(authz.Node, e.Node, authz.Read) {
			rows = append(rows, Entry{Node: e.Node, Segment: e.Segment, Coord: &e.Coord})
		}
	}
	resp.Body = rows
	return resp, nil
}

// updateBody is the body of an update. Coord tells one that is missing from one
// whose members are all missing.
type updateBody struct {
	Datacenter string // has been looked at in the query; accepted as Consul does
	Node       string
	Segment    string
	Partition  string
	Coord      json.RawMessage
}

func (a *API) update(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	e, err := parseUpdate(r)
	if err != nil {
		return nil, err
	}
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Node, e.Node, authz.Write); err != nil {
		return nil, err
	}
	return nil, a.take(e)
}

func parseUpdate(r *httpapi.Request) (*coordinate.Entry, error) {
	var body updateBody
	if err := r.DecodeBody(&body, false); err != nil {
		return nil, err
	}
	switch {
	case body.Node == "":
		return nil, failure.New(failure.BadRequest, failure.TextMissingNode)
	case len(body.Coord) == 0 || string(body.Coord) == "null":
		return nil, failure.Newf(failure.BadRequest, "Missing coordinate of node %s: give Coord with Vec, Error, Adjustment and Height", body.Node)
	}
	e := &coordinate.Entry{Node: body.Node, Segment: body.Segment}
	inner := httpapi.Request{Body: body.Coord}
	if err := inner.DecodeBody(&e.Coord, false); err != nil {
		return nil, err
	}
	if err := e.Coord.Check(); err != nil {
		return nil, failure.Newf(failure.Invalid, "node %s: %w", e.Node, err)
	}
	return e, nil
}
