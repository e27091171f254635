package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/store"
)

// How often the leader compares gossip and catalog.
const (
	// reconcileEvery repairs what was missed or changed by hand.
	reconcileEvery = 60 * time.Second
	// settleTime gathers changes that come together.
	settleTime = 50 * time.Millisecond
)

// Outputs of the serfHealth check. Clients show and match them.
const (
	outputAlive  = "Agent alive and reachable"
	outputFailed = "Agent not live or unreachable"
)

// reconciler is the leader's duty to keep the catalog's nodes, their serfHealth
// check and the Raft peers true to gossip. It writes only what differs.
type reconciler struct {
	dc      string
	db      *store.DB
	log     *slog.Logger
	members func() ([]gossip.Member, <-chan struct{})
	apply   func(ctx context.Context, typ uint8, body codec.Message) (any, error)
	// addPeer and removePeer keep the Raft configuration; they do nothing
	// when there is nothing to do.
	addPeer    func(ctx context.Context, s gossip.Server) error
	removePeer func(ctx context.Context, s gossip.Server) error
	observe    func(began time.Time)
}

// run reconciles at once, at every change of the members and now and then.
func (r *reconciler) run(ctx context.Context) error {
	for {
		members, changed := r.members()
		began := time.Now()
		if err := r.reconcile(ctx, members); err != nil {
			return err
		}
		r.observe(began)
		if backoff.PauseUntil(ctx, changed, reconcileEvery) {
			backoff.Pause(ctx, settleTime)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// reconcile goes through all members and all nodes. What fails for one does not
// keep the others from being reconciled.
func (r *reconciler) reconcile(ctx context.Context, members []gossip.Member) error {
	var errs []error
	known := map[string]bool{}
	for _, m := range members {
		if m.Tags["dc"] != r.dc {
			continue
		}
		known[m.Name] = true
		if err := r.member(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("member %s: %w", m.Name, err))
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	if err := r.reap(ctx, known); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *reconciler) member(ctx context.Context, m gossip.Member) error {
	server, isServer := gossip.ServerOf(m)
	switch m.Status {
	case gossip.StatusAlive, gossip.StatusLeaving:
		if err := r.register(ctx, m, catalog.Passing, outputAlive); err != nil {
			return err
		}
		if isServer && m.Status == gossip.StatusAlive {
			return r.addPeer(ctx, server)
		}
	case gossip.StatusFailed:
		// Removing a failed server from Raft is autopilot's.
		return r.register(ctx, m, catalog.Critical, outputFailed)
	case gossip.StatusLeft:
		if isServer {
			if err := r.removePeer(ctx, server); err != nil {
				return err
			}
		}
		return r.deregister(ctx, m.Name)
	default: // gossip has not said yet
	}
	return nil
}

func (r *reconciler) register(ctx context.Context, m gossip.Member, status, output string) error {
	reg := registration(m, r.dc, status, output)
	tx, _ := r.db.Read()
	// Addresses by name and metadata of a node that is there are its own agent's
	// to say.
	known, err := catalog.NodeNamed(tx, m.Name)
	if err != nil {
		return err
	}
	reg.SkipNodeUpdate = known != nil && known.ID == reg.Node.ID && known.Address == reg.Node.Address
	if done, err := catalog.Registered(tx, reg); done || err != nil {
		return err
	}
	r.log.Info("registering member", "node", m.Name, "status", status)
	reg.At = time.Now().Unix()
	_, err = r.apply(ctx, catalog.TypeRegister, reg)
	return err
}

// registration is the node, and on a server the service "consul", that a member
// stands for in the catalog.
func registration(m gossip.Member, dc, status, output string) *catalog.Registration {
	addresses := catalog.Labels{"lan": m.Addr, "wan": m.Addr}
	family := "ipv4"
	if ip, err := netip.ParseAddr(m.Addr); err == nil && ip.Is6() {
		family = "ipv6"
	}
	addresses["lan_"+family], addresses["wan_"+family] = m.Addr, m.Addr
	build, _, _ := strings.Cut(m.Tags["build"], ":")
	reg := &catalog.Registration{
		Node: catalog.Node{
			ID: m.Tags["id"], Node: m.Name, Address: m.Addr, Datacenter: dc, TaggedAddresses: addresses,
			Meta: catalog.Labels{"consul-network-segment": m.Tags["segment"], "consul-version": build},
		},
		Checks: []*catalog.Check{{CheckID: catalog.SerfHealth, Name: "Serf Health Status", Status: status, Output: output}},
	}
	if s, ok := gossip.ServerOf(m); ok {
		reg.Service = serverService(m, s)
	}
	return reg
}

func serverService(m gossip.Member, s gossip.Server) *catalog.Service {
	port := 0
	if ap, err := netip.ParseAddrPort(s.Addr); err == nil {
		port = int(ap.Port())
	}
	version, _, _ := strings.Cut(s.Build, ":")
	return &catalog.Service{
		ID: "consul", Service: "consul", Port: port,
		Weights: catalog.Weights{Passing: 1, Warning: 1},
		Meta: catalog.Labels{
			"version":               version,
			"raft_version":          strconv.Itoa(s.RaftVersion),
			"serf_protocol_current": strconv.Itoa(int(m.ProtocolCur)),
			"serf_protocol_min":     strconv.Itoa(int(m.ProtocolMin)),
			"serf_protocol_max":     strconv.Itoa(int(m.ProtocolMax)),
			"non_voter":             strconv.FormatBool(s.NonVoter),
			"read_replica":          strconv.FormatBool(s.NonVoter),
		},
	}
}

func (r *reconciler) deregister(ctx context.Context, name string) error {
	tx, _ := r.db.Read()
	n, err := catalog.NodeNamed(tx, name)
	if err != nil || n == nil {
		return err
	}
	r.log.Info("deregistering member", "node", name)
	_, err = r.apply(ctx, catalog.TypeDeregister, &catalog.Removal{Node: name})
	return err
}

// reap deregisters the nodes that gossip has forgotten: those with a serfHealth
// check and no member. Nodes registered by hand have no such check and stay.
func (r *reconciler) reap(ctx context.Context, known map[string]bool) error {
	tx, _ := r.db.Read()
	checks, _, err := catalog.ChecksInState(nil, tx, "any")
	if err != nil {
		return err
	}
	for _, c := range checks {
		if c.CheckID != catalog.SerfHealth || known[c.Node] {
			continue
		}
		if err := r.deregister(ctx, c.Node); err != nil {
			return fmt.Errorf("reap node %s: %w", c.Node, err)
		}
	}
	return nil
}
