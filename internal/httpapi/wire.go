package httpapi

import (
	"net/http"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
)

//go:generate go tool -modfile=../../tools/go.mod msgp -file wire.go -o wire_gen.go -io=false -tests=false

// WireRequest is an HTTP request on its way from the agent that was asked to
// one that may answer it.
type WireRequest struct {
	Method string `msg:"m"`
	// Path is percent-encoded, as it came.
	Path     string `msg:"p"`
	RawQuery string `msg:"q,omitempty"`
	// Header holds those of forwardedHeaders that were there, one a line.
	Header     string `msg:"h,omitempty"`
	Body       []byte `msg:"b,omitempty"`
	RemoteAddr string `msg:"r,omitempty"`
	// Token is the one in force; the receiver looks for no other.
	Token string `msg:"t,omitempty"`
	// Hops counts the agents that handed the request on.
	Hops uint8 `msg:"n"`
	// Agent is the node name of the agent that was asked.
	Agent string `msg:"g,omitempty"`
	// Pretty asks for indented JSON, as ?pretty or the asked agent does.
	Pretty bool `msg:"i,omitempty"`
}

// Write reports whether running the request twice may differ from running it
// once.
func (r *WireRequest) Write() bool { return r.Method != http.MethodGet }

// WireResponse is a finished answer on its way back.
type WireResponse struct {
	Status int `msg:"s"`
	// Header holds the answer's headers, one a line, for the asked agent to
	// copy. Headers that every answer of an agent has are not among them.
	Header string `msg:"h,omitempty"`
	Body   []byte `msg:"b,omitempty"`
	// Kind is the failure.Kind of an answer that is an error, zero otherwise.
	Kind uint8 `msg:"k,omitempty"`
}

// Retryable reports whether the answer says that the request was certainly not
// applied and may be sent again, perhaps elsewhere.
func (r *WireResponse) Retryable() bool { return failure.Kind(r.Kind).Retryable() }

// forwardedHeaders are the request headers a handler at a server may look at.
var forwardedHeaders = [...]string{"Accept", "Cache-Control", "Content-Type"}

// headerLines renders the forwarded request headers.
func headerLines(h http.Header) string {
	var b []byte
	for _, key := range forwardedHeaders {
		if v := first(h, key); v != "" {
			b = appendLine(b, key, v)
		}
	}
	return string(b)
}

// appendLine appends one header. A value with a line end in it is left out:
// it could not be told from two headers.
func appendLine(b []byte, key, value string) []byte {
	if strings.ContainsAny(value, "\r\n") {
		return b
	}
	b = append(b, key...)
	b = append(b, ':', ' ')
	b = append(b, value...)
	return append(b, '\n')
}

// setLines copies header lines into h, in place of what it had under their
// names. Lines of one name follow each other. The values keep their place in
// the one string they came in.
func setLines(h http.Header, lines string) {
	values := make([]string, 0, 8)
	previous := ""
	for line := range strings.SplitSeq(lines, "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		if key == previous {
			h[key] = append(h[key], value)
			continue
		}
		previous = key
		values = append(values, value)
		n := len(values)
		h[key] = values[n-1 : n : n]
	}
}

func parseLines(lines string) http.Header {
	h := make(http.Header)
	setLines(h, lines)
	return h
}
