package rpc

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
)

var (
	count    = Stream[note, note]{Name: "test.count"}
	unserved = Stream[note, note]{Name: "test.unserved"}
)

func TestStream(t *testing.T) {
	errEnough := errors.New("enough")
	ended := make(chan error, 1)
	addr, stop := serve(t, ServerConfig{}, HandleStream(count, func(ctx context.Context, req *note, send func(*note) error) error {
		for i := range req.ID {
			if err := send(&note{ID: i, Body: req.Body}); err != nil {
				ended <- err
				return err
			}
		}
		switch string(req.Body) {
		case "fail":
			return failure.New(failure.PermissionDenied, "no more")
		case "panic":
			panic("on purpose")
		case "wait":
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		return nil
	}))
	pool := NewPool(PoolConfig{})
	t.Cleanup(func() { pool.Close() })
	open := func(ctx context.Context, m Stream[note, note], n uint64, body string, stopAt uint64) (uint64, error) {
		var got uint64
		err := Open(ctx, pool, addr, m, &note{ID: n, Body: []byte(body)}, func(msg *note) error {
			if msg.ID != got || string(msg.Body) != body {
				t.Errorf("message %d is %+v", got, msg)
			}
			if got++; got == stopAt {
				return errEnough
			}
			return nil
		})
		return got, err
	}
	if n, err := open(t.Context(), count, 1000, "x", 0); n != 1000 || err != nil {
		t.Errorf("to its end: %d, %v", n, err)
	}
	if n, err := open(t.Context(), count, 3, "fail", 0); n != 3 || !failure.Is(err, failure.PermissionDenied) || err.Error() != "no more" {
		t.Errorf("a handler's error: %d, %v", n, err)
	}
	if _, err := open(t.Context(), count, 1, "panic", 0); !failure.Is(err, failure.Internal) {
		t.Errorf("a panic: %v", err)
	}
	if _, err := open(t.Context(), unserved, 1, "", 0); !failure.Is(err, failure.Unsupported) {
		t.Errorf("a stream nobody serves: %v", err)
	}
	if n, err := open(t.Context(), count, 1, "wait", 1); n != 1 || !errors.Is(err, errEnough) {
		t.Errorf("a receiver that has enough: %d, %v", n, err)
	}
	if err := <-ended; err == nil {
		t.Error("the handler did not hear that its caller left")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := open(ctx, count, 0, "wait", 0)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
	lost := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		lost <- Open(context.WithoutCancel(t.Context()), pool, addr, count, &note{ID: 1, Body: []byte("wait")}, func(*note) error { close(began); return nil })
	}()
	<-began
	stop()
	select {
	case err := <-lost:
		if err == nil {
			t.Error("a stream outlived its server")
		}
	case <-time.After(time.Minute):
		t.Error("a stream hangs after its server stopped")
	}
}
