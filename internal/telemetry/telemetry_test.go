package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gometrics "github.com/hashicorp/go-metrics"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite goldens")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text renders m and reads it back as Prometheus does.
func text(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	var b bytes.Buffer
	if err := m.WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	out, err := p.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// only keeps the lines about one metric.
func only(m *Metrics, name string) string {
	var b bytes.Buffer
	_ = m.WritePrometheus(&b)
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), name) {
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestTableIsGolden(t *testing.T) {
	var b strings.Builder
	seen := map[string]bool{}
	for _, d := range Definitions() {
		fmt.Fprintf(&b, "%s %s %s\n", d.Name, d.Kind, strings.Join(d.Labels, ","))
		if seen[textName(d.Name)] {
			t.Errorf("%s is there twice", d.Name)
		}
		seen[textName(d.Name)] = true
		if !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: help %q is not a sentence", d.Name, d.Help)
		}
	}
	const file = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("metric names are part of the interface; add, never change (-want +got):\n%s", d)
	}
}

func TestEverythingIsThereFromTheStart(t *testing.T) {
	got := text(t, New(Config{}))
	for _, d := range Definitions() {
		if len(d.Labels) > 0 {
			continue
		}
		f := got[textName("consul."+d.Name)]
		if f == nil {
			t.Errorf("%s is missing", d.Name)
			continue
		}
		if want := map[Kind]dto.MetricType{CounterKind: dto.MetricType_COUNTER, GaugeKind: dto.MetricType_GAUGE, SampleKind: dto.MetricType_SUMMARY}[d.Kind]; f.GetType() != want {
			t.Errorf("%s has type %v, want %v", d.Name, f.GetType(), want)
		}
	}
}

func TestTextIsWellFormed(t *testing.T) {
	m := New(Config{Prefix: "ctl-x.1"})
	m.Counter("undeclared.one", Label{"path", "a\"b\\c\nd"}).Inc()
	m.Gauge("undeclared.inf").Set(math.Inf(-1))
	m.Sample("raft.commitTime").Observe(12.5)
	var b bytes.Buffer
	if err := m.WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(&b).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		// Consul's names are older than Prometheus' taste.
		for _, known := range []string{"_total", "camelCase", "abbreviated", "type in name", "non-base unit", "non-counter", "should not be suffixed", "base unit", `"_count" suffix`} {
			if strings.Contains(p.Text, known) {
				p.Text = ""
			}
		}
		if p.Text != "" {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	f := text(t, m)["ctl_x_1_undeclared_one"]
	if got := f.GetMetric()[0].GetLabel()[0].GetValue(); got != "a\"b\\c\nd" {
		t.Errorf("label came back as %q", got)
	}
}

func TestCounter(t *testing.T) {
	m := New(Config{})
	c := m.Counter("rpc.request")
	c.Inc()
	c.Inc()
	c.Add(1)
	c.Add(2.5)
	for _, ignored := range []float64{-1, math.NaN(), math.Inf(1)} {
		c.Add(ignored)
	}
	if c.Total() != 5.5 {
		t.Errorf("total %v, want 5.5", c.Total())
	}
	want := "# HELP consul_rpc_request Requests that reached this server.\n# TYPE consul_rpc_request counter\nconsul_rpc_request 5.5\n"
	if got := only(m, "consul_rpc_request "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if m.Counter("rpc.request") != c {
		t.Error("resolved twice to different counters")
	}
}

func TestGauge(t *testing.T) {
	m := New(Config{})
	g := m.Gauge("raft.peers")
	g.Set(2)
	g.Add(-0.5)
	if g.Value() != 1.5 {
		t.Errorf("value %v, want 1.5", g.Value())
	}
	if got := only(m, "consul_autopilot_healthy "); !strings.HasSuffix(got, " NaN\n") {
		t.Errorf("health that nobody knows is %q, want NaN", got)
	}
	for _, v := range m.Snapshot().Gauges {
		if v.Name == "consul.autopilot.healthy" {
			t.Error("JSON holds a gauge nobody knows")
		}
	}
}

func TestSummary(t *testing.T) {
	m := New(Config{})
	s := m.Sample("api.http", Label{"path", "v1_kv_"}, Label{"method", "GET"})
	for i := range 1000 {
		s.Observe(float64(i + 1))
	}
	s.Observe(math.NaN())
	s.Observe(math.Inf(1))
	f := text(t, m)["consul_api_http"].GetMetric()
	if len(f) != 1 {
		t.Fatalf("%d series, want 1", len(f))
	}
	sum := f[0].GetSummary()
	if sum.GetSampleCount() != 1000 || sum.GetSampleSum() != 500500 {
		t.Errorf("count %d, sum %v; want 1000, 500500", sum.GetSampleCount(), sum.GetSampleSum())
	}
	for i, want := range []float64{500, 900, 990} {
		q := sum.GetQuantile()[i]
		if math.Abs(q.GetValue()-want)/want > 0.07 {
			t.Errorf("quantile %v is %v, want %v within 7 %%", q.GetQuantile(), q.GetValue(), want)
		}
	}
	if got := only(m, "consul_api_http_count"); got != "consul_api_http_count{method=\"GET\",path=\"v1_kv_\"} 1000\n" {
		t.Errorf("got %q", got)
	}
}

func TestQuantilesForget(t *testing.T) {
	m := New(Config{})
	s := m.Sample("raft.commitTime")
	median := func() float64 { return s.quantiles([]float64{0.5})[0] }
	if !math.IsNaN(median()) {
		t.Errorf("median of nothing is %v, want NaN", median())
	}
	s.Observe(1000)
	at := time.Now()
	tick := func(n int) {
		for range n {
			at = at.Add(Interval)
			m.rotate(at)
		}
	}
	tick(quantileWindow)
	s.Observe(1)
	s.Observe(1)
	if got := median(); got > 2 {
		t.Errorf("median %v, want about 1", got)
	}
	if got := s.quantiles([]float64{1})[0]; got < 900 {
		t.Errorf("after a minute the maximum is %v, want still about 1000", got)
	}
	tick(quantileWindow)
	if got := s.quantiles([]float64{1})[0]; got > 2 {
		t.Errorf("after two minutes the maximum is %v, want about 1", got)
	}
	tick(quantileWindow)
	if !math.IsNaN(median()) {
		t.Errorf("median is %v, want NaN: nothing for two minutes", median())
	}
	if f := text(t, m)["consul_raft_commitTime"].GetMetric()[0].GetSummary(); f.GetSampleCount() != 3 {
		t.Errorf("count %d, want 3: counts never reset", f.GetSampleCount())
	}
}

func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		name string
		v    float64
	}{
		{"zero", 0}, {"negative", -5}, {"tiny", 1e-9}, {"microsecond", 0.001}, {"one", 1},
		{"almost two", math.Nextafter(2, 0)}, {"two", 2}, {"an hour", 3.6e6}, {"a gigabyte", 1 << 30}, {"beyond", 1e300},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := bucketOf(c.v)
			if i < 0 || i >= bucketCount {
				t.Fatalf("bucket %d", i)
			}
			if c.v > 0 && lowerBound(i) > c.v {
				t.Errorf("%v is in bucket %d, which begins at %v", c.v, i, lowerBound(i))
			}
			if i < bucketCount-1 && lowerBound(i+1) <= c.v {
				t.Errorf("%v is in bucket %d, which ends at %v", c.v, i, lowerBound(i+1))
			}
		})
	}
	for i := range bucketCount - 1 {
		lo, hi := lowerBound(i), lowerBound(i+1)
		if hi <= lo || i > 0 && hi/lo > 1.126 {
			t.Fatalf("bucket %d is [%v, %v)", i, lo, hi)
		}
	}
}

func TestSnapshotShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands at 2000-01-01
		m := New(Config{Hostname: "host1", Filter: mustFilter(t, []string{"+consul.rpc.request", "+consul.raft.peers", "+consul.fsm.kvs"}, false)})
		m.Gauge("raft.peers").Set(3)
		c := m.Counter("rpc.request")
		c.Inc()
		c.Add(3)
		m.Sample("fsm.kvs", Label{"op", "set"}).Observe(2)
		m.Sample("fsm.kvs", Label{"op", "set"}).Observe(4)
		m.Sample("fsm.kvs", Label{"op", "cas"})
		m.rotate(time.Now().Add(Interval))
		c.Inc() // belongs to the next interval
		var b bytes.Buffer
		if err := m.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		const want = `{"Timestamp":"2000-01-01 00:00:00 +0000 UTC",` +
			`"Gauges":[{"Name":"consul.host1.raft.peers","Value":3,"Labels":{}}],"Points":[],` +
			`"Counters":[{"Name":"consul.rpc.request","Count":2,"Rate":0.4,"Sum":4,"Min":1,"Max":3,"Mean":2,"Stddev":1.4142135623730951,"Labels":{}},` +
			`{"Name":"consul.rpc.request_error","Count":0,"Rate":0,"Sum":0,"Min":0,"Max":0,"Mean":0,"Stddev":0,"Labels":{}}],` +
			`"Samples":[{"Name":"consul.fsm.kvs","Count":2,"Rate":0.6,"Sum":6,"Min":2,"Max":4,"Mean":3,"Stddev":1.4142135623730951,"Labels":{"op":"set"}}]}` + "\n"
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		// What the clients of the JSON decode into.
		var decoded gometrics.MetricsSummary
		if err := json.Unmarshal(b.Bytes(), &decoded); err != nil || decoded.Samples[0].Count != 2 {
			t.Errorf("go-metrics reads %+v, %v", decoded, err)
		}
	})
}

func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := m.Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
		})
		s, c := m.Sample("kvs.apply"), m.Counter("rpc.query")
		read := func() (sample, counter SampledValue) {
			snap := m.Snapshot()
			for _, v := range snap.Samples {
				if v.Name == "consul.kvs.apply" {
					sample = v
				}
			}
			for _, v := range snap.Counters {
				if v.Name == "consul.rpc.query" {
					counter = v
				}
			}
			return sample, counter
		}
		time.Sleep(time.Second)
		s.Observe(5)
		c.Inc()
		if a, b := read(); a.Max != 5 || b.Count != 1 {
			t.Errorf("in the first interval: %+v, %+v; want what there is", a, b)
		}
		time.Sleep(Interval)
		s.Observe(7)
		c.Inc()
		c.Inc()
		if a, b := read(); a.Count != 1 || a.Min != 5 || a.Max != 5 || b.Count != 1 {
			t.Errorf("in the second interval: %+v, %+v; want the first", a, b)
		}
		if got, want := m.Snapshot().Timestamp, "2000-01-01 00:00:00 +0000 UTC"; got != want {
			t.Errorf("timestamp %q, want %q", got, want)
		}
		for want := range 5 { // every slot comes round
			time.Sleep(Interval)
			if a, b := read(); want == 0 && (a.Min != 7 || a.Max != 7 || b.Count != 2) || want > 0 && (a.Count != 0 || b.Count != 0) {
				t.Errorf("%d intervals on: %+v, %+v", want, a, b)
			}
		}
		s.Observe(1)
		time.Sleep(Interval)
		if a, _ := read(); a.Min != 1 || a.Max != 1 || a.Mean != 1 {
			t.Errorf("extremes of old intervals came back: %+v", a)
		}
		if s.stats.count.Load() != 3 || c.Total() != 3 {
			t.Error("totals were reset")
		}
		cancel()
		wg.Wait()
	})
}

func TestRuntime(t *testing.T) {
	m := New(Config{})
	m.collectRuntime()
	for _, name := range []string{"runtime.num_goroutines", "runtime.alloc_bytes", "runtime.sys_bytes"} {
		if v := m.Gauge(name).Value(); v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	runs := m.Gauge("runtime.total_gc_runs").Value()
	if got := float64(m.Sample("runtime.gc_pause_ns").stats.count.Load()); got > runs {
		t.Errorf("%v pauses of %v collections", got, runs)
	}
	m.collect.gcs = 0
	m.collect.stats.NumGC = 1 << 20 // overwritten by the next reading
	m.collectRuntime()
}

func mustFilter(t *testing.T, rules []string, allow bool) Filter {
	t.Helper()
	f, warnings := ParseFilter(rules, allow)
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	return f
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []string
		allow bool
		want  map[string]bool
	}{
		{"no rules, allow", nil, true, map[string]bool{"consul.x": true}},
		{"no rules, deny", nil, false, map[string]bool{"consul.x": false}},
		{"forbidden prefix", []string{"-consul.raft"}, true, map[string]bool{"consul.raft.apply": false, "consul.rpc": true}},
		{"longest wins", []string{"-consul.raft", "+consul.raft.apply"}, true, map[string]bool{"consul.raft.apply": true, "consul.raft.peers": false}},
		{"order does not matter", []string{"+consul.raft.apply", "-consul.raft"}, true, map[string]bool{"consul.raft.apply": true, "consul.raft.peers": false}},
		{"same prefix twice is forbidden", []string{"+consul.raft", "-consul.raft"}, true, map[string]bool{"consul.raft.apply": false}},
		{"allowed against the default", []string{"+consul.raft"}, false, map[string]bool{"consul.raft.apply": true, "consul.rpc": false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := mustFilter(t, c.rules, c.allow)
			for name, want := range c.want {
				if got := f.allows(name); got != want {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
			}
		})
	}
	f, warnings := ParseFilter([]string{"consul.raft", "", "-consul.rpc"}, true)
	if len(warnings) != 2 || warnings[0] != `Filter rule must begin with either '+' or '-': "consul.raft"` || f.allows("consul.rpc.query") {
		t.Errorf("warnings %q; the good rule must hold", warnings)
	}
	m := New(Config{})
	m.SetFilter(mustFilter(t, []string{"+consul.raft.appl"}, false))
	if got := text(t, m); len(got) != 2 { // raft.apply and raft.applied_index
		t.Errorf("%d metrics, want 2", len(got))
	}
}

func TestPlaceholderGivesWayToLabels(t *testing.T) {
	m := New(Config{})
	if got := only(m, "consul_serf_member_join "); !strings.Contains(got, "consul_serf_member_join 0\n") {
		t.Errorf("before: %q", got)
	}
	m.Counter("serf.member.join", Label{"network", "lan"}).Inc()
	if got := only(m, "consul_serf_member_join"); strings.Contains(got, "join 0") || !strings.Contains(got, `join{network="lan"} 1`) {
		t.Errorf("after: %q", got)
	}
	m.Counter("serf.member.join").Inc()
	if got := only(m, "consul_serf_member_join"); !strings.Contains(got, "join 1\n") {
		t.Errorf("after it was counted itself: %q", got)
	}
}

func TestNumberOfSeriesIsBounded(t *testing.T) {
	m := New(Config{})
	for i := range 3 * maxSeries {
		m.Counter("dns.query", Label{"type", fmt.Sprint(i)}).Inc()
	}
	f := text(t, m)["consul_dns_query"].GetMetric()
	if len(f) != maxSeries+1 {
		t.Errorf("%d series, want %d and one for the rest", len(f), maxSeries)
	}
	rest := m.Counter("dns.query", Label{"type", "one more"})
	if want := float64(2 * maxSeries); rest.Total() != want {
		t.Errorf("the rest counted %v, want %v", rest.Total(), want)
	}
	before := len(m.families)
	for i := range 3 * maxMetrics {
		m.Counter(fmt.Sprintf("made.up%d", i)).Inc()
	}
	if got := len(m.families) - before; got != maxMetrics {
		t.Errorf("%d new metrics, want %d", got, maxMetrics)
	}
	if m.refused.Total() == 0 {
		t.Error("nothing says that series were refused")
	}
}

func TestWrongKindPanics(t *testing.T) {
	defer func() {
		if got, want := recover(), "telemetry: rpc.request is a counter, not a gauge"; got != want {
			t.Errorf("panic %v, want %q", got, want)
		}
	}()
	New(Config{}).Gauge("rpc.request")
}

func TestLabelsAreASet(t *testing.T) {
	m := New(Config{})
	a := m.Counter("x", Label{"b", "1"}, Label{"a", "2"})
	b := m.Counter("x", Label{"a", "old"}, Label{"a", "2"}, Label{"b", "1"})
	if a != b {
		t.Errorf("order or repetition made another series: %s", only(m, "consul_x"))
	}
}

func TestNothingIsAllocatedWhileRecording(t *testing.T) {
	m := New(Config{})
	c, g, s := m.Counter("rpc.request"), m.Gauge("raft.peers"), m.Sample("kvs.apply")
	b := newBridge(m)
	key, labels := []string{"raft", "replication", "heartbeat"}, []gometrics.Label{{Name: "peer_id", Value: "8e4c2f0a-0000-0000-0000-000000000000"}}
	for _, x := range []struct {
		name string
		f    func()
	}{
		{"Counter.Inc", c.Inc},
		{"Counter.Add", func() { c.Add(7) }},
		{"Gauge.Set", func() { g.Set(7) }},
		{"Sample.Observe", func() { s.Observe(7) }},
		{"bridge", func() { b.AddSampleWithLabels(key, 7, labels) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, x.f); got != 0 {
				t.Errorf("%v allocations, want none", got)
			}
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	m := New(Config{})
	const workers, rounds = 8, 2000
	s, c := m.Sample("kvs.apply"), m.Counter("rpc.request")
	var recorders, reader sync.WaitGroup
	stop := make(chan struct{})
	reader.Go(func() {
		at := time.Now()
		for {
			select {
			case <-stop:
				return
			default:
			}
			at = at.Add(Interval)
			m.rotate(at)
			_ = m.WritePrometheus(io.Discard)
			m.Snapshot()
		}
	})
	for w := range workers {
		recorders.Go(func() {
			for i := range rounds {
				s.Observe(float64(i))
				c.Inc()
				c.Add(2)
				m.Counter("dns.query", Label{"type", fmt.Sprint(w)}).Inc()
			}
		})
	}
	recorders.Wait()
	close(stop)
	reader.Wait()
	if got := s.stats.now(); got.count != workers*rounds || got.sum != workers*rounds*(rounds-1)/2 {
		t.Errorf("sample lost something: %+v", got)
	}
	if want := float64(workers * rounds * 3); c.Total() != want {
		t.Errorf("counter is %v, want %v", c.Total(), want)
	}
}

func BenchmarkRecord(b *testing.B) {
	m := New(Config{})
	c, s, br := m.Counter("rpc.request"), m.Sample("kvs.apply"), newBridge(m)
	key := []string{"raft", "commitTime"}
	for _, x := range []struct {
		name string
		f    func()
	}{
		{"Counter.Inc", c.Inc},
		{"Sample.Observe", func() { s.Observe(1.25) }},
		{"bridged sample", func() { br.AddSample(key, 1.25) }},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.f()
			}
		})
		b.Run(x.name+" in parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					x.f()
				}
			})
		})
	}
}

func BenchmarkExport(b *testing.B) {
	m := New(Config{})
	b.Run("prometheus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = m.WritePrometheus(io.Discard)
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Snapshot()
		}
	})
}
