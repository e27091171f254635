package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftautopilot "github.com/hashicorp/raft-autopilot"

	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/fsm"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/operatorapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/rpc"
	"github.com/ctl-sh/ctl/internal/signal"
	"github.com/ctl-sh/ctl/internal/store"
)

// Modules lists every noun of the state. The order is that of the tables in a
// snapshot.
func Modules() []store.Module {
	return []store.Module{catalog.Module(), kv.Module(), autopilot.Module(), ca.Module(), coordinate.Module()}
}

// Config is what a Server is made of. Everything is required but WAN
// and Sign.
type Config struct {
	NodeID, NodeName, Datacenter string
	// Advertise is the address, host:port, others reach the cluster port by.
	Advertise string
	// Bootstrap makes a new cluster of this server alone; BootstrapExpect,
	// when not 0, one of that many servers. Both do nothing once there is
	// state.
	Bootstrap       bool
	BootstrapExpect int

	LAN *gossip.Pool
	WAN *gossip.Pool // nil when the port is off
	// Mux is the cluster port, not yet running.
	Mux *rpc.Mux
	// RPC configures the calls served on it; the listener is filled in.
	RPC rpc.ServerConfig
	// Pool holds the connections to other servers.
	Pool *rpc.Pool
	// Raft configures consensus: directory, timers, limits. What belongs to
	// this server is filled in.
	Raft consensus.Config
	// Autopilot are the settings of a cluster that has none yet.
	Autopilot autopilot.Config
	// DefaultWait and MaxWait bound blocking reads.
	DefaultWait, MaxWait time.Duration
	// Serve answers a forwarded HTTP request. It is not called before Run.
	Serve func(ctx context.Context, req *httpapi.WireRequest) *httpapi.WireResponse
	// Sign answers what agents without a certificate ask for; nil is where
	// none are given. It is not called before Run.
	Sign func(ctx context.Context, req *httpapi.WireRequest) (*httpapi.WireResponse, error)
	// ObserveApply, ObserveBarrier and ObserveReconcile take when a write of a
	// command type, the confirmation of a linearizable read, and a comparison
	// of gossip and catalog began, once it succeeded.
	ObserveApply     func(typ uint8, began time.Time)
	ObserveBarrier   func(began time.Time)
	ObserveReconcile func(began time.Time)
	// Calls are further ones that this server answers.
	Calls []rpc.Registration
	// Duties are what nouns do on the leader.
	Duties func(*Server) []leader.Duty
	Logger *slog.Logger
}

// Server is the server role of an agent. Build it with New and run its Parts.
// All methods may be called by any number of goroutines at any time.
type Server struct {
	cfg        Config
	log        *slog.Logger
	db         *store.DB
	machine    *fsm.Machine
	node       *consensus.Node
	engine     *query.Engine
	rpc        *rpc.Server
	sign       *rpc.Server // for agents without a certificate; nil where none are given
	dispatcher *dispatcher
	bootstrap  *bootstrapper
	supervisor *supervisor
	reconciler *reconciler
}

// New puts a server together. It opens the log on disk and checks it, and
// starts nothing.
func New(cfg Config) (*Server, error) {
	db, err := store.Open(Modules()...)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Logger.With("component", "server"), db: db, machine: fsm.New(db)}
	cfg.Raft.ID = cfg.NodeID
	cfg.Raft.Machine = s.machine
	cfg.Raft.Stream = rpc.NewRaftLayer[raft.ServerAddress](cfg.Mux)
	cfg.Raft.Peers = peers{cfg.Pool}
	cfg.Raft.Logger = cfg.Logger
	if s.node, err = consensus.New(cfg.Raft); err != nil {
		return nil, err
	}
	s.engine = query.New(query.Config{DB: db, Freshness: s, DefaultWait: cfg.DefaultWait, MaxWait: cfg.MaxWait})
	s.dispatcher = &dispatcher{dc: cfg.Datacenter, id: cfg.NodeID, leader: s.leader, pool: cfg.Pool}
	s.bootstrap = s.newBootstrapper()
	s.supervisor = s.newSupervisor()
	s.reconciler = &reconciler{
		dc: cfg.Datacenter, db: db, log: s.log, members: s.members, observe: cfg.ObserveReconcile,
		apply: s.Apply, addPeer: s.supervisor.addPeer, removePeer: s.supervisor.removePeer,
	}
	cfg.RPC.Listener = cfg.Mux.GRPC()
	if s.rpc, err = rpc.NewServer(cfg.RPC, s.registrations()...); err != nil {
		return nil, fmt.Errorf("prepare calls: %w", err)
	}
	if cfg.Sign != nil {
		cfg.RPC.Listener = cfg.Mux.Sign()
		if s.sign, err = rpc.NewServer(cfg.RPC, rpc.Handle(methodCertificate, cfg.Sign)); err != nil {
			return nil, fmt.Errorf("prepare the giving of certificates: %w", err)
		}
	}
	return s, nil
}

func (s *Server) newBootstrapper() *bootstrapper {
	return &bootstrapper{
		id: s.cfg.NodeID, dc: s.cfg.Datacenter, expect: s.cfg.BootstrapExpect, log: s.log,
		running:  func() bool { return s.node.Raft() != nil },
		hasState: s.node.HasState, bootstrap: s.node.Bootstrap,
		servers: func() ([]gossip.Server, <-chan struct{}) {
			_, changed := s.cfg.LAN.Changes().Watch()
			return s.Servers(), changed
		},
		ask: func(ctx context.Context, addr string, req *bootstrapAsk) (*bootstrapAnswer, error) {
			return rpc.Call(ctx, s.cfg.Pool, addr, methodBootstrap, req)
		},
	}
}

func (s *Server) newSupervisor() *supervisor {
	v := &supervisor{
		id: s.cfg.NodeID, dc: s.cfg.Datacenter, initial: s.cfg.Autopilot, db: s.db,
		log: s.log, servers: s.Servers, apply: s.Apply,
		progress: func(ctx context.Context, server gossip.Server) (*progress, error) {
			if server.ID == s.cfg.NodeID {
				return s.progress(), nil
			}
			return rpc.Call(ctx, s.cfg.Pool, server.Addr, methodProgress, &none{})
		},
		forceLeave: func(name string) {
			err := s.cfg.LAN.ForceLeave(context.Background(), name, false)
			if s.cfg.WAN != nil {
				// There it may not be known as failed yet, or no more; then it is
				// forgotten in its time.
				if err := s.cfg.WAN.ForceLeave(context.Background(), gossip.WANName(name, s.cfg.Datacenter), false); err != nil {
					s.log.Debug("a dead server cannot be forced to leave the WAN pool", "node", name, "error", err)
				}
			}
			if err != nil {
				s.log.Warn("a dead server cannot be forced to leave", "node", name, "error", err)
			}
		},
	}
	v.pilot = sync.OnceValue(func() *raftautopilot.Autopilot {
		return raftautopilot.New(promoter{s.node.Raft()}, v, raftautopilot.WithLogger(logging.HCLog(s.log)))
	})
	return v
}

// registrations lists the calls this server answers.
func (s *Server) registrations() []rpc.Registration {
	return append([]rpc.Registration{
		rpc.Handle(methodForward, func(ctx context.Context, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
			return s.cfg.Serve(ctx, req), nil
		}),
		rpc.Handle(methodReadIndex, func(ctx context.Context, req *consensus.ReadIndexRequest) (*consensus.ReadIndexResponse, error) {
			resp, err := s.node.HandleReadIndex(ctx, *req)
			return &resp, err
		}),
		rpc.Handle(methodTerm, func(ctx context.Context, req *consensus.TermRequest) (*consensus.TermReply, error) {
			resp, err := s.node.HandleTerm(ctx, *req)
			return &resp, err
		}),
		rpc.Handle(methodBootstrap, func(_ context.Context, req *bootstrapAsk) (*bootstrapAnswer, error) {
			return s.bootstrap.promise(req), nil
		}),
		rpc.Handle(methodProgress, func(context.Context, *none) (*progress, error) { return s.progress(), nil }),
	}, s.cfg.Calls...)
}

// Parts returns what of the server runs, in order. The LAN pool must run before
// the last of them.
func (s *Server) Parts() (port, cluster []lifecycle.Part) {
	port = []lifecycle.Part{
		{Name: "cluster port", Run: s.cfg.Mux.Run},
		{Name: "calls", Run: s.rpc.Run},
	}
	if s.sign != nil {
		port = append(port, lifecycle.Part{Name: "giving of certificates", Run: s.sign.Run})
	}
	cluster = []lifecycle.Part{
		{Name: "raft", Run: s.node.Run},
		{Name: "bootstrap", Run: s.runBootstrap},
		{Name: "leader duties", Run: s.runDuties},
	}
	if s.cfg.WAN != nil {
		cluster = append(cluster, lifecycle.Part{Name: "wan flood", Run: s.floodWAN})
	}
	return port, cluster
}

func (s *Server) runBootstrap(ctx context.Context, ready func()) error {
	ready()
	if s.node.HasState() {
		return nil
	}
	if s.cfg.Bootstrap {
		err := s.node.Bootstrap([]consensus.Server{{ID: s.cfg.NodeID, Address: s.cfg.Advertise, Voter: true}})
		if err != nil {
			return fmt.Errorf("bootstrap the cluster: %w", err)
		}
		s.log.Info("bootstrapped a cluster of this server alone")
		return nil
	}
	if s.cfg.BootstrapExpect == 0 {
		return nil // the leader of an existing cluster adds this server
	}
	return s.bootstrap.run(ctx)
}

func (s *Server) runDuties(ctx context.Context, ready func()) error {
	ready()
	duties := []leader.Duty{
		{Name: "autopilot", Run: s.supervisor.run},
		{Name: "members", Run: s.reconciler.run},
	}
	duties = append(duties, s.cfg.Duties(s)...)
	leader.Run(ctx, leader.Of(s.node.Leadership(), func(l consensus.Leadership) leader.State {
		return leader.State{Leads: l.IsLeader && l.Ready, Term: l.Term}
	}), s.log, duties...)
	return nil
}

// handOverTime bounds how long a stopping leader tries to hand over.
const handOverTime = 2 * time.Second

// handOver gives leadership to another server before this one leaves, so that
// writes need not wait for an election.
func (s *Server) handOver() error {
	if !s.node.Leadership().Get().IsLeader {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	if err := s.node.TransferLeadership(ctx, ""); err != nil {
		s.log.Info("leadership was not handed over; the others elect a leader", "error", err)
	}
	return nil
}

// Apply proposes a command to the log and returns its value once it is applied
// here. It implements the appliers of the nouns' edges.
func (s *Server) Apply(ctx context.Context, typ uint8, body codec.Message) (any, error) {
	entry, err := codec.EncodeEntry(typ, body)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	v, _, err := s.node.Apply(ctx, entry)
	if err == nil {
		s.cfg.ObserveApply(typ, began)
	}
	return v, err
}

// ReadBarrier implements query.Freshness.
func (s *Server) ReadBarrier(ctx context.Context) error {
	began := time.Now()
	_, err := s.node.ReadBarrier(ctx)
	if err == nil {
		s.cfg.ObserveBarrier(began)
	}
	return err
}

// Contact implements query.Freshness.
func (s *Server) Contact() (known bool, last time.Duration) {
	l := s.node.Leadership().Get()
	if l.IsLeader {
		return true, 0
	}
	return l.LeaderAddr != "", s.node.LastContact()
}

// DB returns the state.
func (s *Server) DB() *store.DB { return s.db }

// Reader returns the engine that answers reads.
func (s *Server) Reader() *query.Engine { return s.engine }

// Dispatcher says where requests run.
func (s *Server) Dispatcher() httpapi.Dispatcher { return s.dispatcher }

// Raft returns the consensus node, for the operator's routes.
func (s *Server) Raft() *consensus.Node { return s.node }

// Applied returns the index of the newest applied entry.
func (s *Server) Applied() uint64 { return s.machine.Applied() }

// LastIndex returns the index of this server's newest log entry.
func (s *Server) LastIndex() uint64 { return s.progress().LastIndex }

// Leadership returns who leads, as this server knows it.
func (s *Server) Leadership() *signal.Value[consensus.Leadership] { return s.node.Leadership() }

// Leader returns the leader's address, host:port, or "".
func (s *Server) Leader() string { return s.node.Leadership().Get().LeaderAddr }

func (s *Server) leader() (id, addr string, ready bool) {
	l := s.node.Leadership().Get()
	return l.LeaderID, l.LeaderAddr, !l.IsLeader || l.Ready
}

// Health returns how autopilot sees the cluster. It fails with
// failure.NoLeader on a server that does not lead.
func (s *Server) Health(context.Context) (operatorapi.Health, error) {
	if l := s.node.Leadership().Get(); !l.IsLeader || s.node.Raft() == nil {
		return operatorapi.Health{}, failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	return s.supervisor.health(), nil
}

// LastIndexes asks every server how far its log is and returns what they say
// within a second, by id.
func (s *Server) LastIndexes(ctx context.Context) map[string]uint64 {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex
	last := map[string]uint64{}
	for _, server := range s.Servers() {
		if server.Status != gossip.StatusAlive {
			continue
		}
		asking.Go(func() {
			if p, err := s.supervisor.progress(ctx, server); err == nil {
				mu.Lock()
				defer mu.Unlock()
				last[server.ID] = p.LastIndex
			}
		})
	}
	asking.Wait()
	return last
}

// Peers returns the addresses, host:port, of the servers in the Raft
// configuration, sorted.
func (s *Server) Peers() []string {
	servers, _, err := s.node.Configuration()
	if err != nil {
		return []string{}
	}
	addrs := make([]string, 0, len(servers))
	for _, p := range servers {
		addrs = append(addrs, p.Address)
	}
	slices.Sort(addrs)
	return addrs
}

// progress says how far this server's log is.
func (s *Server) progress() *progress {
	stats := s.node.Stats()
	p := &progress{}
	p.LastTerm, _ = strconv.ParseUint(stats["last_log_term"], 10, 64)
	p.LastIndex, _ = strconv.ParseUint(stats["last_log_index"], 10, 64)
	if !s.node.Leadership().Get().IsLeader {
		p.LastContact = s.node.LastContact()
	}
	return p
}

// Stats returns the groups "consul" and "raft" of /v1/agent/self.
func (s *Server) Stats() map[string]map[string]string {
	l := s.node.Leadership().Get()
	return map[string]map[string]string{
		"consul": {
			"server":            "true",
			"leader":            strconv.FormatBool(l.IsLeader),
			"leader_addr":       l.LeaderAddr,
			"bootstrap":         strconv.FormatBool(s.cfg.Bootstrap),
			"known_datacenters": "1",
			"acl":               "disabled",
		},
		"raft": maps.Clone(s.node.Stats()),
	}
}

// members returns the LAN members and what closes when they change.
func (s *Server) members() ([]gossip.Member, <-chan struct{}) {
	_, changed := s.cfg.LAN.Changes().Watch()
	return s.cfg.LAN.Members(), changed
}

// Servers returns the servers among the LAN members.
func (s *Server) Servers() []gossip.Server {
	var out []gossip.Server
	for _, m := range s.cfg.LAN.Members() {
		if server, ok := gossip.ServerOf(m); ok {
			out = append(out, server)
		}
	}
	return out
}

// removalTime bounds how long a leaving server waits to be taken out of Raft.
const removalTime = 15 * time.Second

// Leave takes this server out of the cluster: a leader hands over, the others
// are told, and the new leader removes it from Raft. The agent stops afterwards.
func (s *Server) Leave(ctx context.Context) error {
	peers := len(s.Peers())
	if peers > 1 {
		if err := s.handOver(); err != nil {
			return err
		}
	}
	// Each pool waits for seconds until the word has spread.
	var (
		leaving sync.WaitGroup
		wanErr  error
	)
	if s.cfg.WAN != nil {
		leaving.Go(func() { wanErr = s.cfg.WAN.Leave(ctx) })
	}
	err := s.cfg.LAN.Leave(ctx)
	leaving.Wait()
	if peers > 1 {
		s.awaitRemoval(ctx)
	}
	return errors.Join(wanErr, err)
}

// awaitRemoval returns once Raft no longer counts on this server.
func (s *Server) awaitRemoval(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, removalTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		servers, _, err := s.node.Configuration()
		if err != nil || !slices.ContainsFunc(servers, func(p consensus.Server) bool { return p.ID == s.cfg.NodeID }) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.log.Warn("the others have not removed this server from Raft yet", "waited", removalTime)
			return
		}
	}
}

// floodEvery is how often a server makes sure that the servers of its
// datacenter are in the WAN pool too.
const floodEvery = time.Minute

// floodWAN joins the WAN pools of the LAN's servers, so that joining one server
// of another datacenter is enough.
func (s *Server) floodWAN(ctx context.Context, ready func()) error {
	ready()
	for {
		_, changed := s.cfg.LAN.Changes().Watch()
		in := map[string]bool{}
		for _, m := range s.cfg.WAN.Members() {
			if m.Status == gossip.StatusAlive {
				in[net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port)))] = true
			}
		}
		for _, server := range s.Servers() {
			if server.Status != gossip.StatusAlive || server.WANAddr == "" || in[server.WANAddr] || server.ID == s.cfg.NodeID {
				continue
			}
			if _, err := s.cfg.WAN.Join(ctx, []string{server.WANAddr}); err != nil {
				s.log.Debug("a server of this datacenter cannot be joined over the WAN yet", "server", server.Name, "error", err)
			}
		}
		backoff.PauseUntil(ctx, changed, floodEvery)
		if ctx.Err() != nil {
			return nil
		}
	}
}
