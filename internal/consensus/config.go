package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
)

// StateMachine is what a Node applies the log to. Beside raft's own contract:
//
//   - ApplyBatch also gets configuration entries, and Applied counts them.
//   - Applied returns the index of the newest entry whose effect readers see,
//     WaitApplied blocks until that is at least index or ctx ends. Both are safe
//     for any goroutine.
//   - A response that is an error is the command's refusal.
//   - Restore gets bytes that were verified, and the snapshot stream does not
//     begin with the magic of package snapshot.
type StateMachine interface {
	raft.BatchingFSM
	Applied() uint64
	WaitApplied(ctx context.Context, index uint64) error
}

// Peers asks other servers, over whatever carries calls between agents. Calls
// are made from several goroutines; ctx bounds each.
type Peers interface {
	// ReadIndex has leaderAddr run [Node.HandleReadIndex].
	ReadIndex(ctx context.Context, leaderAddr string, r ReadIndexRequest) (ReadIndexResponse, error)
	// Term has addr run [Node.HandleTerm].
	Term(ctx context.Context, addr string, r TermRequest) (TermReply, error)
}

// Transport is what a Node needs of a raft transport.
type Transport interface {
	raft.Transport
	raft.WithPreVote
}

// DamagePolicy says what a server does that finds its stored state damaged.
type DamagePolicy uint8

const (
	// Resync sets the damaged directory aside, starts empty, and neither votes
	// nor asks for votes until it has caught up with what it once had. It is
	// for a server with peers to learn from.
	Resync DamagePolicy = iota
	// Refuse ends Run with the damage, for a server that has no peers.
	Refuse
)

// A Config describes a Node. Start from DefaultConfig.
type Config struct {
	// ID is the server's identity for all time; two servers never share one.
	ID string
	// Dir holds log and snapshots and is made if absent; nobody else may use
	// it. Empty keeps everything in memory.
	Dir string
	// OnDamage is asked when what lies in Dir is not what was written.
	OnDamage DamagePolicy

	// Stream carries raft between servers; closed by Run. Its address is the
	// one other servers reach this one by.
	Stream raft.StreamLayer
	// Transport replaces Stream in tests.
	Transport Transport
	// Peers may be nil for a server that stays alone.
	Peers Peers
	// Machine gets the log. It belongs to the Node until Run returns.
	Machine StateMachine
	// Logger must be set.
	Logger *slog.Logger

	// NoOp is the command that a new leader applies and that changes nothing.
	NoOp []byte

	// Reloadable is what [Node.Reload] can change later.
	Reloadable Reloadable
	// LeaderLease is how long a leader stays one without hearing from a
	// majority; at most the heartbeat timeout. Reads do not rely on it.
	LeaderLease time.Duration
	// CommitTimeout is how often a follower learns the commit index when
	// nothing is written.
	CommitTimeout time.Duration
	// PreVoteDisabled makes a candidate raise its term without asking first.
	PreVoteDisabled bool
	// MaxAppendEntries bounds a batch; at most 1024.
	MaxAppendEntries int
	// SegmentBytes is the size of a log file; 0 means 64 MiB.
	SegmentBytes int
	// RetainSnapshots is how many snapshots are kept.
	RetainSnapshots int

	// HoldTimeout is how long ReadIndex waits for a leader.
	HoldTimeout time.Duration
	// EnqueueTimeout is how long Apply waits to be taken up by a busy leader.
	EnqueueTimeout time.Duration
	// StallLimit is how long a write to the log may take before this server
	// stops leading.
	StallLimit time.Duration
	// MaxInFlightBytes bounds the commands that wait for their result.
	MaxInFlightBytes int64
	// StopTimeout bounds the stop: handing on leadership, then ending raft.
	StopTimeout time.Duration
}

// Reloadable is the part of a Config that may change while a Node runs.
type Reloadable struct {
	// HeartbeatTimeout is how long a follower waits for its leader before it
	// stands for election (once to twice this, by chance).
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes; at least
	// HeartbeatTimeout.
	ElectionTimeout time.Duration
	// SnapshotInterval is how often the need for a snapshot is looked at.
	SnapshotInterval time.Duration
	// SnapshotThreshold is how many entries since the last snapshot call for
	// another.
	SnapshotThreshold uint64
	// TrailingLogs is how many entries stay behind a snapshot, so that a
	// follower that was away needs no snapshot.
	TrailingLogs uint64
}

// DefaultConfig returns the configuration of a server on disk at raft_multiplier
// 1, without what the caller has to say: ID, Stream, Machine, Logger.
func DefaultConfig() Config {
	return Config{
		NoOp: []byte{0},
		Reloadable: Reloadable{
			HeartbeatTimeout:  time.Second,
			ElectionTimeout:   time.Second,
			SnapshotInterval:  30 * time.Second,
			SnapshotThreshold: 16384,
			TrailingLogs:      10240,
		},
		LeaderLease:      time.Second,
		CommitTimeout:    50 * time.Millisecond,
		MaxAppendEntries: 512,
		RetainSnapshots:  2,
		HoldTimeout:      7 * time.Second,
		EnqueueTimeout:   10 * time.Second,
		StallLimit:       5 * time.Second,
		MaxInFlightBytes: 64 << 20,
		StopTimeout:      5 * time.Second,
	}
}

// Validate reports what is missing or out of range.
func (c *Config) Validate() error {
	switch {
	case c.Machine == nil:
		return errors.New("consensus: no state machine")
	case c.Logger == nil:
		return errors.New("consensus: no logger")
	case c.Stream == nil && c.Transport == nil:
		return errors.New("consensus: no stream layer")
	case c.RetainSnapshots < 1:
		return errors.New("consensus: at least one snapshot must be kept")
	case c.StallLimit <= 0, c.HoldTimeout <= 0, c.EnqueueTimeout <= 0, c.StopTimeout <= 0, c.MaxInFlightBytes <= 0:
		return errors.New("consensus: limits must be positive")
	case len(c.NoOp) == 0:
		return errors.New("consensus: no command that changes nothing")
	}
	if err := raft.ValidateConfig(c.raft()); err != nil {
		return fmt.Errorf("consensus: %w", err)
	}
	return nil
}

// raft maps to the library's configuration, which has no logger yet.
func (c *Config) raft() *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(c.ID)
	r.HeartbeatTimeout = c.Reloadable.HeartbeatTimeout
	r.ElectionTimeout = c.Reloadable.ElectionTimeout
	r.SnapshotInterval = c.Reloadable.SnapshotInterval
	r.SnapshotThreshold = c.Reloadable.SnapshotThreshold
	r.TrailingLogs = c.Reloadable.TrailingLogs
	r.LeaderLeaseTimeout = c.LeaderLease
	r.CommitTimeout = c.CommitTimeout
	r.MaxAppendEntries = c.MaxAppendEntries
	r.BatchApplyCh = true
	r.ShutdownOnRemove = false // the agent decides whether to go
	r.PreVoteDisabled = c.PreVoteDisabled
	r.NoLegacyTelemetry = true
	if c.Dir == "" {
		r.TrailingLogs = min(r.TrailingLogs, memoryTrailing)
	}
	return r
}
