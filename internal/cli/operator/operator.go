// Package operator holds the commands for those who run the servers:
// operator raft and operator autopilot.
//
// Texts, columns and exit codes follow Consul's command line.
package operator

import (
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl operator` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	return cli.Group("operator", "Look after the servers", `ctl operator raft list-peers
ctl operator autopilot state
ctl operator raft transfer-leader`,
		cli.Group("raft", "Look after the voting servers", `ctl operator raft list-peers
ctl operator raft transfer-leader
ctl operator raft remove-peer -address 10.0.0.3:8300`,
			newListPeers(f), newRemovePeer(f), newTransferLeader(f)),
		cli.Group("autopilot", "See and set how servers are looked after automatically",
			`ctl operator autopilot state
ctl operator autopilot get-config
ctl operator autopilot set-config -cleanup-dead-servers=false`,
			newGetConfig(f), newSetConfig(f), newState(f)),
	)
}
