package agent

import (
	"context"
	"strconv"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/kv/kvapi"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/operatorapi"
	"github.com/ctl-sh/ctl/internal/remote"
	"github.com/ctl-sh/ctl/internal/server"
	"github.com/ctl-sh/ctl/internal/statusapi"
)

// clientRole is the backend of an agent that is no server.
type clientRole struct {
	*remote.Client
	lan           *gossip.Pool
	maxValueBytes int64
}

func (a *Agent) newClient(rt *config.Runtime) backend {
	log := a.log.With(logging.KeyComponent, "agent.client")
	return &clientRole{
		Client: remote.New(rt.Datacenter, a.lan, a.pool, log, server.Forward),
		lan:    a.lan, maxValueBytes: int64(rt.Limits.KVMaxValueSize),
	}
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
func (r *clientRole) reload(*config.Runtime) error { return nil }

// routes implements backend.
func (r *clientRole) routes() []httpapi.Route {
	return nounRoutes(&kvapi.API{MaxValueBytes: r.maxValueBytes}, &catalogapi.API{Authz: authz.Open{}}, &statusapi.API{}, &operatorapi.API{})
}
