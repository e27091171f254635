package operatorapi

import "time"

// Health is how autopilot sees the cluster; the zero value before it first
// looked.
type Health struct {
	// Healthy says that every server is.
	Healthy bool
	// FailureTolerance is how many voters may be lost without losing the
	// quorum.
	FailureTolerance int
	// Leader is the leader's id.
	Leader string
	// Voters are the ids of the servers with a vote.
	Voters []string
	// Servers are the leader first, then voters, then the others.
	Servers []ServerHealth
}

// ServerHealth is how autopilot sees one server.
type ServerHealth struct {
	ID, Name, Address, Version string
	// NodeStatus is gossip's view: alive, left, failed or unknown.
	NodeStatus string
	// Status is Raft's view: leader, voter or non-voter.
	Status string
	// LastContact is how long ago the server heard from the leader.
	LastContact time.Duration
	// LastTerm and LastIndex are those of the server's newest log entry.
	LastTerm, LastIndex    uint64
	Healthy, Voter, Leader bool
	// StableSince is when Healthy last changed.
	StableSince time.Time
	Meta        map[string]string
}
