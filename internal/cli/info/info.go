// Package info holds the command that shows an agent's inner numbers.
package info

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl info`. Its text follows Consul's command line: groups
// and keys sorted, keys indented by a tab.
func NewCommand(f *cli.Factory) *cobra.Command {
	var (
		conn  *cli.Conn
		out   *cli.Output
		watch *cli.Watch
	)
	cmd := &cobra.Command{
		Use:   "info [options]",
		Short: "Show the agent's inner numbers",
		Long:  "Show the agent's version, role, leader, Raft and gossip numbers.",
		Example: `ctl info
ctl info -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := conn.Client(); err != nil {
				return err
			}
			_, err := cli.ReadDocument(cmd.Context(), watch, view, view.Name, func(q *api.QueryOptions) (cli.Document[number], *api.QueryMeta, error) {
				var self map[string]map[string]any
				if _, err := conn.QueryJSON("/v1/agent/self", q, &self); err != nil {
					return cli.Document[number]{}, nil, cli.Failf("Error querying agent: %w", err)
				}
				stats, ok := self["Stats"]
				if !ok {
					return cli.Document[number]{}, nil, cli.Failf("Agent response did not contain 'Stats' key")
				}
				return cli.Document[number]{JSON: stats, Rows: rows(stats), Text: func(w io.Writer) error { return write(w, stats) }}, nil, nil
			})
			return err
		},
	}
	out = f.Output(cmd)
	conn = f.Connect(cmd)
	watch = f.Watch(cmd, out, conn)
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
