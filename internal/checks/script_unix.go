//go:build unix

package checks

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// osService asks systemd.
func osService(ctx context.Context, name string) (string, string) {
	out, err := exec.CommandContext(ctx, "systemctl", "is-active", "--", name).Output() //nolint:gosec // an argument, not a command
	state := strings.TrimSpace(string(out))
	if state == "" && err != nil {
		return Critical, fmt.Sprintf("Service %s: systemd cannot be asked: %s", name, err)
	}
	text := fmt.Sprintf("Service %s is %s", name, state)
	switch state {
	case "active":
		return Passing, text
	case "activating", "reloading", "deactivating":
		return Warning, text
	default:
		return Critical, text
	}
}
