// Package info holds the command that shows an agent's inner numbers.
package info

import (
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
		conn *cli.Conn
		out  *cli.Output
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
			return cli.ShowDocument(out, view, stats, rows(stats), func(w io.Writer) error { return write(w, stats) })
		},
	}
	out = f.Output(cmd)
	conn = f.Connect(cmd)
	return cmd
}

// number is one of the agent's numbers.
type number struct {
	Group, Key string
	Value      any
}

var view = cli.View[number]{
	Name: func(n number) string { return n.Group + "." + n.Key },
	Columns: []cli.Column[number]{
		{Name: "Group", Value: func(n number) string { return n.Group }},
		{Name: "Key", Value: func(n number) string { return n.Key }},
		{Name: "Value", Value: func(n number) string { return fmt.Sprint(n.Value) }},
	},
}

func rows(stats map[string]any) []number {
	var list []number
	for _, group := range slices.Sorted(maps.Keys(stats)) {
		values, _ := stats[group].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			list = append(list, number{group, key, values[key]})
		}
	}
	return list
}

func write(w io.Writer, stats map[string]any) error {
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
	return nil
}
