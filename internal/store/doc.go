// Package store is the replicated state in memory: tables of immutable rows,
// changed only by commands from the log and read through snapshots that can
// be watched.
//
// It is an engine that knows no noun. A noun brings a Module: its tables, the
// commands that change them and the triggers that run when rows of another
// noun's table go. It is not for anything that is not replicated (an agent's
// own services, caches), and it does no I/O, reads no clock and draws no
// random number: applying the same entries in the same order gives the same
// state on every server, byte for byte (a suite in storetest says so for every
// module).
//
// Rules that keep it right:
//
//   - A row is never changed after Put; a change is a copy and another Put.
//   - An entry is applied whole or not at all, with all its triggers, at one
//     index. A command that fails leaves nothing behind and moves no index.
//   - A watch channel comes from the same snapshot as the data it guards, so no
//     change between them can be missed.
//
// Built on hashicorp/go-memdb; this package and the nouns are its only users.
package store
