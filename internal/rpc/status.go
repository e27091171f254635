package rpc

import (
	"context"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxErrorText bounds the text of an error on the wire. Errors travel in HTTP/2
// headers, which have a limit of their own.
const maxErrorText = 16 << 10

// toStatus puts the kind and the text of err on the wire: the kind as a status
// detail, and as the nearest gRPC code for foreign clients and tools.
func toStatus(err error) error {
	kind := failure.KindOf(err)
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + " (cut)"
	}
	s := status.New(codeOf(kind), strings.ToValidUTF8(text, "\uFFFD"))
	if d, derr := s.WithDetails(wrapperspb.UInt32(uint32(kind))); derr == nil {
		s = d
	}
	return s.Err()
}

func codeOf(k failure.Kind) codes.Code {
	switch k {
	case failure.BadRequest, failure.Invalid:
		return codes.InvalidArgument
	case failure.NotFound:
		return codes.NotFound
	case failure.PermissionDenied:
		return codes.PermissionDenied
	case failure.Conflict:
		return codes.Aborted
	case failure.TooLarge, failure.RateLimited:
		return codes.ResourceExhausted
	case failure.NoLeader, failure.NoPath:
		return codes.FailedPrecondition
	case failure.Unavailable:
		return codes.Unavailable
	case failure.OutcomeUnknown:
		return codes.Unknown
	case failure.Timeout:
		return codes.DeadlineExceeded
	case failure.Unsupported:
		return codes.Unimplemented
	default:
		return codes.Internal
	}
}

// remoteKind returns the kind the other side's handler gave its error, and
// false when the error did not come from a handler of ours.
func remoteKind(s *status.Status) (failure.Kind, bool) {
	for _, d := range s.Details() {
		if v, ok := d.(*wrapperspb.UInt32Value); ok {
			return failure.Kind(v.GetValue()), true
		}
	}
	return failure.Internal, false
}

// fromStatus turns the error of a call into one with the right kind. sent says
// whether any byte of the request may have left this process.
func fromStatus(ctx context.Context, c callInfo, err error, sent bool) error {
	s, ok := status.FromError(err)
	if !ok {
		return failure.Wrap(failure.Internal, err)
	}
	if kind, ok := remoteKind(s); ok {
		return failure.New(kind, s.Message())
	}
	kind := localKind(ctx, s.Code(), c.write, sent)
	if kind == failure.Timeout {
		return &failure.Error{Kind: kind, Msg: c.name + " at " + c.addr, Err: contextError(ctx, s.Code())}
	}
	return failure.Newf(kind, "%s at %s: %s", c.name, c.addr, s.Message())
}

// localKind judges an error that gRPC made, here or there, before or after the
// handler ran.
func localKind(ctx context.Context, code codes.Code, write, sent bool) failure.Kind {
	switch {
	case code == codes.Unimplemented:
		return failure.Unsupported // an older agent: it never had such a handler
	case code == codes.ResourceExhausted && !sent:
		return failure.TooLarge
	case sent && write:
		return failure.OutcomeUnknown
	case code == codes.DeadlineExceeded, code == codes.Canceled && ctx.Err() != nil:
		return failure.Timeout
	case code == codes.ResourceExhausted:
		return failure.TooLarge // the answer of a read is above our limit
	case code == codes.Unavailable, code == codes.Canceled:
		return failure.Unavailable
	case !sent:
		return failure.Unavailable
	default:
		return failure.Internal
	}
}

// contextError keeps errors.Is on the context's errors working through a call.
func contextError(ctx context.Context, code codes.Code) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if code == codes.Canceled {
		return context.Canceled
	}
	return context.DeadlineExceeded
}
