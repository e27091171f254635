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
	ExitUnhealthy      = 16
	ExitUnknownCommand = 127
	ExitInterrupted    = 130
	ExitTerminated     = 143
)

// ExitCodes is the table of all exit codes with their meanings, for help and
// the reference.
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
		{ExitNoMatch, "`members`: no member matched; `check`: something is critical (1 is a warning)"},
		{3, "`check`: the state is not known"},
		{failure.Unavailable.ExitCode(), "detailed: the agent, or the datacenter, cannot be reached"},
		{failure.NoLeader.ExitCode(), "detailed: the cluster has no leader"},
		{failure.PermissionDenied.ExitCode(), "detailed: the token lacks the right, or the context is read-only"},
		{failure.NotFound.ExitCode(), "detailed: there is no such thing"},
		{failure.Conflict.ExitCode(), "detailed: a check-and-set or a lock lost"},
		{failure.Timeout.ExitCode(), "detailed: time ran out, or it is not known whether a write took place"},
		{ExitUnhealthy, "detailed: something is unhealthy"},
		{ExitUnknownCommand, "unknown command, or no command at all; nothing was done"},
		{ExitInterrupted, "ended by Ctrl-C"},
		{ExitTerminated, "ended by SIGTERM"},
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

// ErrUnhealthy ends a command of our own that found something unhealthy and
// has said so: nothing is printed, exit code 16.
var ErrUnhealthy error = &exitError{code: ExitUnhealthy}

// ErrUnreachable ends a command of our own that has said what it could not
// reach: nothing is printed, exit code 10.
var ErrUnreachable error = &exitError{code: failure.Unavailable.ExitCode()}

// ErrInterrupted ends a command that a signal told to end while that was not
// what it waits for: nothing is printed, exit code 130.
var ErrInterrupted error = &exitError{code: ExitInterrupted}

// ErrTerminated is the same for SIGTERM: exit code 143.
var ErrTerminated error = &exitError{code: ExitTerminated}

// ExitAs ends a command whose exit codes are not those of others, such as a
// plugin of a monitoring system, with code. A nil err prints nothing.
func ExitAs(code int, err error) error { return &exitError{code: code, err: err} }

// ExitCode returns the exit code for what a command returned, without detail.
func ExitCode(err error) int { return exitCode(err, false) }

func exitCode(err error, detailed bool) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if detailed {
		return kindOf(err).ExitCode()
	}
	return ExitError
}

// detailedKey marks commands whose exit codes are always detailed.
const detailedKey = "ctl.exit.detailed"

// DetailedExit makes the exit codes of cmd detailed whatever is asked for. It
// is for commands Consul does not have: nobody relies on their being 1.
func DetailedExit(cmd *cobra.Command) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[detailedKey] = "true"
}

const (
	exitCodesFlag = "exit-codes"
	exitCodesEnv  = "CTL_EXIT_CODES"
)

// detailed reports whether exit codes 10 to 16 may be used.
func (f *Factory) detailed(cmd *cobra.Command) bool {
	if cmd != nil && cmd.Annotations[detailedKey] != "" {
		return true
	}
	mode := f.exitCodes
	if mode == "" {
		mode, _ = f.LookupEnv(exitCodesEnv)
	}
	return mode == "detailed"
}
