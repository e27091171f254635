package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
)

// Request is what a handler is given. It belongs to the handler; its maps must
// not be changed.
type Request struct {
	// Method and Path (percent-decoded) are as they came.
	Method, Path string
	// Query holds the query parameters; nil when there were none. Flags like
	// "recurse" are present with an empty value: ask Has.
	Query url.Values
	// Header holds all headers at the agent that was asked. A forwarded
	// request carries only those of forwardedHeaders.
	Header http.Header
	// Body is the whole body, at most Route.MaxBody bytes; nil without one.
	Body []byte
	// Options are the parsed datacenter, token and read options. The token
	// is the one in force: the request's, or the asked agent's own.
	Options query.Options
	// RemoteAddr is the client's address, host:port, or "@" or a path for a
	// unix socket. Forwarding keeps it.
	RemoteAddr string
	// Agent is the node name of the agent that was asked. Forwarding keeps
	// it. It is empty where an older agent handed the request on.
	Agent string

	pretty   bool // indent JSON
	newline  bool // and end it with a newline
	wildcard string
	value    string
}

// PathValue returns what the pattern's wildcard of that name took, "" for
// another name.
func (r *Request) PathValue(name string) string {
	if name != r.wildcard {
		return ""
	}
	return r.value
}

// Has reports whether the query parameter is present, with or without a value.
func (r *Request) Has(param string) bool { return r.Query.Has(param) }

// DecodeBody decodes the JSON body into v, with encoding/json's rules: member
// names match in any case. A body that is empty, not JSON or (unless lenient)
// has members that v does not know fails as BadRequest with the text clients
// expect.
func (r *Request) DecodeBody(v any, lenient bool) error {
	d := json.NewDecoder(bytes.NewReader(r.Body))
	if !lenient {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return failure.Newf(failure.BadRequest, "Request decode failed: %w", err)
	}
	return nil
}
