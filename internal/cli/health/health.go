// Package health holds the command that says how a cluster, a service or a node
// is: health.
//
// It reads only, and shows what is wrong first. Consul has no such command, so
// exit codes are detailed: 16 says that something is critical. Maintenance is
// meant, so it is shown but is nothing wrong; a warning is shown, too.
package health

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type options struct {
	conn  *cli.Conn
	out   *cli.Output
	watch *cli.Watch
}

// NewCommand returns `ctl health`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "health [options] [service NAME|node NAME]",
		Short: "Show how the cluster, a service or a node is",
		Long: `Show how the cluster is: its leader, its members, how many services and checks
are passing, and every check that is not, the worst first. Without a leader, show
what the agent's server still knows.

With "service NAME", show the checks of all instances of a service and of the
nodes they are on; with "node NAME", those of a node and of all services on it;
the worst first, with what they said last.

Exit codes: 0 nothing is critical, 16 something is: a check, or, of the cluster,
a failed member or no leader; 13 there is no such service or node. Warnings and
maintenance are shown, but exit 0. With --watch, checks are followed by index; the
leader and the members, which have none, are looked at every 2 s.`,
		Example: `ctl health
ctl health -o json
ctl health service web
ctl health node n2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return o.cluster(cmd.Context())
			case args[0] != "service" && args[0] != "node":
				return cli.Usagef(cmd, "%q is nothing whose health is known: use service NAME or node NAME", args[0])
			case len(args) != 2 || args[1] == "":
				return cli.Usagef(cmd, "the name of one %s is wanted, %d were given", args[0], len(args)-1)
			case args[0] == "service":
				return o.one(cmd.Context(), args[1], serviceChecks)
			default:
				return o.one(cmd.Context(), args[1], nodeChecks)
			}
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []cobra.Completion{"service", "node"}, cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	cli.DetailedExit(cmd)
	return cmd
}

// fetch returns the checks of what is called name. Not found is an error.
type fetch func(client *api.Client, name string, q *api.QueryOptions) (api.HealthChecks, *api.QueryMeta, error)

// one shows the checks of one thing.
func (o *options) one(ctx context.Context, name string, fetch fetch) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	checks, err := cli.Read(ctx, o.watch, checkView, checkKey, func(q *api.QueryOptions) ([]*api.HealthCheck, *api.QueryMeta, error) {
		list, meta, err := fetch(client, name, q)
		if err != nil {
			return nil, nil, err
		}
		slices.SortFunc(list, worstFirst)
		return list, meta, nil
	})
	if err == nil && slices.ContainsFunc(checks, isCritical) {
		return cli.ErrUnhealthy
	}
	return err
}

func serviceChecks(client *api.Client, name string, q *api.QueryOptions) (api.HealthChecks, *api.QueryMeta, error) {
	instances, meta, err := client.Health().Service(name, "", false, q)
	switch {
	case err != nil:
		return nil, nil, cli.Failf("Error reading the health of service %q: %w", name, err)
	case len(instances) == 0 && q.WaitIndex == 0:
		return nil, nil, cli.Fail(failure.NotFound, "There is no service %q. `ctl services list` shows those there are.", name)
	}
	var checks api.HealthChecks
	seen := map[string]bool{} // two instances of a node have its checks twice
	for _, i := range instances {
		for _, c := range i.Checks {
			if !seen[checkKey(c)] {
				seen[checkKey(c)] = true
				checks = append(checks, c)
			}
		}
	}
	return checks, meta, nil
}

func nodeChecks(client *api.Client, name string, q *api.QueryOptions) (api.HealthChecks, *api.QueryMeta, error) {
	checks, meta, err := client.Health().Node(name, q)
	if err == nil && len(checks) == 0 && q.WaitIndex == 0 {
		// A node may have no checks: only the catalog knows whether it is there.
		var node *api.CatalogNode
		if node, _, err = client.Catalog().Node(name, q); err == nil && node == nil {
			return nil, nil, cli.Fail(failure.NotFound, "There is no node %q. `ctl catalog nodes` shows those there are.", name)
		}
	}
	if err != nil {
		return nil, nil, cli.Failf("Error reading the health of node %q: %w", name, err)
	}
	return checks, meta, nil
}

func checkKey(c *api.HealthCheck) string { return c.Node + "/" + c.CheckID }

// stateOf is the state of a check, in which maintenance is one of its own.
func stateOf(c *api.HealthCheck) string { return api.HealthChecks{c}.AggregatedStatus() }

func isCritical(c *api.HealthCheck) bool { return stateOf(c) == api.HealthCritical }

// states are the states of checks, the worst first.
var states = []string{api.HealthCritical, api.HealthWarning, api.HealthMaint, api.HealthPassing}

func worstFirst(a, b *api.HealthCheck) int {
	return cmp.Or(
		cmp.Compare(slices.Index(states, stateOf(a)), slices.Index(states, stateOf(b))),
		strings.Compare(a.Node, b.Node), strings.Compare(a.ServiceID, b.ServiceID), strings.Compare(a.CheckID, b.CheckID))
}

func toneOf(state string) iostreams.Tone {
	switch state {
	case api.HealthPassing:
		return iostreams.Good
	case api.HealthCritical:
		return iostreams.Bad
	default:
		return iostreams.Warn
	}
}

var checkView = cli.View[*api.HealthCheck]{
	Empty: "There are no checks.",
	Name:  checkKey,
	Columns: []cli.Column[*api.HealthCheck]{
		{Name: "State", Value: stateOf, Tone: func(c *api.HealthCheck) iostreams.Tone { return toneOf(stateOf(c)) }},
		{Name: "Node", Value: func(c *api.HealthCheck) string { return c.Node }},
		{Name: "Service", Value: func(c *api.HealthCheck) string { return c.ServiceID }},
		{Name: "Check", Value: func(c *api.HealthCheck) string { return c.CheckID }},
		{Name: "Output", Value: func(c *api.HealthCheck) string { return firstLine(c.Output, maxOutput) }},
		{Name: "Notes", Wide: true, Value: func(c *api.HealthCheck) string { return firstLine(c.Notes, maxOutput) }},
	},
}

// maxOutput is how much of a check's output the table shows; JSON has it whole.
const maxOutput = 80

// firstLine returns the first line of text that says something, cut after n
// characters.
func firstLine(text string, n int) string {
	line, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSpace(line)
	if r := []rune(line); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	if more {
		line += " ..."
	}
	return line
}

// counts is how many of something are in each state.
type counts struct {
	Total       int
	Passing     int
	Warning     int
	Critical    int
	Maintenance int
}

func (c *counts) add(state string) {
	c.Total++
	switch state {
	case api.HealthPassing:
		c.Passing++
	case api.HealthWarning:
		c.Warning++
	case api.HealthMaint:
		c.Maintenance++
	default:
		c.Critical++
	}
}

// write writes "12: 10 passing, 2 critical": what there is none of is left out.
func (c counts) write(w io.Writer, label string) {
	fmt.Fprintf(w, "%-10s %d", label, c.Total)
	separator := ": "
	for _, part := range []struct {
		n     int
		state string
	}{{c.Passing, "passing"}, {c.Warning, "warning"}, {c.Critical, "critical"}, {c.Maintenance, "in maintenance"}} {
		if part.n > 0 {
			fmt.Fprintf(w, "%s%d %s", separator, part.n, part.state)
			separator = ", "
		}
	}
	fmt.Fprintln(w)
}
