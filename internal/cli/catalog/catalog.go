// Package catalog holds the commands about the catalog: catalog datacenters,
// catalog nodes and catalog services read it, catalog prune removes what has been
// critical for long.
//
// Texts, columns and exit codes follow Consul's command line, which has no prune.
package catalog

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl catalog` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	return cli.Group("catalog", "Read the catalog and tidy it up", `ctl catalog services -tags
ctl catalog nodes -service web
ctl catalog prune -critical-for 24h -dry-run`,
		newDatacenters(f), newNodes(f), newServices(f), newPrune(f))
}

func newDatacenters(f *cli.Factory) *cobra.Command {
	var (
		conn  *cli.Conn
		out   *cli.Output
		watch *cli.Watch
	)
	cmd := &cobra.Command{
		Use:   "datacenters [options]",
		Short: "List the known datacenters",
		Long:  "List the known datacenters, one a line, the nearest first.",
		Example: `ctl catalog datacenters
ctl catalog datacenters -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := conn.Client(); err != nil {
				return err
			}
			same := func(name string) string { return name }
			_, err := cli.Read(cmd.Context(), watch, datacenters, same, func(q *api.QueryOptions) ([]string, *api.QueryMeta, error) {
				var names []string
				meta, err := conn.QueryJSON("/v1/catalog/datacenters", q, &names)
				if err != nil {
					return nil, nil, cli.Failf("Error listing datacenters: %w", err)
				}
				return names, meta, nil
			})
			return err
		},
	}
	out = f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

var datacenters = cli.View[string]{
	NoHeader: true,
	Columns:  []cli.Column[string]{{Name: "Datacenter", Value: func(name string) string { return name }}},
}

type nodesOptions struct {
	f        *cli.Factory
	conn     *cli.Conn
	out      *cli.Output
	watch    *cli.Watch
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
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	o.conn.CompleteFlag(cmd, "service", cli.LiveServices)
	o.conn.CompleteFlag(cmd, "near", cli.LiveNodes)
	return cmd
}

func (o *nodesOptions) run(ctx context.Context) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	meta, err := metaPairs(o.meta)
	if err != nil {
		return err
	}
	view := overview
	if o.detailed {
		view = details
	}
	name := func(n *api.Node) string { return n.Node }
	_, err = cli.Read(ctx, o.watch, view, name, func(query *api.QueryOptions) ([]*api.Node, *api.QueryMeta, error) {
		query.Near, query.Filter = o.near, o.filter
		if len(meta) > 0 {
			query.NodeMeta = meta
		}
		nodes, answer, err := o.fetch(client.Catalog(), query)
		if err != nil {
			return nil, nil, cli.Failf("Error listing nodes: %w", err)
		}
		return nodes, answer, nil
	})
	return err
}

// metaPairs reads the flags -node-meta.
func metaPairs(texts []string) (map[string]string, error) {
	meta := map[string]string{}
	for _, m := range texts {
		k, v, ok := strings.Cut(m, "=")
		if !ok || k == "" {
			return nil, cli.Failf("Error! -node-meta %q is not KEY=VALUE", m)
		}
		meta[k] = v
	}
	return meta, nil
}

// fetch returns the nodes; with a service, each node that has it once.
func (o *nodesOptions) fetch(catalog *api.Catalog, query *api.QueryOptions) ([]*api.Node, *api.QueryMeta, error) {
	if o.service == "" {
		return catalog.Nodes(query)
	}
	instances, answer, err := catalog.Service(o.service, "", query)
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
	return nodes, answer, err
}

const noNodes = "No nodes match the given query - try expanding your search."

// overview is the listing; -o wide has what -detailed shows, too.
var overview = cli.View[*api.Node]{
	Empty: noNodes,
	Columns: append(nodeColumns(func(n *api.Node) string { return n.ID[:min(8, len(n.ID))] }),
		cli.Column[*api.Node]{Name: "TaggedAddresses", Wide: true, Value: taggedAddresses},
		cli.Column[*api.Node]{Name: "Meta", Wide: true, Value: meta}),
}

// details is the listing with -detailed.
var details = cli.View[*api.Node]{
	Empty: noNodes,
	Columns: append(nodeColumns(func(n *api.Node) string { return n.ID }),
		cli.Column[*api.Node]{Name: "TaggedAddresses", Value: taggedAddresses},
		cli.Column[*api.Node]{Name: "Meta", Value: meta}),
}

func nodeColumns(id func(*api.Node) string) []cli.Column[*api.Node] {
	return []cli.Column[*api.Node]{
		{Name: "Node", Value: func(n *api.Node) string { return n.Node }},
		{Name: "ID", Value: id},
		{Name: "Address", Value: func(n *api.Node) string { return n.Address }},
		{Name: "DC", Value: func(n *api.Node) string { return n.Datacenter }},
	}
}

func taggedAddresses(n *api.Node) string { return pairs(n.TaggedAddresses) }

func meta(n *api.Node) string { return pairs(n.Meta) }

func pairs(m map[string]string) string {
	list := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, ", ")
}
