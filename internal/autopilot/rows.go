package autopilot

import "time"

//go:generate go tool -modfile=../../tools/go.mod msgp -file rows.go -o rows_gen.go -io=false -tests=false

// Config says how the cluster keeps its servers in order: the one row of the
// table. It is never changed after it was stored.
type Config struct {
	// CleanupDeadServers removes failed servers once a replacement keeps
	// the quorum safe.
	CleanupDeadServers bool `msg:"cd"`
	// LastContactThreshold is how long a healthy server may go without
	// hearing from the leader.
	LastContactThreshold time.Duration `msg:"lc"`
	// MaxTrailingLogs is how many entries a healthy server may lag behind.
	MaxTrailingLogs uint64 `msg:"tl"`
	// MinQuorum is how many voters are never gone below by clean-up; zero
	// is no bound of its own.
	MinQuorum uint `msg:"mq"`
	// ServerStabilizationTime is how long a new server must be healthy
	// before it gets a vote.
	ServerStabilizationTime time.Duration `msg:"st"`
	CreateIndex             uint64        `msg:"c"`
	ModifyIndex             uint64        `msg:"m"`
}

// Change is the body of the log entry that stores a Config.
type Change struct {
	Config Config `msg:"cfg"`
	// CAS stores only if the row's ModifyIndex is Index.
	CAS   bool   `msg:"cas,omitempty"`
	Index uint64 `msg:"i,omitempty"`
	// IfAbsent stores only if there is no row yet: the initial settings.
	IfAbsent bool `msg:"ia,omitempty"`
}
