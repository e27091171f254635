// Package reload holds the command that makes an agent read its configuration
// again.
package reload

import (
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl reload`.
func NewCommand(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
	)
	cmd := &cobra.Command{
		Use:   "reload [options]",
		Short: "Make the agent read its configuration again",
		Long: `Make the agent read its configuration files again and take over what may change
while it runs. With a mistake in the files it keeps what it has, and says so. The
signal SIGHUP does the same.`,
		Example: `ctl validate /etc/ctl.d && ctl reload`,
		Args:    cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			if ok, err := change.Begin("make the agent read its configuration again"); !ok {
				return err
			}
			if err := client.Agent().Reload(); err != nil {
				return cli.Failf("Error reloading: %w", err)
			}
			return change.Printf("Configuration reload triggered")
		},
	}
	conn = f.Connect(cmd)
	change = f.Change(cmd, conn)
	return cmd
}
