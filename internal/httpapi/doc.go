// Package httpapi is the engine of the HTTP API: one route table for all
// nouns, and everything about a request and its answer that does not depend on
// the noun.
//
// A noun's edge contributes [Route] values; it never sees net/http. The engine
// does the rest, once: matching, methods, options (datacenter, token,
// consistency, blocking), bodies and their limits, headers, JSON, compression,
// errors, forwarding, limits on connections. Rules that keep it right:
//
//   - A request is answered where its route says ([Where]). An agent that is
//     not there hands the whole request on, and the finished answer back
//     unread; the receiving side runs the same chain ([Mux.ServeWire]).
//   - A body is read whole before a handler runs: one that is cut off or too
//     large changes nothing.
//   - A failure's kind decides the status, in failure's one table; statuses
//     that no kind has are a [StatusError].
//   - A write whose outcome is unknown is never called failed: 503 with
//     "X-Ctl-Outcome: unknown". What was certainly not applied is tried again
//     for a while, on this agent's side, while there is no leader.
//
// Keys in paths. A pattern that ends in "{name...}" takes the rest of the path
// as it came, percent-decoded once: "a//b", "a/../b" and, percent-encoded, any
// other byte are keys of their own. Consul redirects such paths to a cleaned
// one, which makes two keys one; here nothing is lost. A literal slash right
// after the prefix ("/v1/kv//a") is redirected to the path without it, as
// Consul does, since keys do not begin with a slash; "%2Fa" reaches the
// handler. Everywhere else a path with "//", "/./" or "/../" is redirected to
// the cleaned path, with 307, which keeps method and body.
//
// Differences from the reference: an unparsable query string and an
// unprintable path are answered with a text that says so instead of an empty
// body, and ns=default and partition=default are accepted.
//
// Source: the public HTTP API documentation and the observed behaviour of
// released agents.
package httpapi
