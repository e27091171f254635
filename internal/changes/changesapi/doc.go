// Package changesapi is the edge of the change stream: the route
// /v1/ctl/stream, the topics of the catalog and the keys, and the call by which a
// client agent passes a stream on.
//
// Topics of the agent itself (members, log) are made by the agent that is asked;
// those of the state by a server, which a client agent reads from and hands
// through unread. Every row is held against what the token may see.
//
// Source: docs/reference/stream.md.
package changesapi
