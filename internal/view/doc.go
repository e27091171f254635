// Package view keeps answers of the HTTP API in this agent's memory and keeps
// them current: the instances of a service, a node, and which node or service
// has an address.
//
// It is for lookups that must be answered at once and many times, such as DNS;
// it is not for single requests, and it writes nothing. Rules that keep it
// right: what it hands out is a snapshot nobody changes; the first use of a
// name loads it, later ones never leave memory; a blocking query keeps it
// current until nobody used it for some minutes; what does not exist is not
// kept, so that asking for invented names fills no memory; loads and views are
// bounded in number.
//
// Answers come from any server (stale), so they may lag behind a write by the
// time replication takes.
//
// Source: the public HTTP API, blocking queries and health.
package view
