package program

import (
	"os/exec"
	"strconv"
	"syscall"
)

// OwnGroup puts the program into a process group, and makes the end of its
// context the end of what it started. It must be called before the program
// starts.
func OwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	cmd.Cancel = func() error {
		if exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run() == nil { //nolint:gosec // a number
			return nil
		}
		return cmd.Process.Kill()
	}
}

// Shell returns the program and arguments that run a command line as a shell
// does. shell is ignored.
func Shell(_, line string) []string { return []string{"cmd", "/C", line} }
