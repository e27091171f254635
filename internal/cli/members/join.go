package members

import (
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

type joinOptions struct {
	f      *cli.Factory
	conn   *cli.Conn
	change *cli.Change
	wan    bool
}

// NewJoinCommand returns `ctl join`.
func NewJoinCommand(f *cli.Factory) *cobra.Command {
	o := &joinOptions{f: f}
	cmd := &cobra.Command{
		Use:   "join [options] ADDRESS...",
		Short: "Tell the agent to join a cluster",
		Long: `Tell the agent to join the cluster of the agents at the given gossip addresses
(host or host:port, port 8301 unless given). One that answers is enough.`,
		Example: `ctl join 192.168.17.161
ctl join -wan dc2-server1.example.com`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	cmd.Flags().BoolVar(&o.wan, "wan", false, "join servers of another datacenter (WAN gossip)")
	o.conn = f.Connect(cmd)
	o.change = f.Change(cmd, o.conn)
	return cmd
}

func (o *joinOptions) run(cmd *cobra.Command, addrs []string) error {
	if len(addrs) == 0 {
		return cli.Usagef(cmd, "At least one address to join must be specified.")
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("join the cluster of %s", strings.Join(addrs, ", ")); !ok {
		return err
	}
	joined := 0
	for _, addr := range addrs {
		if err := client.Agent().Join(addr, o.wan); err != nil {
			o.f.Report(cmd, fmt.Errorf("Error joining address '%s': %w", addr, err)) //nolint:staticcheck // Consul's text
			continue
		}
		joined++
	}
	if joined == 0 {
		return cli.Failf("Failed to join any nodes.")
	}
	return o.change.Printf("Successfully joined cluster by contacting %d nodes.", joined)
}
