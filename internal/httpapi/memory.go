package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Memory answers reads from what this agent keeps of earlier ones and keeps
// current. It is asked only by the agent a client asked, and only about Kept
// routes.
type Memory interface {
	// Recall answers r, or returns nil where it must or can only be answered as
	// usual. elsewhere says that this agent would have to hand r on. It may
	// block until something is in memory, and as long as r asks to; it fails
	// only with ctx.
	Recall(ctx context.Context, r *Request, elsewhere bool) (*Response, error)
	// Rescue answers r, which failed, with what is old, as far as r allows that
	// by stale-if-error; nil if it does not. It does not block.
	Rescue(r *Request) *Response
}

// The values of X-Cache.
const (
	cacheHit  = "HIT"
	cacheMiss = "MISS"
)

// Hit and Miss return the headers of an answer from memory to a request with
// ?cached: one that was there, and is so many seconds old, or one that had to be
// loaded.
func Hit(age string) http.Header { return http.Header{"X-Cache": {cacheHit}, "Age": {age}} }

// Miss is described with Hit.
func Miss() http.Header { return http.Header{"X-Cache": {cacheMiss}} }

// asked answers c at the agent that a client asked: from memory, or as usual.
func (m *Mux) asked(ctx context.Context, c call) *answer {
	if m.cfg.Memory == nil || !c.route.Kept {
		return m.dispatch(ctx, c)
	}
	o := &c.req.Options
	elsewhere := !m.cfg.Dispatcher.Here(c.route.Where, o.Datacenter)
	if !o.Cached && (o.MinIndex == 0 || !elsewhere) {
		return m.dispatch(ctx, c)
	}
	if a := m.recall(ctx, c, elsewhere); a != nil {
		return a
	}
	a := m.dispatch(ctx, c)
	if o.Cached {
		if a.failed && unanswered(a.kind) && o.StaleIfError > 0 {
			if resp := m.cfg.Memory.Rescue(c.req); resp != nil {
				return answered(c.req, c.route, resp, nil)
			}
		}
		a.cache = cacheMiss
	}
	return a
}

// unanswered reports whether a failure says that nobody could answer, and not
// that the request was wrong.
func unanswered(k failure.Kind) bool {
	switch k {
	case failure.NoLeader, failure.Unavailable, failure.Timeout, failure.RateLimited, failure.OutcomeUnknown, failure.Internal:
		return true
	default:
		return false
	}
}

// recall asks memory, among the blocking reads where c is one. It returns nil
// where memory does not answer.
func (m *Mux) recall(ctx context.Context, c call, elsewhere bool) *answer {
	if c.req.Options.MinIndex > 0 {
		if refused := m.beginBlocking(); refused != nil {
			return refused
		}
		defer m.endBlocking()
		var end context.CancelFunc
		ctx, end = untilStop(ctx)
		defer end()
	}
	resp, err := m.cfg.Memory.Recall(ctx, c.req, elsewhere)
	if resp == nil && err == nil {
		return nil
	}
	if err != nil && errors.Is(context.Cause(ctx), errStopping) {
		err = failure.Wrap(failure.Unavailable, errStopping)
	}
	return answered(c.req, c.route, resp, err)
}
