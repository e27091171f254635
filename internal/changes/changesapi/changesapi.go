package changesapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/changes"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// Path is the route.
const Path = "/v1/ctl/stream"

// Limits of one stream and of all of an agent.
const (
	MaxTopics  = 64
	MaxStreams = 1024
)

// beatPause is how long a stream is silent at most.
const beatPause = 5 * time.Second

// API is the edge. NodeName, Authz and Local are required. A server has a Hub and
// Raft, a client agent Upstream.
type API struct {
	NodeName string
	Authz    authz.Resolver
	// Local are the topics of this agent.
	Local Local
	// Hub makes the topics of the state, Raft that of the servers.
	Hub  *changes.Hub
	Raft Raft
	// Upstream asks a server for topics of the state and calls receive with
	// whole lines, until ctx ends, receive fails or the server is lost.
	Upstream func(ctx context.Context, req *Request, receive func(lines []byte) error) error

	streams atomic.Int64
}

// Routes returns the edge's routes.
func (a *API) Routes() []httpapi.Route {
	return []httpapi.Route{{Method: http.MethodGet, Pattern: Path, Where: httpapi.Local, Handle: a.open}}
}

// open answers with a stream of what is asked.
func (a *API) open(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	req := &Request{From: r.Query.Get("from"), Token: r.Options.Token}
	for _, list := range r.Query["topics"] {
		req.Topics = append(req.Topics, strings.Split(list, ",")...)
	}
	req.Have = r.Query["have"]
	req.Topics = append(append(req.Topics, r.Query["topic"]...), req.Have...)
	slices.Sort(req.Topics)
	req.Topics = slices.Compact(req.Topics)
	if len(req.Topics) == 0 {
		return nil, failure.New(failure.BadRequest, "name what to follow: topic=services, topic=kv:app/, or topics=members,raft for several; see docs/reference/stream.md")
	}
	if len(req.Topics) > MaxTopics {
		return nil, failure.Newf(failure.BadRequest, "%d topics are more than the %d of one stream; open another", len(req.Topics), MaxTopics)
	}
	if dc := r.Options.Datacenter; dc != "" && a.Local.Datacenter() != "" && !strings.EqualFold(dc, a.Local.Datacenter()) {
		return nil, failure.New(failure.NoPath, failure.TextNoPath)
	}
	for _, name := range req.Topics {
		if !a.local(name) && name != raftTopic {
			if _, err := topicOf(name); err != nil {
				return nil, err
			}
		}
	}
	if _, err := a.Authz.Resolve(ctx, req.Token); err != nil {
		return nil, err
	}
	if a.streams.Add(1) > MaxStreams {
		a.streams.Add(-1)
		return nil, failure.Newf(failure.RateLimited, "too many change streams at this agent (limit %d)", MaxStreams)
	}
	return &httpapi.Response{ContentType: "application/x-ndjson", Stream: func(ctx context.Context, w io.Writer) error {
		defer a.streams.Add(-1)
		return a.stream(ctx, req, w)
	}}, nil
}

// Open returns how many streams are open.
func (a *API) Open() int64 { return a.streams.Load() }

// out serialises the lines that the parts of a stream write.
type out struct {
	mu    sync.Mutex
	write func([]byte) error
	wrote time.Time
}

// Write implements io.Writer for whole lines.
func (o *out) Write(lines []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote = time.Now()
	return len(lines), o.write(lines)
}

func (o *out) frame(f changes.Frame) error {
	_, err := o.Write(f.Append(nil))
	return err
}

// silent reports whether nothing was written for a while.
func (o *out) silent(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return now.Sub(o.wrote) >= beatPause-beatPause/10
}

// stream writes an HTTP client's stream until ctx or one of its parts ends.
func (a *API) stream(ctx context.Context, req *Request, w io.Writer) error {
	flush := func() {}
	if f, ok := w.(httpapi.Flusher); ok {
		flush = f.Flush
	}
	o := &out{write: func(lines []byte) error {
		_, err := w.Write(lines)
		flush()
		return err
	}}
	now := time.Now()
	if err := o.frame(changes.Frame{Type: changes.FrameHello, Version: changes.Version, Node: a.NodeName, Time: &now}); err != nil {
		return err
	}
	state := *req
	state.Topics, state.Have = nil, nil
	parts, ctx := errgroup.WithContext(ctx)
	for _, name := range req.Topics {
		switch {
		case a.local(name):
			parts.Go(func() error { return a.follow(ctx, req.Token, name, o) })
		default:
			state.Topics = append(state.Topics, name)
			if slices.Contains(req.Have, name) {
				state.Have = append(state.Have, name)
			}
		}
	}
	if len(state.Topics) > 0 {
		parts.Go(func() error {
			if a.Hub != nil {
				return a.Serve(ctx, &state, func(lines []byte) error { _, err := o.Write(lines); return err })
			}
			err := a.Upstream(ctx, &state, func(lines []byte) error { _, err := o.Write(lines); return err })
			if err == nil {
				err = failure.New(failure.Unavailable, "the server ended the stream")
			}
			return err
		})
	}
	parts.Go(func() error { return a.beat(ctx, req.Token, o) })
	err := parts.Wait()
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	_ = o.frame(changes.Frame{Type: changes.FrameEnd, Reason: err.Error()}) // whoever is there may know; the stream ends anyway
	return nil
}

// beat keeps a silent stream alive, and ends it once its token is worth nothing.
func (a *API) beat(ctx context.Context, token string, o *out) error {
	tick := time.NewTicker(beatPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if _, err := a.Authz.Resolve(ctx, token); err != nil {
				return err
			}
			if o.silent(now) {
				if err := o.frame(changes.Frame{Type: changes.FrameBeat, Time: &now}); err != nil {
					return err
				}
			}
		}
	}
}

// Serve writes the topics of the state, on a server, until ctx ends or send
// fails.
func (a *API) Serve(ctx context.Context, req *Request, send func(lines []byte) error) error {
	if a.Hub == nil {
		return failure.New(failure.Unsupported, "this agent is no server")
	}
	auth, err := a.Authz.Resolve(ctx, req.Token)
	if err != nil {
		return err
	}
	o := &out{write: send}
	parts, ctx := errgroup.WithContext(ctx)
	var want []changes.Want
	for _, name := range req.Topics {
		if name == raftTopic {
			parts.Go(func() error { return a.followRaft(ctx, req.Token, o) })
			continue
		}
		t, err := topicOf(name)
		if err != nil {
			return err
		}
		want = append(want, changes.Want{Topic: t, Have: slices.Contains(req.Have, name)})
	}
	if len(want) > 0 {
		parts.Go(func() error { return a.Hub.Read(ctx, req.From, want, &sink{o, auth}) })
	}
	return parts.Wait()
}

// sink is a stream as the hub sees it.
type sink struct {
	*out
	auth authz.Authorizer
}

// See implements changes.Sink.
func (s *sink) See(g any) bool {
	who, ok := g.(guard)
	return ok && who.allowed(s.auth)
}

// Write implements changes.Sink.
func (s *sink) Write(lines []byte) error {
	_, err := s.out.Write(lines)
	return err
}

// Flush implements changes.Sink: every write is flushed.
func (s *sink) Flush() error { return nil }
