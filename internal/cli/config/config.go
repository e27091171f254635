// Package config holds the commands about how this program is set up; for now
// that is config explain, which tells where every setting comes from.
package config

import (
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl config` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	return cli.Group("config", "See where settings come from", `ctl config explain
ctl config explain -context prod -o json`,
		newExplain(f))
}

var explained = cli.View[cli.Explained]{
	Columns: []cli.Column[cli.Explained]{
		{Name: "Setting", Value: func(e cli.Explained) string { return e.Setting }},
		{Name: "Value", Value: func(e cli.Explained) string { return e.Value }},
		{Name: "Source", Value: func(e cli.Explained) string { return e.Source }},
		{Name: "Note", Value: func(e cli.Explained) string { return e.Note }},
	},
}

func newExplain(f *cli.Factory) *cobra.Command {
	var (
		conn *cli.Conn
		out  *cli.Output
	)
	cmd := &cobra.Command{
		Use:   "explain [options]",
		Short: "Say where every setting comes from",
		Long: `Say which settings a command with these options, in this environment, would use
to reach an agent, and where each comes from: an option, a variable, the context
or the default. Secrets are not shown. Nothing is asked and no token command is
run.`,
		Example: `ctl config explain
CONSUL_HTTP_ADDR=10.0.0.1:8500 ctl config explain -datacenter dc2
ctl config explain -o json`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			rows, err := conn.Explain()
			if err != nil {
				return err
			}
			return cli.Show(out, explained, rows)
		},
	}
	out = f.Output(cmd)
	conn = f.ConnectServer(cmd)
	return cmd
}
