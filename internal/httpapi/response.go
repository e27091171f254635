package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
)

// Response is what a handler answers. At most one of Body, Raw, Shared, Append
// and Stream is set; none is an empty body.
type Response struct {
	// Status is the HTTP status; zero is 200.
	Status int
	// Header holds extra headers, with canonical names.
	Header http.Header
	// Meta, when set, becomes the X-Consul-* headers.
	Meta *query.Meta
	// ContentType of Raw, Shared, Append and Stream; "" is JSON.
	ContentType string

	// Body is encoded as JSON. A typed nil is null.
	Body any
	// Raw is sent as it is, but indented where JSON is asked to be. It is
	// only read, and may be shared.
	Raw []byte
	// Shared is sent as Raw is, and compressed once for all who take it so.
	Shared *Shared
	// Append appends the body to dst and returns it, for encodings written
	// by hand. It runs once, after the handler returned.
	Append func(dst []byte) []byte
	// Stream writes until ctx ends or there is no more. Writes are flushed
	// within 200 ms, or when w, which is a Flusher, is told to. Only local
	// routes can stream.
	Stream func(ctx context.Context, w io.Writer) error
}

// Flusher sends at once what was written to a stream.
type Flusher interface{ Flush() }

// StatusError is an error whose status no failure kind has, such as 401.
type StatusError struct {
	Status int
	Text   string
}

// Error implements error.
func (e *StatusError) Error() string { return e.Text }

const (
	jsonType = "application/json"
	textType = "text/plain; charset=utf-8"
)

// answer is a finished answer, on its way to a connection or to the wire.
type answer struct {
	status      int
	kind        failure.Kind // of the error, for who might ask again
	failed      bool         // kind means something
	contentType string
	meta        *query.Meta
	consistency bool
	header      http.Header
	wire        string // header lines of a forwarded answer
	location    string
	allow       string
	body        []byte
	shared      *Shared       // whose bytes body is, when set
	cache       string        // X-Cache
	pooled      *bytes.Buffer // owns body when set
	stream      func(context.Context, io.Writer) error
	close       bool // the connection is of no further use
	unread      bool // the client may still be sending a body nobody wants
}

func text(status int, s string) *answer {
	return &answer{status: status, contentType: textType, body: []byte(s)}
}

// failed makes the answer for an error.
func failedAnswer(err error) *answer {
	a := text(http.StatusInternalServerError, err.Error())
	if se, ok := errors.AsType[*StatusError](err); ok {
		a.status = se.Status
		return a
	}
	a.kind, a.failed = failure.KindOf(err), true
	a.status = a.kind.HTTPStatus()
	if a.kind == failure.OutcomeUnknown {
		a.header = outcomeUnknown
	}
	return a
}

// outcomeUnknown is shared by all answers; nobody changes it.
var outcomeUnknown = http.Header{"X-Ctl-Outcome": {"unknown"}}

// forReader gives a read that nobody could answer the status that clients of
// Consul try again after. They know no other: a lock that is watched through
// the official client is given up over a 503. The header keeps what it was.
func (a *answer) forReader() {
	if !a.failed || a.kind != failure.Unavailable && a.kind != failure.Timeout {
		return
	}
	a.status = http.StatusInternalServerError
	h := http.Header{}
	maps.Copy(h, a.header)
	h.Set(kindHeader, a.kind.String())
	a.header = h
}

// kindHeader names the kind of failure where the status does not tell.
const kindHeader = "X-Ctl-Kind"

// buffers are reused for encoding; those grown beyond maxPooledBody are not.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooledBody = 256 << 10

// release gives the answer's buffer back, after its last use.
func (a *answer) release() {
	if a.pooled != nil && a.pooled.Cap() <= maxPooledBody {
		buffers.Put(a.pooled)
	}
	a.pooled = nil
}

// answered turns a handler's return values into an answer.
func answered(r *Request, route *boundRoute, resp *Response, err error) *answer {
	var a *answer
	switch {
	case err != nil:
		a = failedAnswer(err)
	case resp == nil:
		return &answer{status: http.StatusOK, contentType: jsonType}
	default:
		if a, err = encode(r, resp); err != nil {
			a = failedAnswer(failure.Newf(failure.Internal, "encode answer: %w", err))
		}
	}
	if resp != nil {
		a.meta, a.consistency = resp.Meta, route.Consistency
		if a.header == nil {
			a.header = resp.Header
		}
	}
	return a
}

// encode renders the body of resp.
func encode(r *Request, resp *Response) (*answer, error) {
	a := &answer{status: resp.Status, contentType: resp.ContentType, stream: resp.Stream}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.contentType == "" {
		a.contentType = jsonType
	}
	switch {
	case resp.Stream != nil:
		return a, nil
	case resp.Append != nil:
		a.pooled = buffers.Get().(*bytes.Buffer)
		a.pooled.Reset()
		a.body = resp.Append(a.pooled.AvailableBuffer())
		a.pooled.Write(a.body) // keeps the grown array, copies nothing that is in place
		a.body = a.pooled.Bytes()
	case resp.Raw != nil:
		a.body = resp.Raw
	case resp.Shared != nil:
		a.body, a.shared = resp.Shared.raw, resp.Shared
	case resp.Body != nil:
		return a, encodeJSON(a, r, resp.Body)
	default:
		return a, nil
	}
	if r.pretty && a.contentType == jsonType {
		return a, indent(a, r)
	}
	return a, nil
}

// encodeJSON renders v as encoding/json does, HTML escapes included: that is
// the wire format.
func encodeJSON(a *answer, r *Request, v any) error {
	if b, ok := v.(bool); ok && !r.newline {
		if a.body = []byte("false"); b {
			a.body = []byte("true")
		}
		return nil
	}
	a.pooled = buffers.Get().(*bytes.Buffer)
	a.pooled.Reset()
	e := json.NewEncoder(a.pooled)
	if r.pretty {
		e.SetIndent("", "    ")
	}
	if err := e.Encode(v); err != nil {
		a.release()
		return err
	}
	a.body = a.pooled.Bytes()
	if !r.newline {
		a.body = a.body[:len(a.body)-1] // Encode ends with a newline
	}
	return nil
}

// indent renders a body that is JSON already for people.
func indent(a *answer, r *Request) error {
	into := buffers.Get().(*bytes.Buffer)
	into.Reset()
	if err := json.Indent(into, a.body, "", "    "); err != nil {
		return err
	}
	if r.newline {
		into.WriteByte('\n')
	}
	a.release()
	a.pooled, a.body, a.shared = into, into.Bytes(), nil
	return nil
}
