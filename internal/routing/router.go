package routing

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/signal"
)

const (
	// rebalanceMin and rebalanceSpread give the time between two shuffles:
	// two to three minutes.
	rebalanceMin    = 2 * time.Minute
	rebalanceSpread = time.Minute
	// shufflesPerSecond bounds how many agents of a large cluster move their
	// connections to one server in a second.
	shufflesPerSecond = 64
)

// Target says which server of a datacenter is wanted.
type Target uint8

const (
	// AnyServer is any server but this one.
	AnyServer Target = iota
	// TheLeader is the server that leads.
	TheLeader
)

// Source tells of members: a gossip.Pool.
type Source interface {
	// Members returns all known members.
	Members() []gossip.Member
	// Changes moves on with every change of a member.
	Changes() *signal.Value[uint64]
}

// Config describes a [Router].
type Config struct {
	// Datacenter is this agent's, meant where a datacenter is empty.
	Datacenter string
	// SelfID is this agent's node id if it is a server; AnyServer never
	// picks it.
	SelfID string
	// Sources are the pools to listen to: first the one of this datacenter,
	// which alone tells of it, then others. Of further datacenters the first
	// that knows a server tells.
	Sources []Source
	// Logger takes changes of the server list; nil drops them.
	Logger *slog.Logger
}

// Router picks servers. Build it with [New], keep it current with [Router.Run].
// Its methods may be called by any number of goroutines.
type Router struct {
	cfg     Config
	log     *slog.Logger
	changes signal.Value[uint64]

	// table is read without a lock and replaced as a whole.
	table atomic.Pointer[table]
	mu    sync.Mutex // held while a new table is made of the old one
}

// table is everything known at one moment. It is never changed.
type table struct {
	byDC    map[string][]gossip.Server // in order of preference
	leaders map[string]string          // RPC address by datacenter
	members int                        // of all sources, for the rebalance rate
}

// New returns a router that knows nobody yet.
func New(cfg Config) *Router {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Router{cfg: cfg, log: cfg.Logger}
	r.table.Store(&table{})
	return r
}

// Run reads the sources, calls ready, and follows them until ctx ends. It
// returns nil.
func (r *Router) Run(ctx context.Context, ready func()) error {
	changed := make(chan struct{}, 1)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	for _, s := range r.cfg.Sources {
		_, next := s.Changes().Watch() // before the first reading: nothing is missed
		watchers.Go(func() { follow(ctx, s, next, changed) })
	}
	r.refresh()
	ready()
	rebalance := time.NewTimer(r.rebalanceAfter())
	defer rebalance.Stop()
	for {
		select {
		case <-changed:
			r.refresh()
		case <-rebalance.C:
			r.rebalance()
			rebalance.Reset(r.rebalanceAfter())
		case <-ctx.Done():
			return nil
		}
	}
}

// follow passes on the changes of a source.
func follow(ctx context.Context, s Source, next <-chan struct{}, changed chan<- struct{}) {
	for {
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
		_, next = s.Changes().Watch()
		select {
		case changed <- struct{}{}:
		default: // it is already told
		}
	}
}

// Pick returns a server of the datacenter (empty is this agent's) at none of
// the excluded RPC addresses. It never blocks. It fails with NoPath when the
// datacenter is unknown or none of its servers is left, and with NoLeader when
// nobody is known to lead or the leader is excluded; the texts are those of the
// HTTP API. To wait for a server, watch [Router.Changes] from before the pick.
func (r *Router) Pick(datacenter string, target Target, exclude ...string) (gossip.Server, error) {
	t := r.table.Load()
	dc := r.datacenter(datacenter)
	if target == TheLeader {
		return t.leader(dc, exclude)
	}
	servers, known := t.byDC[dc]
	for _, s := range servers {
		if !slices.Contains(exclude, s.Addr) && (r.cfg.SelfID == "" || s.ID != r.cfg.SelfID) {
			return s, nil
		}
	}
	if !known && dc != r.cfg.Datacenter {
		return gossip.Server{}, failure.New(failure.NoPath, failure.TextNoPath)
	}
	return gossip.Server{}, failure.New(failure.NoPath, failure.TextNoServers)
}

func (t *table) leader(dc string, exclude []string) (gossip.Server, error) {
	addr := t.leaders[dc]
	if addr == "" || slices.Contains(exclude, addr) {
		return gossip.Server{}, failure.New(failure.NoLeader, failure.TextNoLeader)
	}
	for _, s := range t.byDC[dc] {
		if s.Addr == addr {
			return s, nil
		}
	}
	// Raft knows its leader before and after gossip does.
	return gossip.Server{Addr: addr, Datacenter: dc}, nil
}

func (r *Router) datacenter(dc string) string {
	if dc == "" {
		return r.cfg.Datacenter
	}
	return dc
}

// NotifyFailed tells that the server at an RPC address did not answer: it is
// asked last from now on.
func (r *Router) NotifyFailed(addr string) {
	r.update(func(t *table) bool {
		found := false
		for dc, servers := range t.byDC {
			i := slices.IndexFunc(servers, func(s gossip.Server) bool { return s.Addr == addr })
			if i < 0 || len(servers) == 1 {
				continue
			}
			found = true
			failed := servers[i]
			servers = append(slices.Delete(slices.Clone(servers), i, i+1), failed)
			t.byDC[dc] = aliveFirst(servers)
		}
		return found
	})
}

// SetLeader tells who leads a datacenter (empty is this agent's), by RPC
// address; empty is nobody.
func (r *Router) SetLeader(datacenter, addr string) {
	dc := r.datacenter(datacenter)
	r.update(func(t *table) bool {
		if t.leaders[dc] == addr {
			return false
		}
		t.leaders[dc] = addr
		return true
	})
}

// Leader returns the RPC address of who leads a datacenter, or "".
func (r *Router) Leader(datacenter string) string {
	return r.table.Load().leaders[r.datacenter(datacenter)]
}

// Changes moves on with every change of what Pick may answer.
func (r *Router) Changes() *signal.Value[uint64] { return &r.changes }

// Servers returns the servers of a datacenter (empty is this agent's), this
// agent and failed ones among them, in the order they are asked. The slice is
// shared: treat it as read-only.
func (r *Router) Servers(datacenter string) []gossip.Server {
	return r.table.Load().byDC[r.datacenter(datacenter)]
}

// Server returns the server with a node id in a datacenter (empty is this
// agent's).
func (r *Router) Server(datacenter, id string) (gossip.Server, bool) {
	for _, s := range r.Servers(datacenter) {
		if s.ID == id {
			return s, true
		}
	}
	return gossip.Server{}, false
}

// Datacenters returns the datacenters with a known server, this agent's first,
// the others by name.
func (r *Router) Datacenters() []string {
	t := r.table.Load()
	dcs := make([]string, 0, len(t.byDC))
	for dc := range t.byDC {
		dcs = append(dcs, dc)
	}
	slices.SortFunc(dcs, func(a, b string) int {
		switch r.cfg.Datacenter {
		case a:
			return -1
		case b:
			return 1
		}
		return strings.Compare(a, b)
	})
	return dcs
}

// update replaces the table by what change makes of a copy, if it says so. The
// copy's slices are still shared.
func (r *Router) update(change func(*table) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.table.Load().clone()
	if change(next) {
		r.table.Store(next)
		r.changes.Update(func(n uint64) uint64 { return n + 1 })
	}
}

func (t *table) clone() *table {
	c := &table{
		byDC:    make(map[string][]gossip.Server, len(t.byDC)),
		leaders: make(map[string]string, len(t.leaders)+1),
		members: t.members,
	}
	maps.Copy(c.byDC, t.byDC)
	maps.Copy(c.leaders, t.leaders)
	return c
}

// rebalanceAfter returns the time to the next shuffle.
func (r *Router) rebalanceAfter() time.Duration {
	t := r.table.Load()
	return rebalanceInterval(t.members, len(t.byDC[r.cfg.Datacenter]))
}

func rebalanceInterval(members, servers int) time.Duration {
	least := rebalanceMin + rand.N(rebalanceSpread)
	scaled := time.Duration(members) * time.Second / time.Duration(shufflesPerSecond*max(servers, 1))
	return max(least, scaled)
}

// rebalance shuffles the servers, so that load follows servers that came back.
func (r *Router) rebalance() {
	r.update(func(t *table) bool {
		for dc, servers := range t.byDC {
			t.byDC[dc] = shuffled(servers)
		}
		return true
	})
	r.log.Debug("server list shuffled")
}

func shuffled(servers []gossip.Server) []gossip.Server {
	servers = slices.Clone(servers)
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	return aliveFirst(servers)
}

// aliveFirst moves servers that gossip calls failed behind the others, in place.
func aliveFirst(servers []gossip.Server) []gossip.Server {
	slices.SortStableFunc(servers, func(a, b gossip.Server) int {
		return rank(a) - rank(b)
	})
	return servers
}

func rank(s gossip.Server) int {
	if s.Status == gossip.StatusFailed {
		return 1
	}
	return 0
}
