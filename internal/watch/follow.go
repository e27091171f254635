package watch

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
)

// Requester asks an agent's HTTP API. A request that could not be asked is an
// error; an answer of any status is none.
type Requester interface {
	Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error)
}

// Change is new content.
type Change struct {
	// Index is the answer's X-Consul-Index; its hash for agent_service.
	Index string
	// Body is JSON, compact; "null" where there is nothing.
	Body []byte
}

// wait is how long one question may wait for a change. Agents cut it to what
// they allow.
const wait = 5 * time.Minute

// Pauses after failures: 5 s times the square of how many there were in a row.
// Source: Consul's watches.
const (
	pauseStep = 5 * time.Second
	maxPause  = 3 * time.Minute
)

// pause returns how long to wait after the nth failure in a row.
func pause(n int) time.Duration { return min(pauseStep*time.Duration(n)*time.Duration(n), maxPause) }

// Get asks once and returns what is there now.
func (p *Plan) Get(ctx context.Context, r Requester) (Change, error) {
	return p.ask(ctx, r, "")
}

// Follow calls fire with what is there and again after every change, one call at
// a time, until ctx ends, fire fails, or failed does; it returns why. failed is
// told of every question that failed and how long is waited before the next.
func (p *Plan) Follow(ctx context.Context, r Requester, fire func(context.Context, Change) error, failed func(err error, pause time.Duration) error) error {
	var last []byte
	at, failures := "", 0
	for {
		c, err := p.ask(ctx, r, at)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failures++
			if err := failed(err, pause(failures)); err != nil {
				return err
			}
			if !backoff.Pause(ctx, pause(failures)) {
				return context.Cause(ctx)
			}
			at = "" // the answer must not wait for another change
			continue
		}
		failures = 0
		if last == nil || !bytes.Equal(last, c.Body) {
			last = c.Body
			if err := fire(ctx, c); err != nil {
				return err
			}
		}
		if at = p.next(at, c.Index); c.Index == "" {
			// Nothing to wait by, as for a service that is not there: look
			// again after a while.
			if !backoff.Pause(ctx, pauseStep) {
				return context.Cause(ctx)
			}
		}
	}
}

// next returns where to wait from. An index that went back belongs to another
// history: what is there then is read anew.
func (p *Plan) next(was, now string) string {
	if p.byHash() {
		return now
	}
	before, _ := strconv.ParseUint(was, 10, 64)
	after, _ := strconv.ParseUint(now, 10, 64)
	if after < before {
		return ""
	}
	return now
}

// ask asks once; from at it waits for a change.
func (p *Plan) ask(ctx context.Context, r Requester, at string) (Change, error) {
	path, q := p.request()
	position := "X-Consul-Index"
	if p.byHash() {
		position = "X-Consul-Contenthash"
	}
	if at != "" {
		name := "index"
		if p.byHash() {
			name = "hash"
		}
		q.Set(name, at)
		q.Set("wait", wait.String())
	}
	status, header, body, err := r.Do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return Change{}, err
	}
	switch {
	case status == http.StatusNotFound && (p.Type == "key" || p.Type == "keyprefix" || p.byHash()):
		body = nil
	case status != http.StatusOK:
		return Change{}, fmt.Errorf("Unexpected response code: %d (%s)", status, strings.TrimSpace(string(body))) //nolint:staticcheck // Consul's text
	}
	content, err := p.content(body)
	if err != nil {
		return Change{}, err
	}
	return Change{Index: header.Get(position), Body: content}, nil
}
