// Package rpc carries typed calls between agents, over gRPC, on one port that
// is shared with Raft.
//
// It knows no noun: a [Method] is a typed value, a handler is bound to it with
// [Handle], and the list of registrations is given to [NewServer]. Bodies are
// msgp messages (no proto files, no reflection). Rules that keep it right:
//
//   - The kind of a failure crosses the wire; callers decide by kind only.
//   - A call that was certainly not executed fails with a kind for which
//     failure.Kind.Retryable is true. A write whose request may have left this
//     process and whose answer never came is failure.OutcomeUnknown.
//   - Deadlines and cancellation travel with the call.
//   - Every resource a peer can take is bounded: connections per address,
//     connections that have said nothing yet, streams, message sizes, time.
//
// It does not choose servers, retry, or know who leads; that is routing's.
// TLS comes from the dialer given to a [Pool] or [Mux], and on the other side
// from the mux's [Security]; gRPC itself knows nothing of it. A method that only
// servers may call says so ([Method.ServersOnly]), and a caller whose certificate
// shows that it is none is refused.
package rpc
