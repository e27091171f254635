package operator

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

func newGetConfig(f *cli.Factory) *cobra.Command {
	var (
		conn  *cli.Conn
		out   *cli.Output
		watch *cli.Watch
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
			name := func(e entry) string { return e.Key }
			_, err = cli.ReadDocument(cmd.Context(), watch, setting, name, func(q *api.QueryOptions) (cli.Document[entry], *api.QueryMeta, error) {
				conf, err := client.Operator().AutopilotGetConfiguration(q)
				if err != nil {
					return cli.Document[entry]{}, nil, cli.Failf("Error querying Autopilot configuration: %w", err)
				}
				return cli.Document[entry]{JSON: conf, Rows: settings(conf)}, nil, nil
			})
			return err
		},
	}
	out = f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

// entry is one line of the configuration.
type entry struct {
	Key   string
	Value any
}

var setting = cli.View[entry]{
	Line: func(w io.Writer, _ int, e entry) {
		if text, ok := e.Value.(string); ok {
			e.Value = strconv.Quote(text)
		}
		fmt.Fprintf(w, "%s = %v\n", e.Key, e.Value)
	},
	Columns: []cli.Column[entry]{
		{Name: "Key", Value: func(e entry) string { return e.Key }},
		{Name: "Value", Value: func(e entry) string { return fmt.Sprint(e.Value) }},
	},
	JSON: func(e entry) any {
		if d, ok := e.Value.(time.Duration); ok {
			e.Value = d.String()
		}
		return e
	},
}

func settings(c *api.AutopilotConfiguration) []entry {
	return []entry{
		{"CleanupDeadServers", c.CleanupDeadServers},
		{"LastContactThreshold", duration(c.LastContactThreshold)},
		{"MaxTrailingLogs", c.MaxTrailingLogs},
		{"MinQuorum", c.MinQuorum},
		{"ServerStabilizationTime", duration(c.ServerStabilizationTime)},
		{"RedundancyZoneTag", c.RedundancyZoneTag},
		{"DisableUpgradeMigration", c.DisableUpgradeMigration},
		{"UpgradeVersionTag", c.UpgradeVersionTag},
	}
}

func duration(d *api.ReadableDuration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration()
}

type setConfigOptions struct {
	conn   *cli.Conn
	change *cli.Change

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
	o := &setConfigOptions{}
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
	o.change = f.Change(cmd, o.conn)
	return cmd
}

func (o *setConfigOptions) run(cmd *cobra.Command) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("change the autopilot configuration"); !ok {
		return err
	}
	// What is read must be what a check-and-set can be based on.
	query := o.conn.Query(cmd.Context())
	query.AllowStale = false
	conf, err := client.Operator().AutopilotGetConfiguration(query)
	if err != nil {
		return cli.Failf("Error querying Autopilot configuration: %w", err)
	}
	o.apply(cmd, conf)
	ok, err := client.Operator().AutopilotCASConfiguration(conf, o.conn.Write(cmd.Context()))
	if err != nil {
		return cli.Failf("Error setting Autopilot configuration: %w", err)
	}
	if !ok {
		return cli.Fail(failure.Conflict, "Configuration could not be atomically updated, please try again")
	}
	return o.change.Printf("Configuration updated!")
}

// apply puts the options that were given into conf.
func (o *setConfigOptions) apply(cmd *cobra.Command, conf *api.AutopilotConfiguration) {
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
		conn  *cli.Conn
		out   *cli.Output
		watch *cli.Watch
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
			id := func(s api.AutopilotServer) string { return s.ID }
			_, err = cli.ReadDocument(cmd.Context(), watch, health, id, func(q *api.QueryOptions) (cli.Document[api.AutopilotServer], *api.QueryMeta, error) {
				state, err := client.Operator().AutopilotState(q)
				if err != nil {
					return cli.Document[api.AutopilotServer]{}, nil, cli.Failf("Error querying Autopilot state: %w", err)
				}
				return stateDocument(state), nil, nil
			})
			return err
		},
	}
	out = f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

func stateDocument(state *api.AutopilotState) cli.Document[api.AutopilotServer] {
	head := struct {
		api.AutopilotState
		Servers any `json:",omitempty"` // they are the rows
	}{AutopilotState: *state}
	head.AutopilotState.Servers = nil
	return cli.Document[api.AutopilotServer]{JSON: state, Head: head, Rows: servers(state), Text: func(w io.Writer) error {
		writeState(w, state)
		return nil
	}}
}

// health is the listing of the servers that -o table shows.
var health = cli.View[api.AutopilotServer]{
	Columns: []cli.Column[api.AutopilotServer]{
		{Name: "Name", Value: func(s api.AutopilotServer) string { return s.Name }},
		{Name: "Address", Value: func(s api.AutopilotServer) string { return s.Address }},
		{Name: "Status", Value: func(s api.AutopilotServer) string { return string(s.Status) }},
		{Name: "Healthy", Value: func(s api.AutopilotServer) string { return strconv.FormatBool(s.Healthy) }, Tone: tone},
		{Name: "Last Contact", Value: func(s api.AutopilotServer) string { return duration(s.LastContact).String() }},
		{Name: "Last Index", Value: func(s api.AutopilotServer) string { return strconv.FormatUint(s.LastIndex, 10) }},
		{Name: "ID", Wide: true, Value: func(s api.AutopilotServer) string { return s.ID }},
		{Name: "Version", Wide: true, Value: func(s api.AutopilotServer) string { return s.Version }},
		{Name: "Node Status", Wide: true, Value: func(s api.AutopilotServer) string { return s.NodeStatus }},
		{Name: "Last Term", Wide: true, Value: func(s api.AutopilotServer) string { return strconv.FormatUint(s.LastTerm, 10) }},
	},
}

func tone(s api.AutopilotServer) iostreams.Tone {
	if s.Healthy {
		return iostreams.Good
	}
	return iostreams.Bad
}

// servers returns the servers of s by id.
func servers(s *api.AutopilotState) []api.AutopilotServer {
	var list []api.AutopilotServer
	for _, id := range slices.Sorted(maps.Keys(s.Servers)) {
		list = append(list, s.Servers[id])
	}
	return list
}

func writeState(w io.Writer, s *api.AutopilotState) {
	fmt.Fprintf(w, "Healthy:                      %v\n", s.Healthy)
	fmt.Fprintf(w, "Failure Tolerance:            %d\n", s.FailureTolerance)
	fmt.Fprintf(w, "Optimistic Failure Tolerance: %d\n", s.OptimisticFailureTolerance)
	fmt.Fprintf(w, "Leader:                       %s\n", s.Leader)
	writeIDs(w, "Voters", s.Voters)
	if len(s.ReadReplicas) > 0 {
		writeIDs(w, "Read Replicas", s.ReadReplicas)
	}
	fmt.Fprintln(w, "Servers:")
	for _, server := range servers(s) {
		writeServer(w, server)
	}
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
