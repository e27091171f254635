// Package doctor holds the command that looks for what is wrong with a cluster
// and says what to do about it: doctor.
//
// It reads only. What it says is proven by what agents answer over HTTP: each
// finding names who said what. What the answers do not prove is listed as not
// checked, never as healthy. One sickness is one finding where that can be told:
// what follows from it is its evidence. Consul has no such command, so exit codes
// are detailed. Package e2e/clinic has clusters that are really sick.
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// defaultTimeout bounds each question to an agent.
const defaultTimeout = 5 * time.Second

type options struct {
	conn    *cli.Conn
	out     *cli.Output
	all     bool
	addrs   []string
	configs []string
	timeout time.Duration
}

// NewCommand returns `ctl doctor`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "doctor [options]",
		Short: "Find what is wrong with the cluster, and the cure",
		Long: `Ask agents how they and the cluster are, and say what is wrong, what shows it and
what to do. Asked are the agent the settings name, or all addresses of the
context; those of -addr; and with -all every member, at its address and the HTTP
port of the first agent: servers first, 256 at most. One agent shows most; disks,
clocks and doors are checked on those asked, and which way gossip is shut takes
both ends. Nothing is changed; each agent asked pings members, and writes and
removes one small file to measure its disk.

Checks: leader, quorum, stale raft peers, health of servers, failed members,
gossip both ways between agents, gossip keys, retry_join, versions, clocks, gossip
encryption, script checks and HTTP open to the network, TLS, certificates, disk.

With -config-dir this machine is looked at, too, by the configuration the agent
has or is to have: whether it is valid, whether its ports are free or the agent's
own, and whether its data directory can be written and has room. Where no agent
is named otherwise, the one at the HTTP address of that configuration is asked;
that it does not run yet is no finding.

Exit codes: 0 nothing critical and no warning was found, 16 something was, 10 no
agent can be reached, 12 the token lacks the right to ask. Notes exit 0.`,
		Example: `ctl doctor
ctl doctor -all
ctl doctor -addr 10.0.0.1:8500,10.0.0.2:8500
ctl doctor -config-dir /etc/ctl.d
ctl doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.timeout <= 0 {
				return cli.Usagef(cmd, "-timeout %v: a time above 0 is wanted", o.timeout)
			}
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "ask every member, too, at the HTTP port of the first agent")
	cmd.Flags().StringSliceVar(&o.addrs, "addr", nil, "ask the agents at these `ADDRESSES`, too; may be repeated")
	cmd.Flags().StringArrayVar(&o.configs, "config-dir", nil, "check this machine by the configuration in `DIR`, or a file, too; may be repeated, as the agent's")
	cmd.Flags().DurationVar(&o.timeout, "timeout", defaultTimeout, "wait no longer than this `TIME` for each answer of an agent")
	o.out = f.Output(cmd)
	o.conn = f.Connect(cmd)
	cli.DetailedExit(cmd)
	return cmd
}

// Severities, the worst first.
const (
	critical = "critical" // something does not work, or anybody may come in
	warning  = "warning"  // something is less safe than it should be
	note     = "note"     // worth knowing
)

var severities = []string{critical, warning, note}

// finding is one thing that is wrong.
type finding struct {
	Severity string
	Check    string // see checks
	Subject  string // the node, or what else it is about; empty for the cluster
	Summary  string
	Evidence []string // what was seen, and where
	Fix      string
}

// asked is an agent that was asked.
type asked struct {
	Address string
	Node    string // empty where it did not answer
	Error   string // why it did not; empty where it did
}

// report is what the command found.
type report struct {
	Healthy   bool // nothing critical and no warning
	Agents    []asked
	Findings  []finding // the worst first
	Unchecked []string  // what could not be checked, and why
}

func (o *options) run(ctx context.Context) error {
	var l *local
	var at []string
	if len(o.configs) > 0 {
		l = readLocal(o.configs)
		at = l.api()
	}
	c, err := o.ask(ctx, at)
	if err != nil && (l == nil || len(c.views) == 0 || ctx.Err() != nil) {
		return err
	}
	r := &report{}
	if err == nil {
		r = diagnose(c)
	} else {
		r.asked(c)
		r.Unchecked = append(r.Unchecked, "the cluster: "+err.Error())
	}
	if l != nil {
		l.check(c)
		r.Findings = append(l.findings, r.Findings...)
		r.Unchecked = append(l.unchecked, r.Unchecked...)
	}
	r.settle()
	err = cli.ShowDocument(o.out, findingView, r, r.Findings, func(w io.Writer) error { return r.write(w) })
	if err == nil && !r.Healthy {
		return cli.ErrUnhealthy
	}
	return err
}

// diagnose runs all checks.
func diagnose(c *cluster) *report {
	r := &report{}
	r.asked(c)
	for _, check := range checks {
		r.Findings = append(r.Findings, check(c)...)
	}
	r.Unchecked = append(r.Unchecked, c.unchecked...)
	return r
}

// asked fills Agents.
func (r *report) asked(c *cluster) {
	for _, v := range c.views {
		a := asked{Address: v.address}
		if v.err != nil {
			a.Error = v.err.Error()
		} else {
			a.Node = v.node()
		}
		r.Agents = append(r.Agents, a)
	}
}

// settle sorts the findings, and decides; lists that are empty are no null.
func (r *report) settle() {
	sort.SliceStable(r.Findings, func(i, j int) bool {
		return slices.Index(severities, r.Findings[i].Severity) < slices.Index(severities, r.Findings[j].Severity)
	})
	r.Healthy = true
	for _, f := range r.Findings {
		r.Healthy = r.Healthy && f.Severity == note
	}
	r.Agents = append([]asked{}, r.Agents...)
	r.Findings = append([]finding{}, r.Findings...)
	r.Unchecked = append([]string{}, r.Unchecked...)
}

var findingView = cli.View[finding]{
	Empty: "Nothing wrong was found.",
	Name:  func(f finding) string { return strings.TrimSuffix(f.Check+"/"+f.Subject, "/") },
	Columns: []cli.Column[finding]{
		{Name: "Severity", Value: func(f finding) string { return f.Severity }, Tone: func(f finding) iostreams.Tone {
			if f.Severity == critical {
				return iostreams.Bad
			}
			return iostreams.Warn
		}},
		{Name: "Check", Value: func(f finding) string { return f.Check }},
		{Name: "Subject", Value: func(f finding) string { return f.Subject }},
		{Name: "Finding", Value: func(f finding) string { return f.Summary }},
		{Name: "Evidence", Wide: true, Value: func(f finding) string { return strings.Join(f.Evidence, "; ") }},
		{Name: "Fix", Wide: true, Value: func(f finding) string { return f.Fix }},
	},
}

// write writes the report for people, grouped by severity.
func (r *report) write(w io.Writer) error {
	var names []string
	for _, a := range r.Agents {
		if a.Error == "" {
			names = append(names, fmt.Sprintf("%s (%s)", a.Node, a.Address))
		}
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "Asked %s.\n", strings.Join(names, ", "))
	}
	last := ""
	for _, f := range r.Findings {
		if f.Severity != last {
			fmt.Fprintf(w, "\n%s\n", strings.ToUpper(f.Severity))
			last = f.Severity
		}
		fmt.Fprintf(w, "  %s: %s\n", f.Check, f.Summary)
		for _, e := range f.Evidence {
			fmt.Fprintf(w, "    seen: %s\n", e)
		}
		fmt.Fprintf(w, "    fix:  %s\n", f.Fix)
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "Nothing wrong was found.")
	}
	if len(r.Unchecked) > 0 {
		fmt.Fprintln(w, "\nNot checked")
		for _, u := range r.Unchecked {
			fmt.Fprintf(w, "  %s\n", u)
		}
	}
	return nil
}

// noneAnswers is the error when no agent could be asked.
func noneAnswers(views []*view) error {
	if len(views) == 1 {
		return cli.Failf("Error asking the agent at %s: %w", views[0].address, views[0].err)
	}
	var texts []string
	for _, v := range views {
		texts = append(texts, v.address+": "+v.err.Error())
	}
	return cli.Fail(failure.Unavailable, "None of %d agents could be asked: %s", len(views), strings.Join(texts, "; "))
}
