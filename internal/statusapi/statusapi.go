// Package statusapi is the edge that says who leads and which servers there
// are: /v1/status/leader and /v1/status/peers.
//
// Both answer from what the asked server knows, without asking anybody: they
// are what people look at when nothing else answers. They need no token and
// have no index.
//
// Source: the public documentation of the status HTTP API.
package statusapi

import (
	"context"
	"net/http"

	"github.com/ctl-sh/ctl/internal/httpapi"
)

// Cluster is what a server knows of its cluster. Both methods must not block.
type Cluster interface {
	// Leader returns the leader's address, host:port, or "" while none is
	// known.
	Leader() string
	// Peers returns the addresses, host:port, of the servers in the Raft
	// configuration.
	Peers() []string
}

// API is the edge. On an agent that is no server only Routes is called, and
// Cluster may be nil.
type API struct {
	Cluster Cluster
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/status/leader", Where: httpapi.Server, Handle: a.leader},
		{Method: http.MethodGet, Pattern: "/v1/status/peers", Where: httpapi.Server, Handle: a.peers},
	}
}

func (a *API) leader(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	return &httpapi.Response{Body: a.Cluster.Leader()}, nil
}

func (a *API) peers(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	peers := a.Cluster.Peers()
	if peers == nil {
		peers = []string{} // JSON would call it null
	}
	return &httpapi.Response{Body: peers}, nil
}
