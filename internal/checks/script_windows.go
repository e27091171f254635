package checks

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// ownGroup puts the program into a process group, and makes its end the end of
// what it started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	cmd.Cancel = func() error {
		if exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run() == nil { //nolint:gosec // a number
			return nil
		}
		return cmd.Process.Kill()
	}
}

// osService asks the service control manager.
func osService(_ context.Context, name string) (string, string) {
	m, err := mgr.Connect()
	if err != nil {
		return Critical, err.Error()
	}
	defer m.Disconnect()
	s, err := m.OpenService(name)
	if err != nil {
		return Critical, err.Error()
	}
	defer s.Close()
	status, err := s.Query()
	if err != nil {
		return Critical, err.Error()
	}
	switch status.State {
	case svc.Running:
		return Passing, fmt.Sprintf("Service %s is running", name)
	case svc.StartPending, svc.ContinuePending, svc.PausePending, svc.Paused:
		return Warning, fmt.Sprintf("Service %s is in state %d", name, status.State)
	default:
		return Critical, fmt.Sprintf("Service %s is in state %d", name, status.State)
	}
}
