//go:build !windows

package agentproc

import "syscall"

func (p *Process) terminate() error {
	select {
	case <-p.exited:
		return nil
	default:
		return p.cmd.Process.Signal(syscall.SIGTERM)
	}
}

// Pause stops the process where it is (SIGSTOP); Resume lets it go on.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }
