// Package info holds the command that shows an agent's inner numbers.
package info

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl info`. Its text follows Consul's command line: groups
// and keys sorted, keys indented by a tab.
func NewCommand(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		format *cli.Format
	)
	cmd := &cobra.Command{
		Use:   "info [options]",
		Short: "Show the agent's inner numbers",
		Long:  "Show the agent's version, role, leader, Raft and gossip numbers.",
		Example: `ctl info
ctl info -format json`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			self, err := client.Agent().Self()
			if err != nil {
				return cli.Failf("Error querying agent: %w", err)
			}
			stats, ok := self["Stats"]
			if !ok {
				return cli.Failf("Agent response did not contain 'Stats' key")
			}
			if format.JSON() {
				return cli.WriteJSON(f.Streams.Out, stats)
			}
			return write(f.Streams.Out, stats)
		},
	}
	format = cli.FormatFlag(cmd)
	conn = f.Connect(cmd)
	return cmd
}

func write(out io.Writer, stats map[string]any) error {
	w := bufio.NewWriter(out)
	for _, group := range slices.Sorted(maps.Keys(stats)) {
		fmt.Fprintf(w, "%s:\n", group)
		values, ok := stats[group].(map[string]any)
		if !ok {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(w, "\t%s = %v\n", key, values[key])
		}
	}
	return w.Flush()
}
