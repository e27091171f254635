package agentapi

import (
	"context"
	"maps"
	"runtime"
	"strconv"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// Self is the agent as /v1/agent/self shows it. Members are those of the public
// JSON. The edge only reads the maps.
type Self struct {
	Config Config
	// DebugConfig is every setting, secrets hidden.
	DebugConfig map[string]any
	// Coord is nil where coordinates are disabled.
	Coord  *gossip.Coordinate
	Member gossip.Member
	// Stats are groups of figures. The edge adds the groups agent, build and
	// runtime where they are missing.
	Stats map[string]map[string]string
	// Meta is the node's metadata.
	Meta map[string]string
}

// Config is the part of the configuration that clients look at.
type Config struct {
	Datacenter        string
	PrimaryDatacenter string
	NodeName          string
	NodeID            string
	// Revision, Version, BuildDate and CtlVersion are filled by the edge:
	// Version is the Consul version ctl is compatible with, because clients
	// compare it.
	Revision   string
	Server     bool
	Version    string
	BuildDate  string
	CtlVersion string
}

func (a *API) self(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	build := buildinfo.Get()
	s := a.Agent.Self()
	s.Config.Revision, s.Config.BuildDate = build.Commit, build.Date
	s.Config.Version, s.Config.CtlVersion = buildinfo.ConsulCompat, build.Version
	stats := map[string]map[string]string{
		"agent":   {"check_monitors": "0", "check_ttls": "0", "checks": "0", "services": "0"},
		"build":   {"prerelease": "", "revision": build.Commit, "version": buildinfo.ConsulCompat, "version_metadata": "ctl", "ctl_version": build.Version},
		"runtime": runtimeStats(),
	}
	maps.Copy(stats, s.Stats)
	s.Stats = stats
	if s.Meta == nil {
		s.Meta = map[string]string{}
	}
	return &httpapi.Response{Body: s}, nil
}

func runtimeStats() map[string]string {
	return map[string]string{
		"arch":       runtime.GOARCH,
		"cpu_count":  strconv.Itoa(runtime.NumCPU()),
		"goroutines": strconv.Itoa(runtime.NumGoroutine()),
		"max_procs":  strconv.Itoa(runtime.GOMAXPROCS(0)),
		"os":         runtime.GOOS,
		"version":    runtime.Version(),
	}
}

// version needs no token, so that anybody can tell what answers.
func (a *API) version(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	build := buildinfo.Get()
	return &httpapi.Response{Body: struct{ SHA, BuildDate, HumanVersion, FIPS, CtlVersion string }{
		SHA: build.Commit, BuildDate: build.Date, HumanVersion: buildinfo.ConsulCompat, CtlVersion: build.Version,
	}}, nil
}
