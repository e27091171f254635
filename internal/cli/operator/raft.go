package operator

import (
	"fmt"
	"strconv"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

func newListPeers(f *cli.Factory) *cobra.Command {
	var (
		conn  *cli.Conn
		out   *cli.Output
		watch *cli.Watch
	)
	cmd := &cobra.Command{
		Use:   "list-peers [options]",
		Short: "List the servers in the Raft configuration",
		Long: `List the servers in the Raft configuration: which one leads, which ones vote and
how far each one's log is behind the leader's. With --stale the answer may come
from any server, also while there is no leader.`,
		Example: `ctl operator raft list-peers
ctl operator raft list-peers -stale -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			id := func(p peer) string { return p.ID }
			_, err = cli.ReadDocument(cmd.Context(), watch, peers, id, func(q *api.QueryOptions) (cli.Document[peer], *api.QueryMeta, error) {
				conf, err := client.Operator().RaftGetConfiguration(q)
				if err != nil {
					return cli.Document[peer]{}, nil, cli.Failf("Error getting peers: %w", err)
				}
				return cli.Document[peer]{JSON: conf, Rows: rows(conf.Servers)}, nil, nil
			})
			return err
		},
	}
	out = f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

// peer is a server with the leader it follows, nil if none is known.
type peer struct {
	*api.RaftServer
	leader *api.RaftServer
}

func rows(servers []*api.RaftServer) []peer {
	var leader *api.RaftServer
	for _, s := range servers {
		if s.Leader {
			leader = s
		}
	}
	list := make([]peer, len(servers))
	for i, s := range servers {
		list[i] = peer{s, leader}
	}
	return list
}

func (p peer) state() string {
	if p.Leader {
		return "leader"
	}
	return "follower"
}

// trails says how far the peer's log is behind the leader's.
func (p peer) trails() string {
	switch {
	case p.Leader || p.leader == nil:
		return "-"
	case p.leader.LastIndex >= p.LastIndex:
		return fmt.Sprintf("%d commits", p.leader.LastIndex-p.LastIndex)
	default: // asked at different moments, it may look ahead
		return "0 commits"
	}
}

var peers = cli.View[peer]{
	JSON: func(p peer) any { return p.RaftServer },
	Columns: []cli.Column[peer]{
		{Name: "Node", Value: func(p peer) string { return p.Node }},
		{Name: "ID", Value: func(p peer) string { return p.ID }},
		{Name: "Address", Value: func(p peer) string { return p.Address }},
		{Name: "State", Value: peer.state},
		{Name: "Voter", Value: func(p peer) string { return strconv.FormatBool(p.Voter) }},
		{Name: "RaftProtocol", Value: func(p peer) string { return p.ProtocolVersion }},
		{Name: "Commit Index", Value: func(p peer) string { return strconv.FormatUint(p.LastIndex, 10) }},
		{Name: "Trails Leader By", Value: peer.trails},
	},
}

func newRemovePeer(f *cli.Factory) *cobra.Command {
	var (
		conn        *cli.Conn
		change      *cli.Change
		id, address string
	)
	cmd := &cobra.Command{
		Use:   "remove-peer [options]",
		Short: "Take a server out of the Raft configuration",
		Long: `Take a server out of the Raft configuration that is gone for good and was not
removed when it left. Its vote no longer counts towards the quorum. Do not use
it on a server that is running: stop that one with "ctl leave".`,
		Example: `ctl operator raft remove-peer -id 8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a
ctl operator raft remove-peer -address 192.168.17.161:8300`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (id == "") == (address == "") {
				return cli.Usagef(cmd, "Give either -id or -address of the peer to remove; `ctl operator raft list-peers` shows both.")
			}
			client, err := conn.Client()
			if err != nil {
				return err
			}
			remove, what, which := client.Operator().RaftRemovePeerByID, "id", id
			if address != "" {
				remove, what, which = client.Operator().RaftRemovePeerByAddress, "address", address
			}
			if ok, err := change.Begin("take the server with %s %s out of the Raft configuration", what, which); !ok {
				return err
			}
			if err := remove(which, conn.Write(cmd.Context())); err != nil {
				return cli.Failf("Error removing peer: %w", err)
			}
			return change.Printf("Removed peer with %s %q", what, which)
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the server")
	cmd.Flags().StringVar(&address, "address", "", "`ADDRESS` of the server, as host:port")
	conn = f.ConnectServer(cmd)
	change = f.Change(cmd, conn)
	return cmd
}

func newTransferLeader(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
		id     string
	)
	cmd := &cobra.Command{
		Use:   "transfer-leader [options]",
		Short: "Hand leadership to another server",
		Long: `Hand leadership to another voting server, for instance before work on the machine
of the one that leads. Without --id, the one whose log is furthest.`,
		Example: `ctl operator raft transfer-leader
ctl operator raft transfer-leader -id 8b1d9a3e-0a57-4f10-9ccd-c2dcdd3e9e6a`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			to := "another server"
			if id != "" {
				to = "server " + id
			}
			if ok, err := change.Begin("hand leadership to %s", to); !ok {
				return err
			}
			answer, err := client.Operator().RaftLeaderTransfer(id, conn.Query(cmd.Context()))
			if err != nil {
				return cli.Failf("Error transferring leadership: %w", err)
			}
			if !answer.Success {
				return cli.Failf("Error transferring leadership: the servers did not carry it out")
			}
			return change.Printf("Success")
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the server that shall lead")
	conn = f.ConnectServer(cmd)
	change = f.Change(cmd, conn)
	return cmd
}
