package consensus

import "github.com/hashicorp/raft"

// Raft returns the library's node, which raft-autopilot drives directly. It is
// nil before Run is ready and after it ended.
func (n *Node) Raft() *raft.Raft {
	if r := n.run.Load(); r != nil {
		return r.raft
	}
	return nil
}
