// Package check holds the command that tells a monitoring system how a cluster
// is: check.
//
// It looks at a few things once, judges each by thresholds, and ends with the
// exit code monitoring plugins have: 0 ok, 1 warning, 2 critical, 3 unknown. What
// cannot be read is unknown, never ok; so is a command line that is not
// understood. It asks at most one request for each thing and reads only.
// Source: Monitoring Plugins Development Guidelines, plugin output and return
// codes; Prometheus text format.
package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// status is how something is; the numbers are the exit codes of plugins.
type status int

const (
	ok status = iota
	warning
	critical
	unknown
)

func (s status) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[s] }

// MarshalText implements encoding.TextMarshaler.
func (s status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// badness orders states: what is known to be critical comes before what is not
// known.
func (s status) badness() int { return slices.Index([]status{ok, warning, unknown, critical}, s) }

func worse(a, b status) status {
	if b.badness() > a.badness() {
		return b
	}
	return a
}

// thresholds of the distance between the leader's log and a server's.
const (
	gapWarning  = 1_000
	gapCritical = 10_000
)

type options struct {
	f    *cli.Factory
	conn *cli.Conn

	format                string
	filter                *cli.Filter
	services              []string
	tolerance             int
	gapWarning, gapCritic uint64
	timeout               time.Duration
}

// NewCommand returns `ctl check`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{f: f}
	cmd := &cobra.Command{
		Use:   "check [options]",
		Short: "Check the cluster for a monitoring system",
		Long: `Check that the cluster has a leader, how many servers it can lose, how far servers
are behind the leader, that no member has failed and, for each --service, how many
instances pass. Formats: text, nagios (a plugin's line with performance data),
prometheus (for the node exporter's textfile collector) and json.

Exit codes are a plugin's: 0 ok, 1 warning, 2 critical, 3 unknown, because the
agent cannot be reached, the token lacks the right or an option is wrong.`,
		Example: `ctl check
ctl check -format nagios -service web:2:1
ctl check -format prometheus > cluster.prom`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misused(cmd, fmt.Errorf("Too many arguments (expected 0, got %d)", len(args))) //nolint:staticcheck // as all commands say it
			}
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.format, "format", "o", formatText, "output `FORMAT`: text, nagios, prometheus or json")
	flags.StringArrayVar(&o.services, "service", nil, "`NAME[:WARNING[:CRITICAL]]`: fewer passing instances are a warning, critical; 1 each where not given; may be repeated")
	flags.IntVar(&o.tolerance, "tolerance", -1, "warn if fewer than `N` servers can be lost; -1 is 1 with three servers or more, otherwise 0")
	flags.Uint64Var(&o.gapWarning, "gap-warning", gapWarning, "warn if a server is this many `ENTRIES` behind the leader")
	flags.Uint64Var(&o.gapCritic, "gap-critical", gapCritical, "critical if a server is this many `ENTRIES` behind the leader")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "after this `TIME`, what was not answered is unknown")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	o.filter = f.Filter(cmd, nil)
	o.conn = f.ConnectServer(cmd)
	o.conn.CompleteFlag(cmd, "service", cli.LiveServices)
	cmd.SetFlagErrorFunc(misused)
	return cmd
}

// misused is how a plugin says that it was called wrongly.
func misused(cmd *cobra.Command, err error) error {
	return cli.ExitAs(int(unknown), fmt.Errorf("%w. `%s -h` shows how it is called", err, cmd.CommandPath()))
}

// wanted is what --service demands.
type wanted struct {
	name              string
	warning, critical int
}

func parseWanted(text string) (wanted, error) {
	parts := strings.Split(text, ":")
	w := wanted{name: parts[0], warning: 1, critical: 1}
	if w.name == "" || len(parts) > 3 {
		return w, fmt.Errorf("-service %q is not NAME[:WARNING[:CRITICAL]]", text)
	}
	for i, target := range []*int{&w.warning, &w.critical} {
		if len(parts) <= i+1 {
			break
		}
		n, err := strconv.Atoi(parts[i+1])
		if err != nil || n < 0 {
			return w, fmt.Errorf("-service %q: %q is no number of instances", text, parts[i+1])
		}
		*target = n
	}
	if w.critical > w.warning {
		return w, fmt.Errorf("-service %q: critical below %d would come before the warning below %d", text, w.critical, w.warning)
	}
	return w, nil
}

// result is one thing that was looked at.
type result struct {
	Check    string
	Status   status
	Message  string
	Value    *float64 `json:",omitempty"` // what was judged; nil where it is not known
	Warning  string   `json:",omitempty"` // range in which it is no warning, as plugins write it
	Critical string   `json:",omitempty"`
}

func (o *options) run(cmd *cobra.Command) error {
	if !slices.Contains(formats(), o.format) {
		return misused(cmd, fmt.Errorf("-format %q must be one of: %s", o.format, strings.Join(formats(), ", ")))
	}
	if o.filter.On() && o.format != formatJSON && cmd.Flags().Changed("format") {
		return misused(cmd, fmt.Errorf("-jq filters JSON: it goes with -format json or without -format, not with -format %s", o.format))
	}
	if o.gapCritic < o.gapWarning {
		return misused(cmd, fmt.Errorf("-gap-critical %d is less than -gap-warning %d", o.gapCritic, o.gapWarning))
	}
	var services []wanted
	for _, text := range o.services {
		w, err := parseWanted(text)
		if err != nil {
			return misused(cmd, err)
		}
		services = append(services, w)
	}
	client, err := o.conn.Client()
	if err != nil {
		return cli.ExitAs(int(unknown), err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	results := o.look(client, o.conn.Query(ctx), services)
	overall := ok
	for _, r := range results {
		overall = worse(overall, r.Status)
	}
	if err := o.write(overall, results); err != nil {
		return cli.ExitAs(int(unknown), err)
	}
	if overall == ok {
		return nil
	}
	return cli.ExitAs(int(overall), nil)
}

// look looks at everything. Without a leader it takes what a server knows.
func (o *options) look(client *api.Client, q *api.QueryOptions, services []wanted) []result {
	leader := checkLeader(client, q)
	if leader.Status == critical {
		q.AllowStale = true
	}
	results := []result{leader}
	var members []*api.AgentMember
	_, membersErr := client.Raw().Query("/v1/agent/members", &members, q)
	raft, raftErr := client.Operator().RaftGetConfiguration(q)
	if err := firstError(raftErr, membersErr); err != nil {
		results = append(results, notKnown("servers", err))
	} else {
		results = append(results, o.checkServers(raft.Servers, members))
	}
	switch {
	case raftErr != nil:
		results = append(results, notKnown("gap", raftErr))
	case leader.Status == ok: // without a leader nothing is behind it
		results = append(results, o.checkGap(raft.Servers))
	}
	if membersErr != nil {
		results = append(results, notKnown("members", membersErr))
	} else {
		results = append(results, checkMembers(members))
	}
	for _, w := range services {
		results = append(results, checkService(client, q, w))
	}
	return results
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func notKnown(name string, err error) result {
	return result{Check: name, Status: unknown, Message: err.Error()}
}

func number(n int) *float64 {
	v := float64(n)
	return &v
}

func checkLeader(client *api.Client, q *api.QueryOptions) result {
	address, err := client.Status().LeaderWithQueryOptions(q)
	switch {
	case err != nil:
		return notKnown("leader", err)
	case address == "":
		return result{Check: "leader", Status: critical, Message: "the cluster has no leader", Value: number(0), Critical: "1:"}
	default:
		return result{Check: "leader", Message: address, Value: number(1), Critical: "1:"}
	}
}

// alive and failed are statuses of members, Serf's numbers.
const (
	alive  = 1
	failed = 4
)

// checkServers judges how many of the voters may yet be lost. A voter counts
// where gossip says that it is alive.
func (o *options) checkServers(servers []*api.RaftServer, members []*api.AgentMember) result {
	up := map[string]bool{}
	for _, m := range members {
		if m.Status == alive && m.Tags["role"] == "consul" {
			up[m.Name], up[m.Tags["id"]] = true, true
		}
	}
	voters, present := 0, 0
	var missing []string
	for _, s := range servers {
		if !s.Voter {
			continue
		}
		voters++
		if up[s.ID] || up[s.Node] {
			present++
		} else {
			missing = append(missing, s.Node)
		}
	}
	slices.Sort(missing)
	spare := present - (voters/2 + 1)
	least := o.tolerance
	if least < 0 {
		least = 0
		if voters >= 3 {
			least = 1
		}
	}
	r := result{
		Check: "servers", Value: number(spare), Warning: fmt.Sprintf("%d:", least), Critical: "0:",
		Message: fmt.Sprintf("%d of %d voters alive, %d can be lost", present, voters, max(spare, 0)),
	}
	if len(missing) > 0 {
		r.Message += "; missing: " + strings.Join(missing, ", ")
	}
	switch {
	case spare < 0:
		r.Status, r.Message = critical, r.Message+"; no quorum"
	case spare < least:
		r.Status = warning
	}
	return r
}

// checkGap judges how far the server that is furthest behind is behind the
// leader. An index of 0 is none: the server did not tell.
func (o *options) checkGap(servers []*api.RaftServer) result {
	var lead, gap uint64
	for _, s := range servers {
		if s.Leader {
			lead = s.LastIndex
		}
	}
	r := result{Check: "gap", Warning: strconv.FormatUint(o.gapWarning, 10), Critical: strconv.FormatUint(o.gapCritic, 10)}
	if lead == 0 {
		r.Status, r.Message = unknown, "the agent does not tell the indexes of servers"
		return r
	}
	last := ""
	for _, s := range servers {
		if s.LastIndex > 0 && s.LastIndex < lead && lead-s.LastIndex > gap {
			gap, last = lead-s.LastIndex, s.Node
		}
	}
	v := float64(gap)
	r.Value = &v
	r.Message = "no server is behind the leader"
	if gap > 0 {
		r.Message = fmt.Sprintf("%s is %d entries behind the leader", last, gap)
	}
	switch {
	case gap >= o.gapCritic:
		r.Status = critical
	case gap >= o.gapWarning:
		r.Status = warning
	}
	return r
}

func checkMembers(members []*api.AgentMember) result {
	var names []string
	up := 0
	for _, m := range members {
		switch m.Status {
		case alive:
			up++
		case failed:
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	r := result{Check: "members", Value: number(len(names)), Warning: "0", Message: fmt.Sprintf("%d alive, %d failed", up, len(names))}
	if len(names) > 0 {
		r.Status = warning
		r.Message += ": " + strings.Join(names, ", ")
	}
	return r
}

func checkService(client *api.Client, q *api.QueryOptions, w wanted) result {
	name := "service/" + w.name
	instances, _, err := client.Health().Service(w.name, "", false, q)
	if err != nil {
		return notKnown(name, err)
	}
	passing := 0
	for _, i := range instances {
		if i.Checks.AggregatedStatus() == api.HealthPassing {
			passing++
		}
	}
	r := result{
		Check: name, Value: number(passing), Warning: fmt.Sprintf("%d:", w.warning), Critical: fmt.Sprintf("%d:", w.critical),
		Message: fmt.Sprintf("%d of %d instances passing", passing, len(instances)),
	}
	switch {
	case passing < w.critical:
		r.Status = critical
	case passing < w.warning:
		r.Status = warning
	}
	return r
}
