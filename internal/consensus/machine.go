package consensus

import (
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/snapshot"
)

// machine takes the state out of a snapshot's frame for the StateMachine, and
// remembers where the applied configuration stands in the log.
type machine struct {
	StateMachine
	configurationIndex atomic.Uint64
}

// ApplyBatch implements raft.BatchingFSM.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if l.Type == raft.LogConfiguration {
			m.configurationIndex.Store(l.Index)
		}
	}
	return m.StateMachine.ApplyBatch(logs)
}

// Restore implements raft.FSM.
func (m *machine) Restore(rc io.ReadCloser) error {
	h, state, err := snapshot.NewReader(rc)
	if err != nil {
		return err
	}
	m.configurationIndex.Store(h.ConfigurationIndex)
	return m.StateMachine.Restore(struct {
		io.Reader
		io.Closer
	}{state, rc})
}
