//go:build !linux

package chaos

import "errors"

// ErrNoIsolation says that this fabric cannot isolate a server.
var ErrNoIsolation = errors.New("this network cannot isolate a server: it takes Linux, root and iproute2")

// NewFabric returns the best fabric this system has for n servers.
func NewFabric(n int) (Fabric, error) { return NewLoopback(n) }
