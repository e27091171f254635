// Package agent is one process of the cluster: it turns a resolved
// configuration into parts and runs them in order.
//
// An agent is a server or a client. Both gossip and both serve the HTTP API; a
// server keeps the state and takes part in its log, a client hands requests
// on. This is the only package that sees the configuration and all parts at
// once, and each part gets its own settings from it in one visible place.
//
// Rules that keep it right:
//
//   - Everything that can fail before anything is promised fails in New: the
//     data directory and its lock, the node id, every port.
//   - Parts start in order and stop in reverse; nothing outlives Run.
//   - What an operator must do is in the error's text.
package agent
