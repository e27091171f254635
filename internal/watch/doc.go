// Package watch follows one thing of the cluster, a key, a service, the list of
// nodes, and says whenever what is there has changed.
//
// It is for handlers: programs and addresses that are to be told. It keeps no
// state beyond the last content and runs no handler itself. Rules that keep it
// right: a change is a change of content, never of an index alone, so a reload, a
// timeout or a leader change tells nobody; the first content counts as a change;
// failures are waited out, and what was missed meanwhile is told as one change.
//
// Source: the public documentation of Consul's watches.
package watch
