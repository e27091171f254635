// Package compat proves, from outside, that ctl agents are what programs written
// for Consul expect: the official Go client works against them, and the HTTP
// ground rules hold on a real socket.
//
// It has tests only. They share one cluster of three servers and a client agent,
// and every rule that may depend on who is asked is checked through the leader,
// a follower and the client agent. A rule that can be proved without a process
// is proved in the package that owns it.
//
// Source: the public documentation of Consul's HTTP API, and the published
// client github.com/hashicorp/consul/api.
package compat
