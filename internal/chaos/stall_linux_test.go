package chaos

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
)

// stallDisk makes every flush of a process hang, until release. What the process
// does meanwhile on its network is its own affair: that is the difference to a
// process that was stopped.
func stallDisk(t *testing.T, pid int) (release func()) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	const hour = "3600000000" // in microseconds
	cmd := exec.Command(strace, "-f", "-p", strconv.Itoa(pid), "-o", os.DevNull,
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter="+hour)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it lets go and ends
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "attached") {
			return release
		}
	}
	release()
	t.Fatal("strace did not attach: it takes the right to trace (CAP_SYS_PTRACE)")
	return nil
}

// TestStalledDisk stalls the leader's disk: another leads within ten seconds, or
// twice that on a machine that does other things, writes go on, and the stalled one
// follows again once its disk is back.
func TestStalledDisk(t *testing.T) {
	fabric := loopbackFabric(t)
	dir := t.TempDir()
	binary, err := agentproc.Build(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	c := NewCluster(ClusterConfig{Binary: binary, Dir: dir, Servers: 3}, fabric)
	defer c.Close()
	for i := range c.Len() {
		if err := c.Start(i); err != nil {
			t.Fatal(err)
		}
	}
	old := c.awaitLeader(t)
	c.write(t, old, 0, 50)
	survivors := []int{(old + 1) % 3, (old + 2) % 3}

	release := stallDisk(t, c.proc(old).PID())
	released := false
	defer func() {
		if !released {
			release()
		}
	}()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, i := range survivors {
		// A write that the stalled leader holds is its client's to give up.
		err := c.proc(i).Await(ctx, 10*time.Millisecond, func(ctx context.Context) bool {
			ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			return c.proc(i).Put(ctx, c.clients[i], "after/"+strconv.Itoa(i), "1")
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("a write through server%d %v after the stall", i, time.Since(began))
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("writes went on only %v after the stall", took)
	}
	if now := c.awaitLeader(t); now == old {
		t.Error("the stalled server leads")
	}
	c.write(t, survivors[0], 50, 100)

	release()
	released = true
	c.awaitSame(t, survivors[0], old)
	err = c.proc(old).Await(ctx, 10*time.Millisecond, func(ctx context.Context) bool {
		return c.proc(old).Put(ctx, c.clients[old], "back", "1")
	})
	if err != nil {
		t.Error(err)
	}
	a, err := c.ask(ctx, old, http.MethodGet, "/v1/kv/after/"+strconv.Itoa(survivors[0])+"?raw", "")
	if err != nil || string(a.body) != "1" {
		t.Errorf("what was written meanwhile: %+v, %v", a, err)
	}
	if err := c.CheckRunning(); err != nil {
		t.Error(err)
	}
}
