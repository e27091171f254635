// Package query answers reads: it makes a read as fresh as its mode asks for
// and holds the one blocking loop that every noun's reads go through.
//
// It knows no noun and no transport. The contract of the modes:
//
//   - Default (and Consistent): linearizable. What the read returns includes
//     every write acknowledged anywhere in the cluster before the read began.
//     Any server answers, from its own state, after it has confirmed with a
//     quorum how far it must have applied the log.
//   - Stale: this server's state as it is, at once. Never goes backwards on
//     the same server.
//
// A blocking read confirms freshness once, when it begins; after that the
// local state only moves forward. Its watch channels come from the snapshot
// that was read, so no change is missed.
//
// Source: the public documentation of blocking queries and consistency modes.
package query
