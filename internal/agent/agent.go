package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/dirlock"
	"github.com/ctl-sh/ctl/internal/dnsserver"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/leafcert"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/rpc"
	"github.com/ctl-sh/ctl/internal/telemetry"
	"github.com/ctl-sh/ctl/internal/tlsconf"
	"github.com/ctl-sh/ctl/internal/view"
)

// Config is what an Agent is made of.
type Config struct {
	// Runtime is the resolved configuration.
	Runtime *config.Runtime
	// Logs takes the log and gives it to who monitors.
	Logs *logging.Logs
	// Load reads the configuration anew for a reload; nil refuses reloads.
	Load func() (*config.Runtime, []config.Warning, error)
	// Notify, if set, is told the agent's state in systemd's words.
	Notify func(state string)
}

// Agent is one process of the cluster. Build it with New and let it live in Run.
type Agent struct {
	cfg      Config
	rt       atomic.Pointer[config.Runtime] // what is in force; replaced by Reload
	id       string
	log      *slog.Logger
	lock     *dirlock.Lock // nil in dev mode
	metrics  *telemetry.Metrics
	tls      *tlsconf.Store
	lan      *gossip.Pool
	wan      *gossip.Pool // nil on clients and where it is off
	retry    []*gossip.RetryJoin
	pool     *rpc.Pool
	back     backend
	mux      *httpapi.Mux
	http     *httpapi.HTTPServer
	services *services
	leaves   *leafcert.Store // certificates of services
	watches  watches
	views    *view.Store       // what DNS and the HTTP API answer from
	dns      *dnsserver.Server // nil where it is off

	reloading sync.Mutex
	leaving   sync.Mutex
	left      bool
	stop      context.CancelFunc // ends Run; set by it
	stopMu    sync.Mutex
}

// backend is the role: server or client.
type backend interface {
	httpapi.Dispatcher
	// parts returns what runs before gossip, and after it.
	parts() (port, cluster []lifecycle.Part)
	// leave tells the cluster that this agent goes for good.
	leave(ctx context.Context) error
	// stats returns the role's groups of /v1/agent/self.
	stats() map[string]map[string]string
	// reload takes what changed.
	reload(rt *config.Runtime) error
	// gauges sets the role's gauges.
	gauges()
	// routes returns the routes of all nouns; on a client their handlers
	// never run.
	routes() []httpapi.Route
}

// New puts an agent together: it takes the data directory, opens every port and
// starts nothing. On failure it lets go of all of it.
func New(cfg Config) (_ *Agent, err error) {
	a := &Agent{cfg: cfg, log: cfg.Logs.Logger()}
	a.rt.Store(cfg.Runtime)
	var opened []net.Listener
	defer func() {
		if err != nil {
			closeAll(opened)
			err = errors.Join(err, a.release())
		}
	}()
	rt := cfg.Runtime
	if err := a.own(rt); err != nil {
		return nil, err
	}
	a.metrics = newMetrics(rt)
	if err := telemetry.BridgeGoMetrics(a.metrics); err != nil {
		return nil, fmt.Errorf("collect the libraries' metrics: %w", err)
	}
	if a.tls, err = tlsconf.New(tlsSettings(rt, a.log.With(logging.KeyComponent, "agent.tls"))); err != nil {
		return nil, err
	}
	if a.lan, err = lanPool(rt, a.id, a.log, a.heard); err != nil {
		return nil, err
	}
	if a.wan, err = wanPool(rt, a.id, a.log); err != nil {
		return nil, err
	}
	if err := a.joins(rt); err != nil {
		return nil, err
	}
	a.pool = rpc.NewPool(rpc.PoolConfig{
		Dial: a.tls.Dialer(tlsconf.ProtocolRPC, dialer(rt)), MaxRequestBytes: maxRequestBytes(rt),
		KeepaliveInterval: rt.Performance.GRPCKeepaliveInterval, KeepaliveTimeout: rt.Performance.GRPCKeepaliveTimeout,
		Metrics: rpc.PoolMetrics{Calls: a.metrics.Counter("client.rpc"), Failed: a.metrics.Counter("client.rpc.failed")},
	})
	if rt.Server {
		ln, err := listen(config.Listener{Network: "tcp", Address: rt.RPC.Bind.String()}, "ports.server")
		if err != nil {
			return nil, err
		}
		opened = append(opened, ln)
		if a.back, err = a.newServer(rt, ln); err != nil {
			return nil, err
		}
	} else {
		a.back = a.newClient(rt)
	}
	listeners, err := listenHTTP(rt.HTTP, "ports.http", rt.UnixSockets)
	if err != nil {
		return nil, err
	}
	opened = append(opened, listeners...)
	secure, err := listenHTTP(rt.HTTPS, "ports.https", rt.UnixSockets)
	if err != nil {
		return nil, err
	}
	opened = append(opened, secure...)
	a.views = view.New(view.Config{
		Requester: requester{a}, Datacenter: rt.Datacenter, Logger: a.log.With(logging.KeyComponent, "agent.views"),
		DefaultWait: rt.DefaultQueryTime, MaxWait: rt.MaxQueryTime,
	})
	if len(rt.DNS) > 0 {
		if err := a.newDNS(rt); err != nil {
			return nil, err
		}
	}
	a.leaves = leafcert.New(leafcert.Config{
		Requester: requester{a}, Datacenter: rt.Datacenter, Nodes: func() int { return len(a.lan.Members()) },
		Logger: a.log.With(logging.KeyComponent, "agent.certificates"),
	})
	if a.services, err = a.newServices(rt); err != nil {
		return nil, err
	}
	a.watches.log, a.watches.ask = a.log.With(logging.KeyComponent, "agent.watches"), requester{a}
	watched, err := a.watches.defined(rt)
	if err != nil {
		return nil, err
	}
	a.watches.wanted.Set(watched)
	return a, a.serve(rt, listeners, secure)
}

// own makes the data directory and the node id this agent's.
func (a *Agent) own(rt *config.Runtime) (err error) {
	dir := rt.DataDir
	if rt.DevMode {
		dir = ""
	} else if a.lock, err = openDataDir(dir); err != nil {
		return err
	}
	if a.id, err = nodeID(dir, rt.NodeID); err != nil {
		return err
	}
	if rt.Server && dir != "" {
		now := time.Now()
		if err := checkAge(dir, rt.ServerRejoinAgeMax, now); err != nil {
			return err
		}
		if err := markSeen(dir, now); err != nil {
			return fmt.Errorf("write server metadata: %w", err)
		}
	}
	return nil
}

// joins prepares the joining of both pools.
func (a *Agent) joins(rt *config.Runtime) error {
	add := func(p *gossip.Pool, addresses []string, interval time.Duration, limit int) error {
		r, err := gossip.NewRetryJoin(p, gossip.RetryJoinConfig{Addresses: addresses, Interval: interval, MaxAttempts: limit})
		if err != nil {
			return err
		}
		a.retry = append(a.retry, r)
		return nil
	}
	if err := add(a.lan, rt.RetryJoin, rt.RetryInterval, rt.RetryMax); err != nil {
		return fmt.Errorf("retry_join: %w", err)
	}
	if a.wan == nil || len(rt.RetryJoinWAN) == 0 {
		return nil
	}
	if err := add(a.wan, rt.RetryJoinWAN, rt.RetryIntervalWAN, rt.RetryMaxWAN); err != nil {
		return fmt.Errorf("retry_join_wan: %w", err)
	}
	return nil
}

// dialer opens connections to other agents from this agent's own address, so
// that they know it by the address it gossips.
func dialer(rt *config.Runtime) rpc.Dialer {
	d := net.Dialer{Timeout: rt.Limits.RPCHandshakeTimeout}
	if bind := rt.SerfLAN.Bind.Addr(); bind.IsValid() && !bind.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(bind, 0))
	}
	return func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
}

// maxRequestBytes leaves room around the largest value.
func maxRequestBytes(rt *config.Runtime) int { return max(rt.Limits.KVMaxValueSize, 1<<20) + 64<<10 }

// serve prepares the HTTP API.
func (a *Agent) serve(rt *config.Runtime, listeners, secure []net.Listener) (err error) {
	allow, err := prefixes(rt.Config.HTTP.AllowWriteHTTPFrom)
	if err != nil {
		return err
	}
	a.mux, err = httpapi.NewMux(httpapi.Config{
		Routes: slices.Concat(a.routes(), a.services.api(rt, a.cfg.Logs).Routes(), a.back.routes()), Dispatcher: a.back, Logger: a.log.With(logging.KeyComponent, "agent.http"),
		NodeName: rt.NodeName,
		Metrics:  routeMetrics{a.metrics}, ResponseHeaders: rt.Config.HTTP.ResponseHeaders, Pretty: rt.DevMode,
		BlockEndpoints: rt.Config.HTTP.BlockEndpoints, AllowWriteFrom: allow,
		AllowUnprintable: rt.DisableHTTPUnprintableCharFilter,
		Memory:           a.views, NoCache: !rt.Config.HTTP.UseCache, DiscoveryMaxStale: rt.DiscoveryMaxStale,
		Hold: rt.Performance.RPCHoldTimeout, ForwardTimeout: rt.Limits.RPCClientTimeout,
		MaxWait: rt.MaxQueryTime, DefaultWait: rt.DefaultQueryTime,
	})
	if err != nil {
		return fmt.Errorf("prepare the HTTP API: %w", err)
	}
	a.http = httpapi.NewHTTPServer(httpapi.HTTPServerConfig{
		Listeners: listeners, Secure: secure, TLS: a.tls.HTTPS(), HandshakeTimeout: rt.Limits.HTTPSHandshakeTimeout,
		Refused: func(peer string, err error) {
			a.tls.Journal().RefusedBy("a connection to the HTTP API was refused", peer, err)
		},
		Handler: a.mux, Logger: a.log.With(logging.KeyComponent, "agent.http"),
		MaxConnsPerClient: rt.Limits.HTTPMaxConnsPerClient, MaxHeaderBytes: rt.Config.HTTP.MaxHeaderBytes,
	})
	return nil
}

func prefixes(cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, fmt.Errorf("http_config.allow_write_http_from %q: %w", c, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// Run lives until ctx ends, the agent left, or a part fails; its data directory
// is free afterwards.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.stopMu.Lock()
	a.stop = cancel
	a.stopMu.Unlock()
	group := lifecycle.New(a.parts()...).Observe(func(e lifecycle.Event) {
		a.log.Debug("agent part", logging.KeyPart, e.Part, "step", e.Step, logging.KeyDuration, e.Took, logging.KeyError, e.Err)
	})
	err := group.Run(ctx)
	return errors.Join(err, a.pool.Close(), a.release())
}

// poolStop bounds the stop of a gossip pool, which waits for a leave in progress.
const poolStop = 20 * time.Second

// parts lists everything that runs, in order.
func (a *Agent) parts() []lifecycle.Part {
	rt := a.rt.Load()
	port, cluster := a.back.parts()
	var parts []lifecycle.Part
	if rt.PidFile != "" {
		parts = append(parts, lifecycle.Part{Name: "pid file", Run: pidFile(rt.PidFile)})
	}
	parts = append(parts, lifecycle.Part{Name: "memory", Run: tuneMemory}, lifecycle.Part{Name: "metrics", Run: a.metrics.Run},
		lifecycle.Part{Name: "certificate files", Run: a.tls.Run})
	parts = append(parts, port...)
	parts = append(parts, lifecycle.Part{Name: "gossip", Run: a.lan.Run, StopTimeout: poolStop})
	if a.wan != nil {
		parts = append(parts, lifecycle.Part{Name: "gossip over the WAN", Run: a.wan.Run, StopTimeout: poolStop})
	}
	// Views end after what answers from them.
	parts = append(parts, cluster...)
	parts = append(parts, lifecycle.Part{Name: "certificates of services", Run: a.leaves.Run}, lifecycle.Part{Name: "views", Run: a.views.Run})
	if len(rt.HTTP)+len(rt.HTTPS) > 0 {
		parts = append(parts, lifecycle.Part{Name: "HTTP API", Run: a.http.Run})
	}
	parts = append(parts, a.automatic()...)
	parts = append(parts, a.services.parts()...)
	parts = append(parts, lifecycle.Part{Name: "watches", Run: a.watches.Run})
	if !rt.DisableCoordinates {
		parts = append(parts, a.coordinatesPart(rt))
	}
	if a.dns != nil {
		parts = append(parts, lifecycle.Part{Name: "DNS", Run: a.dns.Run})
	}
	if rt.Server && !rt.DevMode {
		parts = append(parts, lifecycle.Part{Name: "server metadata", Run: a.keepSeen})
	}
	for _, r := range a.retry {
		parts = append(parts, lifecycle.Part{Name: "retry join", Run: r.Run})
	}
	return append(parts,
		lifecycle.Part{Name: "gauges", Run: a.keepGauges},
		lifecycle.Part{Name: "readiness", Run: a.notify})
}

// seenEvery is how often a server notes that it is there.
const seenEvery = time.Hour

func (a *Agent) keepSeen(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	dir := a.rt.Load().DataDir
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return markSeen(dir, time.Now())
		}
		if err := markSeen(dir, time.Now()); err != nil {
			a.log.Warn("the time this server was last seen could not be written", logging.KeyError, err)
		}
	}
}

// notify tells the service manager that the agent serves, and how joining goes.
func (a *Agent) notify(ctx context.Context, ready func()) error {
	tell := a.cfg.Notify
	if tell == nil {
		tell = func(string) {}
	}
	tell("READY=1")
	a.log.Info("the agent is running", logging.KeyNode, a.rt.Load().NodeName, logging.KeyNodeID, a.id)
	ready()
	for {
		p, changed := a.retry[0].Progress().Watch()
		tell("STATUS=" + p.String())
		select {
		case <-changed:
		case <-ctx.Done():
			tell("STOPPING=1")
			return nil
		}
	}
}

func pidFile(path string) func(context.Context, func()) error {
	return func(ctx context.Context, ready func()) error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the directory of pid_file: %w", err)
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return fmt.Errorf("write pid_file: %w", err)
		}
		ready()
		<-ctx.Done()
		return os.Remove(path)
	}
}

// release gives up the data directory.
func (a *Agent) release() (err error) {
	if a.services != nil {
		err = a.services.state.Close()
	}
	if a.lock == nil {
		return err
	}
	return errors.Join(err, a.lock.Unlock())
}

// Leave takes this agent out of the cluster for good, goes on serving for the
// drain time so that clients move away, and then ends Run. A second call waits
// for the first.
func (a *Agent) Leave(ctx context.Context) error {
	a.leaving.Lock()
	defer a.leaving.Unlock()
	if a.left {
		return nil
	}
	a.log.Info("leaving the cluster")
	a.services.left.Store(true)
	err := a.back.leave(ctx)
	a.left = true
	if alone := len(a.lan.Members()) <= 1; !alone {
		backoff.Pause(ctx, a.rt.Load().Performance.LeaveDrainTime)
	}
	return err
}

// Stop ends Run.
func (a *Agent) Stop() {
	a.stopMu.Lock()
	defer a.stopMu.Unlock()
	if a.stop != nil {
		a.stop()
	}
}

// Reload reads the configuration anew and takes what can change while the agent
// runs. A configuration that cannot be read or does not fit changes nothing.
func (a *Agent) Reload(context.Context) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	if a.cfg.Load == nil {
		return errors.New("this agent cannot reload its configuration")
	}
	fresh, warnings, err := a.cfg.Load()
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.log.Warn("configuration", "warning", w.String())
	}
	// What can refuse comes first, so that a refusal leaves all as it was.
	defined, err := a.services.defined(fresh)
	if err != nil {
		return err
	}
	files := tlsSettings(fresh, nil)
	takeFiles, err := a.tls.Prepare(files.InternalRPC, files.HTTPS)
	if err != nil {
		return err
	}
	watched, err := a.watches.defined(fresh)
	if err != nil {
		return err
	}
	changed, ignored := config.Diff(a.rt.Load().Config, fresh.Config)
	if err := a.back.reload(fresh); err != nil {
		return err
	}
	if err := a.cfg.Logs.SetLevel(fresh.LogLevel); err != nil {
		return err
	}
	if err := a.services.reload(fresh, defined); err != nil {
		return err
	}
	a.watches.wanted.Set(watched)
	takeFiles()
	filter, _ := telemetry.ParseFilter(fresh.Telemetry.PrefixFilter, fresh.Telemetry.FilterDefault)
	a.metrics.SetFilter(filter)
	if a.dns != nil {
		a.dns.SetSettings(dnsSettings(fresh))
	}
	a.http.SetMaxConnsPerClient(fresh.Limits.HTTPMaxConnsPerClient)
	a.rt.Store(a.rt.Load().Reloaded(fresh))
	a.log.Info("configuration reloaded", "changed", changed)
	if len(ignored) > 0 {
		a.log.Warn("changed settings take effect only after a restart", "keys", ignored)
	}
	return nil
}
