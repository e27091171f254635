package checks

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// knock opens TCP connections to one address and closes them at once. At this
// machine they are opened in no time, so nothing has to wait for
// it: no goroutine, no timer, no poller. What takes longer is waited for like any
// other connection.
type knock struct {
	family int
	to     syscall.Sockaddr
	port   int
	addr   *net.TCPAddr // for errors
}

// newKnock returns a knock at host:port, or nil where the dialer has to find out
// what is meant: a name, a zone, an address of no host.
func newKnock(address string) *knock {
	a, err := netip.ParseAddrPort(address)
	if err != nil || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().Zone() != "" || a.Addr().Is4In6() {
		return nil
	}
	k := &knock{port: int(a.Port()), addr: net.TCPAddrFromAddrPort(a)}
	if a.Addr().Is4() {
		k.family, k.to = syscall.AF_INET, &syscall.SockaddrInet4{Port: k.port, Addr: a.Addr().As4()}
	} else {
		k.family, k.to = syscall.AF_INET6, &syscall.SockaddrInet6{Port: k.port, Addr: a.Addr().As16()}
	}
	return k
}

// errDial says that the dialer knows better.
var errDial = errors.New("left to the dialer")

// try opens and closes a connection without waiting. It returns nil where it was
// opened, errDial, or why it was not, as the dialer says it; or, where that takes
// time, what waits for it and must be called.
func (k *knock) try() (wait func(context.Context) error, err error) {
	fd, err := syscall.Socket(k.family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, syscall.IPPROTO_TCP)
	if err != nil {
		return nil, errDial
	}
	err = syscall.Connect(fd, k.to)
	if errors.Is(err, syscall.EINPROGRESS) {
		// The answer of this machine comes as soon as the system lets go of the
		// socket, which is now.
		err = syscall.Connect(fd, k.to)
	}
	if underway(err) {
		return func(ctx context.Context) error { return k.wait(ctx, fd) }, nil
	}
	err = k.opened(fd, err)
	_ = syscall.Close(fd) // nothing was written
	return nil, err
}

// underway reports whether a connection is neither opened nor refused yet.
func underway(err error) bool {
	return errors.Is(err, syscall.EINPROGRESS) || errors.Is(err, syscall.EALREADY) || errors.Is(err, syscall.EINTR)
}

// opened is what came of a connection.
func (k *knock) opened(fd int, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), err == nil && k.toItself(fd):
		return errDial // which tries again with another port of ours
	case err == nil:
		return nil
	}
	return k.failed(os.NewSyscallError("connect", err))
}

// toItself reports whether the system chose the port that is asked as the port to
// ask from: where nobody listens it then connects the connection with itself.
func (k *knock) toItself(fd int) bool {
	own, err := syscall.Getsockname(fd)
	switch own := own.(type) {
	case *syscall.SockaddrInet4:
		return own.Port == k.port
	case *syscall.SockaddrInet6:
		return own.Port == k.port
	}
	return err != nil
}

func (k *knock) failed(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: k.addr, Err: err}
}

// wait waits for a connection that is on its way until ctx ends, and closes it.
// The system is asked by connecting again, which does not begin anew.
func (k *knock) wait(ctx context.Context, fd int) error {
	f := os.NewFile(uintptr(fd), "tcp") // which the poller watches, because it does not block
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return k.failed(err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := f.SetWriteDeadline(deadline); err != nil {
			return k.failed(err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) }) // wakes what waits
	defer stop()
	var result error
	err = conn.Write(func(fd uintptr) bool {
		err := syscall.Connect(int(fd), k.to)
		if underway(err) {
			return false
		}
		result = k.opened(int(fd), err)
		return true
	})
	switch {
	case err == nil:
		return result
	case errors.Is(ctx.Err(), context.Canceled):
		return k.failed(errCanceled)
	}
	return k.failed(errTimeout)
}

// The texts of the dialer.
var (
	errTimeout  = os.ErrDeadlineExceeded
	errCanceled = errors.New("operation was canceled")
)
