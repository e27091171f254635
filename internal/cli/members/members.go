// Package members holds the commands about who is in the cluster: members,
// join, leave and force-leave.
//
// Texts, columns and exit codes follow Consul's command line.
package members

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/url"
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
	out      *cli.Output
	watch    *cli.Watch
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
ctl members -format json
ctl members -watch`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.wan, "wan", false, "list the servers of all datacenters (WAN gossip) instead")
	flags.BoolVar(&o.detailed, "detailed", false, "show the gossip tags of every member")
	flags.StringVar(&o.status, "status", ".*", "list only members whose status matches `REGEX`")
	flags.StringVar(&o.filter, "filter", "", "filter `EXPRESSION` the agent applies, as 'Tags[\"role\"] == consul'")
	o.out = f.Output(cmd)
	o.conn = f.Connect(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	return cmd
}

func (o *membersOptions) run(ctx context.Context) error {
	status, err := regexp.Compile(o.status)
	if err != nil {
		return cli.Failf("Failed to compile status regexp: %w", err)
	}
	if _, err := o.conn.Client(); err != nil {
		return err
	}
	view := overview
	if o.detailed {
		view = details
	}
	name := func(m *api.AgentMember) string { return m.Name }
	found, err := cli.Read(ctx, o.watch, view, name, func(q *api.QueryOptions) ([]*api.AgentMember, *api.QueryMeta, error) {
		all, err := o.list(q.Context())
		if err != nil {
			return nil, nil, cli.Failf("Error retrieving members: %w", err)
		}
		found := slices.DeleteFunc(all, func(m *api.AgentMember) bool { return !status.MatchString(statusWord(m.Status)) })
		slices.SortFunc(found, order)
		return found, nil, nil
	})
	if err == nil && len(found) == 0 {
		return cli.ErrNoMatch
	}
	return err
}

// list asks for all members. The official client's call for it cannot be
// ended early.
func (o *membersOptions) list(ctx context.Context) ([]*api.AgentMember, error) {
	params := url.Values{"segment": {api.AllSegments}}
	if o.wan {
		params = url.Values{"segment": {""}, "wan": {"1"}} // the agent refuses a segment there
	}
	if o.filter != "" {
		params.Set("filter", o.filter)
	}
	resp, err := o.conn.Get(ctx, "/v1/agent/members", params)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []*api.AgentMember
	err = json.NewDecoder(resp.Body).Decode(&all)
	return all, err
}

// order puts servers first, then sorts by segment, partition and name.
func order(a, b *api.AgentMember) int {
	return cmp.Or(
		cmp.Compare(segment(a), segment(b)),
		cmp.Compare(partition(a), partition(b)),
		cmp.Compare(a.Name, b.Name),
	)
}

// overview is the listing. A member of unknown role shows nothing that only an
// agent has.
var overview = cli.View[*api.AgentMember]{
	Columns: []cli.Column[*api.AgentMember]{
		{Name: "Node", Value: func(m *api.AgentMember) string { return m.Name }},
		{Name: "Address", Value: address},
		{Name: "Status", Value: func(m *api.AgentMember) string { return statusWord(m.Status) }, Tone: tone},
		{Name: "Type", Value: role},
		{Name: "Build", Value: ofAgent(build)},
		{Name: "Protocol", Value: ofAgent(func(m *api.AgentMember) string { return m.Tags["vsn"] })},
		{Name: "DC", Value: ofAgent(func(m *api.AgentMember) string { return m.Tags["dc"] })},
		{Name: "Partition", Value: ofAgent(partition)},
		{Name: "Segment", Value: ofAgent(segment)},
		{Name: "ID", Wide: true, Value: ofAgent(func(m *api.AgentMember) string { return m.Tags["id"] })},
		{Name: "Tags", Wide: true, Value: tags},
	},
}

// details is the listing with -detailed.
var details = cli.View[*api.AgentMember]{
	Columns: []cli.Column[*api.AgentMember]{
		{Name: "Node", Value: func(m *api.AgentMember) string { return m.Name }},
		{Name: "Address", Value: address},
		{Name: "Status", Value: func(m *api.AgentMember) string { return statusWord(m.Status) }, Tone: tone},
		{Name: "Tags", Value: tags},
	},
}

func ofAgent(value func(*api.AgentMember) string) func(*api.AgentMember) string {
	return func(m *api.AgentMember) string {
		if role(m) == "unknown" {
			return ""
		}
		return value(m)
	}
}

func build(m *api.AgentMember) string {
	number, _, _ := strings.Cut(m.Tags["build"], ":")
	return number
}

func tags(m *api.AgentMember) string {
	list := []string{}
	for k, v := range m.Tags {
		list = append(list, k+"="+v)
	}
	if _, ok := m.Tags["ap"]; !ok {
		list = append(list, "ap="+partition(m))
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

func tone(m *api.AgentMember) iostreams.Tone {
	switch statusWord(m.Status) {
	case "alive":
		return iostreams.Good
	case "failed":
		return iostreams.Bad
	case "leaving":
		return iostreams.Warn
	default:
		return iostreams.Faint
	}
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
