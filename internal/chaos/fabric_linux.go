package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrNoIsolation says that this fabric cannot isolate a server.
var ErrNoIsolation = errors.New("this network cannot isolate a server: it takes Linux, root and iproute2")

// netnsDir is where iproute2 keeps named namespaces. Source: ip-netns(8).
const netnsDir = "/run/netns"

// namespaces puts each server into a network namespace of its own, all joined
// by a bridge in one more namespace; nothing of the machine's own network is
// touched. Clients open their connections inside the server's namespace, on its
// loopback, so that a server cut off from the bridge still answers them.
type namespaces struct {
	prefix string
	n      int
}

// NewFabric returns the best fabric this machine and user have for n servers:
// network namespaces, or else loopback addresses.
func NewFabric(n int) (Fabric, error) {
	if os.Geteuid() != 0 {
		return NewLoopback(n)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return NewLoopback(n)
	}
	removeStale()
	// One process may have several fabrics.
	f := &namespaces{prefix: fmt.Sprintf("ctlchaos%d-%08x-", os.Getpid(), rand.Uint32()), n: n}
	if err := f.create(); err != nil {
		_ = f.Close() // the error that matters is the first
		return nil, err
	}
	return f, nil
}

func (f *namespaces) create() error {
	hub := f.hub()
	steps := [][]string{
		{"netns", "add", hub},
		{"-n", hub, "link", "add", "br0", "type", "bridge"},
		{"-n", hub, "link", "set", "br0", "up"},
		{"-n", hub, "link", "set", sink, "up"},
	}
	for i := range f.n {
		ns, port := f.name(i), f.port(i)
		steps = append(steps,
			[]string{"netns", "add", ns},
			[]string{"-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns},
			[]string{"-n", hub, "link", "set", port, "master", "br0", "up"},
			[]string{"-n", ns, "link", "set", "lo", "up"},
			[]string{"-n", ns, "addr", "add", f.Bind(i) + "/24", "dev", "eth0"},
			[]string{"-n", ns, "link", "set", "eth0", "up"},
		)
	}
	for _, args := range steps {
		if err := command("ip", args...); err != nil {
			return fmt.Errorf("network namespaces: %w", err)
		}
	}
	return nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (f *namespaces) hub() string         { return f.prefix + "hub" }
func (f *namespaces) name(i int) string   { return f.prefix + strconv.Itoa(i) }
func (f *namespaces) port(i int) string   { return "port" + strconv.Itoa(i) }
func (f *namespaces) Bind(i int) string   { return fmt.Sprintf("10.77.0.%d", i+1) }
func (f *namespaces) Client(int) string   { return "127.0.0.1" }
func (f *namespaces) CanIsolate() bool    { return true }
func (f *namespaces) Isolate(i int) error { return f.portState(i, "disabled") }
func (f *namespaces) Heal(i int) error    { return f.portState(i, "forwarding") }

// portState sets the state of a bridge port. A disabled port drops all frames
// both ways, and neither side's interface notices.
func (f *namespaces) portState(i int, state string) error {
	number := map[string]string{"disabled": "0", "forwarding": "3"}[state] // Source: bridge(8)
	return command("bridge", "-n", f.hub(), "link", "set", "dev", f.port(i), "state", number)
}

// sink is where packets go that Cut drops: the hub's own loopback, which has no
// such address and passes nothing on. Not every kernel has an action that drops.
const sink = "lo"

// Cut puts filters where the packets of a server come into the bridge.
func (f *namespaces) Cut(from, to, port int) error {
	if err := command("tc", "-n", f.hub(), "qdisc", "replace", "dev", f.port(from), "clsact"); err != nil {
		return err
	}
	for _, end := range []string{"sport", "dport"} {
		err := command("tc", "-n", f.hub(), "filter", "add", "dev", f.port(from), "ingress", "protocol", "ip", "u32",
			"match", "ip", "dst", f.Bind(to)+"/32", "match", "ip", end, strconv.Itoa(port), "0xffff",
			"action", "mirred", "egress", "redirect", "dev", sink)
		if err != nil {
			return err
		}
	}
	return nil
}

// Mend takes all filters of a server away.
func (f *namespaces) Mend(from int) error {
	return command("tc", "-n", f.hub(), "qdisc", "del", "dev", f.port(from), "clsact")
}

func (f *namespaces) Spawn(i int, cmd *exec.Cmd) error {
	return f.inside(i, cmd.Start)
}

func (f *namespaces) Dial(i int) func(context.Context, string, string) (net.Conn, error) {
	// One address and no fallback: the dialer opens the socket on the
	// calling goroutine, hence in the namespace of its thread.
	dialer := &net.Dialer{FallbackDelay: -1}
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		insideErr := f.inside(i, func() error {
			conn, err = dialer.DialContext(ctx, network, address)
			return nil
		})
		if insideErr != nil {
			return nil, insideErr
		}
		return conn, err
	}
}

// inside calls do on a thread that is in server i's namespace.
func (f *namespaces) inside(i int, do func() error) error {
	target, err := os.Open(filepath.Join(netnsDir, f.name(i)))
	if err != nil {
		return err
	}
	defer target.Close()
	runtime.LockOSThread()
	own, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", f.name(i), err)
	}
	doErr := do()
	if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
		// The thread stays locked and ends with this goroutine.
		return errors.Join(doErr, fmt.Errorf("leave namespace %s: %w", f.name(i), err))
	}
	runtime.UnlockOSThread()
	return doErr
}

func (f *namespaces) Close() error {
	names := []string{f.hub()}
	for i := range f.n {
		names = append(names, f.name(i))
	}
	var errs []error
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(netnsDir, name)); err == nil {
			errs = append(errs, command("ip", "netns", "del", name))
		}
	}
	return errors.Join(errs...)
}

// removeStale ends what runs in namespaces of harnesses that are gone, and the
// namespaces: a killed harness cannot clean up.
func removeStale() {
	entries, err := os.ReadDir(netnsDir)
	if err != nil {
		return
	}
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "ctlchaos%d-", &pid); err != nil {
			continue
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			continue
		}
		if out, err := exec.Command("ip", "netns", "pids", e.Name()).Output(); err == nil {
			for field := range strings.FieldsSeq(string(out)) {
				if p, err := strconv.Atoi(field); err == nil {
					_ = syscall.Kill(p, syscall.SIGKILL) // may have ended
				}
			}
		}
		_ = command("ip", "netns", "del", e.Name()) // another harness may be doing the same
	}
}
