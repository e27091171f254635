// Package maint holds the command that takes a node or a service out of answers
// for a while and puts it back: maint.
//
// Texts and exit codes follow Consul's command line.
package maint

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type options struct {
	conn   *cli.Conn
	change *cli.Change

	enable, disable bool
	reason, service string
}

// NewCommand returns `ctl maint`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "maint [options]",
		Short: "Take a node or a service out of answers, and put it back",
		Long: `Put the agent's node, or one of its services, into maintenance: it stays
registered but is critical, so that DNS and ?passing leave it out. The agent
remembers it over restarts. Without options, list what is in maintenance.`,
		Example: `ctl maint
ctl maint -enable -reason "new disk"
ctl maint -enable -service web1 -reason "deploy"
ctl maint -disable -service web1`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.enable, "enable", false, "begin maintenance")
	flags.BoolVar(&o.disable, "disable", false, "end maintenance")
	flags.StringVar(&o.reason, "reason", "", "`TEXT` that says why, for others to see")
	flags.StringVar(&o.service, "service", "", "`ID` of a service of this agent; without it, the whole node")
	o.conn = f.Connect(cmd)
	o.change = f.Change(cmd, o.conn)
	o.conn.CompleteFlag(cmd, "service", cli.LiveInstances)
	return cmd
}

func (o *options) run(cmd *cobra.Command) error {
	switch {
	case o.enable && o.disable:
		return cli.Usagef(cmd, "Only one of -enable or -disable may be provided")
	case !o.enable && o.reason != "":
		return cli.Usagef(cmd, "Reason may only be provided with -enable")
	case !o.enable && !o.disable && o.service != "":
		return cli.Usagef(cmd, "Service requires either -enable or -disable")
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if !o.enable && !o.disable {
		return o.list(client, cmd)
	}
	return o.set(client.Agent(), o.conn.Query(cmd.Context()))
}

// set begins or ends maintenance and says so in Consul's words.
func (o *options) set(agent *api.Agent, q *api.QueryOptions) error {
	state, what := "disabled", "node maintenance"
	if o.enable {
		state = "enabled"
	}
	if o.service != "" {
		what = fmt.Sprintf("maintenance of service %q", o.service)
	}
	if ok, err := o.change.Begin("%s %s", strings.TrimSuffix(state, "d"), what); !ok {
		return err
	}
	var err error
	switch {
	case o.service != "" && o.enable:
		err = agent.EnableServiceMaintenanceOpts(o.service, o.reason, q)
	case o.service != "":
		err = agent.DisableServiceMaintenanceOpts(o.service, q)
	case o.enable:
		err = agent.EnableNodeMaintenance(o.reason)
	default:
		err = agent.DisableNodeMaintenance()
	}
	if err != nil {
		what := "node"
		if o.service != "" {
			what = "service"
		}
		return cli.Failf("Error setting %s maintenance: %w", what, err)
	}
	if o.service != "" {
		return o.change.Printf("Service maintenance is now %s for %q", state, o.service)
	}
	return o.change.Printf("Node maintenance is now %s", state)
}

// The ids of the checks that maintenance is made of.
const (
	nodeCheck     = "_node_maintenance"
	servicePrefix = "_service_maintenance:"
)

// view lists what is in maintenance.
var view = cli.View[*api.AgentCheck]{
	Columns: []cli.Column[*api.AgentCheck]{
		{Name: "Kind", Value: func(c *api.AgentCheck) string {
			if c.CheckID == nodeCheck {
				return "node"
			}
			return "service"
		}},
		{Name: "ID", Value: object},
		{Name: "Reason", Value: func(c *api.AgentCheck) string { return c.Notes }},
	},
	Name: object,
	Line: func(w io.Writer, _ int, c *api.AgentCheck) {
		if c.CheckID == nodeCheck {
			fmt.Fprintf(w, "Node:\n  Name:   %s\n  Reason: %s\n\n", c.Node, c.Notes)
			return
		}
		fmt.Fprintf(w, "Service:\n  ID:     %s\n  Reason: %s\n\n", c.ServiceID, c.Notes)
	},
}

// object is what is in maintenance: the node's name or the service's id.
func object(c *api.AgentCheck) string {
	if c.CheckID == nodeCheck {
		return c.Node
	}
	return c.ServiceID
}

func (o *options) list(client *api.Client, cmd *cobra.Command) error {
	checks, err := client.Agent().ChecksWithFilterOpts("", o.conn.Query(cmd.Context()))
	if err != nil {
		return cli.Failf("Error getting checks: %w", err)
	}
	var found []*api.AgentCheck
	for _, id := range slices.Sorted(maps.Keys(checks)) {
		if id == nodeCheck || strings.HasPrefix(id, servicePrefix) {
			found = append(found, checks[id])
		}
	}
	return cli.Show(o.change.List(), view, found)
}
