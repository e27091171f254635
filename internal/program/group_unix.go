//go:build unix

package program

import (
	"os/exec"
	"syscall"
)

// OwnGroup puts the program into a process group, and makes the end of its
// context the end of all of it. It must be called before the program starts.
func OwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// Shell returns the program and arguments that run a command line as a shell
// does. shell is the value of SHELL; /bin/sh if empty.
func Shell(shell, line string) []string {
	if shell == "" {
		shell = "/bin/sh"
	}
	return []string{shell, "-c", line}
}
