//go:build !windows

package tui

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyResize has ch told when the terminal has another size.
func notifyResize(ch chan<- os.Signal) { signal.Notify(ch, syscall.SIGWINCH) }
