package consensus

import "github.com/hashicorp/raft"

// TrustLeadership plants a fault: the leader answers reads without asking.
func (n *Node) TrustLeadership() { n.trustLeadership = true }

// OnProbation reports whether the Node has no vote.
func (n *Node) OnProbation() bool { return n.run.Load().gate.probation.Load() != nil }

// WrapLogs puts a store of the test's in front of the log.
func (n *Node) WrapLogs(wrap func(raft.LogStore) raft.LogStore) { n.wrapLogs = wrap }
