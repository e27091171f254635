package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
)

// maxHops bounds how often a request is handed on: from the agent that was
// asked to a server, and from there to the leader. What arrives after that at
// an agent that is no longer the right one goes back as retryable.
const maxHops = 2

// errStopping is the cause of the end of a wait because this agent stops.
var errStopping = errors.New("the agent is shutting down")

// stopKey finds the context that ends when the agent begins to stop in the
// context of a request.
type stopKey struct{}

// call is one request on its way to its handler, here or elsewhere.
type call struct {
	req      *Request
	route    *boundRoute
	path     target
	rawQuery string
	hops     uint8
}

// dispatch answers c where its route says. What was certainly not applied is
// tried again until the hold time is over, but only by the agent that was
// asked, so that tries do not multiply.
func (m *Mux) dispatch(ctx context.Context, c call) *answer {
	if waits := c.req.Options.MinIndex > 0; waits {
		if refused := m.beginBlocking(); refused != nil {
			return refused
		}
		defer m.endBlocking()
		var end context.CancelFunc
		ctx, end = untilStop(ctx)
		defer end()
	}
	a := m.attempt(ctx, c)
	if c.hops > 0 || m.cfg.Hold == 0 || !retryable(c, a) {
		return a
	}
	return m.hold(ctx, c, a)
}

// beginBlocking counts a blocking read, or returns the answer where there are
// too many; endBlocking takes it back.
func (m *Mux) beginBlocking() *answer {
	if n := m.blocking.Add(1); n > int64(m.cfg.MaxBlocking) {
		m.endBlocking()
		return failedAnswer(failure.Newf(failure.RateLimited, "too many blocking queries at this agent (limit %d)", m.cfg.MaxBlocking))
	}
	return nil
}

func (m *Mux) endBlocking() { m.blocking.Add(-1) }

func retryable(c call, a *answer) bool {
	return a.failed && a.kind.Retryable() && c.route.Where != Local
}

// hold tries again, with growing pauses, as long as nobody can answer.
func (m *Mux) hold(ctx context.Context, c call, a *answer) *answer {
	until := time.Now().Add(m.cfg.Hold)
	pause := 5 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for retryable(c, a) && time.Now().Before(until) {
		timer.Reset(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return a
		}
		pause = min(2*pause, 100*time.Millisecond)
		a = m.attempt(ctx, c)
	}
	return a
}

func (m *Mux) attempt(ctx context.Context, c call) *answer {
	w, dc := c.route.Where, c.req.Options.Datacenter
	if w != Local && !m.cfg.Dispatcher.Here(w, dc) {
		return m.forward(ctx, c)
	}
	resp, err := m.handle(ctx, c)
	if err != nil && errors.Is(context.Cause(ctx), errStopping) {
		err = failure.Wrap(failure.Unavailable, errStopping)
	}
	return answered(c.req, c.route, resp, err)
}

// handle runs the handler. A panic is an error of ours that concerns this
// request only; what it did before is not known.
func (m *Mux) handle(ctx context.Context, c call) (resp *Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			m.log.Error("handler panicked", "method", c.req.Method, "path", c.req.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			kind := failure.Internal
			if c.req.Method != http.MethodGet {
				kind = failure.OutcomeUnknown
			}
			resp, err = nil, failure.Newf(kind, "handler panicked: %v", p)
		}
	}()
	return c.route.Handle(ctx, c.req)
}

func (m *Mux) forward(ctx context.Context, c call) *answer {
	if c.hops >= maxHops {
		return failedAnswer(failure.New(failure.NoLeader, failure.TextNoLeader))
	}
	ctx, cancel := context.WithTimeout(ctx, m.forwardTimeout(c.req))
	defer cancel()
	resp, err := m.cfg.Dispatcher.Forward(ctx, c.route.Where, c.req.Options.Datacenter, c.wire())
	if err != nil {
		if errors.Is(context.Cause(ctx), errStopping) {
			err = failure.Wrap(failure.Unavailable, errStopping)
		}
		return failedAnswer(err)
	}
	a := &answer{status: resp.Status, wire: resp.Header, body: resp.Body, kind: failure.Kind(resp.Kind)}
	a.failed = a.kind != failure.Internal
	return a
}

// forwardTimeout leaves a blocking read the time it waits elsewhere.
func (m *Mux) forwardTimeout(r *Request) time.Duration {
	if r.Options.MinIndex == 0 {
		return m.cfg.ForwardTimeout
	}
	wait := r.Options.MaxWait
	if wait == 0 {
		wait = m.cfg.DefaultWait
	}
	wait = min(wait, m.cfg.MaxWait)
	return wait + wait/16 + m.cfg.ForwardTimeout
}

func (c call) wire() *WireRequest {
	return &WireRequest{
		Method:     c.req.Method,
		Path:       c.path.escaped(),
		RawQuery:   c.rawQuery,
		Header:     headerLines(c.req.Header),
		Body:       c.req.Body,
		RemoteAddr: c.req.RemoteAddr,
		Token:      c.req.Options.Token,
		Hops:       c.hops + 1,
		Agent:      c.req.Agent,
		Pretty:     c.req.pretty,
	}
}

// ServeWire answers a request that another agent handed on, by the same chain
// that ServeHTTP runs: methods, options, the handler or one more hop. Refusals
// that belong to the asked agent's configuration were made there, and so was
// the reading of the body. The answer of an error carries the error's kind.
func (m *Mux) ServeWire(ctx context.Context, w *WireRequest) *WireResponse {
	return m.overWire(ctx, w, max(w.Hops, 1))
}

// Do answers a request that this agent itself makes, as if a client had: it runs
// here or is handed on, and waits for a leader while there is none. The
// request's Hops are ignored.
func (m *Mux) Do(ctx context.Context, w *WireRequest) *WireResponse { return m.overWire(ctx, w, 0) }

func (m *Mux) overWire(ctx context.Context, w *WireRequest, hops uint8) *WireResponse {
	m.inFlight.Add(1)
	defer m.inFlight.Add(-1)
	begun := time.Now()
	route, a := m.serveWire(ctx, w, hops)
	if route != nil {
		route.observe.Observe(a.status, time.Since(begun))
	}
	m.logRequest(ctx, w.Method, w.Path, w.RemoteAddr, a, begun)
	if a.stream != nil {
		a = text(http.StatusNotImplemented, "a stream is only answered by the agent that was asked")
	}
	resp := &WireResponse{Status: a.status, Header: a.lines(), Body: a.body}
	if a.failed {
		resp.Kind = uint8(a.kind)
	}
	return resp // the body's buffer is not pooled again: it still has to be sent
}

func (m *Mux) serveWire(ctx context.Context, w *WireRequest, hops uint8) (*boundRoute, *answer) {
	decoded, err := url.PathUnescape(w.Path)
	if err != nil {
		return nil, text(http.StatusBadRequest, "Invalid URL path: "+err.Error())
	}
	u := &url.URL{Path: decoded, RawPath: w.Path, RawQuery: w.RawQuery}
	path := target{decoded: decoded, raw: w.Path}
	found := m.table.find(path)
	route, a := m.pick(found, w.Method, u)
	if a != nil {
		return nil, a
	}
	q, a := parseQuery(w.RawQuery)
	if a != nil {
		return route, a
	}
	req := &Request{
		Method: w.Method, Path: decoded, Query: q, Header: parseLines(w.Header), Body: w.Body, RemoteAddr: w.RemoteAddr,
		Agent: w.Agent, wildcard: found.endpoint.name, value: found.value,
		newline: q.Has("pretty"), pretty: w.Pretty,
	}
	if hops == 0 { // this agent's own request
		req.Agent = m.cfg.NodeName
	}
	// How stale an answer may be was said by the agent that was asked.
	if req.Options, err = m.rules.parseOptions(q, req.Header, w.Method == http.MethodGet, false); err != nil {
		return route, failedAnswer(err)
	}
	req.Options.Token = w.Token
	return route, m.dispatch(ctx, call{
		req: req, route: route, path: path, rawQuery: w.RawQuery, hops: hops,
	})
}

// untilStop derives a context that also ends when the agent begins to stop.
func untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	stop, ok := ctx.Value(stopKey{}).(context.Context)
	if !ok {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	undo := context.AfterFunc(stop, func() { cancel(errStopping) })
	return ctx, func() {
		undo()
		cancel(nil)
	}
}
