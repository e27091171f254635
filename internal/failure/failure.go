// Package failure holds the kinds of error ctl knows and the one table that
// turns a kind into an HTTP status, an RPC code and a process exit code.
//
// It is not for texts or logging: an error keeps its own message, and is logged
// once, at the edge. Rules that keep it right: behaviour is decided by kind,
// never by text; a kind survives the RPC wire; every kind has a row in the
// table (a test says so); texts that clients of the HTTP API match are the
// constants of texts.go and nowhere else.
package failure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Kind says what sort of failure an error is. The numbers travel between
// agents and are never reused.
type Kind uint8

// The kinds. Internal is the zero value: an error nobody gave a kind.
const (
	// Internal is a fault of ours, or an error without a kind.
	Internal Kind = iota
	// BadRequest is input that the HTTP edge cannot read: status 400.
	BadRequest
	// Invalid is readable input that a rule of the state refuses. Consul
	// answers 500 with the text, and clients match on it.
	Invalid
	// NotFound is an object that does not exist: status 404.
	NotFound
	// PermissionDenied is a token without the right: status 403.
	PermissionDenied
	// Conflict is a check-and-set or lock that lost: status 409.
	Conflict
	// TooLarge is a body, value or key above a configured limit: status 413.
	TooLarge
	// RateLimited is work refused because of its rate or number: status 429.
	RateLimited
	// NoLeader says the cluster has no leader, or this server is not the
	// leader and was asked as if it were. The request was certainly not
	// applied, so it may be sent again: status 500.
	NoLeader
	// NoPath says no server is known for the asked datacenter: status 500.
	NoPath
	// Unavailable says the receiver could not be reached or is shutting
	// down, and the request was certainly not applied: status 503.
	Unavailable
	// OutcomeUnknown says a write was handed on but its result never came
	// back: it may have been applied, or may still be: status 503 with the
	// header X-Ctl-Outcome: unknown. Never retried blindly.
	OutcomeUnknown
	// Timeout is a read that ran out of time: status 504.
	Timeout
	// Unsupported is a feature this build or configuration lacks: status 501.
	Unsupported
	kindCount
)

type row struct {
	name   string
	status int
	exit   int
}

// table is indexed by Kind. Exit codes above 2 are only used where the caller
// asked for detailed exit codes.
var table = [kindCount]row{
	Internal:         {"internal", http.StatusInternalServerError, 1},
	BadRequest:       {"bad-request", http.StatusBadRequest, 1},
	Invalid:          {"invalid", http.StatusInternalServerError, 1},
	NotFound:         {"not-found", http.StatusNotFound, 13},
	PermissionDenied: {"permission-denied", http.StatusForbidden, 12},
	Conflict:         {"conflict", http.StatusConflict, 14},
	TooLarge:         {"too-large", http.StatusRequestEntityTooLarge, 1},
	RateLimited:      {"rate-limited", http.StatusTooManyRequests, 1},
	NoLeader:         {"no-leader", http.StatusInternalServerError, 11},
	NoPath:           {"no-path", http.StatusInternalServerError, 10},
	Unavailable:      {"unavailable", http.StatusServiceUnavailable, 10},
	OutcomeUnknown:   {"outcome-unknown", http.StatusServiceUnavailable, 15},
	Timeout:          {"timeout", http.StatusGatewayTimeout, 15},
	Unsupported:      {"unsupported", http.StatusNotImplemented, 1},
}

// String returns the kind's stable name, as it stands in logs and JSON errors.
func (k Kind) String() string {
	if k >= kindCount {
		return fmt.Sprintf("kind-%d", uint8(k))
	}
	return table[k].name
}

// HTTPStatus returns the status an HTTP edge answers for the kind. A kind from
// a newer agent is 500.
func (k Kind) HTTPStatus() int {
	if k >= kindCount {
		return http.StatusInternalServerError
	}
	return table[k].status
}

// ExitCode returns the process exit code of the kind where detailed exit codes
// were asked for; otherwise every failure exits 1.
func (k Kind) ExitCode() int {
	if k >= kindCount {
		return 1
	}
	return table[k].exit
}

// Retryable reports whether a request that failed with this kind was certainly
// not applied and may be sent again, to another server if there is one.
func (k Kind) Retryable() bool { return k == NoLeader || k == Unavailable }

// Error is an error with a kind. Its text is Msg, and, where a cause is kept,
// the cause's text after a colon.
type Error struct {
	Kind Kind
	Msg  string
	Err  error // the cause; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	default:
		return e.Msg + ": " + e.Err.Error()
	}
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the kind with exactly the text msg.
func New(k Kind, msg string) error { return &Error{Kind: k, Msg: msg} }

// Newf returns an error of the kind with a formatted text. A %w verb keeps its
// operand reachable for errors.Is and errors.As.
func Newf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// Wrap gives err the kind without changing its text. It returns nil for nil.
func Wrap(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Err: err}
}

// KindOf returns the kind of the outermost Error in err's chain. A context
// that ran out is Timeout; anything else, and nil, is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Timeout
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
