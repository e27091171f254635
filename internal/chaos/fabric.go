package chaos

import (
	"context"
	"fmt"
	"net"
	"os/exec"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// Fabric is the network the servers live in. Servers are numbered from 0.
type Fabric interface {
	// Bind is the address server i uses towards the other servers.
	Bind(i int) string
	// Client is the address of its HTTP API, to be reached with Dial(i).
	Client(i int) string
	// Spawn starts a program of server i.
	Spawn(i int, cmd *exec.Cmd) error
	// Dial connects a client with server i, isolated or not.
	Dial(i int) func(ctx context.Context, network, address string) (net.Conn, error)
	// CanIsolate reports whether Isolate works here.
	CanIsolate() bool
	// Isolate drops, silently, whatever server i sends to the other servers
	// and they to it, until Heal.
	Isolate(i int) error
	Heal(i int) error
	// Cut drops, silently, what one server sends to another from or to a
	// port, and nothing of the other direction, until Mend(from).
	Cut(from, to, port int) error
	Mend(from int) error
	// Close takes the network down. The programs must have ended.
	Close() error
}

// loopback puts each server on an address of its own in 127.0.0.0/8. It needs no
// privilege and cannot isolate.
type loopback struct{ addresses []string }

// NewLoopback returns a fabric for n servers on loopback addresses.
func NewLoopback(n int) (Fabric, error) {
	var a agentproc.Allocator
	f := loopback{addresses: a.Loopback(n)}
	if err := agentproc.CanListen(f.addresses[n-1]); err != nil {
		return nil, fmt.Errorf("loopback fabric: %w", err)
	}
	return f, nil
}

func (f loopback) Bind(i int) string                { return f.addresses[i] }
func (f loopback) Client(i int) string              { return f.addresses[i] }
func (f loopback) Spawn(_ int, cmd *exec.Cmd) error { return cmd.Start() }
func (f loopback) CanIsolate() bool                 { return false }
func (f loopback) Isolate(int) error                { return ErrNoIsolation }
func (f loopback) Heal(int) error                   { return ErrNoIsolation }
func (f loopback) Cut(int, int, int) error          { return ErrNoIsolation }
func (f loopback) Mend(int) error                   { return ErrNoIsolation }
func (f loopback) Close() error                     { return nil }

func (f loopback) Dial(int) func(context.Context, string, string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext
}
