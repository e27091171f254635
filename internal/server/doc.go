// Package server assembles the server role: the state, the log that replicates
// it, the port other agents call, and the duties of a leader.
//
// It decides nothing that belongs to a noun. What it adds is how the parts
// hang together: when a cluster is bootstrapped, how gossip's view of members
// becomes catalog entries and Raft peers, where a forwarded request runs, and
// in which order all of it starts and stops.
//
// Rules that keep it right:
//
//   - A cluster is bootstrapped once, by one server, and only after every server
//     of its first configuration has promised to take part in no other.
//   - Gossip is a hint. The leader writes what it hints at to the log, and only
//     what differs from the state.
//   - A request is handed on at most once between servers.
package server
