package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/ctl-sh/ctl/internal/config"
)

// listen opens one port. key names the setting that moves it.
func listen(l config.Listener, key string) (net.Listener, error) {
	if l.Network == "unix" {
		// A socket left behind by an agent that was killed is in the way; one
		// that still answers is somebody's.
		if c, err := net.Dial("unix", l.Address); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("unix socket %s is in use by another process; stop it, or change %s", l.Address, key)
		}
		if fi, err := os.Lstat(l.Address); err == nil && fi.Mode()&os.ModeSocket != 0 {
			if err := os.Remove(l.Address); err != nil {
				return nil, fmt.Errorf("remove the old unix socket: %w", err)
			}
		}
	}
	ln, err := net.Listen(l.Network, l.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use by another process; stop it, or change %s: %w", l.Address, key, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("address %s is not an address of this machine; change bind_addr, client_addr or %s: %w", l.Address, key, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (%s): %w", l.Address, key, err)
	}
	return ln, nil
}

// listenHTTP opens client listeners, or none of them. key names the setting that
// moves their port.
func listenHTTP(where []config.Listener, key string, sockets config.UnixSockets) ([]net.Listener, error) {
	var all []net.Listener
	for _, l := range where {
		ln, err := listen(l, key)
		if err == nil && l.Network == "unix" {
			err = ownSocket(l.Address, sockets)
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, ln)
	}
	return all, nil
}

func closeAll(all []net.Listener) {
	for _, l := range all {
		_ = l.Close() // nothing was served on it
	}
}

// ownSocket gives a unix socket the configured owner and mode.
func ownSocket(path string, s config.UnixSockets) error {
	if s.Mode != "" {
		mode, err := strconv.ParseUint(s.Mode, 8, 32)
		if err != nil {
			return fmt.Errorf("unix_sockets.mode %q is not an octal number: %w", s.Mode, err)
		}
		if err := os.Chmod(path, os.FileMode(mode)); err != nil {
			return fmt.Errorf("set unix_sockets.mode: %w", err)
		}
	}
	uid, gid := -1, -1
	if s.User != "" {
		u, err := user.Lookup(s.User)
		if err != nil {
			u, err = user.LookupId(s.User)
		}
		if err != nil {
			return fmt.Errorf("unix_sockets.user: %w", err)
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return fmt.Errorf("unix_sockets.user %q has no number: %w", s.User, err)
		}
	}
	if s.Group != "" {
		g, err := user.LookupGroup(s.Group)
		if err != nil {
			g, err = user.LookupGroupId(s.Group)
		}
		if err != nil {
			return fmt.Errorf("unix_sockets.group: %w", err)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return fmt.Errorf("unix_sockets.group %q has no number: %w", s.Group, err)
		}
	}
	if uid < 0 && gid < 0 {
		return nil
	}
	return os.Chown(path, uid, gid)
}
