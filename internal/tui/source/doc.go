// Package source holds what the dashboard shows: it watches a cluster through
// the HTTP API of one agent and keeps a whole, immutable State of it.
//
// It is not for drawing, and knows no terminal. Rules that keep it right:
//
//   - A reader takes [Source.Current] and has all of a moment: never a delta, so
//     a signal that was missed heals itself. States and everything below them are
//     never changed once handed out; a row that changed is a new row, so equal
//     pointers mean that nothing changed.
//   - Nobody who watches ever waits for who draws. There is at most one signal
//     outstanding; a reader that sleeps for an hour costs nothing and finds the
//     newest state.
//   - Losing the agent is a value, not an end: what is known stays, dated, and
//     the source tries again for ever.
//   - What is watched is what somebody looks at: see [Source.Interest].
//
// Where the agent has the change stream (/v1/ctl/stream, see
// docs/reference/stream.md) changes come through it. At any other agent of the
// same API the source falls back to blocking queries, few at a time, and polls
// only what has no index.
package source
