package chaos

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// What gossip needs with its defaults among five members. A member is probed by
// each other once in so many probe intervals as there are others, and the probe
// takes one more. It is then suspected, for a time that shrinks with each member
// that suspects it too: at least suspicion_mult probe intervals, at most six times
// that. Source: the public documentation of memberlist.
const (
	members       = 5
	probeInterval = time.Second
	suspicionMin  = 4 * probeInterval
	detection     = (members-1)*probeInterval + probeInterval + 6*suspicionMin
	// A member that was cut off is asked again every reconnect interval, which
	// is Serf's default.
	reconnection = 30 * time.Second
	// settling is for what follows: the leader writes, followers and views
	// learn of it, on a machine that does other things. What it takes is in the
	// log; who waits for the next comparison of everything takes a minute.
	settling = 10 * time.Second
)

// resolves fails unless DNS of agent i names n instances of a service.
func (c *Cluster) resolves(ctx context.Context, i int, service string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := c.fabric.Dial(i)(ctx, "udp", c.fabric.Client(i)+":8600")
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // a dead connection fails the exchange
	q := new(dns.Msg).SetQuestion(service+".service.consul.", dns.TypeSRV)
	client := dns.Client{Net: "udp"}
	m, _, err := client.ExchangeWithConn(q, &dns.Conn{Conn: conn})
	if err != nil {
		return err
	}
	if len(m.Answer) != n {
		return fmt.Errorf("%s: %s, %d answers of %s, want %d", c.specs[i].Name, dns.RcodeToString[m.Rcode], len(m.Answer), service, n)
	}
	return nil
}

// become waits until each of the agents names n instances of a service, and
// returns how long that took since from.
func (c *Cluster) become(t *testing.T, from time.Time, bound time.Duration, agents []int, service string, n int) time.Duration {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, i := range agents {
		for {
			err := c.resolves(t.Context(), i, service, n)
			if err == nil {
				break
			}
			if time.Since(from) > bound {
				t.Fatalf("not within %v: %v\n%s", bound, err, c.proc(i).LogTail(2000))
			}
			<-tick.C
		}
	}
	return time.Since(from)
}

// failed waits until server i says that a member has failed.
func (c *Cluster) failed(t *testing.T, i int, member string, from time.Time) time.Duration {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := c.ask(t.Context(), i, http.MethodGet, "/v1/agent/members?filter="+url.QueryEscape(`Name == "`+member+`" and Status == 4`), "")
		if took := time.Since(from); err == nil && strings.Contains(string(a.body), member) {
			return took
		} else if took > detection {
			t.Fatalf("%s has not failed within %v: %s, %v", member, detection, a.body, err)
		}
		<-tick.C
	}
}

// calm watches what must not change.
type calm struct {
	wg     sync.WaitGroup
	cancel context.CancelFunc
	mu     sync.Mutex
	reads  int
	seen   []string // the changes
}

// watch follows paths at the agents with blocking queries. Where the index is of
// more than what is shown, only another body is a change.
func (w *calm) watch(ctx context.Context, c *Cluster, agents []int, path string, wakes bool) {
	for _, i := range agents {
		w.wg.Go(func() {
			index, body := "", ""
			for ctx.Err() == nil {
				a, err := c.ask(ctx, i, http.MethodGet, path+"&wait=5s&index="+index, "")
				if ctx.Err() != nil {
					return
				}
				w.mu.Lock()
				w.reads++
				now := a.header.Get("X-Consul-Index")
				switch {
				case err != nil || a.status != http.StatusOK:
					w.seen = append(w.seen, fmt.Sprintf("%s at %s: status %d: %s: %v", path, c.specs[i].Name, a.status, a.body, err))
				case body != "" && string(a.body) != body:
					w.seen = append(w.seen, fmt.Sprintf("%s at %s: was %s and is %s", path, c.specs[i].Name, body, a.body))
				case body != "" && now != index && wakes:
					w.seen = append(w.seen, fmt.Sprintf("%s at %s: woken by index %s, was %s", path, c.specs[i].Name, now, index))
				}
				w.mu.Unlock()
				index, body = now, string(a.body)
			}
		})
	}
}

// end stops watching and fails the test for each change.
func (w *calm) end(t *testing.T) {
	t.Helper()
	w.cancel()
	w.wg.Wait()
	for _, s := range w.seen {
		t.Error(s)
	}
	if w.reads == 0 {
		t.Error("nothing was watched")
	}
	t.Logf("%d reads, %d changes of anything else", w.reads, len(w.seen))
}

// TestServicesFollowTheirAgent kills an agent, starts it again, and cuts it off
// the network: its services vanish in the time gossip needs and are back without
// anybody registering them, and nothing happens to any other service.
func TestServicesFollowTheirAgent(t *testing.T) {
	fabric, err := NewFabric(members)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fabric.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !fabric.CanIsolate() && os.Getenv("CI") != "true" {
		t.Skip("cutting an agent off takes Linux, root and iproute2")
	} else if !fabric.CanIsolate() {
		t.Fatal("CI=true, and this machine cannot cut an agent off: it takes Linux, root and iproute2")
	}
	dir := t.TempDir()
	binary, err := agentproc.Build(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	c := NewCluster(ClusterConfig{Binary: binary, Dir: dir, Servers: 3, Clients: 2}, fabric)
	defer c.Close()
	for i := range c.Len() {
		if err := c.Start(i); err != nil {
			t.Fatal(err)
		}
	}
	const victim, neighbour = 3, 4
	others := []int{0, 1, 2, neighbour}
	leader := c.awaitLeader(t)
	for _, r := range []struct {
		agent int
		body  string
	}{
		{victim, `{"Name":"own","Port":80}`},
		{victim, `{"Name":"told","Port":81,"Check":{"TTL":"1h","Status":"passing"}}`},
		{victim, `{"Name":"shared","Port":82}`},
		{neighbour, `{"Name":"shared","Port":82}`},
		{neighbour, `{"Name":"other","Port":83,"Check":{"TTL":"1h","Status":"passing"}}`},
		{0, `{"Name":"other","Port":83}`},
	} {
		if a, err := c.ask(t.Context(), r.agent, http.MethodPut, "/v1/agent/service/register", r.body); err != nil || a.status != http.StatusOK {
			t.Fatalf("register %s: %d %s, %v", r.body, a.status, a.body, err)
		}
	}
	all := func(from time.Time, bound time.Duration, there int) time.Duration {
		t.Helper()
		c.become(t, from, bound, others, "own", there)
		c.become(t, from, bound, others, "told", there)
		return c.become(t, from, bound, others, "shared", 1+there)
	}
	all(time.Now(), detection, 1)
	c.become(t, time.Now(), detection, others, "other", 2)

	ctx, cancel := context.WithCancel(t.Context())
	w := &calm{cancel: cancel}
	defer cancel()
	// Nothing is left to be written when the log has not grown for a while.
	c.awaitQuiet(t, leader, 3*time.Second)
	w.watch(ctx, c, others, "/v1/health/service/other?x", true)
	w.watch(ctx, c, []int{0, 1, 2}, "/v1/health/node/"+c.specs[neighbour].Name+"?x", true)
	for i := range 3 {
		w.watch(ctx, c, []int{0, neighbour}, "/v1/health/node/"+c.specs[i].Name+"?x", true)
	}
	own := url.QueryEscape(`Node != "` + c.specs[victim].Name + `"`)
	w.watch(ctx, c, []int{0, neighbour}, "/v1/health/state/any?filter="+own, false)
	w.watch(ctx, c, []int{0, neighbour}, "/v1/catalog/nodes?filter="+own, false)
	w.watch(ctx, c, []int{0, neighbour}, "/v1/catalog/services?x", false)

	vanishes := func(what string, from time.Time) {
		t.Helper()
		known := c.failed(t, leader, c.specs[victim].Name, from)
		took := all(from, detection+settling, 0)
		t.Logf("%s: gossip knew after %v, gone everywhere after %v; the bound is %v", what, known, took, detection+settling)
		if took > known+settling {
			t.Errorf("%s: still found %v after the leader knew that the agent had failed, more than %v", what, took-known, settling)
		}
	}
	began := time.Now()
	c.Kill(victim)
	vanishes("killed", began)

	began = time.Now()
	if err := c.Start(victim); err != nil {
		t.Fatal(err)
	}
	const restart = settling // it joins, and the leader notices
	t.Logf("started again: back everywhere after %v; the bound is %v", all(began, restart, 1), restart)

	began = time.Now()
	if err := fabric.Isolate(victim); err != nil {
		t.Fatal(err)
	}
	vanishes("cut off", began)
	began = time.Now()
	if err := fabric.Heal(victim); err != nil {
		t.Fatal(err)
	}
	t.Logf("healed: back everywhere after %v; the bound is %v", all(began, reconnection+restart, 1), reconnection+restart)
	c.become(t, time.Now(), settling, append(others, victim), "other", 2)

	w.end(t)
	if now := c.awaitLeader(t); now != leader {
		t.Errorf("server%d leads, it was server%d", now, leader)
	}
	if err := c.CheckRunning(); err != nil {
		t.Error(err)
	}
}

// awaitQuiet waits until a server's Raft log has not grown for a while.
func (c *Cluster) awaitQuiet(t *testing.T, i int, span time.Duration) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last, since, began := "", time.Now(), time.Now()
	for time.Since(since) < span || last == "" {
		if time.Since(began) > time.Minute {
			t.Fatalf("the log of server%d still grows, it is at %s", i, last)
		}
		a, err := c.ask(t.Context(), i, http.MethodGet, "/v1/agent/self", "")
		if err != nil || a.status != http.StatusOK {
			t.Fatalf("status %d, %v", a.status, err)
		}
		_, now, _ := strings.Cut(string(a.body), `"last_log_index":`)
		now, _, _ = strings.Cut(strings.TrimLeft(now, ` "`), `"`)
		if _, err := strconv.ParseUint(now, 10, 64); err != nil {
			t.Fatalf("last_log_index is %q", now)
		}
		if now != last {
			last, since = now, time.Now()
		}
		<-tick.C
	}
}
