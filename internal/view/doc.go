// Package view keeps answers of the HTTP API in this agent's memory and keeps
// them current: the instances of a service, a node, which node or service has an
// address, and whatever else of catalog and health is watched or asked with
// ?cached.
//
// DNS looks things up in it, and so does the HTTP API (httpapi.Memory): a
// hundred clients that ask this agent about a service, in whatever way, cost the
// servers one blocking query. It writes nothing. Rules that keep it right: what
// it hands out is a snapshot nobody changes; the first use of a name loads it,
// later ones never leave memory; a blocking query keeps it current until nobody
// used it for some minutes; loads, views and their bytes are bounded; what does
// not exist is kept only while HTTP asks for it, so that DNS questions for
// invented names fill no memory. The token is part of what is asked.
//
// A service is kept whole, and what a request selects is selected here by the
// code a server does it with. Requests that cannot be answered so (near) are
// handed on, or kept by their whole query.
//
// Answers to DNS and to ?cached come from any server (stale), so they may lag
// behind a write by the time replication takes. Blocking reads of the default
// mode are answered from views that are confirmed: each round of their upstream
// query begins with a linearizable read. See docs/decisions.
//
// Source: the public HTTP API, blocking queries, health and agent caching.
package view
