package operator

import (
	"fmt"
	"strconv"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

func newListPeers(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		format *cli.Format
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
			conf, err := client.Operator().RaftGetConfiguration(conn.Query(cmd.Context()))
			if err != nil {
				return cli.Failf("Error getting peers: %w", err)
			}
			if format.JSON() {
				return cli.WriteJSON(f.Streams.Out, conf)
			}
			return peers(conf.Servers).Write(f.Streams.Out)
		},
	}
	format = cli.FormatFlag(cmd)
	conn = f.ConnectServer(cmd)
	return cmd
}

func peers(servers []*api.RaftServer) *iostreams.Table {
	var leader *api.RaftServer
	for _, s := range servers {
		if s.Leader {
			leader = s
		}
	}
	t := iostreams.NewTable("Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By")
	for _, s := range servers {
		state, trails := "follower", "-"
		switch {
		case s.Leader:
			state = "leader"
		case leader != nil && leader.LastIndex >= s.LastIndex:
			trails = fmt.Sprintf("%d commits", leader.LastIndex-s.LastIndex)
		case leader != nil: // asked at different moments, it may look ahead
			trails = "0 commits"
		}
		t.Row(s.Node, s.ID, s.Address, state, strconv.FormatBool(s.Voter), s.ProtocolVersion,
			strconv.FormatUint(s.LastIndex, 10), trails)
	}
	return t
}

func newRemovePeer(f *cli.Factory) *cobra.Command {
	var (
		conn        *cli.Conn
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
			if err := remove(which, conn.Write(cmd.Context())); err != nil {
				return cli.Failf("Error removing peer: %w", err)
			}
			_, err = fmt.Fprintf(f.Streams.Out, "Removed peer with %s %q\n", what, which)
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the server")
	cmd.Flags().StringVar(&address, "address", "", "`ADDRESS` of the server, as host:port")
	conn = f.ConnectServer(cmd)
	return cmd
}

func newTransferLeader(f *cli.Factory) *cobra.Command {
	var (
		conn *cli.Conn
		id   string
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
			answer, err := client.Operator().RaftLeaderTransfer(id, conn.Query(cmd.Context()))
			if err != nil {
				return cli.Failf("Error transferring leadership: %w", err)
			}
			if !answer.Success {
				return cli.Failf("Error transferring leadership: the servers did not carry it out")
			}
			_, err = fmt.Fprintln(f.Streams.Out, "Success")
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the server that shall lead")
	conn = f.ConnectServer(cmd)
	return cmd
}
