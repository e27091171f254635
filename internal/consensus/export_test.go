package consensus

// TrustLeadership plants a fault: the leader answers reads without asking.
func (n *Node) TrustLeadership() { n.trustLeadership = true }

// OnProbation reports whether the Node has no vote.
func (n *Node) OnProbation() bool { return n.run.Load().gate.probation.Load() != nil }
