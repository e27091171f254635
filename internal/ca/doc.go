// Package ca holds the rules of the cluster's own certificate authority: its
// roots, settings and private key as replicated state.
//
// It makes no key and signs nothing: that needs chance and a clock and is done
// by package issue on the leader; keys, serial numbers and times travel in the
// commands. Rules that keep it right:
//
//   - The private key has a table of its own. Nothing that reads roots or
//     settings can come across it; only who signs reads it (SigningKey).
//   - A serial number is taken for one root and refused once another is
//     active, so no certificate is signed by a root after it was replaced.
//   - A root that was replaced stays listed until nobody can hold a leaf of it,
//     and its key goes at once.
//
// The state, and so every snapshot and the log, holds the private key of the
// active root: whoever can read a server's data directory can sign.
//
// Source: the public documentation of Consul's certificate authority, and
// RFC 5280.
package ca
