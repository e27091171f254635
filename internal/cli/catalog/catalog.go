// Package catalog holds the commands that read the catalog: catalog
// datacenters and catalog nodes.
//
// Texts, columns and exit codes follow Consul's command line.
package catalog

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl catalog` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	return cli.Group("catalog", "Read the catalog", newDatacenters(f), newNodes(f))
}

func newDatacenters(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		format *cli.Format
	)
	cmd := &cobra.Command{
		Use:   "datacenters [options]",
		Short: "List the known datacenters",
		Long:  "List the known datacenters, one a line, the nearest first.",
		Example: `ctl catalog datacenters
ctl catalog datacenters -format json`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			names, err := client.Catalog().Datacenters()
			if err != nil {
				return cli.Failf("Error listing datacenters: %w", err)
			}
			if format.JSON() {
				return cli.WriteJSON(f.Streams.Out, append([]string{}, names...))
			}
			out := bufio.NewWriter(f.Streams.Out)
			for _, n := range names {
				fmt.Fprintln(out, n)
			}
			return out.Flush()
		},
	}
	format = cli.FormatFlag(cmd)
	conn = f.ConnectServer(cmd)
	return cmd
}

type nodesOptions struct {
	f        *cli.Factory
	conn     *cli.Conn
	format   *cli.Format
	detailed bool
	filter   string
	near     string
	meta     []string
	service  string
}

func newNodes(f *cli.Factory) *cobra.Command {
	o := &nodesOptions{f: f}
	cmd := &cobra.Command{
		Use:   "nodes [options]",
		Short: "List the nodes of the catalog",
		Long:  "List the nodes of the catalog, or those that have a service, certain metadata or\nmatch a filter.",
		Example: `ctl catalog nodes
ctl catalog nodes -detailed
ctl catalog nodes -node-meta rack=r1 -node-meta disk=ssd
ctl catalog nodes -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.detailed, "detailed", false, "show whole ids, tagged addresses and metadata")
	flags.StringVar(&o.filter, "filter", "", "filter `EXPRESSION` the servers apply")
	flags.StringVar(&o.near, "near", "", "sort by round-trip time from `NODE`; _agent is the agent asked")
	flags.StringArrayVar(&o.meta, "node-meta", nil, "only nodes with this `KEY=VALUE`; may be repeated")
	flags.StringVar(&o.service, "service", "", "only nodes with the service `NAME`")
	o.format = cli.FormatFlag(cmd)
	o.conn = f.ConnectServer(cmd)
	return cmd
}

func (o *nodesOptions) run(ctx context.Context) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	query := o.conn.Query(ctx)
	query.Near, query.Filter = o.near, o.filter
	if len(o.meta) > 0 {
		query.NodeMeta = map[string]string{}
		for _, m := range o.meta {
			k, v, ok := strings.Cut(m, "=")
			if !ok || k == "" {
				return cli.Failf("Error! -node-meta %q is not KEY=VALUE", m)
			}
			query.NodeMeta[k] = v
		}
	}
	nodes, err := o.fetch(client.Catalog(), query)
	if err != nil {
		return cli.Failf("Error listing nodes: %w", err)
	}
	switch {
	case o.format.JSON():
		return cli.WriteJSON(o.f.Streams.Out, nodes)
	case len(nodes) == 0:
		_, err := fmt.Fprintln(o.f.Streams.Out, "No nodes match the given query - try expanding your search.")
		return err
	case o.detailed:
		return details(nodes).Write(o.f.Streams.Out)
	default:
		return overview(nodes).Write(o.f.Streams.Out)
	}
}

// fetch returns the nodes; with a service, each node that has it once.
func (o *nodesOptions) fetch(catalog *api.Catalog, query *api.QueryOptions) ([]*api.Node, error) {
	if o.service == "" {
		nodes, _, err := catalog.Nodes(query)
		return append([]*api.Node{}, nodes...), err
	}
	instances, _, err := catalog.Service(o.service, "", query)
	nodes := []*api.Node{}
	seen := map[string]bool{}
	for _, s := range instances {
		if seen[s.Node] {
			continue
		}
		seen[s.Node] = true
		nodes = append(nodes, &api.Node{
			ID: s.ID, Node: s.Node, Address: s.Address, Datacenter: s.Datacenter,
			TaggedAddresses: s.TaggedAddresses, Meta: s.NodeMeta,
			CreateIndex: s.CreateIndex, ModifyIndex: s.ModifyIndex, Partition: s.Partition,
		})
	}
	return nodes, err
}

func overview(nodes []*api.Node) *iostreams.Table {
	t := iostreams.NewTable("Node", "ID", "Address", "DC")
	for _, n := range nodes {
		t.Row(n.Node, n.ID[:min(8, len(n.ID))], n.Address, n.Datacenter)
	}
	return t
}

func details(nodes []*api.Node) *iostreams.Table {
	t := iostreams.NewTable("Node", "ID", "Address", "DC", "TaggedAddresses", "Meta")
	for _, n := range nodes {
		t.Row(n.Node, n.ID, n.Address, n.Datacenter, pairs(n.TaggedAddresses), pairs(n.Meta))
	}
	return t
}

func pairs(m map[string]string) string {
	list := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, ", ")
}
