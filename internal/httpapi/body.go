package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// defaultMaxBody bounds bodies of routes that name no limit: JSON.
	defaultMaxBody = 1 << 20
	// firstBodyBytes is what a body is given room for at first, whatever
	// its Content-Length promises.
	firstBodyBytes = 32 << 10
)

func (r *boundRoute) maxBody() int64 {
	switch {
	case r.MaxBody > 0:
		return r.MaxBody
	case r.Method == http.MethodGet, r.Method == http.MethodDelete:
		return 0
	default:
		return defaultMaxBody
	}
}

// readBody reads the whole body into req, or says why not. Nothing has been
// done with the request by then.
func (m *Mux) readBody(w http.ResponseWriter, r *http.Request, route *boundRoute, req *Request) *answer {
	limit := route.maxBody()
	if limit == 0 || r.ContentLength == 0 {
		return nil
	}
	if r.ContentLength > limit {
		return tooLarge(fmt.Sprintf("Request body(%d bytes) too large", r.ContentLength), route)
	}
	rc := http.NewResponseController(w)
	// The deadline must not outlive the body: the connection is read on for
	// the client's going away.
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }() // a connection that is gone has none
	body, err := m.readAll(rc, r, limit)
	switch {
	case err == nil:
		req.Body = body
		return nil
	case errors.Is(err, errTooLarge):
		return tooLarge("Request body too large", route)
	case errors.Is(err, os.ErrDeadlineExceeded):
		a := text(http.StatusRequestTimeout, fmt.Sprintf("Request body stopped after %d bytes for %s; nothing was done", len(body), m.cfg.BodyIdleTimeout))
		a.close = true
		return a
	default:
		a := text(http.StatusBadRequest, cutOff(len(body), r.ContentLength))
		a.close = true
		return a
	}
}

func cutOff(got int, promised int64) string {
	if promised < 0 {
		return fmt.Sprintf("Request body was cut off after %d bytes; nothing was done", got)
	}
	return fmt.Sprintf("Request body was cut off after %d of %d bytes; nothing was done", got, promised)
}

func tooLarge(what string, route *boundRoute) *answer {
	s := fmt.Sprintf("%s, max size: %d bytes.", what, route.maxBody())
	if route.MaxBodyKey != "" {
		s += " See " + route.MaxBodyKey + " in the agent's configuration."
	}
	a := text(http.StatusRequestEntityTooLarge, s)
	a.close, a.unread = true, true
	return a
}

// A client that sends its whole body before it reads the answer is given this
// much to get to reading, while it sends: closing a connection with bytes unread
// resets it, and the answer is lost with it.
const (
	swallowBytes = 16 << 20
	swallowPiece = 64 << 10
)

// swallow sends the answer that was written and then reads what the client
// still sends, into nothing. net/http would do neither for a client that
// announced that it closes the connection.
func swallow(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	err := rc.Flush()
	for n := 0; n < swallowBytes && err == nil; n += swallowPiece {
		if err = rc.SetReadDeadline(time.Now().Add(lingering)); err == nil {
			_, err = io.CopyN(io.Discard, r.Body, swallowPiece)
		}
	}
}

var errTooLarge = errors.New("body above the limit")

// readAll reads at most limit bytes, each piece within the idle timeout. What
// it returns with an error is what came.
func (m *Mux) readAll(rc *http.ResponseController, r *http.Request, limit int64) ([]byte, error) {
	// One byte more than promised or allowed lets the end be seen.
	size := limit
	if r.ContentLength > 0 {
		size = r.ContentLength
	}
	body := make([]byte, 0, min(size, firstBodyBytes)+1)
	for {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(int64(2*cap(body)), size+1))
			copy(grown, body)
			body = grown
		}
		// A connection without deadlines (a test's) has nobody slow behind it.
		_ = rc.SetReadDeadline(time.Now().Add(m.cfg.BodyIdleTimeout))
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return body, errTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return body, err
		}
	}
}
