package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/ctl-sh/ctl/internal/agentapi"
	"github.com/ctl-sh/ctl/internal/agentapi/connectapi"
	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// routes returns the routes of this agent itself.
func (a *Agent) routes() []httpapi.Route {
	rt := a.rt.Load()
	api := &agentapi.API{
		Agent: apiView{a}, Gossip: a.lan, Joins: a.joining, Logs: a.cfg.Logs, Metrics: a.metrics, Authz: authz.Open{},
		NodeName: rt.NodeName, DataDir: rt.DataDir, EnableDebug: func() bool { return a.rt.Load().EnableDebug },
	}
	certificates := &connectapi.API{
		Certificates: a.leaves, Authz: authz.Open{}, Datacenter: rt.Datacenter,
		DefaultWait: rt.DefaultQueryTime, MaxWait: rt.MaxQueryTime,
	}
	return slices.Concat(api.Routes(), certificates.Routes())
}

// joining tells how far the joins are.
func (a *Agent) joining() []gossip.JoinProgress {
	var list []gossip.JoinProgress
	for _, r := range a.retry {
		list = append(list, r.Progress().Get())
	}
	return list
}

// apiView is the agent as its own HTTP routes see it. It implements
// agentapi.Agent.
type apiView struct{ a *Agent }

// Self implements agentapi.Agent.
func (l apiView) Self() agentapi.Self {
	a, rt := l.a, l.a.rt.Load()
	s := agentapi.Self{
		Config: agentapi.Config{
			Datacenter: rt.Datacenter, PrimaryDatacenter: rt.PrimaryDatacenter,
			NodeName: rt.NodeName, NodeID: a.id, Server: rt.Server,
		},
		DebugConfig: rt.Redacted(),
		Member:      a.lan.LocalMember(),
		Meta:        maps.Clone(rt.NodeMeta),
		Stats:       a.back.stats(),
	}
	s.DebugConfig["NodeID"] = a.id
	if !rt.DisableCoordinates {
		c := a.lan.Coordinate()
		s.Coord = &c
	}
	s.Stats["serf_lan"] = a.lan.Stats()
	if a.wan != nil {
		s.Stats["serf_wan"] = a.wan.Stats()
	}
	ttls, monitors := a.services.runner.Counts()
	s.Stats["agent"] = map[string]string{
		"check_ttls": strconv.Itoa(ttls), "check_monitors": strconv.Itoa(monitors),
		"checks": strconv.Itoa(len(a.services.state.Checks())), "services": strconv.Itoa(len(a.services.state.Services())),
	}
	s.Stats["consul"]["blocking_queries"] = strconv.FormatInt(a.mux.Blocking(), 10)
	return s
}

// Members implements agentapi.Agent.
func (l apiView) Members(wan bool) []gossip.Member {
	if p := l.pool(wan); p != nil {
		return p.Members()
	}
	return nil
}

func (l apiView) pool(wan bool) *gossip.Pool {
	if wan {
		return l.a.wan
	}
	return l.a.lan
}

// errNoWAN is the answer to WAN requests at an agent that is not in that pool.
var errNoWAN = failure.New(failure.Invalid, "this agent is not in the WAN pool: only servers are, and only with ports.serf_wan on")

// Join implements agentapi.Agent.
func (l apiView) Join(ctx context.Context, addrs []string, wan bool) (int, error) {
	p := l.pool(wan)
	if p == nil {
		return 0, errNoWAN
	}
	n, err := p.Join(ctx, addrs)
	var none *gossip.JoinError
	if errors.As(err, &none) && len(none.Failures) == 0 {
		return 0, nil // an agent has always joined itself: scripts join a whole list
	}
	return n, err
}

// ForceLeave implements agentapi.Agent.
func (l apiView) ForceLeave(ctx context.Context, node string, prune, wan bool) error {
	if wan {
		if l.a.wan == nil {
			return errNoWAN
		}
		return l.a.wan.ForceLeave(ctx, node, prune)
	}
	err := l.a.lan.ForceLeave(ctx, node, prune)
	if err != nil || l.a.wan == nil {
		return err
	}
	// A server is in the WAN pool, too, under another name; a client is not.
	wanName := gossip.WANName(node, l.a.rt.Load().Datacenter)
	for _, m := range l.a.wan.Members() {
		if m.Name == wanName {
			err = errors.Join(err, l.a.wan.ForceLeave(ctx, wanName, prune))
		}
	}
	return err
}

// Leave implements agentapi.Agent.
func (l apiView) Leave(ctx context.Context) error {
	err := l.a.Leave(context.WithoutCancel(ctx))
	l.a.Stop()
	return err
}

// Reload implements agentapi.Agent.
func (l apiView) Reload(ctx context.Context) error { return l.a.Reload(ctx) }
