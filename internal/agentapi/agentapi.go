// Package agentapi is the edge of the agent itself: who it is, whom it sees,
// how it is, and how it is told to join, leave and reload, under /v1/agent/.
// Metrics are also at /metrics, and profiles at /debug/pprof/ where the
// configuration allows them.
//
// Every route is answered by the agent that was asked, without a server: they
// must work when the cluster does not. The edge shapes and asks authz; the
// agent does.
//
// Not here yet: services and checks of this agent, maintenance, tokens.
//
// Source: the public documentation of the agent's HTTP API; profiles are as Go's
// net/http/pprof serves them, which registers itself with a global and is
// therefore not used.
package agentapi

import (
	"context"
	"net/http"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Agent is what the edge needs of the agent it is part of. All methods may be
// called by any number of goroutines.
type Agent interface {
	// Self describes the agent. It must not block.
	Self() Self
	// Members returns the members of the LAN or WAN pool, none of a pool
	// that this agent is not in. The slice is the caller's.
	Members(wan bool) []gossip.Member
	// Join contacts addresses and returns how many it reached; none is an
	// error that names them.
	Join(ctx context.Context, addrs []string, wan bool) (int, error)
	// ForceLeave makes a failed member one that left, in both pools or in
	// the WAN pool only; with prune it is forgotten.
	ForceLeave(ctx context.Context, node string, prune, wan bool) error
	// Leave takes the agent out of the cluster, and begins to stop it
	// without waiting for the stop: the answer still has to go out.
	Leave(ctx context.Context) error
	// Reload reads the configuration anew. It fails, changing nothing, when
	// the configuration cannot be used.
	Reload(ctx context.Context) error
}

// Gossip is what ctl/diagnose tells about of the LAN pool; [gossip.Pool] is one.
type Gossip interface {
	Encrypted() bool
	// Probe probes the members of these names, or a sample. It fails as
	// Unavailable while the pool does not run.
	Probe(ctx context.Context, names ...string) ([]gossip.Probe, error)
	Refusals() []gossip.Refusal
}

// Logs gives away what is logged.
type Logs interface {
	// Subscribe starts a stream of lines at the level and above.
	Subscribe(level string, json bool) (*logging.Subscription, error)
}

// API is the edge. All fields but DataDir, Joins and EnableDebug are required.
type API struct {
	Agent   Agent
	Gossip  Gossip
	Logs    Logs
	Metrics Metrics
	Authz   authz.Resolver
	// NodeName is what permissions for the agent are about.
	NodeName string
	// DataDir is the directory whose disk agent/host and ctl/diagnose
	// describe; "" is, of the first, that of temporary files.
	DataDir string
	// Joins tells how far retry_join and retry_join_wan are; nil is that
	// there is neither.
	Joins func() []gossip.JoinProgress
	// EnableDebug reports whether the routes below /debug/pprof/ are open. It
	// is asked at every request, because a reload may change it; nil is no.
	EnableDebug func() bool

	measuring turn
}

// Routes returns the routes.
func (a *API) Routes() []httpapi.Route {
	routes := []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/v1/agent/self", Handle: a.self},
		{Method: http.MethodGet, Pattern: "/v1/agent/version", Handle: a.version},
		{Method: http.MethodGet, Pattern: "/v1/agent/host", Handle: a.host},
		{Method: http.MethodGet, Pattern: "/v1/ctl/diagnose", Handle: a.diagnose},
		{Method: http.MethodGet, Pattern: "/v1/agent/members", Handle: a.members},
		{Method: http.MethodPut, Pattern: "/v1/agent/join/{address}", Handle: a.join},
		{Method: http.MethodPut, Pattern: "/v1/agent/force-leave/{node}", Handle: a.forceLeave},
		{Method: http.MethodPut, Pattern: "/v1/agent/leave", Handle: a.leave},
		{Method: http.MethodPut, Pattern: "/v1/agent/reload", Handle: a.reload},
		{Method: http.MethodGet, Pattern: "/v1/agent/monitor", Handle: a.monitor},
		{Method: http.MethodGet, Pattern: "/v1/agent/metrics", Handle: a.metrics},
		{Method: http.MethodGet, Pattern: "/metrics", Handle: a.prometheus},
	}
	routes = append(routes, a.profileRoutes()...)
	for i := range routes {
		routes[i].Where = httpapi.Local
	}
	return routes
}

// require fails unless the request's token may access this agent.
func (a *API) require(ctx context.Context, r *httpapi.Request, access authz.Access) error {
	return authz.Require(ctx, a.Authz, r.Options.Token, authz.Agent, a.NodeName, access)
}

// refused says that the agent would not do what it was asked, for a reason that
// is not its fault, unless the error says something else.
func refused(err error) error {
	if err != nil && failure.KindOf(err) == failure.Internal {
		return failure.Wrap(failure.Invalid, err)
	}
	return err
}
