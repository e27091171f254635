package chaos

import (
	"context"
	"net"
	"os"
	"testing"
	"time"
)

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

	reach := func(from int, host string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
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
		if err := reach(1, f.Bind(0)); (err == nil) != step.reachable {
			t.Errorf("%s: server 1 to server 0: %v", step.name, err)
		}
		if err := reach(0, f.Client(0)); err != nil {
			t.Errorf("%s: client to server 0: %v", step.name, err)
		}
	}
}
