package e2e

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

var (
	update  = flag.Bool("update", false, "rewrite the scripts' expected output")
	program = flag.String("ctl", "", "directory of the ctl program to test; empty builds it")
)

// addresses hands out loopback addresses to all tests of this process.
var addresses agentproc.Allocator

// patience bounds every wait of a script.
const patience = 60 * time.Second

// atOnce is how many scripts a processor runs at once unless -parallel says
// otherwise: most of the time they wait for gossip and elections.
const atOnce = 2

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func TestScripts(t *testing.T) {
	t.Parallel()
	binDir := *program
	if binDir == "" {
		binDir = t.TempDir()
		if _, err := agentproc.Build(t.Context(), binDir, ""); err != nil {
			t.Fatal(err)
		}
	}
	alloc := &addresses
	if err := agentproc.CanListen(alloc.Loopback(1)[0]); err != nil {
		t.Fatalf("scripts need the whole loopback block 127.0.0.0/8: %v", err)
	}
	dirs, err := filepath.Glob("testdata/script/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel() // the scripts of one noun need not wait for those of another
			testscript.Run(t, testscript.Params{
				Dir:                 dir,
				UpdateScripts:       *update,
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup:               func(env *testscript.Env) error { return setup(env, binDir, alloc) },
				Condition:           condition,
				Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
					"agent": startAgent, "start": start, "halt": haltAgent, "signal": signalAgent, "exit": awaitExit, "logged": logged,
					"ready": ready, "roles": roles, "eventually": eventually, "clock": clock,
					"http": request, "send": sendBytes, "capture": capture, "fill": fill, "flip": flip, "expand": expand,
					"listen": listen, "dns": dnsVerb, "found": found, "quiet": quiet,
					"terminal": terminal, "shell": shell, "press": press, "shows": shows, "resize": resize, "picture": picture,
				},
			})
		})
	}
}

func setup(env *testscript.Env, binDir string, alloc *agentproc.Allocator) error {
	for i, address := range alloc.Loopback(4) {
		env.Setenv("A"+strconv.Itoa(i+1), address)
	}
	env.Setenv("PATH", binDir+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("CTL", filepath.Join(binDir, "ctl"))
	env.Setenv("HOME", env.WorkDir)
	running := &agents{byName: map[string]*background{}}
	env.Values[agentsKey{}] = running
	env.Values[clockKey{}] = new(time.Time)
	held := &listeners{byAddress: map[string]net.Listener{}}
	env.Values[listenersKey{}] = held
	env.Defer(held.close)
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

func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// usage ends the script if a verb got too few arguments or was negated.
func usage(ts *testscript.TestScript, neg bool, args []string, least int, text string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", text)
	}
}
