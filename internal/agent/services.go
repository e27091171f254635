package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/agentapi/serviceapi"
	"github.com/ctl-sh/ctl/internal/antientropy"
	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/declared"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/local"
	"github.com/ctl-sh/ctl/internal/logging"
)

// services are this agent's own: what it knows of them, what runs their checks,
// and what tells the catalog.
type services struct {
	state  *local.State
	runner *checks.Runner
	sync   *antientropy.Syncer
	lan    *gossip.Pool
	left   atomic.Bool // the catalog is to forget this node
}

// newServices takes in what the data directory keeps and what the configuration
// defines.
func (a *Agent) newServices(rt *config.Runtime) (*services, error) {
	log := a.log.With(logging.KeyComponent, "agent.services")
	s := &services{lan: a.lan}
	var agentTLS func() *tls.Config
	if rt.EnableAgentTLSForChecks {
		agentTLS = a.tls.Client
	}
	s.runner = checks.New(checks.Config{
		AgentTLS: agentTLS, OutputMaxSize: rt.CheckOutputMaxSize, DiscardOutput: rt.DiscardCheckOutput,
		Requester: requester{a}, DockerHost: os.Getenv("DOCKER_HOST"), Logger: log,
	})
	dir := rt.DataDir
	if rt.DevMode {
		dir = ""
	}
	s.state = local.New(local.Config{
		Node: a.catalogNode(rt), Dir: dir, CheckUpdateInterval: rt.CheckUpdateInterval,
		AllowScripts: rt.EnableScriptChecks, Logger: log,
	}, s.runner)
	s.sync = antientropy.New(antientropy.Config{
		Nodes: func() int { return len(a.lan.Members()) }, Logger: log,
	}, s.state, untilLeft{requester{a}, &s.left})
	if err := s.state.Load(); err != nil {
		return nil, fmt.Errorf("take in the services kept in data_dir: %w", err)
	}
	d, err := s.defined(rt)
	if err != nil {
		return nil, err
	}
	return s, s.state.Reload(d.Services, d.Checks)
}

// untilLeft makes the requests of anti-entropy until the agent leaves. A node that
// has left is deregistered by the leader, and must not be registered again by
// itself while it still serves.
type untilLeft struct {
	requester
	left *atomic.Bool
}

var errLeft = errors.New("this agent has left its cluster")

// Do makes one request.
func (u untilLeft) Do(ctx context.Context, method, path string, query url.Values, body []byte) (int, http.Header, []byte, error) {
	if u.left.Load() {
		return 0, nil, nil, errLeft
	}
	return u.requester.Do(ctx, method, path, query, body)
}

// catalogNode is this node as the catalog should have it.
func (a *Agent) catalogNode(rt *config.Runtime) local.Node {
	return local.Node{
		ID: a.id, Name: rt.NodeName, Address: rt.SerfLAN.Advertise.Addr().String(), Datacenter: rt.Datacenter,
		TaggedAddresses: rt.TaggedAddresses,
		Meta:            catalogMeta(rt),
	}
}

// catalogMeta is this node's metadata, with what every node has.
func catalogMeta(rt *config.Runtime) map[string]string {
	meta := map[string]string{"consul-network-segment": "", "consul-version": buildinfo.ConsulCompat}
	maps.Copy(meta, rt.NodeMeta)
	return meta
}

// defined reads what the configuration defines and says what cannot be used.
func (s *services) defined(rt *config.Runtime) (declared.Definitions, error) {
	d, err := declared.Read(rt.Config)
	if err == nil {
		err = s.state.Usable(d.Services, d.Checks)
	}
	if err != nil {
		return d, failure.Wrap(failure.Invalid, err)
	}
	return d, nil
}

// reload takes what changed in the configuration; d is what defined found in it.
func (s *services) reload(rt *config.Runtime, d declared.Definitions) error {
	s.runner.SetDiscardOutput(rt.DiscardCheckOutput)
	s.state.SetNodeMeta(catalogMeta(rt))
	return s.state.Reload(d.Services, d.Checks)
}

// api returns the edge of the services.
func (s *services) api(rt *config.Runtime, log *logging.Logs) *serviceapi.API {
	return &serviceapi.API{
		State: s.state, Push: soon{s.sync}, Authz: authz.Open{}, Logger: log.Logger(),
		NodeName: rt.NodeName, Datacenter: rt.Datacenter, AllowScripts: rt.EnableScriptChecks,
	}
}

// pushTime bounds how long a registration waits for the catalog to be told: it
// holds here in any case, and anti-entropy tells later.
const pushTime = 3 * time.Second

// soon tells the catalog what changed, or gives up soon.
type soon struct{ sync *antientropy.Syncer }

// Push implements serviceapi.Pusher.
func (s soon) Push(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	return s.sync.Push(ctx)
}

// parts returns what runs.
func (s *services) parts() []lifecycle.Part {
	return []lifecycle.Part{
		{Name: "checks", Run: s.runner.Run},
		{Name: "services", Run: s.state.Run},
		{Name: "anti-entropy", Run: s.sync.Run},
		{Name: "new servers", Run: s.watchServers},
	}
}

// watchServers has everything compared when a server appears: it may be the
// first that can be told anything.
func (s *services) watchServers(ctx context.Context, ready func()) error {
	ready()
	for known := 0; ; {
		_, changed := s.lan.Changes().Watch()
		alive := 0
		for _, m := range s.lan.Members() {
			if _, ok := gossip.ServerOf(m); ok && m.Status == gossip.StatusAlive {
				alive++
			}
		}
		if alive > known {
			s.sync.Trigger()
		}
		known = alive
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// eventRemoved tells an agent that something of its node was removed from the
// catalog. The payload is the node's name. It is a hint: an agent that does not
// hear it sees when it compares.
const eventRemoved = "ctl:removed"

// member reports whether gossip knows a node.
func (a *Agent) member(node string) bool {
	return slices.ContainsFunc(a.lan.Members(), func(m gossip.Member) bool { return strings.EqualFold(m.Name, node) })
}

// hintRemoved tells the agent of a node that it should look.
func (a *Agent) hintRemoved(node string) {
	if err := a.lan.FireUserEvent(eventRemoved, []byte(node), false); err != nil {
		a.log.Debug("an agent could not be told that something of it was removed; it sees soon", logging.KeyNode, node, logging.KeyError, err)
	}
}

// heard takes the events of gossip.
func (a *Agent) heard(e gossip.UserEvent) {
	if e.Name == eventRemoved && strings.EqualFold(string(e.Payload), a.rt.Load().NodeName) {
		a.services.sync.Recheck()
	}
}
