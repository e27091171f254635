package loadgen

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

const mib = 1 << 20

// TestStartAndSize measures what users notice first. What depends on the machine
// has a bound far above the aim, to find what is broken, not what is slower; the
// program's size does not depend on it.
func TestStartAndSize(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := DefaultConfig()
	c.Dir, c.Trials = t.TempDir(), 1
	var err error
	if c.Binary, err = agentproc.Build(ctx, c.Dir, ""); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.Binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("program: %.1f MiB", float64(info.Size())/mib)
	// 23 MiB were enough before the dashboard came, which is worth the rest.
	if info.Size() > 28*mib {
		t.Errorf("the program has %d bytes, more than 28 MiB", info.Size())
	}
	c.checkTimes(ctx, t)
	c.checkMemory(ctx, t)
}

// checkTimes times starts to the first acknowledged write.
func (c Config) checkTimes(ctx context.Context, t *testing.T) {
	rows, err := startup(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	bounds := []time.Duration{3 * time.Second, 5 * time.Second, 10 * time.Second, 10 * time.Second}
	if len(rows) != len(bounds) {
		t.Fatalf("%d measurements", len(rows))
	}
	for i, m := range rows {
		t.Logf("%s: %s", m.Case, m.value())
		if took := sortedTimes(m.Times)[0]; took > bounds[i] {
			t.Errorf("%s: %v, more than %v", m.Case, took, bounds[i])
		}
	}
}

// checkMemory reads what a dev agent holds, idle and with keys.
func (c Config) checkMemory(ctx context.Context, t *testing.T) {
	for _, m := range []struct {
		name  string
		keys  int
		bound int64
	}{
		{"idle", 0, 80 * mib},
		{"with 100,000 keys of 128 B", 100_000, 240 * mib},
	} {
		p, err := c.single(ctx, "memory", true, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		if err := fill(ctx, p.Spec.HTTPAddr(), m.keys); err != nil {
			t.Fatal(err)
		}
		rest(ctx, 5*time.Second)
		u, err := p.Usage()
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		if err != nil {
			t.Skip(err)
		}
		t.Logf("dev agent %s: %.1f MiB resident", m.name, float64(u.RSS)/mib)
		if u.RSS > m.bound {
			t.Errorf("dev agent %s: %d MiB, more than %d", m.name, u.RSS/mib, m.bound/mib)
		}
		p.Kill()
	}
}
