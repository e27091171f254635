// Package services holds the commands about services: services register and
// services deregister tell the agent of them, services list and services show
// read the health of all there are.
//
// Files hold the definitions that configuration files hold, in JSON or HCL.
// Texts and exit codes of register and deregister follow Consul's command line;
// it has no list and show.
package services

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl services` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	cmd := cli.Group("services", "Register, remove, list and show services", `ctl services list -failing
ctl services show web
ctl services register -name web -port 8080
ctl services deregister -id web`,
		newRegister(f), newDeregister(f), newList(f), newShow(f))
	cmd.Aliases = []string{"service"}
	return cmd
}

type registerOptions struct {
	f      *cli.Factory
	conn   *cli.Conn
	change *cli.Change

	id, name, kind, address, socket string
	port                            int
	tags, meta, tagged              []string
}

func newRegister(f *cli.Factory) *cobra.Command {
	o := &registerOptions{f: f}
	cmd := &cobra.Command{
		Use:   "register [options] [FILE...]",
		Short: "Register services with the agent",
		Long: `Register services with the agent, from files or from flags. Files are JSON or HCL,
and hold definitions as configuration files do; "-" is standard input, in JSON.
The agent keeps the services, and forgets them when they are deregistered.`,
		Example: `ctl services register -name=web -port=8080 -tag=v1
ctl services register web.json db.hcl`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.id, "id", "", "`ID` of the service; its name where none is given")
	flags.StringVar(&o.name, "name", "", "`NAME` of the service")
	flags.StringVar(&o.kind, "kind", "", "`KIND` of the service, such as connect-proxy")
	flags.StringVar(&o.address, "address", "", "`ADDRESS` of the service; the agent's where none is given")
	flags.IntVar(&o.port, "port", 0, "`PORT` of the service")
	flags.StringVar(&o.socket, "socket", "", "`PATH` of the service's unix socket")
	flags.StringArrayVar(&o.tags, "tag", nil, "`TAG` of the service; may be repeated")
	flags.StringArrayVar(&o.meta, "meta", nil, "metadata `KEY=VALUE`; may be repeated")
	flags.StringArrayVar(&o.tagged, "tagged-address", nil, "further address `NAME=IP:PORT`; may be repeated")
	o.conn = f.Connect(cmd)
	o.change = f.Change(cmd, o.conn)
	return cmd
}

func (o *registerOptions) run(cmd *cobra.Command, args []string) error {
	var list []*definition
	var err error
	if len(args) > 0 {
		if ignored := o.given(cmd); len(ignored) > 0 {
			// As Consul does, which says nothing.
			fmt.Fprintf(o.f.Streams.Err, "Warning: %s ignored: files say all about their services\n", strings.Join(ignored, ", "))
		}
		list, err = definitions(o.f, args)
	} else {
		list, err = o.fromFlags()
	}
	if err != nil {
		return cli.Failf("Error: %w", err)
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("register %s", services(list)); !ok {
		return err
	}
	for _, d := range list {
		_, err := client.Raw().Write("/v1/agent/service/register", json.RawMessage(d.json), nil, o.conn.Write(cmd.Context()))
		if err != nil {
			return cli.Failf("Error registering service %q: %w", d.Name, err)
		}
		if err := o.change.Printf("Registered service: %s", d.Name); err != nil {
			return err
		}
	}
	return nil
}

// given returns the flags that describe a service and were set.
func (o *registerOptions) given(cmd *cobra.Command) []string {
	var given []string
	for _, name := range []string{"id", "name", "kind", "address", "port", "socket", "tag", "meta", "tagged-address"} {
		if cmd.Flags().Changed(name) {
			given = append(given, "-"+name)
		}
	}
	return given
}

func newDeregister(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
		id     string
		node   string
	)
	cmd := &cobra.Command{
		Use:   "deregister [options] [FILE...]",
		Short: "Remove services from the agent",
		Long: `Remove services that were registered with the agent, by id or by the files they
were registered from. A service of the agent's own configuration files comes
back at its next reload.

With --node, remove a service of another node, over the catalog. If the node has
an agent, that lets go of the service, too: at once, or when it is back.`,
		Example: `ctl services deregister -id=web
ctl services deregister -node=n2 -id=web
ctl services deregister web.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list := []*definition{{ID: id}}
			switch {
			case (id == "") == (len(args) == 0):
				return cli.Failf("Error: service deregistration requires either -id or files")
			case node != "" && id == "":
				return cli.Failf("Error: -node needs -id")
			case node != "":
				return deregisterOn(cmd, conn, change, node, id)
			case len(args) > 0:
				var err error
				if list, err = definitions(f, args); err != nil {
					return cli.Failf("Error: %w", err)
				}
			}
			client, err := conn.Client()
			if err != nil {
				return err
			}
			if ok, err := change.Begin("deregister %s", services(list)); !ok {
				return err
			}
			for _, d := range list {
				if err := client.Agent().ServiceDeregisterOpts(d.key(), conn.Query(cmd.Context())); err != nil {
					return cli.Failf("Error deregistering service %q: %w", d.key(), err)
				}
				if err := change.Printf("Deregistered service: %s", d.key()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the service")
	cmd.Flags().StringVar(&node, "node", "", "`NODE` the service is on, instead of the agent's own")
	conn = f.Connect(cmd)
	change = f.Change(cmd, conn)
	conn.CompleteFlag(cmd, "id", cli.LiveInstances)
	return cmd
}

// deregisterOn removes a service of any node.
func deregisterOn(cmd *cobra.Command, conn *cli.Conn, change *cli.Change, node, id string) error {
	client, err := conn.Client()
	if err != nil {
		return err
	}
	there, _, err := client.Catalog().Node(node, conn.Query(cmd.Context()))
	switch {
	case err != nil:
		return cli.Failf("Error deregistering service %q: %w", id, err)
	case there == nil:
		return cli.Failf("Error deregistering service %q: the catalog has no node %q", id, node)
	case there.Services[id] == nil:
		return cli.Failf("Error deregistering service %q: node %q has no service with that id", id, node)
	}
	if ok, err := change.Begin("deregister service %s on node %s", id, node); !ok {
		return err
	}
	if _, err := client.Catalog().Deregister(&api.CatalogDeregistration{Node: node, ServiceID: id}, conn.Write(cmd.Context())); err != nil {
		return cli.Failf("Error deregistering service %q: %w", id, err)
	}
	return change.Printf("Deregistered service: %s", id)
}
