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
	return cli.Group("operator", "Look after the servers",
		cli.Group("raft", "Look after the voting servers",
			newListPeers(f), newRemovePeer(f), newTransferLeader(f)),
		cli.Group("autopilot", "See and set how servers are looked after automatically",
			newGetConfig(f), newSetConfig(f), newState(f)),
	)
}
