package checks

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// knocked does what a check does with k: it tries, and waits where that takes
// time.
func knocked(ctx context.Context, k *knock) error {
	wait, err := k.try()
	if wait != nil {
		return wait(ctx)
	}
	return err
}

// dialed is what the dialer says of the same address.
func dialed(ctx context.Context, address string) error {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func listening(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func closedPort(t *testing.T, address string) string {
	t.Helper()
	l := listening(t, address)
	l.Close()
	return l.Addr().String()
}

// full listens at a port whose queue has room for one, which is there: what
// connects waits until accept is called, or for ever.
func full(t *testing.T) (address string, accept func()) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	own, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address = (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: own.(*syscall.SockaddrInet4).Port}).String()
	held, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000); err != nil { // until it is in the queue
		t.Fatal(err)
	}
	return address, func() {
		if accepted, _, err := syscall.Accept(fd); err == nil {
			syscall.Close(accepted)
		}
	}
}

func TestKnockSaysWhatTheDialerSays(t *testing.T) {
	for _, test := range []struct {
		name    string
		address string
		want    string
	}{
		{"somebody listens", listening(t, "127.0.0.1:0").Addr().String(), ""},
		{"nobody listens", closedPort(t, "127.0.0.1:0"), "connection refused"},
		{"an address nobody has", "255.255.255.255:9", "connect: "},
		{"IPv6", listening(t, "[::1]:0").Addr().String(), ""},
		{"IPv6, nobody listens", closedPort(t, "[::1]:0"), "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKnock(test.address)
			if k == nil {
				t.Fatal("left to the dialer")
			}
			got, want := text(knocked(t.Context(), k)), text(dialed(t.Context(), test.address))
			if got != want || !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %q, the dialer says %q, want %q in it", got, want, test.want)
			}
		})
	}
}

// TestKnockIsAnsweredAtOnce has somebody of this machine answer. That the system
// is late once proves nothing.
func TestKnockIsAnsweredAtOnce(t *testing.T) {
	for _, test := range []struct{ name, address, want string }{
		{"somebody listens", listening(t, "127.0.0.1:0").Addr().String(), ""},
		{"nobody listens", closedPort(t, "127.0.0.1:0"), "connection refused"},
	} {
		k, waited := newKnock(test.address), 0
		for range 50 {
			wait, err := k.try()
			if wait != nil {
				waited++
				err = wait(t.Context())
			}
			if got := text(err); !strings.HasSuffix(got, test.want) || test.want == "" && got != "" {
				t.Fatalf("%s: got %q", test.name, got)
			}
		}
		if waited == 50 {
			t.Errorf("%s: never answered at once", test.name)
		}
	}
}

func TestKnockWaits(t *testing.T) {
	t.Run("until the time is over", func(t *testing.T) {
		t.Parallel()
		address, _ := full(t)
		limited := func(f func(context.Context) error) string {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			return text(f(ctx))
		}
		got := limited(func(ctx context.Context) error { return knocked(ctx, newKnock(address)) })
		want := limited(func(ctx context.Context) error { return dialed(ctx, address) })
		if got != want || !strings.Contains(got, "i/o timeout") {
			t.Errorf("got %q, the dialer says %q", got, want)
		}
	})
	t.Run("until it is cancelled", func(t *testing.T) {
		t.Parallel()
		address, _ := full(t)
		ctx, cancel := context.WithCancel(t.Context())
		wait, err := newKnock(address).try()
		if wait == nil {
			t.Fatalf("it did not have to wait: %v", err)
		}
		time.AfterFunc(20*time.Millisecond, cancel)
		got := text(wait(ctx))
		if want := text(dialed(ctx, address)); got != want || !strings.Contains(got, "operation was canceled") {
			t.Errorf("got %q, the dialer says %q", got, want)
		}
	})
	t.Run("until there is room", func(t *testing.T) {
		t.Parallel()
		address, accept := full(t)
		wait, err := newKnock(address).try()
		if wait == nil {
			t.Fatalf("it did not have to wait: %v", err)
		}
		accept()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it knocks again after one
		defer cancel()
		if err := wait(ctx); err != nil {
			t.Error(err)
		}
	})
}

// TestKnockAtItself has a connection that the system connected with itself.
func TestKnockAtItself(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		k := newKnock(closedPort(t, loopback))
		fd, err := syscall.Socket(k.family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Bind(fd, k.to); err != nil {
			t.Fatal(err)
		}
		if err := k.opened(fd, syscall.Connect(fd, k.to)); !errors.Is(err, errDial) {
			t.Errorf("%s: %v", loopback, err)
		}
		syscall.Close(fd)
	}
}

func TestKnockLeavesNothingOpen(t *testing.T) {
	opened, refused := newKnock(listening(t, "127.0.0.1:0").Addr().String()), newKnock(closedPort(t, "127.0.0.1:0"))
	address, _ := full(t)
	hung := newKnock(address)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	before := descriptors(t)
	for range 20 {
		_, _, _ = knocked(ended, opened), knocked(ended, refused), knocked(ended, hung)
	}
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestDialerFindsOutWhatIsMeant(t *testing.T) {
	for _, address := range []string{
		"localhost:80", "example.test:80", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1", "0.0.0.0:80", "[::]:80", ":80",
		"[fe80::1%lo]:80", "[::ffff:127.0.0.1]:80", "127.0.0.1:70000", "",
	} {
		if newKnock(address) != nil {
			t.Errorf("%q is not left to the dialer", address)
		}
	}
}
