package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

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
	healthy := true
	_, err = cli.ReadDocument(ctx, o.watch, checkView, checkKey, func(q *api.QueryOptions) (cli.Document[*api.HealthCheck], *api.QueryMeta, error) {
		s, meta, err := readSummary(client, q)
		if err != nil {
			return cli.Document[*api.HealthCheck]{}, nil, err
		}
		healthy = s.Healthy
		return cli.Document[*api.HealthCheck]{JSON: s, Head: s.head(), Rows: s.NotPassing, Text: func(w io.Writer) error { return s.write(w, o.out) }}, meta, nil
	})
	if err == nil && !healthy {
		return cli.ErrUnhealthy
	}
	return err
}

// head is the summary without the checks, which a watch tells one by one.
func (s summary) head() any {
	s.NotPassing = nil
	return struct {
		summary
		NotPassing any `json:",omitempty"`
	}{summary: s}
}

// lookTime is how long a watch waits for a change of checks until it looks at
// the leader and the members anyway, which have no index.
const lookTime = 2 * time.Second

// readSummary reads it all; with an index, once checks have changed or some time
// has passed.
func readSummary(client *api.Client, q *api.QueryOptions) (*summary, *api.QueryMeta, error) {
	s := &summary{
		Servers: group{Failed: []string{}}, Clients: group{Failed: []string{}}, NotPassing: []*api.HealthCheck{},
	}
	now := *q
	now.WaitIndex = 0
	var err error
	if s.Leader, err = client.Status().LeaderWithQueryOptions(&now); err != nil {
		return nil, nil, cli.Failf("Error reading the leader: %w", err)
	}
	wait := now
	if q.WaitIndex > 0 {
		wait.WaitIndex, wait.WaitTime = q.WaitIndex, lookTime
	}
	if s.Leader == "" {
		// What a server knows on its own is all there is.
		now.AllowStale, wait.AllowStale = true, true
	}
	checks, meta, err := client.Health().State(api.HealthAny, &wait)
	if err != nil {
		return nil, nil, cli.Failf("Error reading checks: %w", err)
	}
	if q.WaitIndex > 0 { // time has passed
		if s.Leader, err = client.Status().LeaderWithQueryOptions(&now); err != nil {
			return nil, nil, cli.Failf("Error reading the leader: %w", err)
		}
	}
	if err := s.readMembers(client, &now); err != nil {
		return nil, nil, cli.Failf("Error reading members: %w", err)
	}
	for _, c := range checks {
		s.Checks.add(stateOf(c))
	}
	s.NotPassing = notPassing(checks)
	if err := s.readServices(client, &now, checks); err != nil {
		return nil, nil, cli.Failf("Error reading services: %w", err)
	}
	s.Healthy = s.Leader != "" && s.Checks.Critical == 0 && len(s.Servers.Failed)+len(s.Clients.Failed) == 0
	return s, meta, nil
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
