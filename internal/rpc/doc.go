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
// TLS comes later in two places made for it: the dialer given to a [Pool] or
// [Mux] may return a TLS connection, and [Mux] classifies connections in one
// function, where ALPN takes the place of the first byte.
package rpc
