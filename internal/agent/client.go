package agent

import (
	"context"
	"strconv"

	"golang.org/x/time/rate"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/changes/changesapi"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/coordinate/coordinateapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/kv/kvapi"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/operatorapi"
	"github.com/ctl-sh/ctl/internal/remote"
	"github.com/ctl-sh/ctl/internal/rpc"
	"github.com/ctl-sh/ctl/internal/server"
	"github.com/ctl-sh/ctl/internal/statusapi"
	"github.com/ctl-sh/ctl/internal/telemetry"
)

// clientRole is the backend of an agent that is no server.
type clientRole struct {
	*remote.Client
	lan           *gossip.Pool
	stream        changesapi.API
	maxValueBytes int64
	noCoordinates bool
	limit         *rate.Limiter // of requests to servers
	exceeded      *telemetry.Counter
}

func (a *Agent) newClient(rt *config.Runtime) backend {
	log := a.log.With(logging.KeyComponent, "agent.client")
	r := &clientRole{
		Client: remote.New(rt.Datacenter, a.lan, a.pool, log, server.Forward),
		lan:    a.lan, maxValueBytes: int64(rt.Limits.KVMaxValueSize), noCoordinates: rt.DisableCoordinates,
		limit:    rate.NewLimiter(requestRate(rt)),
		exceeded: a.metrics.Counter("client.rpc.exceeded"),
	}
	r.stream.NodeName, r.stream.Authz, r.stream.Local = rt.NodeName, authz.Open{}, streamView{a}
	r.stream.Upstream = func(ctx context.Context, req *changesapi.Request, receive func([]byte) error) error {
		if !r.limit.Allow() {
			r.exceeded.Inc()
			return errRate
		}
		return r.Stream(ctx, func(ctx context.Context, addr string) error {
			return rpc.Open(ctx, a.pool, addr, changesapi.Stream, req, func(c *changesapi.Chunk) error { return receive(c.Lines) })
		})
	}
	return r
}

// requestRate returns how many requests to servers are allowed, a second and at
// once.
func requestRate(rt *config.Runtime) (rate.Limit, int) {
	if rt.Limits.RPCRate < 0 {
		return rate.Inf, 0
	}
	return rate.Limit(rt.Limits.RPCRate), rt.Limits.RPCMaxBurst
}

var errRate = failure.New(failure.RateLimited, "this agent's rate of requests to servers (limits.rpc_rate) is exceeded; try again later")

// Forward implements httpapi.Dispatcher, within limits.rpc_rate.
func (r *clientRole) Forward(ctx context.Context, w httpapi.Where, dc string, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	if !r.limit.Allow() {
		r.exceeded.Inc()
		return nil, errRate
	}
	return r.Client.Forward(ctx, w, dc, req)
}

// parts implements backend.
func (r *clientRole) parts() (port, cluster []lifecycle.Part) {
	return nil, []lifecycle.Part{r.Part()}
}

// leave implements backend.
func (r *clientRole) leave(ctx context.Context) error { return r.lan.Leave(ctx) }

// stats implements backend.
func (r *clientRole) stats() map[string]map[string]string {
	return map[string]map[string]string{"consul": {
		"server": "false", "acl": "disabled", "known_servers": strconv.Itoa(len(r.Servers())),
	}}
}

// reload implements backend.
func (r *clientRole) reload(rt *config.Runtime) error {
	limit, burst := requestRate(rt)
	r.limit.SetLimit(limit)
	r.limit.SetBurst(burst)
	return nil
}

// gauges implements backend: a client has none of its own.
func (r *clientRole) gauges() {}

// routes implements backend.
func (r *clientRole) routes() []httpapi.Route {
	return append(r.stream.Routes(), nounRoutes(&kvapi.API{MaxValueBytes: r.maxValueBytes}, &caapi.API{}, &coordinateapi.API{Disabled: r.noCoordinates},
		&catalogapi.API{Authz: authz.Open{}}, &statusapi.API{}, &operatorapi.API{})...)
}
