package checks

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/ctl-sh/ctl/internal/program"
)

// lingering is how long the output of a program that ended may be held open by
// what it left behind.
const lingering = 2 * time.Second

// scriptProbe runs a program in a process group of its own. When its time is up
// the whole group is killed, and so is what is left of it after the program
// ended and still holds its output open: it would be there once more after every
// run.
func scriptProbe(d *Definition, limit int) probe {
	return func(ctx context.Context) (string, string) {
		cmd := exec.CommandContext(ctx, d.ScriptArgs[0], d.ScriptArgs[1:]...) //nolint:gosec // running it is what was asked
		program.OwnGroup(cmd)
		cmd.WaitDelay = lingering
		seen := program.NewTail(limit)
		cmd.Stdout, cmd.Stderr = seen, seen
		err := cmd.Run()
		if errors.Is(err, exec.ErrWaitDelay) {
			_ = cmd.Cancel() // it may have ended just now
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			text := fmt.Sprintf("Timed out (%s) running check", d.limit())
			if seen.Written() > 0 {
				text += "\n" + seen.String()
			}
			return Critical, text
		}
		var exit *exec.ExitError
		switch {
		case err == nil, errors.Is(err, exec.ErrWaitDelay):
			return Passing, seen.String()
		case errors.As(err, &exit):
			return exitStatus(exit.ExitCode()), seen.String()
		default:
			return Critical, err.Error()
		}
	}
}

// exitStatus is what a program's exit code says.
func exitStatus(code int) string {
	switch code {
	case 0:
		return Passing
	case 1:
		return Warning
	default:
		return Critical
	}
}

// osServiceProbe asks the operating system's service manager.
func osServiceProbe(d *Definition) probe {
	return func(ctx context.Context) (string, string) { return osService(ctx, d.OSService) }
}
