package agent

import (
	"os"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/telemetry"
)

// newMetrics makes the agent's metrics.
func newMetrics(rt *config.Runtime) *telemetry.Metrics {
	filter, _ := telemetry.ParseFilter(rt.Telemetry.PrefixFilter, rt.Telemetry.FilterDefault)
	c := telemetry.Config{Prefix: rt.Telemetry.MetricsPrefix, Filter: filter}
	if !rt.Telemetry.DisableHostname {
		if name, err := os.Hostname(); err == nil {
			c.Hostname = strings.ReplaceAll(name, ".", "_")
		}
	}
	m := telemetry.New(c)
	version, pre, _ := strings.Cut(buildinfo.Get().Version, "-")
	m.Gauge("version", telemetry.Label{Name: "version", Value: version}, telemetry.Label{Name: "pre_release", Value: pre}).Set(1)
	return m
}

// routeMetrics gives each HTTP route its sample. It implements httpapi.Metrics.
type routeMetrics struct{ m *telemetry.Metrics }

// Route implements httpapi.Metrics.
func (r routeMetrics) Route(method, path string) httpapi.Observer {
	return routeObserver{r.m.Sample("api.http", telemetry.Label{Name: "method", Value: method}, telemetry.Label{Name: "path", Value: path})}
}

type routeObserver struct{ sample *telemetry.Sample }

// Observe implements httpapi.Observer.
func (o routeObserver) Observe(_ int, d time.Duration) {
	o.sample.Observe(float64(d) / float64(time.Millisecond))
}
