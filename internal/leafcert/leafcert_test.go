package leafcert_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/leafcert"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// world is a server without a log, and an agent that asks it. It lives in a
// bubble of fake time.
type world struct {
	t     *testing.T
	db    *store.DB
	api   *caapi.API
	mux   *httpapi.Mux
	store *leafcert.Store
	log   *buffer

	mu     sync.Mutex
	index  uint64
	away   bool
	lost   int            // so many answers to signings get lost
	lag    time.Duration  // answers take up to this long; set before the store runs
	signed map[string]int // by token
}

func (w *world) ReadBarrier(context.Context) error { return nil }
func (w *world) Contact() (bool, time.Duration)    { return true, 0 }
func (w *world) Here(httpapi.Where, string) bool   { return true }
func (w *world) Forward(context.Context, httpapi.Where, string, *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	return nil, failure.New(failure.NoLeader, failure.TextNoLeader)
}

func (w *world) Apply(_ context.Context, typ uint8, body codec.Message) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	return storetest.TryApply(w.t, w.db, w.index, typ, body)
}

// Do implements leafcert.Requester.
func (w *world) Do(ctx context.Context, method, path string, q url.Values, body []byte) (int, http.Header, []byte, error) {
	w.mu.Lock()
	away := w.away
	if path == caapi.SignPath && !away {
		w.signed[q.Get("token")]++
	}
	lost := path == caapi.SignPath && w.lost > 0
	if lost {
		w.lost--
	}
	w.mu.Unlock()
	if lost {
		return http.StatusServiceUnavailable, http.Header{"X-Ctl-Outcome": {"unknown"}}, []byte("the leader went away"), nil
	}
	if w.lag > 0 {
		time.Sleep(rand.N(w.lag))
	}
	if away {
		return http.StatusInternalServerError, nil, []byte("No known Consul servers"), nil
	}
	resp := w.mux.Do(ctx, &httpapi.WireRequest{Method: method, Path: path, RawQuery: q.Encode(), Body: body, Token: q.Get("token")})
	if ctx.Err() != nil {
		return 0, nil, nil, ctx.Err()
	}
	h := http.Header{}
	for line := range strings.SplitSeq(resp.Header, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h.Add(name, value)
		}
	}
	return resp.Status, h, resp.Body, nil
}

func (w *world) setAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
}

func (w *world) signings() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.signed {
		n += m
	}
	return n
}

// buffer is a log that goroutines share.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// only lets nobody do anything whose token is "bad".
type only struct{ token string }

func (only) Resolve(_ context.Context, token string) (authz.Authorizer, error) {
	return only{token}, nil
}
func (o only) Allow(authz.Resource, string, authz.Access) bool       { return o.token != "bad" }
func (o only) AllowPrefix(authz.Resource, string, authz.Access) bool { return o.token != "bad" }

// inBubble runs test with a world whose leader and agent run.
func inBubble(t *testing.T, change func(*world, *leafcert.Config), test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, db: storetest.Open(t, ca.Module()), index: 10, signed: map[string]int{}, log: &buffer{}}
		log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.api = &caapi.API{
			Reader: query.New(query.Config{DB: w.db, Freshness: w}), Applier: w, State: w.db, Authz: only{}, Datacenter: "dc1",
			Initial: ca.Given{Settings: ca.DefaultSettings()}, Logger: log,
		}
		c := leafcert.Config{Requester: w, Datacenter: "dc1", Logger: log, Nodes: func() int { return 4 }}
		if change != nil {
			change(w, &c)
		}
		w.store = leafcert.New(c)
		var err error
		if w.mux, err = httpapi.NewMux(httpapi.Config{Routes: w.api.Routes(), Dispatcher: w}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.api.Duty().Run(ctx); err != nil {
				t.Error(err)
			}
		})
		running.Go(func() {
			if err := w.store.Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		test(t, w)
		cancel()
		running.Wait()
		if strings.Contains(w.log.String(), "PRIVATE") {
			t.Error("a key is in the log")
		}
	})
}

func (w *world) leaf(service string) *leafcert.Leaf {
	w.t.Helper()
	l, _, err := w.store.Leaf(w.t.Context(), "", service, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func (w *world) rotate() {
	w.t.Helper()
	resp := w.mux.Do(w.t.Context(), &httpapi.WireRequest{Method: "PUT", Path: "/v1/connect/ca/configuration", Body: []byte(`{"Provider":"consul","Rotate":true}`)})
	if resp.Status != http.StatusOK {
		w.t.Fatalf("rotation is answered %d %s", resp.Status, resp.Body)
	}
}

// answer is what a reader in the background got.
type answer struct {
	leaf *leafcert.Leaf
	err  error
	took time.Duration
}

func (w *world) wait(service string, index uint64, wait time.Duration) <-chan answer {
	out := make(chan answer, 1)
	began := time.Now()
	go func() {
		l, _, err := w.store.Leaf(w.t.Context(), "", service, index, wait)
		out <- answer{l, err, time.Since(began)}
	}()
	synctest.Wait()
	return out
}

func TestLeafIsMadeOnceAndKept(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		first := w.leaf("web")
		if _, err := tls.X509KeyPair([]byte(first.CertPEM), []byte(first.PrivateKeyPEM)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(first.URI, "/ns/default/dc/dc1/svc/web") || first.Service != "web" {
			t.Errorf("the leaf is of %s, %s", first.URI, first.Service)
		}
		second, fresh, err := w.store.Leaf(t.Context(), "", "web", 0, 0)
		if err != nil || second != first || !fresh.Hit || w.signings() != 1 {
			t.Errorf("asked again: hit %v, %d signings, %v", fresh.Hit, w.signings(), err)
		}
		if other := w.leaf("db"); other.URI == first.URI || w.signings() != 2 {
			t.Error("another service has the same leaf")
		}
		if n, left := w.store.Leaves(); n != 2 || left != 72*time.Hour {
			t.Errorf("%d leaves for %v", n, left)
		}
	})
}

func TestManyWhoAskAtOnceGetOneLeaf(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, _, err := w.store.Leaf(t.Context(), "", "web", 0, 0); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if w.signings() != 1 {
			t.Errorf("%d signings", w.signings())
		}
	})
}

func TestRenewalAtTwoThirdsOfLife(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		for range 20 {
			index := w.leaf("web").ModifyIndex
			got := <-w.wait("web", index, 200*time.Hour)
			if got.err != nil || got.leaf.ModifyIndex <= index {
				t.Fatalf("got %+v", got)
			}
			if part := got.took.Hours() / 72; part < 0.6 || part > 0.6+0.4/3 {
				t.Errorf("renewed after %v, %.2f of its life", got.took, part)
			}
		}
	})
}

func TestLeafThatNobodyAsksForIsDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.leaf("web")
		time.Sleep(72 * time.Hour)
		synctest.Wait()
		if n, _ := w.store.Leaves(); n != 0 || w.signings() != 1 {
			t.Errorf("%d leaves, %d signings", n, w.signings())
		}
		w.leaf("web")
		if w.signings() != 2 {
			t.Errorf("%d signings", w.signings())
		}
	})
}

func TestWaitIsBounded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		l := w.leaf("web")
		got := <-w.wait("web", l.ModifyIndex, time.Minute)
		if got.err != nil || got.leaf != l || got.took != time.Minute {
			t.Errorf("got %+v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := w.store.Leaf(ctx, "", "web", l.ModifyIndex, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("who went away got %v", err)
		}
	})
}

func TestRotationWakesWhoWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		old := w.leaf("web")
		roots, _, err := w.store.Roots(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.leaf("quiet")
		waiting := w.wait("web", old.ModifyIndex, time.Hour)
		w.rotate()
		got := <-waiting
		if got.err != nil || got.leaf.RootID == old.RootID || got.took > time.Second {
			t.Fatalf("got %+v", got)
		}
		fresh, _, err := w.store.Roots(t.Context(), roots.Index, time.Minute)
		if err != nil || fresh.ActiveID != got.leaf.RootID || fresh.Index <= roots.Index || fresh.TrustDomain != roots.TrustDomain {
			t.Errorf("roots %+v, %v", fresh, err)
		}
		var list struct{ Roots []struct{ ID string } }
		if err := json.Unmarshal(fresh.JSON, &list); err != nil || len(list.Roots) != 2 {
			t.Errorf("roots %s", fresh.JSON)
		}
		// One that nobody asks for is not made anew.
		time.Sleep(time.Minute)
		synctest.Wait()
		if n, _ := w.store.Leaves(); n != 1 || w.signings() != 3 {
			t.Errorf("%d leaves, %d signings", n, w.signings())
		}
		if again := w.leaf("web"); again != got.leaf {
			t.Error("the leaf was made anew once more")
		}
	})
}

// peer is a program that follows what its agent tells it.
type peer struct {
	mu    sync.Mutex
	roots *x509.CertPool
	leaf  *tls.Certificate
}

// follow keeps what the program knows current until ctx ends.
func (p *peer) follow(ctx context.Context, t *testing.T, s *leafcert.Store, service string) (done func()) {
	var both sync.WaitGroup
	both.Go(func() {
		for index := uint64(0); ctx.Err() == nil; {
			r, _, err := s.Roots(ctx, index, time.Minute)
			if err != nil {
				continue
			}
			var list struct{ Roots []struct{ RootCert string } }
			if err := json.Unmarshal(r.JSON, &list); err != nil {
				t.Error(err)
			}
			pool := x509.NewCertPool()
			for _, r := range list.Roots {
				pool.AppendCertsFromPEM([]byte(r.RootCert))
			}
			p.mu.Lock()
			p.roots, index = pool, r.Index
			p.mu.Unlock()
		}
	})
	both.Go(func() {
		for index := uint64(0); ctx.Err() == nil; {
			l, _, err := s.Leaf(ctx, "", service, index, time.Minute)
			if err != nil {
				continue
			}
			cert, err := tls.X509KeyPair([]byte(l.CertPEM), []byte(l.PrivateKeyPEM))
			if err != nil {
				t.Error(err)
			}
			p.mu.Lock()
			p.leaf, index = &cert, l.ModifyIndex
			p.mu.Unlock()
		}
	})
	return both.Wait
}

// config is that of a handshake now.
func (p *peer) config() *tls.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	roots := p.roots
	return &tls.Config{
		Certificates: []tls.Certificate{*p.leaf}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		VerifyConnection: func(cs tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
			for _, c := range cs.PeerCertificates[1:] {
				o.Intermediates.AddCert(c)
			}
			_, err := cs.PeerCertificates[0].Verify(o)
			return err
		},
	}
}

// shake makes one handshake between two programs.
func shake(one, other *peer) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	served := make(chan error, 1)
	go func() {
		err := tls.Server(b, other.config()).Handshake()
		if err != nil {
			b.Close()
		}
		served <- err
	}()
	client := tls.Client(a, one.config())
	err := client.Handshake()
	return errors.Join(err, <-served)
}

// TestNoHandshakeFailsWhileTheRootIsRotated has two agents, both of which learn
// of everything up to three seconds late, and a program beside each, which
// connect with each other again and again while the root is rotated five times,
// twice of them before the last rotation has reached anybody.
func TestNoHandshakeFailsWhileTheRootIsRotated(t *testing.T) {
	late := func(w *world, _ *leafcert.Config) { w.lag = 3 * time.Second }
	inBubble(t, late, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		second := leafcert.New(leafcert.Config{Requester: w, Datacenter: "dc1", Nodes: func() int { return 200 }})
		var running sync.WaitGroup
		running.Go(func() {
			if err := second.Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		var one, other peer
		doneOne, doneOther := one.follow(ctx, t, w.store, "web"), other.follow(ctx, t, second, "db")
		time.Sleep(20 * time.Second)
		handshakes := 0
		for _, pause := range []time.Duration{30 * time.Second, 0, 2 * time.Second, 20 * time.Second, 30 * time.Second} {
			w.rotate()
			for until := time.Now().Add(pause); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
				if err := shake(&one, &other); err != nil {
					t.Fatalf("after %d handshakes: %v", handshakes, err)
				}
				handshakes++
			}
		}
		roots, _, err := w.store.Roots(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for service, s := range map[string]*leafcert.Store{"web": w.store, "db": second} {
			if l, _, err := s.Leaf(t.Context(), "", service, 0, 0); err != nil || l.RootID != roots.ActiveID {
				t.Errorf("%s has not moved to the last root: %v", service, err)
			}
		}
		t.Logf("%d handshakes", handshakes)
		cancel()
		doneOne()
		doneOther()
		running.Wait()
	})
}

func TestServersMayBeAway(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		l := w.leaf("web")
		w.setAway(true)
		if got := w.leaf("web"); got != l {
			t.Error("another leaf")
		}
		if _, _, err := w.store.Leaf(t.Context(), "", "db", 0, 0); err == nil || !strings.Contains(err.Error(), "No known Consul servers") {
			t.Errorf("a first leaf: %v", err)
		}
		waiting := w.wait("web", l.ModifyIndex, 200*time.Hour)
		time.Sleep(71 * time.Hour)
		if got := w.leaf("web"); got != l {
			t.Error("another leaf")
		}
		if _, fresh, err := w.store.Roots(t.Context(), 0, 0); err != nil || !fresh.Hit || fresh.Age < 70*time.Hour {
			t.Errorf("roots of %v ago, %v", fresh.Age, err)
		}
		if !strings.Contains(w.log.String(), "a certificate is not made anew") {
			t.Error("nothing is logged")
		}
		time.Sleep(2 * time.Hour)
		if l, _, err := w.store.Leaf(t.Context(), "", "web", 0, 0); err == nil {
			t.Errorf("a leaf that ended at %v is given out", l.ValidBefore)
		}
		if got := <-waiting; got.err == nil {
			t.Errorf("who waited got a leaf that ended at %v", got.leaf.ValidBefore)
		}
		again := w.wait("web", l.ModifyIndex, time.Hour)
		w.setAway(false)
		if got := <-again; got.err != nil && !strings.Contains(got.err.Error(), "No known") {
			t.Error(got.err)
		}
		time.Sleep(time.Minute)
		if got := w.leaf("web"); got == l || !got.ValidBefore.After(time.Now()) {
			t.Error("the servers are back and there is no new leaf")
		}
		if _, fresh, err := w.store.Roots(t.Context(), 0, 0); err != nil || fresh.Age != 0 {
			t.Errorf("roots of %v ago, %v", fresh.Age, err)
		}
	})
}

func TestRefusalsReachWhoAsks(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		for _, c := range []struct {
			token, service string
			kind           failure.Kind
		}{
			{"bad", "web", failure.PermissionDenied},
			{"", "a/b", failure.BadRequest},
			{"", "*", failure.BadRequest},
			{"", strings.Repeat("x", 300), failure.BadRequest},
		} {
			if _, _, err := w.store.Leaf(t.Context(), c.token, c.service, 0, 0); !failure.Is(err, c.kind) {
				t.Errorf("%q for %.20q: %v", c.service, c.token, err)
			}
		}
		if n, _ := w.store.Leaves(); n != 0 {
			t.Errorf("%d leaves", n)
		}
	})
}

func TestTokensShareNoLeaf(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		w.leaf("web")
		if _, _, err := w.store.Leaf(t.Context(), "bad", "web", 0, 0); !failure.Is(err, failure.PermissionDenied) {
			t.Errorf("a token without the right: %v", err)
		}
	})
}

func TestTooManyRequestsAreTriedAgain(t *testing.T) {
	inBubble(t, func(w *world, _ *leafcert.Config) { w.api.Initial.Settings.RequestsPerSecond = 1 }, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				if _, _, err := w.store.Leaf(t.Context(), "", fmt.Sprint("s", i), 0, 0); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	inBubble(t, func(w *world, _ *leafcert.Config) { w.api.Initial.Settings.RequestsPerSecond = 1e-9 }, func(t *testing.T, w *world) {
		w.leaf("web")
		began := time.Now()
		if _, _, err := w.store.Leaf(t.Context(), "", "db", 0, 0); !failure.Is(err, failure.RateLimited) || time.Since(began) < 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestLeaderThatGoesAwayWhileItSigns(t *testing.T) {
	inBubble(t, func(w *world, _ *leafcert.Config) { w.lost = 2 }, func(t *testing.T, w *world) {
		w.leaf("web")
	})
	inBubble(t, func(w *world, _ *leafcert.Config) { w.lost = 1 << 30 }, func(t *testing.T, w *world) {
		began := time.Now()
		if _, _, err := w.store.Leaf(t.Context(), "", "web", 0, 0); !failure.Is(err, failure.OutcomeUnknown) || time.Since(began) < 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestLeavesAreBounded(t *testing.T) {
	inBubble(t, func(_ *world, c *leafcert.Config) { c.MaxLeaves = 2 }, func(t *testing.T, w *world) {
		a := w.leaf("a")
		time.Sleep(time.Second)
		w.leaf("b")
		time.Sleep(time.Second)
		w.leaf("c") // instead of a
		if n, _ := w.store.Leaves(); n != 2 {
			t.Errorf("%d leaves", n)
		}
		if again := w.leaf("a"); again == a {
			t.Error("the oldest was kept")
		}
		waiting := []<-chan answer{w.wait("a", 1<<60, time.Hour), w.wait("c", 1<<60, time.Hour)}
		if _, _, err := w.store.Leaf(t.Context(), "", "d", 0, 0); !failure.Is(err, failure.RateLimited) {
			t.Errorf("one too many: %v", err)
		}
		for _, c := range waiting {
			if got := <-c; got.err != nil {
				t.Error(got.err)
			}
		}
	})
}

func TestRootsAreFollowedWhileTheyAreNeeded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, w *world) {
		first, fresh, err := w.store.Roots(t.Context(), 0, 0)
		if err != nil || fresh.Hit || first.ActiveID == "" {
			t.Fatalf("roots %+v, hit %v, %v", first, fresh.Hit, err)
		}
		again, fresh, err := w.store.Roots(t.Context(), 0, 0)
		if err != nil || !fresh.Hit || again != first {
			t.Errorf("asked again: hit %v, %v", fresh.Hit, err)
		}
		time.Sleep(time.Hour)
		if _, fresh, err := w.store.Roots(t.Context(), 0, 0); err != nil || fresh.Hit {
			t.Errorf("after an hour without use: hit %v, %v", fresh.Hit, err)
		}
		same, _, err := w.store.Roots(t.Context(), first.Index, 30*time.Minute)
		if err != nil || same.Index != first.Index {
			t.Errorf("roots at %d, %v", same.Index, err)
		}
	})
}

func TestDisabledAuthority(t *testing.T) {
	inBubble(t, func(w *world, _ *leafcert.Config) { w.api.Disabled = true }, func(t *testing.T, w *world) {
		if _, _, err := w.store.Roots(t.Context(), 0, 0); err == nil || !strings.Contains(err.Error(), "Connect must be enabled") {
			t.Errorf("roots: %v", err)
		}
		if _, _, err := w.store.Leaf(t.Context(), "", "web", 0, 0); err == nil || !strings.Contains(err.Error(), "Connect must be enabled") {
			t.Errorf("leaf: %v", err)
		}
	})
}

func TestStoppedStore(t *testing.T) {
	s := leafcert.New(leafcert.Config{Datacenter: "dc1"})
	if _, _, err := s.Leaf(t.Context(), "", "web", 0, 0); !failure.Is(err, failure.Unavailable) {
		t.Error(err)
	}
	if _, _, err := s.Roots(t.Context(), 0, 0); !failure.Is(err, failure.Unavailable) {
		t.Error(err)
	}
}
