package loadgen

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

const mib = 1 << 20

// guard ends what hangs.
const guard = 8 * time.Minute

// TestStartAndSize measures what users notice first. Times are printed and judged
// by who reads them; memory has a bound far above the aim, to find what is broken,
// not what is greater; the program's size does not depend on the machine.
func TestStartAndSize(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	c := DefaultConfig()
	c.Dir, c.Trials, c.Keys = t.TempDir(), 1, 20_000
	var err error
	if c.Binary, err = agentproc.Build(ctx, c.Dir, ""); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.Binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("program: %.1f MiB", float64(info.Size())/mib)
	if info.Size() > 25*mib {
		t.Errorf("the program has %d bytes, more than 25 MiB; see docs/decisions/0031-call-no-method-by-name.md", info.Size())
	}
	c.checkTimes(ctx, t)
	c.checkMemory(ctx, t)
}

// TestUnusedMethodsAreLeftOut finds what looks up methods by names that are
// known only at run time: the linker has to keep every exported method then.
func TestUnusedMethodsAreLeftOut(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	out, err := agentproc.Dependencies(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(out)) {
		from, to, ok := strings.Cut(line, " -> ")
		if !ok {
			continue
		}
		lines++
		if strings.Contains(to, "<ReflectMethod>") {
			t.Errorf("%s keeps %swhich keeps every exported method; see docs/decisions/0031-call-no-method-by-name.md", from, to)
		}
	}
	if lines < 10_000 {
		t.Errorf("the linker printed %d dependencies", lines)
	}
}

// checkTimes times starts to the first acknowledged write, which has to come.
func (c Config) checkTimes(ctx context.Context, t *testing.T) {
	rows, err := startup(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 {
		t.Fatalf("%d measurements", len(rows))
	}
	for _, m := range rows {
		t.Logf("%s: %s", m.Case, m.value())
	}
}

// checkMemory reads what a dev agent holds, idle and with keys, once it has come
// to rest. What the load needed goes back some seconds later; a busy machine takes
// longer, but not a minute.
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
		var u agentproc.Usage
		for range 12 {
			backoff.Pause(ctx, 5*time.Second)
			if u, err = p.Usage(); err != nil || u.RSS <= m.bound {
				break
			}
		}
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
