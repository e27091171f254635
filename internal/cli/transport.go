package cli

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
)

// Outcome is the header by which an agent says that it does not know whether
// a write took place.
const (
	OutcomeHeader  = "X-Ctl-Outcome"
	OutcomeUnknown = "unknown"
)

// kindHeader is by what an agent names the kind of a failed read whose status,
// 500, clients of Consul try again after.
const kindHeader = "X-Ctl-Kind"

// unknownOutcome is a write that may or may not have taken place.
type unknownOutcome struct{ err error }

func (e *unknownOutcome) Error() string { return "outcome unknown: " + e.err.Error() }
func (e *unknownOutcome) Unwrap() error { return e.err }

// unreachable is a request that got no answer and changed nothing.
type unreachable struct{ err error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// roundTripper sets the token of this run on every request and gives failed
// requests the type that says what is known about them.
type roundTripper struct {
	agents *agents
	token  string
	auth   *api.HttpBasicAuth // nil where the request has its own, or none
	refuse error              // why nothing may be changed; nil if it may
}

// RoundTrip implements http.RoundTripper.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.refuse != nil && req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, t.refuse
	}
	req = req.Clone(req.Context())
	req.Header.Del("X-Consul-Token")
	if t.token != "" {
		req.Header.Set("X-Consul-Token", t.token)
	}
	if t.auth != nil {
		req.SetBasicAuth(t.auth.Username, t.auth.Password)
	}
	resp, err := t.agents.send(req)
	if err != nil {
		return nil, err
	}
	switch kind := resp.Header.Get(kindHeader); {
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get(OutcomeHeader) == OutcomeUnknown:
		return nil, &unknownOutcome{statusError(resp)}
	case kind == failure.Unavailable.String():
		return nil, failure.Wrap(failure.Unavailable, statusError(resp))
	case kind == failure.Timeout.String():
		return nil, failure.Wrap(failure.Timeout, statusError(resp))
	}
	return resp, nil
}

// statusError reads a failed answer to its end and returns what it says.
func statusError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is what is shown
	resp.Body.Close()
	return api.StatusError{Code: resp.StatusCode, Body: strings.TrimSpace(string(text))}
}

// kindOf says what sort of failure a command met, as far as an HTTP answer
// tells. Errors that are not about a request are Internal.
func kindOf(err error) failure.Kind {
	var unknown *unknownOutcome
	var unreach *unreachable
	var given *failure.Error
	status := statusOf(err)
	switch {
	case errors.As(err, &given):
		return given.Kind
	case errors.As(err, &unknown):
		return failure.OutcomeUnknown
	case errors.As(err, &unreach):
		return failure.Unavailable
	case status == http.StatusInternalServerError && strings.Contains(err.Error(), failure.TextNoLeader):
		return failure.NoLeader
	case status == http.StatusInternalServerError && strings.Contains(err.Error(), failure.TextNoPath):
		return failure.NoPath
	}
	kind, ok := map[int]failure.Kind{
		http.StatusBadRequest:            failure.BadRequest,
		http.StatusForbidden:             failure.PermissionDenied,
		http.StatusNotFound:              failure.NotFound,
		http.StatusConflict:              failure.Conflict,
		http.StatusRequestEntityTooLarge: failure.TooLarge,
		http.StatusTooManyRequests:       failure.RateLimited,
		http.StatusNotImplemented:        failure.Unsupported,
		http.StatusServiceUnavailable:    failure.Unavailable,
		http.StatusGatewayTimeout:        failure.Timeout,
	}[status]
	if ok {
		return kind
	}
	return failure.KindOf(err)
}

// statusOf returns the HTTP status that failed the command, or zero.
func statusOf(err error) int {
	if status, ok := errors.AsType[api.StatusError](err); ok {
		return status.Code
	}
	return 0
}

// IsNotFound reports whether err is the agent saying that there is no such
// thing.
func IsNotFound(err error) bool { return statusOf(err) == http.StatusNotFound }

// Answered reports whether err is an answer of the agent, as opposed to there
// being none.
func Answered(err error) bool { return statusOf(err) != 0 }
