package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asked matches what programs ask of a terminal and wait for: attributes, the
// cursor's place, the version, a mode, colours.
var asked = regexp.MustCompile("\x1b\\[[>=?]?[0-9;]*[cnqu]|\x1b\\[\\?[0-9;]*\\$p|\x1b\\][0-9;]*;\\?")

// TestCommandsAskNothingOfATerminal runs commands without a terminal, and on one
// that answers nothing: they must say the same at once, and not wait for it. How
// long they take, from start to end, is logged.
func TestCommandsAskNothingOfATerminal(t *testing.T) {
	c := startCommandLine(t)
	for _, r := range []struct {
		args string
		code int
		mute bool
	}{
		{"version", 0, false},
		{"members", 0, false},
		{"version", 0, true},
		{"members", 0, true},
		{"-h", 0, true},
		{"help formatting", 0, true},
		{"kv get -h", 0, true},
		{"nope", 127, true},
		{"members -nope", 1, true},
		{"kv get missing", 1, true},
		{"members -http-addr 127.0.0.1:1", 1, true},
	} {
		name := r.args
		if r.mute {
			name += " on a mute terminal"
		}
		t.Run(name, func(t *testing.T) {
			var took []time.Duration
			for range 11 {
				got := c.direct(t, r.mute, strings.Fields(r.args)...)
				took = append(took, got.took)
				if got.code != r.code || got.out == "" {
					t.Fatalf("exit code %d, want %d: %q", got.code, r.code, got.out)
				}
				if q := asked.FindString(got.out); q != "" {
					t.Fatalf("it asks the terminal %q", q)
				}
			}
			slices.Sort(took)
			t.Logf("best %v, median %v, worst %v", took[0], took[len(took)/2], took[len(took)-1])
		})
	}
}

// ran is how a command went.
type ran struct {
	code int
	out  string
	took time.Duration
}

// direct runs ctl without a shell, and with mute on a terminal of its own that
// is read but never answers.
func (c *commandLine) direct(t *testing.T, mute bool, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.bin, "ctl"), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"HOME=" + c.dir, "TERM=xterm-256color", "CONSUL_HTTP_ADDR=http://" + c.address + ":8500"}
	ended := func(began time.Time, out []byte) ran {
		return ran{cmd.ProcessState.ExitCode(), string(out), time.Since(began)}
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
