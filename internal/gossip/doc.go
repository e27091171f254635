// Package gossip keeps this agent in a Serf pool: the LAN pool that every agent
// of a datacenter is in, or the WAN pool that servers of all datacenters share.
//
// It knows who is alive and what they say about themselves (tags), joins and
// leaves, keeps the gossip key, and tells others about changes. It is not the
// truth about the cluster: gossip is a hint, spread in seconds, that anybody
// with the gossip key can forge. What servers agree on is in the Raft log.
//
// Rules that keep it right:
//
//   - Serf's event channel is always drained; nobody who listens to a [Pool]
//     can slow gossip down. Listeners get the newest state, not a backlog.
//   - A member is admitted only if it belongs: same datacenter (LAN), a server
//     (WAN), a name that is safe to store, no other agent's node id.
//   - No other package imports serf or memberlist; [memnet] is the in-memory
//     network for tests.
//
// Behaviour follows the Serf and memberlist documentation and Consul's gossip
// protocol pages; file names, tags and statistics are those of Consul agents.
package gossip
