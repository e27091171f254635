package source

import "time"

// Action is a change that the operator asks for: one of the types below.
type Action interface {
	// Command is the equivalent command line, ready for a shell.
	Command() string
	// Describe says what is about to be done, without a full stop.
	Describe() string
}

// MaintainNode takes the whole node of the agent out, or brings it back. Only
// the node's own agent can: Do fails with Refused for any other node than the
// one connected to.
type MaintainNode struct {
	Node   string
	Enable bool
	Reason string
}

// MaintainService does the same for one instance at the agent connected to.
type MaintainService struct {
	Node, ID string
	Enable   bool
	Reason   string
}

// DeregisterService removes an instance: at its node's own agent, where Local is
// true, else from the catalog. Do sets Local itself; set it beforehand where the
// command line is shown.
type DeregisterService struct {
	Node, ID string
	Local    bool
}

// DeregisterNode removes a node and all on it from the catalog. A living agent
// puts both back.
type DeregisterNode struct{ Node string }

// PutKey writes a key. Without Unconditional it is a check-and-set: it fails
// with Conflicted unless the key still has ModifyIndex Index, 0 standing for a
// key that must not exist.
type PutKey struct {
	Key           string
	Value         []byte
	Flags         uint64
	Index         uint64
	Unconditional bool
}

// DeleteKey deletes a key, under the same condition.
type DeleteKey struct {
	Key           string
	Index         uint64
	Unconditional bool
}

// DeleteTree deletes every key below a prefix. The prefix must not be empty.
type DeleteTree struct {
	Prefix string
	// Count is how many keys there must be just before, as the operator was
	// told; zero is any number.
	Count int
}

// ForceLeave declares a failed member gone.
type ForceLeave struct {
	Member string
	Prune  bool
}

// Join joins the agent to a member.
type Join struct {
	Address string
	WAN     bool
}

// TransferLeader hands leadership to a server, by id; "" is any voter. Name is
// for show.
type TransferLeader struct{ ID, Name string }

// RemovePeer takes a server out of Raft, by id. Name is for show.
type RemovePeer struct{ ID, Name string }

// DestroySession ends a session.
type DestroySession struct{ ID string }

// Outcome is what an Action did.
type Outcome struct {
	Action Action
	// Text says what happened, without a full stop.
	Text string
	Took time.Duration
}

// Question is a question for DNS.
type Question struct {
	// Name is what is asked for, such as web.service.consul.
	Name string
	// Type is such as A or SRV; "" is ANY of A, AAAA and SRV in turn.
	Type string
	// Server is whom to ask, host:port; "" is the agent.
	Server string
}

// Answer is what DNS said.
type Answer struct {
	Question Question
	// Server is who was asked.
	Server string
	Took   time.Duration
	// Code is the response code such as NOERROR or NXDOMAIN.
	Code      string
	Truncated bool
	// Size is the answer's length in bytes.
	Size                      int
	Answers, Extra, Authority []Record
}

// Record is a record of an answer.
type Record struct {
	Name, Type string
	TTL        time.Duration
	// Data is the rest in zone-file form.
	Data string
	// Instance is "node/id" of the instance that it speaks of, as far as that
	// is known.
	Instance string
}
