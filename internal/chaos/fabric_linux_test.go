package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// waitFor is how long to wait for what is expected to come, or not to.
func waitFor(expected bool) time.Duration {
	if expected {
		return 10 * time.Second
	}
	return 300 * time.Millisecond
}

func TestIsolationCutsServersNotClients(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("network namespaces take root")
	}
	fabric, err := NewFabric(2)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := fabric.(*namespaces)
	if !ok {
		t.Fatalf("fabric is %T: root, but no iproute2?", fabric)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	var l net.Listener
	if err := f.inside(0, func() (err error) {
		l, err = net.Listen("tcp", "0.0.0.0:8300")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	reach := func(from int, host string, expected bool) error {
		ctx, cancel := context.WithTimeout(t.Context(), waitFor(expected))
		defer cancel()
		conn, err := f.Dial(from)(ctx, "tcp", net.JoinHostPort(host, "8300"))
		if err == nil {
			conn.Close()
		}
		return err
	}
	steps := []struct {
		name      string
		do        func(int) error
		reachable bool
	}{
		{"joined", func(int) error { return nil }, true},
		{"isolated", f.Isolate, false},
		{"healed", f.Heal, true},
	}
	for _, step := range steps {
		if err := step.do(0); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if err := reach(1, f.Bind(0), step.reachable); (err == nil) != step.reachable {
			t.Errorf("%s: server 1 to server 0: %v", step.name, err)
		}
		if err := reach(0, f.Client(0), true); err != nil {
			t.Errorf("%s: client to server 0: %v", step.name, err)
		}
	}
}

func TestCutIsOneWayAndOfOnePort(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("network namespaces take root")
	}
	fabric, err := NewFabric(2)
	if err != nil {
		t.Fatal(err)
	}
	f := fabric.(*namespaces)
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	socket := func(i, port int) *net.UDPConn {
		var c net.PacketConn
		if err := f.inside(i, func() (err error) {
			c, err = net.ListenPacket("udp", fmt.Sprintf("%s:%d", f.Bind(i), port))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*net.UDPConn)
	}
	passes := func(from, to *net.UDPConn, expected bool) bool {
		if _, err := from.WriteTo([]byte("x"), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if err := to.SetReadDeadline(time.Now().Add(waitFor(expected))); err != nil {
			t.Fatal(err)
		}
		_, _, err := to.ReadFrom(make([]byte, 1))
		return err == nil
	}
	a, b, otherA, otherB := socket(0, 8301), socket(1, 8301), socket(0, 9000), socket(1, 9000)
	for _, step := range []struct {
		name string
		do   func() error
		open bool
	}{
		{"joined", func() error { return nil }, true},
		{"cut", func() error { return f.Cut(0, 1, 8301) }, false},
		{"mended", func() error { return f.Mend(0) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := passes(a, b, step.open); got != step.open {
			t.Errorf("%s: the cut way is open: %t", step.name, got)
		}
		if !passes(b, a, true) || !passes(otherA, otherB, true) {
			t.Errorf("%s: the other way or the other port is cut", step.name)
		}
	}
}
