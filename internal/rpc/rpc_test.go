package rpc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	echo      = Method[note, note]{Name: "test.echo"}
	echoWrite = Method[note, note]{Name: "test.echo", Write: true}
	unknown   = Method[note, note]{Name: "test.unknown"}
)

// listen opens a loopback port that is closed with the test.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// run runs a part until the returned stop is called, which waits for its end.
func run(t testing.TB, part func(context.Context, func()) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- part(ctx, func() { close(ready) }) }()
	<-ready
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("part ended: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// serve starts a server of handlers and returns its address and its stop.
func serve(t testing.TB, cfg ServerConfig, regs ...Registration) (addr string, stop func()) {
	t.Helper()
	cfg.Listener = listen(t)
	s, err := NewServer(cfg, regs...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Listener.Addr().String(), run(t, s.Run)
}

func newPool(t testing.TB, cfg PoolConfig) *Pool {
	t.Helper()
	p := NewPool(cfg)
	t.Cleanup(func() { p.Close() })
	return p
}

func echoHandler(_ context.Context, n *note) (*note, error) { return n, nil }

func TestCallCarriesTheMessage(t *testing.T) {
	addr, _ := serve(t, ServerConfig{}, Handle(echo, echoHandler))
	p := newPool(t, PoolConfig{})
	for _, c := range []struct {
		name string
		size int
	}{
		{"empty", 0}, {"small", 128}, {"pooled", 3 << 10}, {"largest value", 512 << 10}, {"above the pool", 2 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := bytes.Repeat([]byte{'x'}, c.size)
			got, err := Call(t.Context(), p, addr, echo, &note{ID: 7, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != 7 || !bytes.Equal(got.Body, body) {
				t.Errorf("got id %d and %d bytes, want 7 and %d", got.ID, len(got.Body), c.size)
			}
		})
	}
}

func TestNilResponseIsTheZeroValue(t *testing.T) {
	addr, _ := serve(t, ServerConfig{}, Handle(echo, func(context.Context, *note) (*note, error) { return nil, nil }))
	got, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, echo, &note{ID: 1})
	if err != nil || got.ID != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFailureCrossesTheWire(t *testing.T) {
	for k := failure.Internal; k <= failure.Unsupported; k++ {
		t.Run(k.String(), func(t *testing.T) {
			addr, _ := serve(t, ServerConfig{}, Handle(echo, func(context.Context, *note) (*note, error) {
				return nil, failure.New(k, "key \"ç\" 100%\nnot so\xff")
			}))
			_, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, echoWrite, &note{})
			if got := failure.KindOf(err); got != k {
				t.Errorf("kind %v, want %v", got, k)
			}
			if _, ok := errors.AsType[*failure.Error](err); !ok {
				t.Fatalf("got a %T, want *failure.Error", err)
			}
			if want := "key \"ç\" 100%\nnot so\uFFFD"; err.Error() != want {
				t.Errorf("text %q, want %q", err, want)
			}
		})
	}
}

func TestLongErrorTextIsCut(t *testing.T) {
	addr, _ := serve(t, ServerConfig{}, Handle(echo, func(context.Context, *note) (*note, error) {
		return nil, failure.New(failure.Invalid, strings.Repeat("x", 1<<20))
	}))
	_, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, echo, &note{})
	if got := len(err.Error()); got > maxErrorText+100 || !failure.Is(err, failure.Invalid) {
		t.Errorf("got %d bytes of kind %v", got, failure.KindOf(err))
	}
}

func TestHandlerPanicBecomesAnAnswer(t *testing.T) {
	boom := func(context.Context, *note) (*note, error) { panic("boom") }
	for _, c := range []struct {
		name string
		m    Method[note, note]
		want failure.Kind
	}{
		{"read", echo, failure.Internal},
		{"write", echoWrite, failure.OutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := serve(t, ServerConfig{}, Handle(c.m, boom))
			_, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, c.m, &note{})
			if got := failure.KindOf(err); got != c.want || !strings.Contains(err.Error(), "boom") {
				t.Errorf("got %v %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestErrorsMadeOnTheWay(t *testing.T) {
	addr, _ := serve(t, ServerConfig{}, Handle(echo, echoHandler))
	closed := listen(t)
	closed.Close()
	for _, c := range []struct {
		name string
		pool PoolConfig
		addr string
		m    Method[note, note]
		body int
		want failure.Kind
	}{
		{"nobody listens, read", PoolConfig{}, closed.Addr().String(), echo, 0, failure.Unavailable},
		{"nobody listens, write", PoolConfig{}, closed.Addr().String(), echoWrite, 0, failure.Unavailable},
		{"older server without the method", PoolConfig{}, addr, unknown, 0, failure.Unsupported},
		{"request over our limit", PoolConfig{MaxRequestBytes: 1000}, addr, echoWrite, 1001, failure.TooLarge},
		{"answer over our limit", PoolConfig{MaxResponseBytes: 1000}, addr, echo, 2000, failure.TooLarge},
		{"answer of a write over our limit", PoolConfig{MaxResponseBytes: 1000}, addr, echoWrite, 2000, failure.OutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Call(t.Context(), newPool(t, c.pool), c.addr, c.m, &note{Body: make([]byte, c.body)})
			if got := failure.KindOf(err); got != c.want {
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
		})
	}
}

// blocking returns a handler that says when it runs and ends with its context.
func blocking() (started chan struct{}, h func(context.Context, *note) (*note, error)) {
	started = make(chan struct{}, 10)
	return started, func(ctx context.Context, _ *note) (*note, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestCancelledWhileTheServerWorks(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Method[note, note]
		want failure.Kind
	}{
		{"read", echo, failure.Timeout},
		{"write may have been applied", echoWrite, failure.OutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			started, h := blocking()
			ended := make(chan error, 1)
			addr, _ := serve(t, ServerConfig{}, Handle(c.m, func(ctx context.Context, n *note) (*note, error) {
				resp, err := h(ctx, n)
				ended <- err
				return resp, err
			}))
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-started; cancel() }()
			_, err := Call(ctx, newPool(t, PoolConfig{}), addr, c.m, &note{})
			if got := failure.KindOf(err); got != c.want {
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
			if c.want == failure.Timeout && !errors.Is(err, context.Canceled) {
				t.Errorf("%v is not context.Canceled", err)
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the handler saw %v", err)
			}
		})
	}
}

func TestDeadlineTravels(t *testing.T) {
	deadlines := make(chan bool, 1)
	addr, _ := serve(t, ServerConfig{}, Handle(echo, func(ctx context.Context, n *note) (*note, error) {
		_, ok := ctx.Deadline()
		deadlines <- ok
		return n, nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Call(ctx, newPool(t, PoolConfig{}), addr, echo, &note{}); err != nil {
		t.Fatal(err)
	}
	if !<-deadlines {
		t.Error("the handler's context has no deadline")
	}
}

func TestCancelledBeforeItLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Call(ctx, newPool(t, PoolConfig{}), "127.0.0.1:1", echoWrite, &note{})
	if got := failure.KindOf(err); got != failure.Timeout {
		t.Errorf("got %v (%v), want a timeout: nothing was sent", got, err)
	}
}

func TestConnectionLostMidCall(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Method[note, note]
		want failure.Kind
	}{
		{"read", echo, failure.Unavailable},
		{"write", echoWrite, failure.OutcomeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			started, h := blocking()
			addr, _ := serve(t, ServerConfig{}, Handle(c.m, h))
			conns := make(chan net.Conn, 1)
			p := newPool(t, PoolConfig{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "tcp", addr)
				if err == nil {
					select {
					case conns <- conn:
					default:
					}
				}
				return conn, err
			}})
			go func() {
				<-started
				(<-conns).Close()
			}()
			_, err := Call(t.Context(), p, addr, c.m, &note{})
			if got := failure.KindOf(err); got != c.want {
				t.Errorf("got %v (%v), want %v", got, err, c.want)
			}
		})
	}
}

func TestServerStopCancelsWhatIsInFlight(t *testing.T) {
	started, h := blocking()
	addr, stop := serve(t, ServerConfig{DrainTimeout: time.Millisecond}, Handle(echo, h))
	go func() { <-started; stop() }()
	_, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, echo, &note{})
	if err == nil {
		t.Fatal("a call outlived its server")
	}
	stop()
}

func TestServerStopLetsCallsFinish(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	addr, stop := serve(t, ServerConfig{DrainTimeout: time.Minute}, Handle(echoWrite, func(_ context.Context, n *note) (*note, error) {
		close(started)
		<-release
		return n, nil
	}))
	stopped := make(chan struct{})
	go func() {
		<-started
		go func() { stop(); close(stopped) }()
		close(release)
	}()
	if _, err := Call(t.Context(), newPool(t, PoolConfig{}), addr, echoWrite, &note{}); err != nil {
		t.Errorf("a write in flight was cut off: %v", err)
	}
	<-stopped
}

func TestPoolForgetsServers(t *testing.T) {
	addr, _ := serve(t, ServerConfig{}, Handle(echo, echoHandler))
	other, _ := serve(t, ServerConfig{}, Handle(echo, echoHandler))
	p := newPool(t, PoolConfig{ConnsPerServer: 2})
	held := func() int {
		p.mu.RLock()
		defer p.mu.RUnlock()
		return len(p.servers)
	}
	call := func(addr string) {
		t.Helper()
		if _, err := Call(t.Context(), p, addr, echo, &note{}); err != nil {
			t.Fatal(err)
		}
	}
	call(addr)
	call(other)
	p.Retain([]string{other})
	if held() != 1 {
		t.Errorf("%d servers held, want 1", held())
	}
	call(addr) // dials again
	p.Drop(addr)
	p.Drop(addr)
	if held() != 1 {
		t.Errorf("%d servers held, want 1", held())
	}
	p.Close()
	_, err := Call(t.Context(), p, addr, echo, &note{})
	if !failure.Is(err, failure.Unavailable) {
		t.Errorf("call on a closed pool: %v", err)
	}
}

func TestMethodsAreRegisteredOnce(t *testing.T) {
	_, err := NewServer(ServerConfig{Listener: listen(t)}, Handle(echo, echoHandler), Handle(echo, echoHandler))
	if err == nil {
		t.Error("a method was registered twice")
	}
}
