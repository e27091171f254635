// Package operatorapi is the edge for who runs the cluster: the Raft
// configuration, the leader, the settings of autopilot, the health of the
// servers and the keys of gossip, under /v1/operator/.
//
// It shapes requests and answers and asks authz; consensus changes the servers,
// package autopilot holds the settings, and the supervision that judges health
// is in the server's assembly. Names of servers are not in Raft: they come from
// gossip, and may be missing there.
//
// Keys are changed by all members of the LAN and the WAN pool. A key that somebody
// still needs is not removed, and one that somebody lacks is not used: the error
// names who.
//
// Not here yet: usage.
//
// Source: the public documentation of the operator HTTP API.
package operatorapi

import (
	"context"
	"net/http"
	"sync"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Raft is what the edge needs of consensus.
type Raft interface {
	// Configuration returns the servers and the index of the configuration.
	Configuration() ([]consensus.Server, uint64, error)
	// Leadership says who leads.
	Leadership() *signal.Value[consensus.Leadership]
	// TransferLeadership hands leadership to a voter, "" for any, and
	// returns when this server does not lead any more.
	TransferLeadership(ctx context.Context, id string) error
	// RemoveServer removes a server and returns when that is committed.
	RemoveServer(ctx context.Context, id string) error
}

// Reader answers reads.
type Reader interface {
	Read(ctx context.Context, o query.Options, read query.ReadFunc) (query.Meta, error)
}

// Applier proposes a command to the log and returns its value once it is
// applied here.
type Applier interface {
	Apply(ctx context.Context, typ uint8, body codec.Message) (any, error)
}

// API is the edge. On an agent that is no server only Routes is called, and its
// handlers never run: the fields may then be nil. It must not be copied once it
// serves.
type API struct {
	Raft    Raft
	Reader  Reader
	Applier Applier
	Authz   authz.Resolver
	// Servers returns the servers that gossip knows of, in this datacenter.
	Servers func() []gossip.Server
	// LastIndexes returns the last log index of the servers, by id, as far
	// as they say.
	LastIndexes func(ctx context.Context) map[string]uint64
	// Health returns what the leader last saw of the servers. It fails on a
	// server that does not lead.
	Health func(ctx context.Context) (Health, error)
	// LANKeys and WANKeys are the pools whose keys are managed, WANKeys nil
	// where that pool is off. Datacenter is the servers' own.
	LANKeys, WANKeys KeyPool
	Datacenter       string

	keys sync.Mutex // one change of keys at a time
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	const configuration = "/v1/operator/autopilot/configuration"
	return append(a.keyringRoutes(), []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/operator/raft/configuration", Where: httpapi.Server, Handle: a.configuration},
		{Method: http.MethodPost, Pattern: "/v1/operator/raft/transfer-leader", Where: httpapi.Leader, Handle: a.transferLeader},
		{Method: http.MethodDelete, Pattern: "/v1/operator/raft/peer", Where: httpapi.Leader, Handle: a.removePeer},
		{Method: http.MethodGet, Pattern: configuration, Where: httpapi.Server, Handle: a.settings},
		{Method: http.MethodPut, Pattern: configuration, Where: httpapi.Leader, Handle: a.changeSettings},
		{Method: http.MethodGet, Pattern: "/v1/operator/autopilot/health", Where: httpapi.Leader, Handle: a.health},
		{Method: http.MethodGet, Pattern: "/v1/operator/autopilot/state", Where: httpapi.Leader, Handle: a.state},
	}...)
}

// require fails unless the request's token may access the operator's things.
func (a *API) require(ctx context.Context, r *httpapi.Request, access authz.Access) error {
	return authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", access)
}

// known returns the servers of gossip by id.
func (a *API) known() map[string]gossip.Server {
	known := make(map[string]gossip.Server)
	for _, s := range a.Servers() {
		known[s.ID] = s
	}
	return known
}
