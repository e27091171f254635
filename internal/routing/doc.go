// Package routing says which server to ask.
//
// It keeps, for each datacenter, the servers that gossip tells of and who leads
// them, and picks one. A pick is sticky: the same server is given until it
// fails, is excluded, or the list is shuffled, so that connections are reused.
// It does not connect to anybody and retries nothing; its callers do, and tell
// it what failed.
//
// Rules that keep it right: a pick never blocks and takes no lock; a server
// that gossip calls failed is only given when no other is left, since gossip
// may be wrong; everything is keyed by datacenter.
//
// Behaviour follows what is documented of Consul agents: shuffled list, next
// server on failure, rebalanced every two to three minutes and less often in
// large clusters.
package routing
