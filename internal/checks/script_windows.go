package checks

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

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
