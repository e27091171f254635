package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// Stream names a call that is answered by any number of messages, one after the
// other, until either side ends it. Like a Method it fixes the types on both
// ends. A stream never writes.
type Stream[Req, Msg any] struct {
	// Name is noun.verb. Never reused with other types.
	Name string
}

// HandleStream binds fn to m. fn runs on a goroutine per call, under a context
// that ends with the caller's or the server's stop. send blocks while the caller
// is slow, as flow control has it, and fails when the caller is gone; the message
// is not kept. fn returns nil to end the stream, an error to fail it; its kind
// and text reach the caller.
func HandleStream[Req, Msg any, PReq interface {
	*Req
	codec.Message
}, PMsg interface {
	*Msg
	codec.Message
}](m Stream[Req, Msg], fn func(ctx context.Context, req *Req, send func(*Msg) error) error) Registration {
	return Registration{
		name: m.Name,
		stream: func(s grpc.ServerStream) error {
			req := PReq(new(Req))
			if err := s.RecvMsg(req); err != nil {
				return failure.Newf(failure.BadRequest, "decode request of %s: %w", m.Name, err)
			}
			return fn(s.Context(), (*Req)(req), func(msg *Msg) error { return s.SendMsg(PMsg(msg)) })
		},
	}
}

// streamDesc makes gRPC's description of a stream.
func (r Registration) streamDesc(s *Server) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName:    r.name,
		ServerStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) (err error) {
			s.metrics.Requests.Inc()
			defer func() {
				if p := recover(); p != nil {
					s.log.Error("handler panicked", "method", r.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
					err = failure.Newf(failure.Internal, "%s: handler panicked: %v", r.name, p)
				}
				if err != nil {
					s.metrics.Errors.Inc()
					err = toStatus(err)
				}
			}()
			return r.stream(stream)
		},
	}
}

// Open asks the server at addr for a stream and calls receive with every message,
// until the server ends it, ctx ends, receive fails or the connection is lost.
// The message is valid during the call only. It returns nil where the server
// ended the stream, receive's error as it is, and otherwise errors as Call does.
func Open[Req, Msg any, PReq interface {
	*Req
	codec.Message
}, PMsg interface {
	*Msg
	codec.Message
}](ctx context.Context, p *Pool, addr string, m Stream[Req, Msg], req *Req, receive func(*Msg) error) error {
	p.cfg.Metrics.Calls.Inc()
	c := callInfo{name: m.Name, addr: addr}
	cc, err := p.conn(addr)
	if err != nil {
		p.cfg.Metrics.Failed.Inc()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // lets go of the stream where receive failed
	var to peer.Peer
	fail := func(err error) error {
		p.cfg.Metrics.Failed.Inc()
		return fromStatus(ctx, c, err, to.Addr != nil)
	}
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+serviceName+"/"+m.Name, grpc.Peer(&to))
	if err != nil {
		return fail(err)
	}
	if err := s.SendMsg(PReq(req)); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg tells why
		return fail(err)
	}
	if err := s.CloseSend(); err != nil {
		return fail(err)
	}
	for {
		msg := new(Msg)
		if err := s.RecvMsg(PMsg(msg)); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fail(err)
		}
		if err := receive(msg); err != nil {
			return err
		}
	}
}
