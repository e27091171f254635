package cli

import (
	"errors"
	"fmt"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/spf13/cobra"
)

// Exit codes. They are part of the command line's interface: scripts test them.
const (
	ExitOK             = 0
	ExitError          = 1
	ExitNoMatch        = 2
	ExitUnknownCommand = 127
)

// ExitCodes is the table of all exit codes with their meanings, for the
// reference. A process ended by a signal gets 128 and the signal's number from
// its shell (130 for Ctrl-C, 143 for SIGTERM).
func ExitCodes() []struct {
	Code    int
	Meaning string
} {
	return []struct {
		Code    int
		Meaning string
	}{
		{ExitOK, "success; also the help asked for with -h, and `monitor` ended by Ctrl-C"},
		{ExitError, "failure of any kind, wrong flags and arguments included; a group of commands called without a command"},
		{ExitNoMatch, "`members`: no member matched"},
		{ExitUnknownCommand, "unknown command, or no command at all; nothing was done"},
	}
}

// exitError is an error that says more than its text: another exit code, a
// command whose usage to show with it, or that nothing is to be printed (nil
// err).
type exitError struct {
	code int
	err  error
	help *cobra.Command
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Failf returns an error with a text for the operator, printed as it is. Use it
// for texts that begin as Consul's do ("Error! ..."). %w works.
func Failf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// Fail is Failf for a failure of a kind, which decides the detailed exit code
// and the class of the JSON error.
func Fail(kind failure.Kind, format string, args ...any) error {
	return failure.Newf(kind, format, args...)
}

// Usagef returns an error after whose text is shown how cmd is called. Exit
// code 1.
func Usagef(cmd *cobra.Command, format string, args ...any) error {
	return &exitError{code: ExitError, err: fmt.Errorf(format, args...), help: cmd}
}

// ErrNoMatch ends a command that found nothing where that is an answer of its
// own: nothing is printed, exit code 2.
var ErrNoMatch error = &exitError{code: ExitNoMatch}

// ErrReported ends a command that has already said on standard error what
// went wrong. Exit code 1.
var ErrReported error = &exitError{code: ExitError}

// ExitCode returns the exit code for what a command returned.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return ExitError
}
