package gossip_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/gossip/memnet"
)

// lab is a network with pools on it, inside a synctest bubble.
type lab struct {
	t   *testing.T
	net memnet.Network
}

// agent is a running pool.
type agent struct {
	*gossip.Pool
	lab  *lab
	stop context.CancelFunc
	done chan error
	log  *logBook
}

// logBook keeps log lines.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) has(text string) bool { return strings.Contains(b.String(), text) }

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// inLab runs f in a bubble and gives what gossip leaves behind time to end.
func inLab(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// Runs last: what memberlist started ends with its next timer, and
		// fake time stops with the test.
		t.Cleanup(func() { time.Sleep(time.Minute) })
		f(t, &lab{t: t})
	})
}

// config returns the configuration of an agent at 127.0.0.n.
func (l *lab) config(n int) gossip.Config {
	l.t.Helper()
	c := gossip.DefaultConfig(gossip.LAN)
	c.NodeName = fmt.Sprintf("node-%d", n)
	c.Identity = gossip.Identity{
		ID:         fmt.Sprintf("00000000-0000-0000-0000-%012d", n),
		Datacenter: "dc1", Build: "1.21.4:ctl",
	}
	c.BindAddr = fmt.Sprintf("127.0.0.%d", n)
	return c
}

// start runs a pool on the lab's network until the test ends.
func (l *lab) start(c gossip.Config) *agent {
	l.t.Helper()
	return l.startAt(fmt.Sprintf("%s:%d", c.BindAddr, c.BindPort), c)
}

// startAt is start at an address of its own.
func (l *lab) startAt(addr string, c gossip.Config) *agent {
	l.t.Helper()
	tr, err := l.net.Listen(addr)
	if err != nil {
		l.t.Fatal(err)
	}
	c.Transport = tr
	book := &logBook{}
	c.Logger = slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, err := gossip.New(c)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(l.t.Context())
	a := &agent{Pool: p, lab: l, stop: cancel, done: make(chan error, 1), log: book}
	ready := make(chan struct{})
	go func() { a.done <- p.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-a.done:
		l.t.Fatal(err)
	}
	l.t.Cleanup(a.kill)
	return a
}

// kill stops the agent without leaving.
func (a *agent) kill() {
	a.stop()
	if err, ok := <-a.done; ok {
		close(a.done)
		if err != nil {
			a.lab.t.Errorf("pool ended with %v", err)
		}
	}
}

func (a *agent) join(to ...*agent) {
	a.lab.t.Helper()
	for _, b := range to {
		if n, err := a.Join(a.lab.t.Context(), []string{b.LocalMember().Addr}); n != 1 || err != nil {
			a.lab.t.Fatalf("join %s: %d, %v", b.LocalMember().Name, n, err)
		}
	}
}

// view returns "name=status" of all members.
func (a *agent) view() string {
	var out []string
	for _, m := range a.Members() {
		out = append(out, m.Name+"="+m.Status.String())
	}
	return strings.Join(out, " ")
}

// await waits until all agents see what is wanted, at most d of fake time, and
// returns how long it took.
func await(t *testing.T, d time.Duration, want string, agents ...*agent) time.Duration {
	t.Helper()
	start := time.Now()
	for _, a := range agents {
		for a.view() != want {
			if time.Since(start) > d {
				t.Fatalf("after %s %s sees %q, want %q\n%s", d, a.LocalMember().Name, a.view(), want, a.log)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return time.Since(start)
}

func TestAgentsJoinAndNoticeAFailure(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b, c := l.start(l.config(1)), l.start(l.config(2)), l.start(l.config(3))
		b.join(a)
		c.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, c)
		c.kill()
		took := await(t, 20*time.Second, "node-1=alive node-2=alive node-3=failed", a, b)
		t.Logf("failure noticed after %s of fake time", took)
		if took < 2*time.Second {
			t.Fatalf("failed after %s: the suspect had no time to defend itself", took)
		}
	})
}
