package operatorapi

import (
	"context"
	"slices"
	"strconv"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// raftServer is a server in an answer.
type raftServer struct {
	ID              string
	Node            string
	Address         string
	Leader          bool
	ProtocolVersion string
	Voter           bool
	LastIndex       uint64
}

// raftConfiguration is the answer about the Raft configuration.
type raftConfiguration struct {
	Servers []raftServer
	Index   uint64
}

const (
	// unknownNode stands for the name of a server that gossip does not know.
	unknownNode = "(unknown)"
	// raftProtocol is the Raft protocol of a server that does not say.
	raftProtocol = 3
)

func (a *API) configuration(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	if err := a.freshen(ctx, r.Options); err != nil {
		return nil, err
	}
	servers, index, err := a.Raft.Configuration()
	if err != nil {
		return nil, err
	}
	known, last := a.known(), a.LastIndexes(ctx)
	leader := a.Raft.Leadership().Get().LeaderID
	body := raftConfiguration{Servers: make([]raftServer, 0, len(servers)), Index: index}
	for _, s := range servers {
		row := raftServer{
			ID: s.ID, Node: unknownNode, Address: s.Address, Voter: s.Voter,
			Leader: s.ID == leader, ProtocolVersion: strconv.Itoa(raftProtocol), LastIndex: last[s.ID],
		}
		if g, ok := known[s.ID]; ok {
			row.Node = g.Name
			if g.RaftVersion > 0 {
				row.ProtocolVersion = strconv.Itoa(g.RaftVersion)
			}
		}
		body.Servers = append(body.Servers, row)
	}
	return &httpapi.Response{Body: body}, nil
}

// freshen waits until this server knows what was committed before the request,
// configurations included, unless a stale answer is good enough: the one that
// is wanted when there is no leader. It never blocks for a change.
func (a *API) freshen(ctx context.Context, o query.Options) error {
	o.MinIndex = 0
	_, err := a.Reader.Read(ctx, o, func(store.WatchSet, *store.Txn) (query.Result, error) {
		return query.Result{Found: true}, nil
	})
	return err
}

func (a *API) transferLeader(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	servers, _, err := a.Raft.Configuration()
	if err != nil {
		return nil, err
	}
	id := r.Query.Get("id")
	if id != "" {
		if _, err := find(servers, "id", id); err != nil {
			return nil, err
		}
	}
	leader := a.Raft.Leadership().Get().LeaderID
	if !slices.ContainsFunc(servers, func(s consensus.Server) bool { return s.Voter && s.ID != leader }) {
		return nil, failure.New(failure.Invalid, "cannot find peer")
	}
	if err := a.Raft.TransferLeadership(ctx, id); err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: struct{ Success bool }{true}}, nil
}

func (a *API) removePeer(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	by, value := "id", r.Query.Get("id")
	switch address := r.Query.Get("address"); {
	case value == "" && address == "":
		return nil, failure.New(failure.BadRequest, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove")
	case value != "" && address != "":
		return nil, failure.New(failure.BadRequest, "Must specify only one of ?id or ?address")
	case address != "":
		by, value = "address", address
	}
	if err := a.require(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	servers, _, err := a.Raft.Configuration()
	if err != nil {
		return nil, err
	}
	s, err := find(servers, by, value)
	if err != nil {
		return nil, err
	}
	return nil, a.Raft.RemoveServer(ctx, s.ID)
}

// find returns the server with the id or the address.
func find(servers []consensus.Server, by, value string) (consensus.Server, error) {
	for _, s := range servers {
		if by == "id" && s.ID == value || by == "address" && s.Address == value {
			return s, nil
		}
	}
	return consensus.Server{}, failure.Newf(failure.Invalid, "%s %q was not found in the Raft configuration", by, value)
}
