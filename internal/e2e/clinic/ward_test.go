package clinic

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/chaos"
	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// patience bounds every wait.
const patience = 60 * time.Second

var (
	programs  = flag.String("programs", "", "directory with the programs 1.2.0/ctl and 1.1.0/ctl; empty builds them")
	addresses agentproc.Allocator
)

// program returns the path of ctl as it was released with a version.
func program(version string) string { return filepath.Join(*programs, version, "ctl") }

// Versions of the program: most agents run the first.
const (
	version      = "1.2.0"
	olderVersion = "1.1.0"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if *programs != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "clinic-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		*programs = dir
		for _, v := range []string{version, olderVersion} {
			if _, err := agentproc.BuildVersion(context.Background(), filepath.Join(dir, v), v); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return m.Run()
	}())
}

// ward is a cluster being prepared. Its agents end with the test.
type ward struct {
	t      *testing.T
	dir    string
	at     []string // address of each agent, towards the others
	api    []string // where its HTTP API is reached from here
	fabric chaos.Fabric
	procs  map[int]*agentproc.Process
}

// newWard is for n agents on loopback addresses.
func newWard(t *testing.T, n int) *ward {
	t.Helper()
	w := &ward{t: t, dir: fastDir(t), at: addresses.Loopback(n), procs: map[int]*agentproc.Process{}}
	if err := agentproc.CanListen(w.at[0]); err != nil {
		t.Fatalf("the clinic needs the whole loopback block 127.0.0.0/8: %v", err)
	}
	for _, at := range w.at {
		w.api = append(w.api, "http://"+at+":8500")
	}
	t.Cleanup(w.close)
	return w
}

// newNetwork is for n agents, each on a machine of its own as far as the network
// is concerned: a namespace, in which the HTTP API listens on loopback. It is
// reached through a tunnel.
func newNetwork(t *testing.T, n int) *ward {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("network namespaces take root")
	}
	fabric, err := chaos.NewFabric(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fabric.Close(); err != nil {
			t.Error(err)
		}
	})
	if !fabric.CanIsolate() {
		t.Fatal("no network namespaces: root, but no iproute2?")
	}
	w := &ward{t: t, dir: fastDir(t), fabric: fabric, procs: map[int]*agentproc.Process{}}
	for i, here := range addresses.Loopback(n) {
		w.at = append(w.at, fabric.Bind(i))
		w.api = append(w.api, "http://"+here+":8500")
		tunnel(t, here+":8500", fabric.Dial(i), fabric.Client(i)+":8500")
	}
	t.Cleanup(w.close)
	return w
}

// fastDir returns a directory in memory where this machine has one: doctor would
// rightly find a test machine's disk slow.
func fastDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "clinic-") //nolint:usetesting // in memory
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// tunnel passes connections to address on, as ssh -L does.
func tunnel(t *testing.T, address string, dial func(context.Context, string, string) (net.Conn, error), to string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { splice(ctx, near, dial, to) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
}

func splice(ctx context.Context, near net.Conn, dial func(context.Context, string, string) (net.Conn, error), to string) {
	defer near.Close()
	far, err := dial(ctx, "tcp", to)
	if err != nil {
		return // the client sees its connection closed
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // either side may end it
			_, _ = way[0].Close(), way[1].Close()
		})
	}
	wg.Wait()
}

// quick has the timing of a cluster that notices things at once.
func quick() map[string]any {
	return map[string]any{
		"gossip_lan":  map[string]any{"gossip_interval": "50ms", "probe_interval": "400ms", "probe_timeout": "300ms", "suspicion_mult": 2},
		"autopilot":   map[string]any{"server_stabilization_time": "500ms", "cleanup_dead_servers": false},
		"performance": map[string]any{"rpc_hold_timeout": "1s", "leave_drain_time": "100ms"},
	}
}

// server is the specification of agent i as one of n servers, client of it as a
// client.
func (w *ward) server(i, n int) agentproc.Spec {
	s := w.client(i, n)
	s.Server, s.Expect = true, n
	s.Name = "s" + strconv.Itoa(i+1)
	s.Dir = filepath.Join(w.dir, s.Name)
	return s
}

func (w *ward) client(i, n int) agentproc.Spec {
	s := agentproc.Spec{
		Binary: program(version), Name: "c" + strconv.Itoa(i+1), Bind: w.at[i], Join: w.at[:n], Extra: quick(),
	}
	s.Dir = filepath.Join(w.dir, s.Name)
	if w.fabric != nil {
		s.Client = w.fabric.Client(i)
		s.Spawn = func(cmd *exec.Cmd) error { return w.fabric.Spawn(i, cmd) }
		s.Extra["encrypt"] = key
	}
	return s
}

// Gossip keys.
const (
	key      = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	otherKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

func (w *ward) start(i int, s agentproc.Spec) {
	w.t.Helper()
	p, err := agentproc.Start(s)
	if err != nil {
		w.t.Fatal(err)
	}
	w.procs[i] = p
}

// servers starts the first n agents as servers, and waits until doctor finds
// nothing wrong.
func (w *ward) servers(n int) {
	w.t.Helper()
	for i := range n {
		w.start(i, w.server(i, n))
	}
	w.healthy()
}

func (w *ward) close() {
	for _, p := range w.procs {
		p.Kill()
		if w.t.Failed() {
			w.t.Logf("the end of the log of %s:\n%s", p.Spec.Name, p.LogTail(3000))
		}
	}
}

// report is doctor's JSON.
type report struct {
	Healthy   bool
	Agents    []struct{ Address, Node, Error string }
	Findings  []finding
	Unchecked []string
}

type finding struct {
	Severity, Check, Subject, Summary, Fix string
	Evidence                               []string
}

func (r report) found() string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, strings.TrimSuffix(f.Severity+" "+f.Check+"/"+f.Subject, "/"))
	}
	return strings.Join(list, ", ")
}

// ctl runs a command, and returns what it writes and its exit code.
func (w *ward) ctl(args ...string) (string, int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(version), args...)
	cmd.Env = []string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		w.t.Fatal(err)
	}
	if ended != nil && len(ended.Stderr) > 0 && len(out) == 0 {
		return string(ended.Stderr), ended.ExitCode()
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs a command that has to succeed.
func (w *ward) must(args ...string) string {
	w.t.Helper()
	out, code := w.ctl(args...)
	if code != 0 {
		w.t.Fatalf("ctl %s: exit code %d\n%s", strings.Join(args[:2], " "), code, out)
	}
	return out
}

// running are the flags that name the agents that run.
func (w *ward) running() []string {
	var args []string
	for i, url := range w.api {
		p := w.procs[i]
		switch {
		case p == nil || !p.Running():
		case args == nil:
			args = []string{"-http-addr", url}
		default:
			args = append(args, "-addr", url)
		}
	}
	return args
}

// sick is what has to be found, in doctor's order.
type sick struct {
	found    string   // severity check/subject, of all findings
	evidence []string // each is in the evidence of the first
	fix      []string // each is in its fix
	text     []string // each is in what people read
}

func (w *ward) healthy() {
	w.t.Helper()
	w.finds(sick{text: []string{"Nothing wrong was found."}})
}

// finds asks doctor until it finds what is wanted, and nothing else, and says so
// in both forms: what it says of some things follows what it finds by seconds. args
// are doctor's; without any, all agents that run are asked.
func (w *ward) finds(want sick, args ...string) {
	w.t.Helper()
	if len(args) == 0 {
		args = w.running()
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		text, wrong := w.look(want, args)
		if len(wrong) == 0 {
			w.t.Logf("\n%s", text)
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("after %v:\n%s", patience, strings.Join(wrong, "\n"))
		}
	}
}

// look asks doctor once, in both forms, and returns what people read and all that
// is not as wanted.
func (w *ward) look(want sick, args []string) (text string, wrong []string) {
	w.t.Helper()
	miss := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	out, code := w.ctl(append([]string{"doctor", "-o", "json"}, args...)...)
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Agents) == 0 || r.found() != want.found {
		miss("doctor finds %q, want %q; exit code %d:\n%s", r.found(), want.found, code, out)
		return "", wrong
	}
	exit := 16
	if !strings.Contains(want.found, "critical") && !strings.Contains(want.found, "warning") {
		exit = 0
	}
	if code != exit || r.Healthy != (exit == 0) {
		miss("exit code %d, healthy %t", code, r.Healthy)
	}
	lines := want.text
	for i, f := range r.Findings {
		lines = append(slices.Clip(lines), strings.ToUpper(f.Severity)+"\n", "    fix:  ", "    seen: ")
		if f.Summary == "" || f.Fix == "" || len(f.Evidence) == 0 {
			miss("a finding without summary, evidence or fix: %+v", f)
		}
		if i > 0 {
			continue
		}
		for _, e := range want.evidence {
			if !strings.Contains(strings.Join(f.Evidence, "\n"), e) {
				miss("no %q in the evidence\n%s", e, strings.Join(f.Evidence, "\n"))
			}
		}
		for _, x := range want.fix {
			if !strings.Contains(f.Fix, x) {
				miss("no %q in the fix %q", x, f.Fix)
			}
		}
	}
	text, code = w.ctl(append([]string{"doctor"}, args...)...)
	if code != exit {
		miss("exit code %d of the text form", code)
	}
	for _, x := range lines {
		if !strings.Contains(text, x) {
			miss("no %q in\n%s", x, text)
		}
	}
	return text, wrong
}
