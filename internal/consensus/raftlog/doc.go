// Package raftlog is the log and the stable store of a Raft server on disk, such
// that nothing it gives back differs from what was stored.
//
// The log itself is raft-wal, which flushes every batch but does not check what
// it reads and takes a damaged tail for a write that a crash cut short. Around
// it stand three things. Every entry carries a checksum bound to its index, term
// and type, checked on every read. What raft-wal and raft keep beside the log
// (segments, current term, vote) lies in one checked file instead of a bolt
// database. And a mark, written after each append but not flushed by it, says how
// far the log reached and which term was known: a log that comes back shorter
// than its mark has lost entries it had promised, and Check says so.
//
// It does not decide what happens then: package consensus does. Not for the
// state machine's data. The file formats are described in DESIGN.md of package
// consensus.
package raftlog
