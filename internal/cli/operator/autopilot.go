package operator

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

func newGetConfig(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		format *cli.Format
	)
	cmd := &cobra.Command{
		Use:   "get-config [options]",
		Short: "Show the autopilot configuration",
		Long:  "Show how the leader looks after the servers: clean-up, health and promotion.",
		Example: `ctl operator autopilot get-config
ctl operator autopilot get-config -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			conf, err := client.Operator().AutopilotGetConfiguration(conn.Query(cmd.Context()))
			if err != nil {
				return cli.Failf("Error querying Autopilot configuration: %w", err)
			}
			if format.JSON() {
				return cli.WriteJSON(f.Streams.Out, conf)
			}
			return writeConfig(f.Streams.Out, conf)
		},
	}
	format = cli.FormatFlag(cmd)
	conn = f.ConnectServer(cmd)
	return cmd
}

func writeConfig(w io.Writer, c *api.AutopilotConfiguration) error {
	_, err := fmt.Fprintf(w, `CleanupDeadServers = %v
LastContactThreshold = %v
MaxTrailingLogs = %v
MinQuorum = %v
ServerStabilizationTime = %v
RedundancyZoneTag = %q
DisableUpgradeMigration = %v
UpgradeVersionTag = %q
`, c.CleanupDeadServers, duration(c.LastContactThreshold), c.MaxTrailingLogs, c.MinQuorum,
		duration(c.ServerStabilizationTime), c.RedundancyZoneTag, c.DisableUpgradeMigration, c.UpgradeVersionTag)
	return err
}

func duration(d *api.ReadableDuration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration()
}

type setConfigOptions struct {
	f    *cli.Factory
	conn *cli.Conn

	cleanup       bool
	lastContact   time.Duration
	maxTrailing   uint64
	minQuorum     uint
	stabilization time.Duration
	zoneTag       string
	noMigration   bool
	versionTag    string
}

func newSetConfig(f *cli.Factory) *cobra.Command {
	o := &setConfigOptions{f: f}
	cmd := &cobra.Command{
		Use:   "set-config [options]",
		Short: "Change the autopilot configuration",
		Long: `Change how the leader looks after the servers. What no option is given for stays
as it is. The change is refused if somebody else changes it at the same time.`,
		Example: `ctl operator autopilot set-config -cleanup-dead-servers=false
ctl operator autopilot set-config -min-quorum=3 -last-contact-threshold=500ms`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.cleanup, "cleanup-dead-servers", false, "remove failed servers once enough others are there")
	flags.DurationVar(&o.lastContact, "last-contact-threshold", 0, "a server is unhealthy after this `TIME` without the leader")
	flags.Uint64Var(&o.maxTrailing, "max-trailing-logs", 0, "a server is unhealthy this `NUMBER` of entries behind")
	flags.UintVar(&o.minQuorum, "min-quorum", 0, "clean-up never leaves fewer than this `NUMBER` of voters")
	flags.DurationVar(&o.stabilization, "server-stabilization-time", 0, "a new server votes after this `TIME` of good health")
	flags.StringVar(&o.zoneTag, "redundancy-zone-tag", "", "sent as it is; `TAG` has no effect")
	flags.BoolVar(&o.noMigration, "disable-upgrade-migration", false, "sent as it is; has no effect")
	flags.StringVar(&o.versionTag, "upgrade-version-tag", "", "sent as it is; `TAG` has no effect")
	o.conn = f.ConnectServer(cmd)
	return cmd
}

func (o *setConfigOptions) run(cmd *cobra.Command) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	// What is read must be what a check-and-set can be based on.
	query := o.conn.Query(cmd.Context())
	query.AllowStale = false
	conf, err := client.Operator().AutopilotGetConfiguration(query)
	if err != nil {
		return cli.Failf("Error querying Autopilot configuration: %w", err)
	}
	o.change(cmd, conf)
	ok, err := client.Operator().AutopilotCASConfiguration(conf, o.conn.Write(cmd.Context()))
	if err != nil {
		return cli.Failf("Error setting Autopilot configuration: %w", err)
	}
	if !ok {
		return cli.Failf("Configuration could not be atomically updated, please try again")
	}
	_, err = fmt.Fprintln(o.f.Streams.Out, "Configuration updated!")
	return err
}

// change puts the options that were given into conf.
func (o *setConfigOptions) change(cmd *cobra.Command, conf *api.AutopilotConfiguration) {
	for name, set := range map[string]func(){
		"cleanup-dead-servers":      func() { conf.CleanupDeadServers = o.cleanup },
		"last-contact-threshold":    func() { conf.LastContactThreshold = api.NewReadableDuration(o.lastContact) },
		"max-trailing-logs":         func() { conf.MaxTrailingLogs = o.maxTrailing },
		"min-quorum":                func() { conf.MinQuorum = o.minQuorum },
		"server-stabilization-time": func() { conf.ServerStabilizationTime = api.NewReadableDuration(o.stabilization) },
		"redundancy-zone-tag":       func() { conf.RedundancyZoneTag = o.zoneTag },
		"disable-upgrade-migration": func() { conf.DisableUpgradeMigration = o.noMigration },
		"upgrade-version-tag":       func() { conf.UpgradeVersionTag = o.versionTag },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
}

func newState(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		format *cli.Format
	)
	cmd := &cobra.Command{
		Use:   "state [options]",
		Short: "Show the health of the servers",
		Long:  "Show the health of every server as the leader sees it, and how many may fail.",
		Example: `ctl operator autopilot state
ctl operator autopilot state -format json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			state, err := client.Operator().AutopilotState(conn.Query(cmd.Context()))
			if err != nil {
				return cli.Failf("Error querying Autopilot state: %w", err)
			}
			if format.JSON() {
				return cli.WriteJSON(f.Streams.Out, state)
			}
			return writeState(f.Streams.Out, state)
		},
	}
	format = cli.FormatFlag(cmd)
	conn = f.ConnectServer(cmd)
	return cmd
}

func writeState(out io.Writer, s *api.AutopilotState) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "Healthy:                      %v\n", s.Healthy)
	fmt.Fprintf(w, "Failure Tolerance:            %d\n", s.FailureTolerance)
	fmt.Fprintf(w, "Optimistic Failure Tolerance: %d\n", s.OptimisticFailureTolerance)
	fmt.Fprintf(w, "Leader:                       %s\n", s.Leader)
	writeIDs(w, "Voters", s.Voters)
	if len(s.ReadReplicas) > 0 {
		writeIDs(w, "Read Replicas", s.ReadReplicas)
	}
	fmt.Fprintln(w, "Servers:")
	for _, id := range slices.Sorted(maps.Keys(s.Servers)) {
		writeServer(w, s.Servers[id])
	}
	return w.Flush()
}

func writeIDs(w io.Writer, title string, ids []string) {
	fmt.Fprintf(w, "%s:\n", title)
	for _, id := range ids {
		fmt.Fprintf(w, "   %s\n", id)
	}
}

func writeServer(w io.Writer, s api.AutopilotServer) {
	fmt.Fprintf(w, "   %s\n", s.ID)
	line := func(label string, value any) { fmt.Fprintf(w, "      %-16s %v\n", label+":", value) }
	line("Name", s.Name)
	line("Address", s.Address)
	line("Version", s.Version)
	line("Status", s.Status)
	line("Node Type", s.NodeType)
	line("Node Status", s.NodeStatus)
	line("Healthy", s.Healthy)
	line("Last Contact", duration(s.LastContact))
	line("Last Term", s.LastTerm)
	line("Last Index", s.LastIndex)
	if len(s.Meta) > 0 {
		fmt.Fprintln(w, "      Meta")
		for _, k := range slices.Sorted(maps.Keys(s.Meta)) {
			fmt.Fprintf(w, "         %q: %q\n", k, s.Meta[k])
		}
	}
}
