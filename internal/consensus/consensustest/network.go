package consensustest

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus"
)

// errCut is what a call over a cut link fails with.
var errCut = errors.New("link is cut")

// Network connects Nodes in memory: raft's own traffic and the calls of
// consensus.Peers. A server's ID is also its address.
type Network struct {
	mu    sync.Mutex
	ends  map[string]*raft.InmemTransport
	nodes map[string]*consensus.Node
	cut   map[[2]string]bool
}

// NewNetwork returns an empty network.
func NewNetwork() *Network {
	return &Network{
		ends:  map[string]*raft.InmemTransport{},
		nodes: map[string]*consensus.Node{},
		cut:   map[[2]string]bool{},
	}
}

// Join gives the server id a transport and peers, connected to all others, in
// place of what an earlier server of that ID had.
func (n *Network) Join(id string) (consensus.Transport, consensus.Peers) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, t := raft.NewInmemTransport(raft.ServerAddress(id))
	n.ends[id] = t
	for other := range n.ends {
		n.link(id, other)
		n.link(other, id)
	}
	return t, peers{n, id}
}

// Serve lets others call node under id.
func (n *Network) Serve(id string, node *consensus.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[id] = node
}

// link runs under mu.
func (n *Network) link(from, to string) {
	if from == to || n.ends[from] == nil || n.ends[to] == nil {
		return
	}
	n.ends[from].Disconnect(raft.ServerAddress(to))
	if !n.cut[[2]string{from, to}] {
		n.ends[from].Connect(raft.ServerAddress(to), n.ends[to])
	}
}

// Cut ends all traffic that from starts towards to; answers to what to starts
// still pass.
func (n *Network) Cut(from, to string) { n.set(from, to, true) }

// Mend undoes Cut.
func (n *Network) Mend(from, to string) { n.set(from, to, false) }

func (n *Network) set(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = cut
	n.link(from, to)
}

// Isolate cuts id off in both directions, or connects it again.
func (n *Network) Isolate(id string, cut bool) {
	n.mu.Lock()
	var others []string
	for other := range n.ends {
		others = append(others, other)
	}
	n.mu.Unlock()
	for _, other := range others {
		n.set(id, other, cut)
		n.set(other, id, cut)
	}
}

func (n *Network) node(from, to string) (*consensus.Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[[2]string{from, to}] || n.nodes[to] == nil {
		return nil, errCut
	}
	return n.nodes[to], nil
}

// peers calls other Nodes directly.
type peers struct {
	net  *Network
	from string
}

func (p peers) ReadIndex(ctx context.Context, addr string, r consensus.ReadIndexRequest) (consensus.ReadIndexResponse, error) {
	to, err := p.net.node(p.from, addr)
	if err != nil {
		return consensus.ReadIndexResponse{}, err
	}
	return to.HandleReadIndex(ctx, r)
}

func (p peers) Term(ctx context.Context, addr string, r consensus.TermRequest) (consensus.TermReply, error) {
	to, err := p.net.node(p.from, addr)
	if err != nil {
		return consensus.TermReply{}, err
	}
	return to.HandleTerm(ctx, r)
}
