package server

import (
	"context"

	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/rpc"
)

// The calls of consensus.
var (
	methodReadIndex = rpc.Method[consensus.ReadIndexRequest, consensus.ReadIndexResponse]{Name: "raft.read-index", ServersOnly: true}
	methodTerm      = rpc.Method[consensus.TermRequest, consensus.TermReply]{Name: "raft.term", ServersOnly: true}
)

// peers implements consensus.Peers over the connections between servers.
type peers struct{ pool *rpc.Pool }

// ReadIndex implements consensus.Peers.
func (p peers) ReadIndex(ctx context.Context, leader string, req consensus.ReadIndexRequest) (consensus.ReadIndexResponse, error) {
	resp, err := rpc.Call(ctx, p.pool, leader, methodReadIndex, &req)
	if err != nil {
		return consensus.ReadIndexResponse{}, err
	}
	return *resp, nil
}

// Term implements consensus.Peers.
func (p peers) Term(ctx context.Context, addr string, req consensus.TermRequest) (consensus.TermReply, error) {
	resp, err := rpc.Call(ctx, p.pool, addr, methodTerm, &req)
	if err != nil {
		return consensus.TermReply{}, err
	}
	return *resp, nil
}
