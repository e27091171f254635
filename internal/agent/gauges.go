package agent

import (
	"context"
	"math"
	"time"

	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/kv"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/telemetry"
)

// gaugesEvery is how often gauges that nobody sets as things happen are set.
const gaugesEvery = 10 * time.Second

// keepGauges sets the gauges of what this agent sees and, on a server, of the
// state.
func (a *Agent) keepGauges(ctx context.Context, ready func()) error {
	ready()
	dc := telemetry.Label{Name: "datacenter", Value: a.rt.Load().Datacenter}
	leaf := a.metrics.Gauge("mesh.leaf.expiry")
	servers, clients := a.metrics.Gauge("members.servers", dc), a.metrics.Gauge("members.clients", dc)
	expiry := a.metrics.Gauge("agent.tls.cert.expiry")
	tick := time.NewTicker(gaugesEvery)
	defer tick.Stop()
	for {
		if end, ok := a.tls.Expiry(); ok {
			expiry.Set(time.Until(end).Seconds())
		}
		n := map[bool]float64{}
		for _, m := range a.lan.Members() {
			if m.Status == gossip.StatusAlive {
				_, isServer := gossip.ServerOf(m)
				n[isServer]++
			}
		}
		servers.Set(n[true])
		clients.Set(n[false])
		leaf.Set(math.NaN())
		if n, left := a.leaves.Leaves(); n > 0 {
			leaf.Set(left.Seconds())
		}
		a.back.gauges()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// serverGauges are what a server says about its state.
type serverGauges struct {
	isLeader, applied, last, blocking *telemetry.Gauge
	healthy, tolerance                *telemetry.Gauge
	nodes, instances, keys            *telemetry.Gauge
	root, signing                     *telemetry.Gauge
	queries                           *telemetry.Counter
	counted                           uint64 // reads already in queries
}

func newServerGauges(m *telemetry.Metrics, dc string) *serverGauges {
	label := telemetry.Label{Name: "datacenter", Value: dc}
	return &serverGauges{
		isLeader: m.Gauge("server.isLeader"), applied: m.Gauge("raft.applied_index"), last: m.Gauge("raft.last_index"),
		blocking: m.Gauge("rpc.queries_blocking"), queries: m.Counter("rpc.query"),
		healthy: m.Gauge("autopilot.healthy"), tolerance: m.Gauge("autopilot.failure_tolerance"),
		root: m.Gauge("mesh.active-root-ca.expiry"), signing: m.Gauge("mesh.active-signing-ca.expiry"),
		nodes: m.Gauge("state.nodes", label), instances: m.Gauge("state.service_instances", label), keys: m.Gauge("state.kv_entries", label),
	}
}

// gauges implements backend.
func (r *serverRole) gauges() {
	g := r.measured
	reads := r.Reader().Reads()
	g.queries.Add(float64(reads - g.counted))
	g.counted = reads
	g.blocking.Set(float64(r.Reader().Blocked()))
	g.applied.Set(float64(r.Applied()))
	g.last.Set(float64(r.LastIndex()))
	g.isLeader.Set(truth(r.Leadership().Get().IsLeader))
	g.healthy.Set(math.NaN())
	g.tolerance.Set(math.NaN())
	if h, err := r.Health(context.Background()); err == nil && h.Leader != "" {
		g.healthy.Set(truth(h.Healthy))
		g.tolerance.Set(float64(h.FailureTolerance))
	}
	// The root signs leaves itself: both gauges say the same.
	expiry := math.NaN()
	if left, ok := r.ca.Expiry(time.Now()); ok && r.Leadership().Get().IsLeader {
		expiry = left.Seconds()
	}
	g.root.Set(expiry)
	g.signing.Set(expiry)
	tx, _ := r.DB().Read()
	for table, gauge := range map[string]*telemetry.Gauge{
		catalog.TableNodes: g.nodes, catalog.TableServices: g.instances, kv.TableEntries: g.keys,
	} {
		n, err := store.Count(tx, table)
		if err != nil {
			r.agent.log.Warn("a table cannot be counted", "table", table, logging.KeyError, err)
			continue
		}
		gauge.Set(float64(n))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// applySamples returns what takes the time of each noun's writes.
func applySamples(m *telemetry.Metrics) func(typ uint8, began time.Time) {
	samples := [256]*telemetry.Sample{
		kv.TypeChange:          m.Sample("kvs.apply"),
		kv.TypeReap:            m.Sample("leader.reapTombstones"),
		catalog.TypeRegister:   m.Sample("catalog.register"),
		catalog.TypeDeregister: m.Sample("catalog.deregister"),
		autopilot.TypeChange:   m.Sample("autopilot.apply"),
	}
	return func(typ uint8, began time.Time) {
		if s := samples[typ]; s != nil {
			s.Since(began)
		}
	}
}
