package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// agentsKey is where a script keeps what it has started.
type agentsKey struct{}

type agents struct {
	mu     sync.Mutex
	byName map[string]*background
}

// background is a ctl started by a script.
type background struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func of(ts *testscript.TestScript) *agents { return ts.Value(agentsKey{}).(*agents) }

func (a *agents) get(ts *testscript.TestScript, name string) *background {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.byName[name]
	if b == nil {
		ts.Fatalf("no %q was started", name)
	}
	return b
}

func startAgent(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "agent NAME ARGS...")
	start(ts, neg, append([]string{args[0], "agent"}, args[1:]...))
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "start NAME COMMAND ARGS...")
	log, err := os.OpenFile(ts.MkAbs(args[0]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close() // the child has its own descriptor
	cmd := exec.Command(ts.Getenv("CTL"), args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "XDG_DATA_HOME="+ts.Getenv("XDG_DATA_HOME"))
	ts.Check(cmd.Start())
	b := &background{cmd: cmd, exited: make(chan struct{})}
	go func() { // awaited by the script's deferred function
		_ = cmd.Wait() // the exit code is read from ProcessState
		close(b.exited)
	}()
	a := of(ts)
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.byName[args[0]]; old != nil {
		select {
		case <-old.exited:
		default:
			_ = cmd.Process.Kill() // it has just started
			ts.Fatalf("%q still runs", args[0])
		}
	}
	a.byName[args[0]] = b
}

var signals = map[string]os.Signal{
	"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL, "SIGHUP": syscall.SIGHUP,
}

func haltAgent(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "halt NAME [SIGNAL]")
	if len(args) == 1 {
		args = append(args, "SIGTERM")
	}
	signalAgent(ts, neg, args)
	awaitEnd(ts, args[0], of(ts).get(ts, args[0]))
}

func signalAgent(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "signal NAME SIGNAL")
	sig := signals[args[1]]
	if sig == nil {
		ts.Fatalf("unknown signal %q", args[1])
	}
	ts.Check(of(ts).get(ts, args[0]).cmd.Process.Signal(sig))
}

func awaitEnd(ts *testscript.TestScript, name string, b *background) {
	select {
	case <-b.exited:
	case <-time.After(patience):
		ts.Fatalf("%s still runs after %v:%s", name, patience, logs(ts))
	}
}

func awaitExit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "exit NAME CODE")
	b := of(ts).get(ts, args[0])
	awaitEnd(ts, args[0], b)
	if got := strconv.Itoa(b.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s exited %s, want %s:%s", args[0], got, args[1], logs(ts))
	}
}

func logged(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, args, 2, "[!] logged NAME REGEXP")
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if neg {
		if line := want.FindString(ts.ReadFile(args[0] + ".log")); line != "" {
			ts.Fatalf("%s logged %q", args[0], line)
		}
		return
	}
	poll(ts, "logged "+strings.Join(args, " "), logTick, func() error {
		if !want.MatchString(ts.ReadFile(args[0] + ".log")) {
			return fmt.Errorf("%s.log does not match", args[0])
		}
		return nil
	})
}

// logs returns the end of every agent's output.
func logs(ts *testscript.TestScript) string {
	var out strings.Builder
	a := of(ts)
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.byName {
		text, _ := os.ReadFile(ts.MkAbs(name + ".log")) // no log, nothing to show
		fmt.Fprintf(&out, "\n--- %s.log\n%s", name, text[max(0, len(text)-3000):])
	}
	return out.String()
}
