package members

import (
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// NewLeaveCommand returns `ctl leave`.
func NewLeaveCommand(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
	)
	cmd := &cobra.Command{
		Use:   "leave [options]",
		Short: "Take the agent out of the cluster and stop it",
		Long: `Tell the agent to leave the cluster gracefully and to stop. The others count it
as left, not as failed; a server first gives up leadership and its place among
the voters.`,
		Example: `ctl leave
ctl leave -http-addr http://192.168.17.161:8500`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			if ok, err := change.Begin("take the agent out of the cluster and stop it"); !ok {
				return err
			}
			if err := client.Agent().Leave(); err != nil {
				return cli.Failf("Error leaving: %w", err)
			}
			return change.Printf("Graceful leave complete")
		},
	}
	conn = f.Connect(cmd)
	change = f.Change(cmd, conn)
	return cmd
}

// NewForceLeaveCommand returns `ctl force-leave`.
func NewForceLeaveCommand(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
		opts   api.ForceLeaveOpts
	)
	cmd := &cobra.Command{
		Use:   "force-leave [options] NODE",
		Short: "Make a failed member count as left",
		Long: `Make a member that failed count as left, so that the cluster stops trying to
reach it and forgets what it had registered. A member that is alive joins again
by itself. Prints nothing on success.`,
		Example: `ctl force-leave server03
ctl force-leave server03 -prune`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef(cmd, "A single node name must be specified to force leave.")
			}
			client, err := conn.Client()
			if err != nil {
				return err
			}
			if ok, err := change.Begin("make member %s count as left", args[0]); !ok {
				return err
			}
			if err := client.Agent().ForceLeaveOptions(args[0], opts, conn.Query(cmd.Context())); err != nil {
				return cli.Failf("Error force leaving: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&opts.Prune, "prune", false, "also take the member off the list of members")
	cmd.Flags().BoolVar(&opts.WAN, "wan", false, "only in the WAN pool; NODE is then name.datacenter")
	conn = f.Connect(cmd)
	change = f.Change(cmd, conn)
	cmd.ValidArgsFunction = conn.Complete(cli.LiveMembers, 1)
	return cmd
}
