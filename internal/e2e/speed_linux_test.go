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

// plainLimit is for the plainest command, ctl version: the starting and ending of
// the program, and little else.
const plainLimit = 20 * time.Millisecond

// TestCommandsAreQuick holds commands to their time, from their start to their
// end, and to as much processor time. The quickest of some runs counts, because a
// busy machine makes any one slow; and where even ctl version, run in turns with the
// command, mostly takes longer than its limit, the command may take longer by the
// same factor. The median is logged. It is alone: the tests that run in parallel follow.
func TestCommandsAreQuick(t *testing.T) {
	c := startCommandLine(t)
	for _, r := range []struct {
		args  string
		code  int
		mute  bool // on a terminal that answers nothing
		limit time.Duration
	}{
		{"version", 0, false, plainLimit},
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
			var took, busy, plain []time.Duration
			allowed := func() time.Duration {
				slowness := max(1, float64(median(plain))/float64(plainLimit))
				return time.Duration(float64(r.limit) * slowness)
			}
			quick := func() bool { return slices.Min(took) <= allowed() && slices.Min(busy) <= r.limit }
			for i := 0; i < 15 || i < 60 && !quick(); i++ {
				got := c.direct(t, r.mute, strings.Fields(r.args)...)
				took, busy = append(took, got.took), append(busy, got.busy)
				if got.code != r.code || got.out == "" {
					t.Fatalf("exit code %d, want %d: %q", got.code, r.code, got.out)
				}
				plain = append(plain, c.direct(t, false, "version").took)
			}
			slices.Sort(took)
			t.Logf("best %v, median %v, worst %v; processor time at best %v", took[0], median(took), took[len(took)-1], slices.Min(busy))
			if !quick() {
				t.Errorf("best of %d runs: %v, limit %v; processor time %v, limit %v; ctl version mostly took %v",
					len(took), took[0], allowed(), slices.Min(busy), r.limit, median(plain))
			}
		})
	}
}

func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// ran is how a command went.
type ran struct {
	code int
	out  string
	took time.Duration // by the clock
	busy time.Duration // of the processor
}

// direct runs ctl without a shell, and with mute on a terminal of its own that
// is read but never answers.
func (c *commandLine) direct(t *testing.T, mute bool, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.bin, "ctl"), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"HOME=" + c.dir, "TERM=xterm-256color", "CONSUL_HTTP_ADDR=http://" + c.address + ":8500"}
	ended := func(began time.Time, out []byte) ran {
		s := cmd.ProcessState
		return ran{s.ExitCode(), string(out), time.Since(began), s.UserTime() + s.SystemTime()}
	}
	if !mute {
		began := time.Now()
		text, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return ended(began, text)
	}
	master, slave, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	began := time.Now()
	err = cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(master) // ends with EIO when the program has ended
	_ = cmd.Wait()                // its exit code is what counts
	return ended(began, text)
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
