package agent

import (
	"context"
	"fmt"
	"net"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/changes"
	"github.com/ctl-sh/ctl/internal/changes/changesapi"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/coordinate/coordinateapi"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/kv/kvapi"
	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/operatorapi"
	"github.com/ctl-sh/ctl/internal/rpc"
	"github.com/ctl-sh/ctl/internal/server"
	"github.com/ctl-sh/ctl/internal/statusapi"
	"github.com/ctl-sh/ctl/internal/tlsconf"
)

// serverRole is the backend of an agent that is a server.
type serverRole struct {
	httpapi.Dispatcher
	*server.Server
	agent       *Agent
	port        *rpc.Mux
	kv          *kvapi.API
	ca          *caapi.API
	coordinates *coordinateapi.API
	wide        wide
	hub         *changes.Hub
	stream      *changesapi.API
	catalog     *catalogapi.API
	measured    *serverGauges
}

// newServer puts the server role together on the cluster port ln.
func (a *Agent) newServer(rt *config.Runtime, ln net.Listener) (backend, error) {
	log := a.log.With(logging.KeyComponent, "agent.server")
	port, err := rpc.NewMux(rpc.MuxConfig{
		Listener: ln, Logger: log, Advertise: net.TCPAddrFromAddrPort(rt.RPC.Advertise), Dial: a.tls.Dialer(tlsconf.ProtocolRaft, dialer(rt)), Security: a.tls,
		HandshakeTimeout: rt.Limits.RPCHandshakeTimeout, MaxConnsPerClient: rt.Limits.RPCMaxConnsPerClient,
		Metrics: rpc.MuxMetrics{Accepted: a.metrics.Counter("rpc.accept_conn"), Raft: a.metrics.Counter("rpc.raft_handoff")},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the cluster port: %w", err)
	}
	calls := rpc.DefaultServerConfig()
	calls.MaxRequestBytes, calls.Logger = maxRequestBytes(rt), log
	calls.Metrics = rpc.ServerMetrics{Requests: a.metrics.Counter("rpc.request"), Errors: a.metrics.Counter("rpc.request_error")}
	r := &serverRole{agent: a, port: port, measured: newServerGauges(a.metrics, rt.Datacenter), kv: &kvapi.API{Authz: authz.Open{}, MaxValueBytes: int64(rt.Limits.KVMaxValueSize)}}
	r.wide = wide{datacenter: rt.Datacenter, pool: a.wan}
	r.coordinates = &coordinateapi.API{Authz: authz.Open{}, Datacenters: r.wide.datacenters, Disabled: rt.DisableCoordinates, Logger: log}
	r.ca = &caapi.API{
		Authz: authz.Open{}, Datacenter: rt.Datacenter, Disabled: !rt.Connect.Enabled, Initial: authoritySettings(rt),
		Logger: a.log.With(logging.KeyComponent, "agent.ca"),
	}
	r.catalog = &catalogapi.API{
		Authz: authz.Open{}, Datacenter: rt.Datacenter, Datacenters: r.wide.names,
		Member: a.member, Hint: a.hintRemoved,
	}
	var sign func(context.Context, *httpapi.WireRequest) (*httpapi.WireResponse, error)
	if rt.AutoEncrypt.AllowTLS {
		sign = a.signUnknown
	}
	r.Server, err = server.New(server.Config{
		Sign:   sign,
		NodeID: a.id, NodeName: rt.NodeName, Datacenter: rt.Datacenter, Advertise: rt.RPC.Advertise.String(),
		Bootstrap: rt.Expect == 1, BootstrapExpect: rt.Expect,
		LAN: a.lan, WAN: a.wan, Mux: port, RPC: calls, Pool: a.pool,
		Raft: raftSettings(rt), Autopilot: autopilotSettings(rt),
		DefaultWait: rt.DefaultQueryTime, MaxWait: rt.MaxQueryTime,
		Serve: func(ctx context.Context, req *httpapi.WireRequest) *httpapi.WireResponse {
			return a.mux.ServeWire(ctx, req)
		},
		Calls: []rpc.Registration{
			rpc.HandleStream(changesapi.Stream, func(ctx context.Context, req *changesapi.Request, send func(*changesapi.Chunk) error) error {
				return r.stream.Serve(ctx, req, func(lines []byte) error { return send(&changesapi.Chunk{Lines: lines}) })
			}),
		},
		Duties: func(s *server.Server) []leader.Duty {
			return []leader.Duty{r.kv.Reaper(s.DB(), s.Applied), r.ca.Duty(), r.catalog.Forgetter(s.DB()), r.coordinates.Writer(s.DB())}
		},
		ObserveApply: applySamples(a.metrics), ObserveBarrier: a.metrics.Sample("rpc.consistentRead").Since,
		ObserveReconcile: a.metrics.Sample("leader.reconcile").Since,
		Logger:           log,
	})
	if err != nil {
		return nil, err
	}
	r.hub = changes.New(changes.Config{DB: r.DB(), Logger: log})
	r.stream = &changesapi.API{NodeName: rt.NodeName, Authz: authz.Open{}, Local: streamView{a}, Hub: r.hub, Raft: r.Raft()}
	r.kv.Reader, r.kv.Applier = r.Reader(), r.Server
	r.coordinates.Reader, r.coordinates.Applier = r.Reader(), r.Server
	r.catalog.Reader, r.catalog.Applier = r.Reader(), r.Server
	r.ca.Reader, r.ca.Applier, r.ca.State = r.Reader(), r.Server, r.DB()
	r.Dispatcher = r.Server.Dispatcher()
	return r, nil
}

// parts implements backend.
func (r *serverRole) parts() (port, cluster []lifecycle.Part) {
	port, cluster = r.Parts()
	return port, append(cluster, lifecycle.Part{Name: "change stream", Run: r.hub.Run})
}

// leave implements backend.
func (r *serverRole) leave(ctx context.Context) error { return r.Leave(ctx) }

// stats implements backend.
func (r *serverRole) stats() map[string]map[string]string { return r.Stats() }

// reload implements backend.
func (r *serverRole) reload(rt *config.Runtime) error {
	if err := r.Raft().Reload(raftReloadable(rt)); err != nil {
		return err
	}
	r.port.SetMaxConnsPerClient(rt.Limits.RPCMaxConnsPerClient)
	return nil
}

// routes implements backend.
func (r *serverRole) routes() []httpapi.Route {
	return append(r.stream.Routes(), nounRoutes(r.kv, r.ca, r.coordinates, r.catalog,
		&statusapi.API{Cluster: r.Server},
		&operatorapi.API{
			Raft: r.Raft(), Reader: r.Reader(), Applier: r.Server, Authz: authz.Open{},
			Servers: r.Servers, Health: r.Health, LastIndexes: r.LastIndexes,
			LANKeys: r.agent.lan, WANKeys: keysOf(r.agent.wan), Datacenter: r.agent.rt.Load().Datacenter,
		})...)
}

// keysOf returns the pool, or nothing where it is off.
func keysOf(p *gossip.Pool) operatorapi.KeyPool {
	if p == nil {
		return nil
	}
	return p
}

// nounRoutes lists the routes that run at servers, in no order.
func nounRoutes(kv *kvapi.API, ca *caapi.API, coordinates *coordinateapi.API, catalog *catalogapi.API, status *statusapi.API, operator *operatorapi.API) []httpapi.Route {
	var all []httpapi.Route
	for _, routes := range [][]httpapi.Route{kv.Routes(), ca.Routes(), coordinates.Routes(), catalog.Routes(), status.Routes(), operator.Routes()} {
		all = append(all, routes...)
	}
	return all
}
