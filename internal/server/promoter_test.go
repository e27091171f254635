package server

import (
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

type noState struct{}

func (noState) Apply(*raft.Log) any                 { return nil }
func (noState) Snapshot() (raft.FSMSnapshot, error) { return nil, io.ErrUnexpectedEOF }
func (noState) Restore(io.ReadCloser) error         { return nil }

// TestARemovedServerGetsNoVote promotes a server that was removed after autopilot
// had decided to.
func TestARemovedServerGetsNoVote(t *testing.T) {
	t.Parallel()
	address, transport := raft.NewInmemTransport("")
	logs, c := raft.NewInmemStore(), raft.DefaultConfig()
	c.LocalID, c.LogOutput = "a", io.Discard
	r, err := raft.NewRaft(c, noState{}, logs, logs, raft.NewInmemSnapshotStore(), transport)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Shutdown().Error() }()
	if err := r.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: address}}}).Error(); err != nil {
		t.Fatal(err)
	}
	if !<-r.LeaderCh() {
		t.Fatal("no leader")
	}
	p := promoter{r}
	if err := p.AddVoter("gone", "gone:1", 0, time.Minute).Error(); err == nil {
		t.Error("a server that was removed got a vote")
	}
	if err := p.AddVoter("a", address, 0, time.Minute).Error(); err != nil {
		t.Errorf("a server that is there: %v", err)
	}
	now := r.GetConfiguration()
	if err := now.Error(); err != nil || len(now.Configuration().Servers) != 1 {
		t.Errorf("servers %v, %v", now.Configuration().Servers, err)
	}
}
