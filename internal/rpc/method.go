package rpc

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"google.golang.org/grpc"
)

// serviceName and the method's name make the HTTP/2 path of a call. They are
// part of the wire format between agents of different versions.
const serviceName = "ctl.v1"

// Method names one call and fixes its request and response types on both ends.
// It is a value: copy it, keep it in a package variable, change Write for one
// call.
type Method[Req, Resp any] struct {
	// Name is noun.verb, for instance "kv.apply". Never reused with other types.
	Name string
	// Write says that running the call twice is not the same as running it
	// once, so a lost answer is failure.OutcomeUnknown.
	Write bool
	// ServersOnly refuses callers that are known not to be servers, as
	// failure.PermissionDenied.
	ServersOnly bool
}

// Registration is a method with its handler, ready to be given to [NewServer].
type Registration struct {
	name    string
	write   bool
	servers bool
	run     func(ctx context.Context, dec func(any) error) (any, error)
	// stream is set, and run is not, for a Stream.
	stream func(grpc.ServerStream) error
}

// Name returns the method's name.
func (r Registration) Name() string { return r.name }

// Handle binds fn to m. fn runs on a goroutine per call, under a context that
// ends with the caller's deadline, the caller's cancellation or the server's
// stop. A nil response stands for the zero Resp. An error's kind and text
// reach the caller. A panic in fn is answered as failure.Internal, or as
// failure.OutcomeUnknown for a write, and logged with its stack.
func Handle[Req, Resp any, PReq interface {
	*Req
	codec.Message
}, PResp interface {
	*Resp
	codec.Message
}](m Method[Req, Resp], fn func(context.Context, *Req) (*Resp, error)) Registration {
	return Registration{
		name:    m.Name,
		write:   m.Write,
		servers: m.ServersOnly,
		run: func(ctx context.Context, dec func(any) error) (any, error) {
			req := PReq(new(Req))
			if err := dec(req); err != nil {
				return nil, failure.Newf(failure.BadRequest, "decode request of %s: %w", m.Name, err)
			}
			resp, err := fn(ctx, (*Req)(req))
			if err != nil {
				return nil, err
			}
			if resp == nil {
				resp = new(Resp)
			}
			return PResp(resp), nil
		},
	}
}

// desc makes gRPC's description of the method, with the server's counters and
// panic guard around the handler.
func (r Registration) desc(s *Server) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: r.name,
		Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (resp any, err error) {
			s.metrics.Requests.Inc()
			defer func() {
				if p := recover(); p != nil {
					s.log.Error("handler panicked", "method", r.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
					resp, err = nil, r.panicError(p)
				}
				if err != nil {
					s.metrics.Errors.Inc()
					err = toStatus(err)
				}
			}()
			if r.servers {
				if err := s.serversOnly(ctx, r.name); err != nil {
					return nil, err
				}
			}
			return r.run(ctx, dec)
		},
	}
}

func (r Registration) panicError(p any) error {
	kind := failure.Internal
	if r.write {
		kind = failure.OutcomeUnknown
	}
	return failure.Newf(kind, "%s: handler panicked: %v", r.name, p)
}
