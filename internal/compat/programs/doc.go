// Package programs proves that programs written for Consul work with ctl agents
// unmodified: Prometheus and HAProxy find services, dig and the MySQL client
// reach them, resolvers forward to the agents.
//
// It has tests only. They share the cluster of configs/cluster, three servers
// and a client agent, on addresses of its own; the programs are those of Debian,
// configured by what the pages of docs/how-to show. Where a program is missing
// its test is skipped, but with CI=true it fails: scripts/test-deps.sh installs
// them.
package programs
