// Package members holds the commands about who is in the cluster: members,
// join, leave and force-leave.
//
// Texts, columns and exit codes follow Consul's command line.
package members

import (
	"cmp"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type membersOptions struct {
	f        *cli.Factory
	conn     *cli.Conn
	format   *cli.Format
	wan      bool
	detailed bool
	status   string
	filter   string
}

// NewCommand returns `ctl members`.
func NewCommand(f *cli.Factory) *cobra.Command {
	o := &membersOptions{f: f}
	cmd := &cobra.Command{
		Use:   "members [options]",
		Short: "List the members of the cluster",
		Long: `List the members of the cluster as the agent knows them from gossip: name,
address, status (alive, leaving, left, failed), role and version. Servers come
first. Exits 2 when no member matches.`,
		Example: `ctl members
ctl members -status 'alive|failed'
ctl members -detailed
ctl members -format json`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error { return o.run() },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.wan, "wan", false, "list the servers of all datacenters (WAN gossip) instead")
	flags.BoolVar(&o.detailed, "detailed", false, "show the gossip tags of every member")
	flags.StringVar(&o.status, "status", ".*", "list only members whose status matches `REGEX`")
	flags.StringVar(&o.filter, "filter", "", "filter `EXPRESSION` the agent applies, as 'Tags[\"role\"] == consul'")
	o.format = cli.FormatFlag(cmd)
	o.conn = f.Connect(cmd)
	return cmd
}

func (o *membersOptions) run() error {
	status, err := regexp.Compile(o.status)
	if err != nil {
		return cli.Failf("Failed to compile status regexp: %w", err)
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	opts := api.MembersOpts{WAN: o.wan, Segment: api.AllSegments, Filter: o.filter}
	if o.wan {
		opts.Segment = "" // the agent refuses both together
	}
	all, err := client.Agent().MembersOpts(opts)
	if err != nil {
		return cli.Failf("Error retrieving members: %w", err)
	}
	found := []*api.AgentMember{}
	for _, m := range all {
		if status.MatchString(statusWord(m.Status)) {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, order)
	if err := o.write(found); err != nil {
		return err
	}
	if len(found) == 0 {
		return cli.ErrNoMatch
	}
	return nil
}

// write prints the members; as text, nothing at all if there are none.
func (o *membersOptions) write(members []*api.AgentMember) error {
	switch {
	case o.format.JSON():
		return cli.WriteJSON(o.f.Streams.Out, members)
	case len(members) == 0:
		return nil
	case o.detailed:
		return details(members).Write(o.f.Streams.Out)
	default:
		return overview(members).Write(o.f.Streams.Out)
	}
}

// order puts servers first, then sorts by segment, partition and name.
func order(a, b *api.AgentMember) int {
	return cmp.Or(
		cmp.Compare(segment(a), segment(b)),
		cmp.Compare(partition(a), partition(b)),
		cmp.Compare(a.Name, b.Name),
	)
}

func overview(members []*api.AgentMember) *iostreams.Table {
	t := iostreams.NewTable("Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment")
	for _, m := range members {
		kind := role(m)
		if kind == "unknown" {
			t.Row(m.Name, address(m), statusWord(m.Status), kind, "", "", "", "", "")
			continue
		}
		build, _, _ := strings.Cut(m.Tags["build"], ":")
		t.Row(m.Name, address(m), statusWord(m.Status), kind, build, m.Tags["vsn"], m.Tags["dc"], partition(m), segment(m))
	}
	return t
}

func details(members []*api.AgentMember) *iostreams.Table {
	t := iostreams.NewTable("Node", "Address", "Status", "Tags")
	for _, m := range members {
		tags := []string{}
		for k, v := range m.Tags {
			tags = append(tags, k+"="+v)
		}
		if _, ok := m.Tags["ap"]; !ok {
			tags = append(tags, "ap="+partition(m))
		}
		slices.Sort(tags)
		t.Row(m.Name, address(m), statusWord(m.Status), strings.Join(tags, ","))
	}
	return t
}

func address(m *api.AgentMember) string {
	return net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port)))
}

func role(m *api.AgentMember) string {
	switch m.Tags["role"] {
	case "consul":
		return "server"
	case "node":
		return "client"
	default:
		return "unknown"
	}
}

func segment(m *api.AgentMember) string {
	if s := m.Tags["segment"]; s != "" {
		return s
	}
	if role(m) == "server" {
		return "<all>"
	}
	return "<default>"
}

func partition(m *api.AgentMember) string {
	if p := m.Tags["ap"]; p != "" {
		return p
	}
	return "default"
}

// statusWord names the status numbers of the HTTP API.
func statusWord(status int) string {
	words := []string{"none", "alive", "leaving", "left", "failed"}
	if status < 0 || status >= len(words) {
		return "unknown"
	}
	return words[status]
}
