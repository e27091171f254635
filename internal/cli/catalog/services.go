package catalog

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type servicesOptions struct {
	f     *cli.Factory
	conn  *cli.Conn
	out   *cli.Output
	watch *cli.Watch
	node  string
	meta  []string
	tags  bool
}

func newServices(f *cli.Factory) *cobra.Command {
	o := &servicesOptions{f: f}
	cmd := &cobra.Command{
		Use:   "services [options]",
		Short: "List the services of the catalog",
		Long:  "List the names of the services of the catalog, or of those on a node or on nodes\nwith certain metadata.",
		Example: `ctl catalog services
ctl catalog services -tags
ctl catalog services -node-meta rack=r1 -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.node, "node", "", "only services on the node `NAME`")
	flags.StringArrayVar(&o.meta, "node-meta", nil, "only services on nodes with this `KEY=VALUE`; may be repeated")
	flags.BoolVar(&o.tags, "tags", false, "show the tags of each service, too")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	o.conn.CompleteFlag(cmd, "node", cli.LiveNodes)
	return cmd
}

// tagged is a service with its tags, sorted.
type tagged struct {
	Service string
	Tags    []string
}

func (o *servicesOptions) run(ctx context.Context) error {
	if o.node != "" && len(o.meta) > 0 {
		return cli.Failf("Error! -node and -node-meta cannot be used together")
	}
	meta, err := metaPairs(o.meta)
	if err != nil {
		return err
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	name := func(t tagged) string { return t.Service }
	_, err = cli.ReadDocument(ctx, o.watch, servicesView, name, func(q *api.QueryOptions) (cli.Document[tagged], *api.QueryMeta, error) {
		services, answer, err := o.fetch(client.Catalog(), q, meta)
		if err != nil {
			return cli.Document[tagged]{}, nil, cli.Failf("Error listing services: %w", err)
		}
		return o.document(services), answer, nil
	})
	return err
}

func (o *servicesOptions) document(services map[string][]string) cli.Document[tagged] {
	rows, widest := make([]tagged, 0, len(services)), 0
	for _, name := range slices.Sorted(maps.Keys(services)) {
		slices.Sort(services[name])
		rows = append(rows, tagged{name, services[name]})
		widest = max(widest, len(name))
	}
	return cli.Document[tagged]{JSON: services, Rows: rows, Text: func(w io.Writer) error {
		for _, row := range rows {
			if o.tags {
				fmt.Fprintf(w, "%-*s%s\n", widest+6, row.Service, strings.Join(row.Tags, ","))
			} else {
				fmt.Fprintln(w, row.Service)
			}
		}
		if len(rows) == 0 {
			fmt.Fprintln(w, "No services match the given query - try expanding your search.")
		}
		return nil
	}}
}

var servicesView = cli.View[tagged]{
	Columns: []cli.Column[tagged]{
		{Name: "Service", Value: func(t tagged) string { return t.Service }},
		{Name: "Tags", Value: func(t tagged) string { return strings.Join(t.Tags, ",") }},
	},
}

// fetch returns the tags of the services.
func (o *servicesOptions) fetch(catalog *api.Catalog, query *api.QueryOptions, meta map[string]string) (map[string][]string, *api.QueryMeta, error) {
	if o.node == "" {
		query.NodeMeta = meta
		services, answer, err := catalog.Services(query)
		if services == nil {
			services = map[string][]string{}
		}
		return services, answer, err
	}
	node, answer, err := catalog.Node(o.node, query)
	services := map[string][]string{}
	if err != nil || node == nil {
		return services, answer, err
	}
	for _, s := range node.Services {
		if services[s.Service] == nil {
			services[s.Service] = []string{}
		}
		for _, tag := range s.Tags {
			if !slices.Contains(services[s.Service], tag) {
				services[s.Service] = append(services[s.Service], tag)
			}
		}
	}
	return services, answer, nil
}
