package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

var update = flag.Bool("update", false, "rewrite the scripts' expected output")

// patience bounds every wait of a script.
const patience = 30 * time.Second

func TestScripts(t *testing.T) {
	binDir := t.TempDir()
	if _, err := agentproc.Build(t.Context(), binDir, ""); err != nil {
		t.Fatal(err)
	}
	var alloc agentproc.Allocator
	if err := agentproc.CanListen(alloc.Loopback(1)[0]); err != nil {
		t.Fatalf("scripts need the whole loopback block 127.0.0.0/8: %v", err)
	}
	dirs, err := filepath.Glob("testdata/script/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:                 dir,
				UpdateScripts:       *update,
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup:               func(env *testscript.Env) error { return setup(env, binDir, &alloc) },
				Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
					"agent": startAgent, "stop": stopAgent, "exit": awaitExit,
					"ready": ready, "eventually": eventually, "http": request,
				},
			})
		})
	}
}

// agentsKey is where a script keeps its running agents.
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

func setup(env *testscript.Env, binDir string, alloc *agentproc.Allocator) error {
	for i, address := range alloc.Loopback(4) {
		env.Setenv("A"+strconv.Itoa(i+1), address)
	}
	env.Setenv("PATH", binDir+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("CTL", filepath.Join(binDir, "ctl"))
	running := &agents{byName: map[string]*background{}}
	env.Values[agentsKey{}] = running
	env.Defer(func() {
		running.mu.Lock()
		defer running.mu.Unlock()
		for _, b := range running.byName {
			_ = b.cmd.Process.Kill() // may have ended
			<-b.exited
		}
	})
	return nil
}

func (a *agents) get(ts *testscript.TestScript, name string) *background {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.byName[name]
	if b == nil {
		ts.Fatalf("no agent %q was started", name)
	}
	return b
}

func of(ts *testscript.TestScript) *agents { return ts.Value(agentsKey{}).(*agents) }

// usage ends the script if a verb got too few arguments or was negated.
func usage(ts *testscript.TestScript, neg bool, args []string, least int, text string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", text)
	}
}

func startAgent(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "agent NAME ARGS...")
	log, err := os.OpenFile(ts.MkAbs(args[0]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close() // the child has its own descriptor
	cmd := exec.Command(ts.Getenv("CTL"), append([]string{"agent"}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"))
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
			ts.Fatalf("agent %q still runs", args[0])
		}
	}
	a.byName[args[0]] = b
}

var signals = map[string]os.Signal{
	"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL, "SIGHUP": syscall.SIGHUP,
}

func stopAgent(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "stop NAME [SIGNAL]")
	sig := signals["SIGTERM"]
	if len(args) > 1 {
		if sig = signals[args[1]]; sig == nil {
			ts.Fatalf("unknown signal %q", args[1])
		}
	}
	b := of(ts).get(ts, args[0])
	ts.Check(b.cmd.Process.Signal(sig))
	if sig == syscall.SIGHUP {
		return
	}
	awaitEnd(ts, args[0], b)
}

func awaitEnd(ts *testscript.TestScript, name string, b *background) {
	select {
	case <-b.exited:
	case <-time.After(patience):
		ts.Fatalf("agent %s still runs after %v:\n%s", name, patience, ts.ReadFile(name+".log"))
	}
}

func awaitExit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "exit NAME CODE")
	b := of(ts).get(ts, args[0])
	awaitEnd(ts, args[0], b)
	if got := strconv.Itoa(b.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("agent %s exited %s, want %s:\n%s", args[0], got, args[1], ts.ReadFile(args[0]+".log"))
	}
}

// poll calls try until it returns nil, and ends the script when that takes too long.
func poll(ts *testscript.TestScript, what string, try func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%s: not within %v: %v%s", what, patience, err, logs(ts))
		case <-tick.C:
		}
	}
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

func ready(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 1, "ready ADDRESS...")
	for _, address := range args {
		url := "http://" + address + ":8500/v1/kv/e2e/ready"
		poll(ts, "ready "+address, func(ctx context.Context) error {
			status, _, body, err := send(ctx, http.MethodPut, url, "x")
			if err == nil && (status != http.StatusOK || strings.TrimSpace(body) != "true") {
				err = fmt.Errorf("status %d: %s", status, body)
			}
			return err
		})
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	var match *regexp.Regexp
	if len(args) > 2 && args[0] == "-out" {
		var err error
		match, err = regexp.Compile(args[1])
		ts.Check(err)
		args = args[2:]
	}
	usage(ts, neg, args, 1, "eventually [-out REGEXP] COMMAND ARGS...")
	poll(ts, "eventually "+strings.Join(args, " "), func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, ts.Getenv("CTL"), args...)
		cmd.Dir = ts.MkAbs(".")
		out, err := cmd.CombinedOutput()
		if err == nil && match != nil && !match.Match(out) {
			err = fmt.Errorf("output does not match %q", match)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		_, err = ts.Stdout().Write(out)
		return err
	})
}

func request(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, args, 2, "http METHOD URL [BODY]")
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status, header, text, err := send(ctx, args[0], args[1], body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n", status)
	ts.Check(header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", text)
}

func send(ctx context.Context, method, url, body string) (int, http.Header, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text), err
}
