package gossip_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

func TestJoinAddresses(t *testing.T) {
	for _, c := range []struct {
		name  string
		addrs []string
		want  int
		fail  string // part of the error's text
	}{
		{"without a port", []string{"127.0.0.1"}, 1, ""},
		{"with a port", []string{"127.0.0.1:8301"}, 1, ""},
		{"several", []string{"127.0.0.1", "127.0.0.2"}, 2, ""},
		{"the same one twice", []string{"127.0.0.1", "127.0.0.1:8301", " 127.0.0.1 "}, 1, ""},
		{"IPv6 bare", []string{"fd00::7"}, 1, ""},
		{"IPv6 with a port", []string{"[fd00::7]:8301"}, 1, ""},
		{"IPv4 inside IPv6", []string{"::ffff:127.0.0.1"}, 1, ""},
		{"a name", []string{"servers.example"}, 2, ""},
		{"a name with a port", []string{"servers.example:8301"}, 2, ""},
		{"its own address and another", []string{"127.0.0.9", "127.0.0.1"}, 1, ""},
		{"its own address alone", []string{"127.0.0.9"}, 0, "every address is this agent itself"},
		{"nobody there", []string{"127.0.0.66"}, 0, "1 error occurred:\n\t* Failed to join 127.0.0.66:8301: dial tcp 127.0.0.66:8301: connect: connection refused (no agent is listening there)\n\n"},
		{"one of two there", []string{"127.0.0.66", "127.0.0.1"}, 1, ""},
		{"an unknown name", []string{"nobody.example"}, 0, "Failed to join nobody.example: resolve name: no such host"},
		{"two failures", []string{"nobody.example", "127.0.0.66"}, 0, "2 errors occurred:\n\t* "},
		{"not an address", []string{"http://a"}, 0, "write host or host:port"},
		{"a bad port", []string{"127.0.0.1:99999"}, 0, "the port must be between 1 and 65535"},
		{"empty", []string{""}, 0, "write host or host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				six := l.config(7)
				six.BindAddr = "fd00::7"
				l.start(l.config(1))
				l.start(l.config(2))
				l.startAt("[fd00::7]:8301", six)
				conf := l.config(9)
				conf.LookupIP = func(_ context.Context, host string) ([]netip.Addr, error) {
					if host != "servers.example" {
						return nil, errors.New("no such host")
					}
					return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
				}
				n, err := l.start(conf).Join(t.Context(), c.addrs)
				if n != c.want || (err == nil) != (c.fail == "") || !strings.Contains(errText(err), c.fail) {
					t.Fatalf("got %d, %q; want %d, %q", n, errText(err), c.want, c.fail)
				}
				if err != nil && failure.KindOf(err) != failure.Internal {
					t.Errorf("kind is %s, and so not status 500", failure.KindOf(err))
				}
			})
		})
	}
}

func TestASilentAddressDoesNotDelayTheOthers(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a, b := l.start(l.config(1)), l.start(l.config(2))
		l.net.Cut("127.0.0.2", "127.0.0.66")
		start := time.Now()
		n, err := b.Join(t.Context(), []string{"127.0.0.66", "127.0.0.1"})
		if n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		await(t, time.Second, "node-1=alive node-2=alive", a, b)
		start = time.Now()
		if _, err := b.Join(t.Context(), []string{"127.0.0.66"}); err == nil || !strings.Contains(err.Error(), "no answer") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("giving up took %s", took)
		}
	})
}

func TestJoinEndsWithItsContext(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		l.net.Cut("127.0.0.1", "127.0.0.66")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := a.Join(ctx, []string{"127.0.0.66"}); err == nil {
			t.Error("joined nobody")
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// retry runs a RetryJoin and returns what Run returns.
func (a *agent) retry(t *testing.T, cfg gossip.RetryJoinConfig) (*gossip.RetryJoin, <-chan error) {
	t.Helper()
	r, err := gossip.NewRetryJoin(a.Pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		synctest.Wait()
	})
	return r, ended
}

func TestAgentsStartedAtOnceFormOnePool(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		list := []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}
		start := time.Now()
		var agents []*agent
		for n := 2; n <= 5; n++ {
			a := l.start(l.config(n))
			r, _ := a.retry(t, gossip.RetryJoinConfig{Addresses: list})
			synctest.Wait()
			if n == 2 && r.Progress().Get().State != gossip.JoinAlone {
				t.Errorf("the first agent says %q", r.Progress().Get())
			}
			agents = append(agents, a)
		}
		await(t, 2*time.Second, "node-2=alive node-3=alive node-4=alive node-5=alive", agents...)
		t.Logf("one pool after %s", time.Since(start))
	})
}

func TestRetryJoinBacksOffAndSaysSo(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		r, _ := a.retry(t, gossip.RetryJoinConfig{Addresses: []string{"127.0.0.1", "127.0.0.2"}})
		synctest.Wait()
		p := r.Progress().Get()
		if p.State != gossip.JoinAlone || p.Attempts != 1 || len(p.Failures) != 1 || p.Failures[0].Addr != "127.0.0.2:8301" {
			t.Fatalf("got %+v", p)
		}
		if wait := time.Until(p.NextTry); wait < 100*time.Millisecond || wait > 400*time.Millisecond {
			t.Errorf("the second attempt comes after %s", wait)
		}
		time.Sleep(5 * time.Minute)
		p = r.Progress().Get()
		if p.Attempts < 14 || p.Attempts > 24 {
			t.Errorf("%d attempts in five minutes", p.Attempts)
		}
		if wait := time.Until(p.NextTry); wait > 38*time.Second {
			t.Errorf("the pause grew to %s", wait)
		}
		for _, text := range []string{"address=127.0.0.2:8301", "connection refused", "attempt=3", "next_try_in="} {
			if !a.log.has(text) {
				t.Errorf("no %q in the log:\n%s", text, a.log)
			}
		}
		l.start(l.config(2))
		time.Sleep(40 * time.Second)
		if p := r.Progress().Get(); p.State != gossip.JoinDone || p.String() != "joined the lan pool" {
			t.Errorf("got %q", p)
		}
	})
}

func TestRetryJoinIsDoneWhenAListedAgentJoinsUs(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		r, _ := a.retry(t, gossip.RetryJoinConfig{Addresses: []string{"127.0.0.2"}})
		time.Sleep(10 * time.Minute)
		other := l.start(l.config(3))
		other.join(a) // not in the list: may be an island
		synctest.Wait()
		if p := r.Progress().Get(); p.State != gossip.JoinTrying {
			t.Fatalf("done with an agent that is not listed: %q", p)
		}
		l.start(l.config(2)).join(other)
		time.Sleep(3 * time.Second)
		if p := r.Progress().Get(); p.State != gossip.JoinDone {
			t.Errorf("got %q", p)
		}
	})
}

func TestRetryMax(t *testing.T) {
	for _, c := range []struct {
		name  string
		addrs []string
		end   time.Duration // when the agent gives up; 0 never
	}{
		{"ends the agent", []string{"127.0.0.2"}, 90 * time.Second},
		{"does not end an agent that is in its own list", []string{"127.0.0.1", "127.0.0.2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				start := time.Now()
				r, ended := l.start(l.config(1)).retry(t, gossip.RetryJoinConfig{Addresses: c.addrs, MaxAttempts: 3})
				select {
				case err := <-ended:
					if c.end == 0 {
						t.Fatalf("ended after %s with %v", time.Since(start), err)
					}
					if took := time.Since(start); took < c.end || took > c.end+40*time.Second {
						t.Errorf("ended after %s", took)
					}
					if err == nil || !strings.Contains(err.Error(), "retry_max exceeded") || !strings.Contains(err.Error(), "127.0.0.2:8301") {
						t.Errorf("got %v", err)
					}
					if s := r.Progress().Get().State; s != gossip.JoinGaveUp {
						t.Errorf("state is %d", s)
					}
				case <-time.After(time.Hour):
					if c.end != 0 {
						t.Fatal("tries for ever")
					}
				}
			})
		})
	}
}

func TestRetryJoinRefusesWhatItCannotJoin(t *testing.T) {
	for _, c := range []struct {
		name, addr string
		kind       failure.Kind
	}{
		{"cloud auto-join", "provider=aws tag_key=consul", failure.Unsupported},
		{"a URL", "http://127.0.0.1", failure.Invalid},
		{"a bad port", "127.0.0.1:x", failure.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := gossip.DefaultConfig(gossip.LAN)
			conf.NodeName, conf.Identity.Datacenter = "a", "dc1"
			p, err := gossip.New(conf)
			if err != nil {
				t.Fatal(err)
			}
			_, err = gossip.NewRetryJoin(p, gossip.RetryJoinConfig{Addresses: []string{c.addr}})
			if !failure.Is(err, c.kind) || !strings.Contains(err.Error(), "retry_join") {
				t.Errorf("got %v", err)
			}
		})
	}
}
