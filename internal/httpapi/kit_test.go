package httpapi

import (
	"context"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everywhere is a Dispatcher of an agent that is all there is.
type everywhere struct{}

func (everywhere) Here(Where, string) bool { return true }
func (everywhere) Forward(context.Context, Where, string, *WireRequest) (*WireResponse, error) {
	panic("nothing is elsewhere")
}

// newMux returns a mux of cfg, alone in its cluster unless cfg says otherwise.
func newMux(t testing.TB, cfg Config) *Mux {
	t.Helper()
	if cfg.Dispatcher == nil {
		cfg.Dispatcher = everywhere{}
	}
	m, err := NewMux(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

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
	ready, done := make(chan struct{}), make(chan error, 1)
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

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
