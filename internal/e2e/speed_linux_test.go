package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCommandsAreQuick holds commands to their time, from their start to their
// end. The quickest of some runs counts, because a busy machine makes any one
// slow; the median is logged.
func TestCommandsAreQuick(t *testing.T) {
	c := startCommandLine(t)
	for _, r := range []struct {
		args  string
		code  int
		mute  bool // on a terminal that answers nothing
		limit time.Duration
	}{
		{"version", 0, false, 20 * time.Millisecond},
		{"members", 0, false, 50 * time.Millisecond},
		{"version", 0, true, 50 * time.Millisecond},
		{"members", 0, true, 50 * time.Millisecond},
		{"-h", 0, true, 50 * time.Millisecond},
		{"help formatting", 0, true, 50 * time.Millisecond},
		{"kv get -h", 0, true, 50 * time.Millisecond},
		{"nope", 127, true, 50 * time.Millisecond},
		{"members -nope", 1, true, 50 * time.Millisecond},
		{"kv get missing", 1, true, 50 * time.Millisecond},
		{"members -http-addr 127.0.0.1:1", 1, true, 50 * time.Millisecond},
	} {
		name := r.args
		if r.mute {
			name += " on a mute terminal"
		}
		t.Run(name, func(t *testing.T) {
			var times []time.Duration
			for i := 0; i < 15 || (i < 60 && slices.Min(times) > r.limit); i++ {
				start := time.Now()
				code, out := c.direct(t, r.mute, strings.Fields(r.args)...)
				times = append(times, time.Since(start))
				if code != r.code || out == "" {
					t.Fatalf("exit code %d, want %d: %q", code, r.code, out)
				}
			}
			slices.Sort(times)
			t.Logf("best %v, median %v, worst %v", times[0], times[len(times)/2], times[len(times)-1])
			if times[0] > r.limit {
				t.Errorf("best of %d runs: %v, limit %v", len(times), times[0], r.limit)
			}
		})
	}
}

// direct runs ctl without a shell, and with mute on a terminal of its own that
// is read but never answers.
func (c *commandLine) direct(t *testing.T, mute bool, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.bin, "ctl"), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"HOME=" + c.dir, "TERM=xterm-256color", "CONSUL_HTTP_ADDR=http://" + c.address + ":8500"}
	if !mute {
		text, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(text)
	}
	master, slave, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(master) // ends with EIO when the program has ended
	_ = cmd.Wait()                // its exit code is what counts
	return cmd.ProcessState.ExitCode(), string(text)
}

// openTerminal returns both ends of a new terminal.
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}
