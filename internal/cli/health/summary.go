package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
)

// group is the members of one kind.
type group struct {
	Alive  int
	Failed []string
	Left   int // leaving or left
}

// summary is how the cluster is.
type summary struct {
	Healthy    bool   // nothing is critical
	Leader     string // its address; empty is none
	LeaderName string // of its node; empty where not known
	Servers    group
	Clients    group
	Services   counts
	Checks     counts
	// NotPassing are the checks that are not passing, the worst first.
	NotPassing []*api.HealthCheck
}

// cluster shows the summary of the cluster.
func (o *options) cluster(ctx context.Context) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if o.watch.On() {
		view := checkView
		view.Empty = "All checks pass."
		_, err := cli.Read(ctx, o.watch, view, checkKey, func(q *api.QueryOptions) ([]*api.HealthCheck, *api.QueryMeta, error) {
			checks, meta, err := client.Health().State(api.HealthAny, q)
			if err != nil {
				return nil, nil, cli.Failf("Error reading checks: %w", err)
			}
			return notPassing(checks), meta, nil
		})
		return err
	}
	ctx, cancel, err := o.watch.Bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	s, err := readSummary(client, o.conn.Query(ctx))
	if err != nil {
		return err
	}
	err = cli.ShowDocument(o.out, checkView, s, s.NotPassing, func(w io.Writer) error { return s.write(w, o.out) })
	if err == nil && !s.Healthy {
		return cli.ErrUnhealthy
	}
	return err
}

func readSummary(client *api.Client, q *api.QueryOptions) (*summary, error) {
	s := &summary{
		Servers: group{Failed: []string{}}, Clients: group{Failed: []string{}}, NotPassing: []*api.HealthCheck{},
	}
	var err error
	if s.Leader, err = client.Status().LeaderWithQueryOptions(q); err != nil {
		return nil, cli.Failf("Error reading the leader: %w", err)
	}
	if s.Leader == "" {
		q.AllowStale = true // what a server knows on its own is all there is
	}
	if err := s.readMembers(client, q); err != nil {
		return nil, cli.Failf("Error reading members: %w", err)
	}
	checks, _, err := client.Health().State(api.HealthAny, q)
	if err != nil {
		return nil, cli.Failf("Error reading checks: %w", err)
	}
	for _, c := range checks {
		s.Checks.add(stateOf(c))
	}
	s.NotPassing = notPassing(checks)
	if err := s.readServices(client, q, checks); err != nil {
		return nil, cli.Failf("Error reading services: %w", err)
	}
	s.Healthy = s.Leader != "" && s.Checks.Critical == 0 && len(s.Servers.Failed)+len(s.Clients.Failed) == 0
	return s, nil
}

func notPassing(checks api.HealthChecks) []*api.HealthCheck {
	list := []*api.HealthCheck{}
	for _, c := range checks {
		if stateOf(c) != api.HealthPassing {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, worstFirst)
	return list
}

// Status numbers of members, which are Serf's.
const (
	statusAlive  = 1
	statusFailed = 4
)

func (s *summary) readMembers(client *api.Client, q *api.QueryOptions) error {
	// The client takes no options for members, but a raw query does.
	var members []*api.AgentMember
	if _, err := client.Raw().Query("/v1/agent/members", &members, q); err != nil {
		return err
	}
	for _, m := range members {
		g := &s.Clients
		if m.Tags["role"] == "consul" {
			g = &s.Servers
			if net.JoinHostPort(m.Addr, m.Tags["port"]) == s.Leader {
				s.LeaderName = m.Name
			}
		}
		switch m.Status {
		case statusAlive:
			g.Alive++
		case statusFailed:
			g.Failed = append(g.Failed, m.Name)
		default:
			g.Left++
		}
	}
	slices.Sort(s.Servers.Failed)
	slices.Sort(s.Clients.Failed)
	return nil
}

// readServices counts services by the worst state of their instances. A check of
// a node counts for all services on it; which these are, the checks do not say
// of services without a check of their own, so such nodes are asked for.
func (s *summary) readServices(client *api.Client, q *api.QueryOptions, checks api.HealthChecks) error {
	names, _, err := client.Catalog().Services(q)
	if err != nil {
		return err
	}
	worst := map[string]api.HealthChecks{} // by service
	ofNode := map[string]api.HealthChecks{}
	for _, c := range checks {
		switch {
		case c.ServiceName != "":
			worst[c.ServiceName] = append(worst[c.ServiceName], c)
		case c.Status != api.HealthPassing:
			ofNode[c.Node] = append(ofNode[c.Node], c)
		}
	}
	for name, list := range ofNode {
		node, _, err := client.Catalog().Node(name, q)
		if err != nil {
			return err
		}
		if node == nil {
			continue // gone meanwhile
		}
		for _, service := range node.Services {
			worst[service.Service] = append(worst[service.Service], list...)
		}
	}
	for name := range names {
		s.Services.add(worstState(worst[name]))
	}
	return nil
}

// worstState is the worst state of checks; of none it is passing.
func worstState(checks api.HealthChecks) string {
	if len(checks) == 0 {
		return api.HealthPassing
	}
	return stateOf(slices.MinFunc(checks, worstFirst))
}

func (s *summary) write(w io.Writer, out *cli.Output) error {
	switch {
	case s.Leader == "":
		fmt.Fprintf(w, "%-10s none: nothing can be written, and what follows may be old\n", "Leader")
	case s.LeaderName == "":
		fmt.Fprintf(w, "%-10s %s\n", "Leader", s.Leader)
	default:
		fmt.Fprintf(w, "%-10s %s (%s)\n", "Leader", s.LeaderName, s.Leader)
	}
	s.Servers.write(w, "Servers")
	s.Clients.write(w, "Clients")
	s.Services.write(w, "Services")
	s.Checks.write(w, "Checks")
	fmt.Fprintln(w)
	if len(s.NotPassing) == 0 {
		_, err := fmt.Fprintln(w, "All checks pass.")
		return err
	}
	return cli.WriteTable(w, out, checkView, s.NotPassing)
}

func (g group) write(w io.Writer, label string) {
	fmt.Fprintf(w, "%-10s %d alive", label, g.Alive)
	if len(g.Failed) > 0 {
		fmt.Fprintf(w, ", %d failed (%s)", len(g.Failed), strings.Join(g.Failed, ", "))
	}
	if g.Left > 0 {
		fmt.Fprintf(w, ", %d left", g.Left)
	}
	fmt.Fprintln(w)
}
