package services

import (
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// atOnce is how many services are asked about at the same time: enough to hide
// the round trips, few enough to be no burden.
const atOnce = 16

type listOptions struct {
	conn    *cli.Conn
	out     *cli.Output
	watch   *cli.Watch
	failing bool
	plain   bool // the agent has no summaries
}

func newList(f *cli.Factory) *cobra.Command {
	o := &listOptions{}
	cmd := &cobra.Command{
		Use:     "list [options]",
		Aliases: []string{"ls"},
		Short:   "List services with the health of their instances",
		Long: `List the services of the catalog and how many instances of each are passing,
warning, critical or in maintenance. The checks of an instance's node count, too.

An agent that is not ctl's is asked about every service, and with --watch every
second; its API has nothing that counts instances.`,
		Example: `ctl services list
ctl services list -failing
ctl services list -o name`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.failing, "failing", false, "only services with an instance that is not passing")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	cli.DetailedExit(cmd)
	return cmd
}

// summary is a service with its instances counted by health, those in
// maintenance apart.
type summary struct {
	Service     string
	Instances   int
	Passing     int
	Warning     int
	Critical    int
	Maintenance int
	Tags        []string
}

// count is a column of numbers; those above zero have the tone.
func count(name string, tone iostreams.Tone, n func(summary) int) cli.Column[summary] {
	return cli.Column[summary]{
		Name:  name,
		Value: func(s summary) string { return strconv.Itoa(n(s)) },
		Tone: func(s summary) iostreams.Tone {
			if n(s) == 0 {
				return iostreams.Plain
			}
			return tone
		},
	}
}

var summaries = cli.View[summary]{
	Empty: "There are no such services.",
	Columns: []cli.Column[summary]{
		{Name: "Service", Value: func(s summary) string { return s.Service }},
		count("Instances", iostreams.Plain, func(s summary) int { return s.Instances }),
		count("Passing", iostreams.Good, func(s summary) int { return s.Passing }),
		count("Warning", iostreams.Warn, func(s summary) int { return s.Warning }),
		count("Critical", iostreams.Bad, func(s summary) int { return s.Critical }),
		count("Maintenance", iostreams.Warn, func(s summary) int { return s.Maintenance }),
		{Name: "Tags", Value: func(s summary) string { return strings.Join(s.Tags, ",") }},
	},
}

func (o *listOptions) run(ctx context.Context) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	name := func(s summary) string { return s.Service }
	_, err = cli.Read(ctx, o.watch, summaries, name, func(q *api.QueryOptions) ([]summary, *api.QueryMeta, error) {
		list, meta, err := o.fetch(client, q)
		if err != nil {
			return nil, nil, cli.Failf("Error listing services: %w", err)
		}
		return slices.DeleteFunc(list, func(s summary) bool { return o.failing && s.Passing == s.Instances }), meta, nil
	})
	return err
}

// fetch asks for the summaries, and where the agent has none, for all services.
func (o *listOptions) fetch(client *api.Client, q *api.QueryOptions) ([]summary, *api.QueryMeta, error) {
	if o.plain {
		list, err := fetchEach(client, q)
		return list, nil, err
	}
	var rows []struct {
		Name                                               string
		Tags                                               []string
		Instances, Passing, Warning, Critical, Maintenance int
	}
	meta, err := o.conn.QueryJSON("/v1/ctl/services", q, &rows)
	if cli.IsNotFound(err) {
		o.plain = true
		return o.fetch(client, q)
	}
	list := make([]summary, len(rows))
	for i, r := range rows {
		list[i] = summary{r.Name, r.Instances, r.Passing, r.Warning, r.Critical - r.Maintenance, r.Maintenance, r.Tags}
	}
	return list, meta, err
}

// fetchEach asks for the names, and then for the instances of every service: a
// plain agent has nothing that counts those without checks.
func fetchEach(client *api.Client, q *api.QueryOptions) ([]summary, error) {
	tags, _, err := client.Catalog().Services(q)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(tags))
	list := make([]summary, len(names))
	group, ctx := errgroup.WithContext(q.Context())
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			instances, _, err := client.Health().Service(name, "", false, q.WithContext(ctx))
			if err != nil {
				return err
			}
			slices.Sort(tags[name])
			list[i] = summarize(name, tags[name], instances)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	// A service that went between the two questions has no instances.
	return slices.DeleteFunc(list, func(s summary) bool { return s.Instances == 0 }), nil
}

func summarize(name string, tags []string, instances []*api.ServiceEntry) summary {
	s := summary{Service: name, Instances: len(instances), Tags: tags}
	for _, i := range instances {
		switch i.Checks.AggregatedStatus() {
		case api.HealthPassing:
			s.Passing++
		case api.HealthWarning:
			s.Warning++
		case api.HealthMaint:
			s.Maintenance++
		default:
			s.Critical++
		}
	}
	return s
}

type showOptions struct {
	conn  *cli.Conn
	out   *cli.Output
	watch *cli.Watch
	tag   string
}

func newShow(f *cli.Factory) *cobra.Command {
	o := &showOptions{}
	cmd := &cobra.Command{
		Use:   "show [options] NAME",
		Short: "Show the instances of a service and what fails on them",
		Long: `Show the instances of a service: where they are, how healthy, and which of their
checks, or of their node's, do not pass. "ctl health service" shows what the
checks say. As JSON, the answer of /v1/health/service.`,
		Example: `ctl services show web
ctl services show -tag v1 web
ctl services show -o json web
ctl services show -watch -once -timeout 10m web`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return cli.Usagef(cmd, "the name of one service is wanted, %d were given", len(args))
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVar(&o.tag, "tag", "", "only instances with this `TAG`")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveServices, 1)
	cli.DetailedExit(cmd)
	return cmd
}

func (o *showOptions) run(ctx context.Context, name string) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	key := func(e *api.ServiceEntry) string { return e.Node.Node + "/" + e.Service.ID }
	_, err = cli.Read(ctx, o.watch, instances, key, func(q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
		list, meta, err := client.Health().Service(name, o.tag, false, q)
		switch {
		case err != nil:
			return nil, nil, cli.Failf("Error reading service %q: %w", name, err)
		case len(list) == 0 && !o.watch.On():
			return nil, nil, o.nothing(name)
		}
		slices.SortFunc(list, func(a, b *api.ServiceEntry) int { return strings.Compare(key(a), key(b)) })
		return list, meta, nil
	})
	return err
}

func (o *showOptions) nothing(name string) error {
	if o.tag != "" {
		return cli.Fail(failure.NotFound, "Service %q has no instance with tag %q. `ctl services show %s` shows all there are.", name, o.tag, name)
	}
	return cli.Fail(failure.NotFound, "There is no service %q. `ctl services list` shows those there are.", name)
}

var instances = cli.View[*api.ServiceEntry]{
	Empty: "There is no instance.",
	Columns: []cli.Column[*api.ServiceEntry]{
		{Name: "Instance", Value: func(e *api.ServiceEntry) string { return e.Service.ID }},
		{Name: "Node", Value: func(e *api.ServiceEntry) string { return e.Node.Node }},
		{Name: "Address", Value: address},
		{Name: "Health", Value: func(e *api.ServiceEntry) string { return e.Checks.AggregatedStatus() }, Tone: tone},
		{Name: "Not passing", Value: notPassing},
		{Name: "Tags", Value: func(e *api.ServiceEntry) string { return strings.Join(e.Service.Tags, ",") }},
		{Name: "Meta", Wide: true, Value: meta},
	},
}

// address is where the instance answers: its own address, or its node's.
func address(e *api.ServiceEntry) string {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	if e.Service.Port == 0 {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
}

func tone(e *api.ServiceEntry) iostreams.Tone {
	switch e.Checks.AggregatedStatus() {
	case api.HealthPassing:
		return iostreams.Good
	case api.HealthWarning, api.HealthMaint:
		return iostreams.Warn
	default:
		return iostreams.Bad
	}
}

func notPassing(e *api.ServiceEntry) string {
	var ids []string
	for _, c := range e.Checks {
		if c.Status != api.HealthPassing {
			ids = append(ids, c.CheckID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, ", ")
}

func meta(e *api.ServiceEntry) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(e.Service.Meta)) {
		pairs = append(pairs, k+"="+e.Service.Meta[k])
	}
	return strings.Join(pairs, ", ")
}
